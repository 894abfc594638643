"""Serve a demo page that predicts depth for uploaded images and videos.

Example: python tools/demo_app.py --load_weights_folder weights/mono_640x192 --port 7860
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
from tools.demo.weights_menu import Predictors, find_weights, with_published

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ("pointer.js", "scrolling.js")


def main() -> None:
    """Parse the options and serve the page until SIGINT or SIGTERM."""
    options = parse_page_options()
    folders = options.load_weights_folder or with_published(find_weights(Path()))
    _check_address(options)
    # All uploads and results are in this folder, which is deleted at the end.
    with tempfile.TemporaryDirectory(prefix="depth_page_") as folder:
        serve(options, Predictors(folders, options), Path(folder))


def serve(options: PageOptions, predictors: Predictors, folder: Path) -> None:
    """Serve the page until SIGINT or SIGTERM.

    Args:
        options: options of the page.
        predictors: predictors for the offered weights.
        folder: folder for all uploads and results.

    Raises:
        UserError: the first weights are unusable, or Gradio is not installed.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # before Gradio is imported
    prepare_environment()
    set_device(options.device)
    _ = predictors[predictors.names[0]]  # load now: errors appear at the start instead of at the first upload
    with ended_by_ctrl_c():
        page_module = _import_interface()
    from starlette.middleware import Middleware

    from tools.demo.examples import find_examples
    from tools.demo.host_check import HostCheck
    from tools.demo.visitors import Visitors

    visitors = Visitors(folder / "visitors")
    handlers = page_module.Page(predictors, visitors, find_examples(), folder / "examples", options)
    page = handlers.build()
    stop = threading.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, lambda *_: stop.set())
    page.launch(
        **{"server_name": options.host, "server_port": options.port, "prevent_thread_lock": True, "quiet": True},
        **{"max_file_size": int(options.max_megabytes * 1e6), "ssr_mode": False, "share": False, "run_history": False},
        **{"theme": page_module.THEME, "css": (ROOT / "tools/demo/demo_page.css").read_text(), "footer_links": []},
        app_kwargs={"middleware": [Middleware(HostCheck, options.host, options.allowed_hosts)]},
        head="".join(f"<script>{(ROOT / 'tools/demo' / name).read_text()}</script>" for name in SCRIPTS),
    )
    if options.host not in ("127.0.0.1", "localhost", "::1"):
        print(f"Note: the page is open to everyone who can connect to {options.host}.")
    print(
        f"Serving http://{options.host}:{options.port}/. Press Ctrl-C to stop and delete all uploads.",
        flush=True,
    )
    preparation = threading.Thread(target=handlers.predict_examples, args=(stop,))  # the page answers meanwhile
    preparation.start()
    while not stop.wait(page_module.CLEANING_SECONDS):
        visitors.sweep()
    preparation.join()
    page.close(verbose=False)


def _check_address(options: PageOptions) -> None:
    """Check that the address is free.

    Raises:
        UserError: the page cannot listen on the address.
    """
    try:
        family = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((options.host, options.port))
    except OSError as error:
        raise UserError(
            f"--host {options.host} --port {options.port}: cannot listen on this address ({error.strerror}). "
            "If another program uses the port, pass a different --port."
        ) from error


def _import_interface():
    try:
        from tools.demo import interface
    except ImportError as error:
        raise UserError(
            f"a package for the demo page is not installed ({error}). Run: pip install -r requirements-page.txt"
        ) from error
    return interface


if __name__ == "__main__":
    run_script(main)
