"""Options of the page: defaults and errors."""

import pytest

from common.errors import OptionsError
from tools.demo.demo_options import parse_page_options


def test_defaults_listen_on_localhost_only():
    opt = parse_page_options([])
    assert (opt.host, opt.port, opt.load_weights_folder) == ("127.0.0.1", 7860, ())
    assert (opt.max_megabytes, opt.max_frames, opt.depth_network, opt.device) == (100, 150, None, "auto")
    assert opt.allowed_hosts == ()
    given = parse_page_options(["--host", "0.0.0.0", "--port", "80", "--load_weights_folder", "a", "b"])
    assert (given.host, given.port, given.load_weights_folder) == ("0.0.0.0", 80, ("a", "b"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--prt", "80"], "--port"),
        (["--port", "0"], "at least 1"),
        (["--port", "70000"], "65535"),
        (["--max_frames", "0"], "at least 1"),
        (["--num_layers", "20"], "18"),
        (["page.html"], "page.html"),
    ],
)
def test_invalid_options_are_reported(words, message):
    with pytest.raises(OptionsError, match=message):
        parse_page_options(words)
