"""Options of ``tools/demo_app.py``."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from common.command_line import OptionParser, add_argument, refuse_unknown
from common.errors import OptionsError
from common.option_types import checked, option
from inference.predict_options import PREDICT_FIELDS
from options import OPTION_FIELDS

_page = partial(option, "page")
HIGHEST_PORT = 65535


@dataclass(frozen=True)
class PageOptions:
    """Validated options of the page: address, weights, upload limits and device.

    Raises:
        OptionsError: A value has the wrong type or is not allowed.
    """

    host: str = _page("127.0.0.1", "address to listen on; 0.0.0.0 accepts connections from other machines")
    port: int = _page(7860, "port to listen on", at_least=1)
    allowed_hosts: tuple[str, ...] = _page(
        (), "further host names of the page, for example behind a proxy; requests under other names are refused"
    )
    load_weights_folder: tuple[str, ...] = _page(
        (),
        "weights offered in the menu: folders, or names of published weights; if omitted, all in weights/, the best of "
        "each run in logs/, and published ones, downloaded when selected",
    )
    max_megabytes: int = _page(100, "maximum size of an uploaded file, MB", at_least=1)
    max_frames: int = _page(150, "maximum length of an uploaded video, frames", at_least=1)
    depth_network: str | None = dataclasses.field(default=None, metadata=PREDICT_FIELDS["depth_network"].metadata)
    device: str = dataclasses.field(default=OPTION_FIELDS["device"].default, metadata=OPTION_FIELDS["device"].metadata)

    def __post_init__(self) -> None:
        for name, field in PAGE_FIELDS.items():
            value = getattr(self, name)
            if value != field.default:
                object.__setattr__(self, name, checked(field, value))
        if self.port > HIGHEST_PORT:
            raise OptionsError(f"port: got {self.port}, allowed: an integer from 1 to {HIGHEST_PORT}")


PAGE_FIELDS = {field.name: field for field in dataclasses.fields(PageOptions)}


def parse_page_options(argv: Sequence[str] | None = None) -> PageOptions:
    """Parse the command line.

    Args:
        argv: Arguments; by default those of ``sys.argv``.

    Raises:
        OptionsError: An option is unknown (the message names the nearest), has the wrong type or is not allowed.
    """
    parser = OptionParser(
        description="Serve a demo page that predicts depth for uploaded images and videos.",
        usage="%(prog)s [--OPTION VALUE ...]",
        epilog="Example: python tools/demo_app.py --load_weights_folder weights/DIR --port 7860",
        allow_abbrev=True,
    )
    for field in PAGE_FIELDS.values():
        add_argument(parser, field)
    namespace, unknown = parser.parse_known_args(sys.argv[1:] if argv is None else list(argv))
    if unknown:
        refuse_unknown(unknown, [f"--{name}" for name in PAGE_FIELDS])
    return PageOptions(**{name: value for name, value in vars(namespace).items() if value is not None})
