"""Serves a page in the browser to try depth on: drop an image or a video, compare, point, turn, download.

``python tools/demo_app.py [--load_weights_folder DIR ...] [--host ADDRESS] [--port N]``
"""

import os
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.environment import ended_by_ctrl_c, prepare_environment, run_script, set_device
from common.errors import UserError
from tools.demo.demo_options import PageOptions, parse_page_options
from tools.demo.weights_menu import Predictors, find_weights

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Parses the options, and serves the page until a signal comes."""
    options = parse_page_options()
    folders = options.load_weights_folder or find_weights(Path())
    _check_address(options)
    # All that visitors send and get lies in here, and goes with it.
    with tempfile.TemporaryDirectory(prefix="depth_page_") as folder:
        serve(options, Predictors(folders, options), Path(folder))


def serve(options: PageOptions, predictors: Predictors, folder: Path) -> None:
    """Serves the page until SIGINT or SIGTERM comes, with all files in ``folder``.

    Raises:
        UserError: the first weights cannot be used, or Gradio is missing.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # before Gradio is imported
    prepare_environment()
    set_device(options.device)
    _ = predictors[predictors.folders[0]]  # faults are told now, not to the first visitor
    with ended_by_ctrl_c():
        page_module = _import_interface()
    from tools.demo.examples import draw_examples
    from tools.demo.visitors import Visitors

    print("Drawing examples ...", flush=True)
    examples = draw_examples(folder / "examples")
    page = page_module.Page(predictors, Visitors(folder / "visitors"), examples, options).build()
    stop = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stop.set())
    page.launch(
        **{"server_name": options.host, "server_port": options.port, "prevent_thread_lock": True, "quiet": True},
        **{"max_file_size": int(options.max_megabytes * 1e6), "ssr_mode": False, "share": False, "run_history": False},
        **{"theme": page_module.THEME, "css": (ROOT / "tools/demo/demo_page.css").read_text(), "footer_links": []},
        head=f"<script>{(ROOT / 'tools/demo/pointer.js').read_text()}</script>",
    )
    if options.host not in ("127.0.0.1", "localhost", "::1"):
        print(f"Whoever reaches {options.host} can use this page.")
    print(
        f"The page is at http://{options.host}:{options.port}/; Ctrl-C ends it and deletes what it was sent.",
        flush=True,
    )
    stop.wait()
    page.close(verbose=False)


def _check_address(options: PageOptions) -> None:
    """Raises UserError where the page cannot listen there."""
    try:
        family = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((options.host, options.port))
    except OSError as error:
        raise UserError(
            f"--host {options.host} --port {options.port}: cannot listen there ({error.strerror}). Another program may "
            "use the port: name another by --port."
        ) from error


def _import_interface():
    try:
        from tools.demo import interface
    except ImportError as error:
        raise UserError(
            f"the page needs what is not installed ({error}): pip install -r requirements-page.txt"
        ) from error
    return interface


if __name__ == "__main__":
    run_script(main)
