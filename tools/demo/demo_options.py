"""The options of tools/demo_app.py."""

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from common.errors import OptionsError
from common.option_types import OptionParser, add_argument, checked, option, refuse_unknown
from inference.predict_options import PREDICT_FIELDS
from options import OPTION_FIELDS

_page = partial(option, "page")
HIGHEST_PORT = 65535


@dataclass(frozen=True)
class PageOptions:
    """Where the page is served, by which weights it predicts, and what it takes; checked.

    Raises:
        OptionsError: a value has the wrong type or is not allowed.
    """

    host: str = _page("127.0.0.1", "address to listen on; this one takes visitors of this machine alone, 0.0.0.0 any")
    port: int = _page(7860, "port to listen on", at_least=1)
    load_weights_folder: tuple[str, ...] = _page(
        (), "folders of weights to choose from (default: all in weights/, and the best of each run in logs/)"
    )
    max_megabytes: int = _page(100, "largest file that is taken", at_least=1)
    max_frames: int = _page(150, "frames of the longest video that is taken", at_least=1)
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
    """The options of the command line ``argv``, sys.argv's by default.

    Raises:
        OptionsError: an option is unknown (the nearest is named), or as in `PageOptions`.
    """
    parser = OptionParser(
        description="Serves a page in the browser to try depth on.", usage="%(prog)s [--OPTION VALUE ...]"
    )
    for field in PAGE_FIELDS.values():
        add_argument(parser, field)
    namespace, unknown = parser.parse_known_args(sys.argv[1:] if argv is None else list(argv))
    if unknown:
        refuse_unknown(unknown, [f"--{name}" for name in PAGE_FIELDS])
    return PageOptions(**{name: value for name, value in vars(namespace).items() if value is not None})
