"""``tools/demo_app.py``: command line, and the page in a headless browser."""

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import paddle
import pytest
from headless_browser import drawn_points, require_chromium, start_browser
from PIL import Image

from networks.monodepth import Monodepth
from serialization.weights_folder import save_weights

ROOT = Path(__file__).resolve().parents[2]
WAIT = 240  # timeout in seconds, generous for a loaded machine


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Folder with two weights folders: "stereo" (metric depth) and "mono"."""
    root = tmp_path_factory.mktemp("weights")
    for seed, name in enumerate(("stereo", "mono")):
        paddle.seed(seed)
        networks = Monodepth.for_depth().networks()
        last = networks["depth"].state_dict()["decoder.10.conv.weight"]
        last.set_value(30 * last)  # otherwise the depth is nearly constant
        save_weights(root / name, networks, {"height": 64, "width": 192, "use_stereo": name == "stereo"})
    return root


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prt", 80], ["--prt", "--port"]),
        (["--load_weights_folder", "nowhere"], ["nowhere"]),
        (["--host", "no.such.host.invalid", "--load_weights_folder", "WEIGHTS"], ["no.such.host.invalid", "--port"]),
    ],
)
def test_invalid_arguments_exit_with_an_error_message(weights, arguments, words):
    arguments = [str(weights / "mono") if word == "WEIGHTS" else str(word) for word in arguments]
    command = [sys.executable, "tools/demo_app.py", "--port", str(free_port()), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and "error: " in done.stderr and "Traceback" not in done.stderr, done.stderr
    for word in words:
        assert word in done.stderr


def test_port_in_use_is_reported(weights):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        command = [sys.executable, "tools/demo_app.py", "--port", str(port), "--load_weights_folder", str(weights)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and f"--port {port}" in done.stderr and "Traceback" not in done.stderr


class Server:
    """The page, served by a subprocess."""

    def __init__(self, weights: Path, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder  # TMPDIR of the process
        command = [sys.executable, "tools/demo_app.py", "--port", str(self.port), "--max_megabytes", "1"]
        command += ["--load_weights_folder", str(weights / "stereo"), str(weights / "mono"), "--device", "cpu"]
        environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), "HOME": str(folder), "OMP_NUM_THREADS": "1"}
        self.log = folder / "log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment)
        self.url = f"http://127.0.0.1:{self.port}/"
        try:
            wait_for(lambda: "Serving http://" in self.log.read_text() or self.process.poll() is not None, "the server")
        except AssertionError:
            self.process.kill()
            raise
        assert self.process.poll() is None, self.log.read_text()

    def visitors(self) -> list[list[str]]:
        """Return the file names in each visitor's folder."""
        return [sorted(p.name for p in folder.iterdir()) for folder in self.folder.glob("depth_page_*/visitors/*")]


def wait_for(condition, what: str = ""):
    """Wait until ``condition`` returns a true value, and return it."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"timeout after {WAIT} s waiting for {what or condition}")


@pytest.fixture(scope="module")
def server(weights, tmp_path_factory):
    pytest.importorskip("gradio", reason="gradio is not installed (pip install -r requirements-page.txt)")
    server = Server(weights, tmp_path_factory.mktemp("server"))
    yield server
    server.process.kill()
    server.process.wait()


@pytest.fixture
def open_browser(server, tmp_path):
    """Return a function that opens the page in headless Chromium, which downloads to tmp_path/downloads."""
    require_chromium()
    browsers = []

    def open_one(phone: bool = False):
        profile, downloads = tmp_path / f"profile{len(browsers)}", tmp_path / "downloads"
        browsers.append(start_browser(profile, height=1000, logs=("browser", "performance"), downloads=downloads))
        browser = browsers[-1]
        if phone:
            metrics = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get(server.url)
        wait_for(lambda: browser.find_elements("css selector", "#sent input[type=file]"), "the page")
        wait_for(lambda: len(loaded(browser, "#examples")) >= 3, "pictures of the examples")
        shown(browser)  # the first example
        return browser

    yield open_one
    for browser in browsers:
        browser.quit()


def loaded(browser, where: str) -> list[str]:
    """Return the URLs of the images in an element; empty until all are loaded."""
    script = "return [...document.querySelectorAll(arguments[0])].map((i) => i.naturalWidth ? i.src : '')"
    addresses = browser.execute_script(script, f"{where} img")
    return addresses if all(addresses) else []


def send(browser, path: Path) -> str:
    """Upload a file and return the URL of its image, once it is shown."""
    before = ([*loaded(browser, "#compare"), ""])[0]
    browser.find_element("css selector", "#sent input[type=file]").send_keys(str(path))
    return shown(browser, before)


def shown(browser, before: str = "") -> str:
    wait_for(lambda: (found := loaded(browser, "#compare")) and found[0] != before, "a result")
    return loaded(browser, "#compare")[0]


def text(browser, where: str) -> str:
    return browser.execute_script("return document.querySelector(arguments[0])?.textContent ?? ''", where)


def downloads(browser) -> dict[str, str]:
    """Return name -> URL of the files to download."""
    links = browser.find_elements("css selector", "#files a[download]")
    return {link.get_attribute("download"): link.get_attribute("href") for link in links}


@pytest.fixture
def photo(tmp_path) -> Path:
    """A 160x96 image: left half dark, right half bright."""
    image = np.full((96, 160, 3), 40, np.uint8)
    image[:, 80:] = 210
    Image.fromarray(image).save(tmp_path / "halves.png")
    return tmp_path / "halves.png"


@pytest.mark.slow
def test_upload_comparison_pointer_point_cloud_and_download(open_browser, server, photo, tmp_path):
    from selenium.webdriver import ActionChains

    browser = open_browser()
    send(browser, photo)
    assert "halves: 160x96." in text(browser, "#summary") and " m. " in text(browser, "#summary")

    kinds = ("picture.png", "disp.npy", "depth.npy", "depth.png", "cloud.ply", "cloud.glb")
    names = [f"halves_{kind}" for kind in kinds]
    wait_for(lambda: list(downloads(browser)) == names, "links")
    browser.find_element("css selector", '#files a[download="halves_depth.npy"]').click()
    depth = np.load(wait_for(lambda: [*(tmp_path / "downloads").glob("*.npy")], "the download")[0])
    assert depth.shape == (96, 160)

    # The colour bar has the depths of the picture: the far end is the maximum, the near end the 5th percentile.
    spans = browser.find_elements("css selector", "#bar .labels span")
    labels = [float(span.text.removeprefix("≤ ")) for span in spans]
    assert labels == sorted(labels) and "metres" in text(browser, "#bar")
    assert labels[-1] == pytest.approx(depth.max(), rel=0.06)
    assert labels[0] == pytest.approx(np.percentile(depth, 5), rel=0.06)

    # The slider changes the clipping of the upper image.
    upper = browser.find_elements("css selector", "#compare img")[1]
    handle = browser.find_element("css selector", "#compare [role=slider], #compare .outer, #compare .handle-wrap")
    browser.execute_script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", upper)
    before = upper.get_attribute("style")
    ActionChains(browser).drag_and_drop_by_offset(handle, -150, 0).perform()
    wait_for(lambda: upper.get_attribute("style") != before, "the slider")

    # The pointer shows the depth of the downloaded file at the same pixel. The image is letterboxed in its element.
    box = browser.execute_script("const b = arguments[0].getBoundingClientRect(); return [b.width, b.height]", upper)
    fitted = min(box[0] / 160, box[1] / 96)
    width, height = 160 * fitted, 96 * fitted
    for share in (0.2, 0.9):
        ActionChains(browser).move_to_element_with_offset(
            upper, round((share - 0.5) * width), round(0.2 * height)
        ).perform()
        displayed = float(wait_for(lambda: text(browser, "#metres"), "metres").removesuffix(" m"))
        row, column = round(0.7 * 95), round(share * 159)
        near = depth[row - 2 : row + 3, column - 2 : column + 3]
        assert near.min() - 0.01 <= displayed <= near.max() + 0.01

    cloud = browser.find_element("css selector", "#cloud iframe")
    browser.execute_script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", cloud)
    browser.switch_to.frame(cloud)
    start = wait_for(lambda: (d := drawn_points(browser))[0] > 1000 and d, "points")
    ActionChains(browser).drag_and_drop_by_offset(browser.find_element("id", "points"), 120, 30).perform()
    wait_for(lambda: drawn_points(browser) != start, "turned points")
    browser.switch_to.default_content()

    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
    assert server.visitors() == [sorted(["input.png", "disparity.png", "halves.png", *names])]


@pytest.mark.slow
def test_depth_under_the_pointer_disappears_with_its_picture(open_browser, photo, tmp_path):
    from selenium.webdriver import ActionChains

    browser = open_browser()
    send(browser, photo)
    image = browser.find_elements("css selector", "#compare img")[1]
    browser.execute_script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", image)
    ActionChains(browser).move_to_element_with_offset(image, 20, 20).perform()
    is_hidden = "return document.getElementById('metres').hidden"
    wait_for(lambda: text(browser, "#metres") and not browser.execute_script(is_hidden), "metres")
    other = tmp_path / "other.png"
    Image.fromarray(np.full((96, 160, 3), 120, np.uint8)).save(other)
    send(browser, other)  # the pointer does not move
    wait_for(lambda: browser.execute_script(is_hidden), "the depth to disappear")


@pytest.mark.slow
def test_page_makes_no_external_requests(open_browser, server, photo):
    import json

    browser = open_browser()
    send(browser, photo)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert any(url.startswith(server.url) for url in requested)
    external = {
        url for url in requested if not url.startswith((server.url, "data:", "blob:", "chrome:", "chrome-", "about:"))
    }
    assert not external


@pytest.mark.slow
def test_unsupported_or_too_large_file_shows_an_error_message(open_browser, photo, tmp_path):
    browser = open_browser()
    send(browser, photo)
    (tmp_path / "notes.txt").write_text("no picture")
    browser.find_element("css selector", "#sent input[type=file]").send_keys(str(tmp_path / "notes.txt"))
    wait_for(lambda: "notes.txt is not an image" in text(browser, "#message"), "an error message")
    assert not loaded(browser, "#compare")
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    browser.find_element("css selector", "#sent input[type=file]").send_keys(str(tmp_path / "large.png"))
    wait_for(
        lambda: "maximum" in text(browser, ".toast-wrap, [data-testid=toast-body]"), "an error message about the size"
    )
    send(browser, photo)
    assert not text(browser, "#message").strip()


@pytest.mark.slow
def test_page_opens_with_an_example_beside_the_inputs_and_closed_settings(open_browser):
    browser = open_browser()
    assert browser.execute_script("return window.scrollY") == 0
    assert "street: 640x192" in text(browser, "#summary")
    assert "Monodepth2 on PaddlePaddle" in text(browser, "#header") and "Limits" in text(browser, "#header")
    box = "const b = document.querySelector(arguments[0]).getBoundingClientRect(); return [b.left, b.top, b.right]"
    sent, result = (browser.execute_script(box, where) for where in ("#sent", "#compare"))
    assert result[0] >= sent[2] and result[1] < 400
    assert not any(part.is_displayed() for part in browser.find_elements("css selector", "#weights"))
    for photo in ("CC0", "public domain"):
        assert photo in text(browser, "#credits")


@pytest.mark.slow
def test_examples_and_weights_menu(open_browser):
    browser = open_browser()
    first = shown(browser)
    browser.find_elements("css selector", "#examples .thumbnail-item")[1].click()
    picture = shown(browser, first)
    assert "bend: 640x192" in text(browser, "#summary")
    browser.find_element("css selector", "#settings button").click()
    wait_for(lambda: browser.find_elements("css selector", "#weights input"), "the settings")[0].click()
    options = wait_for(lambda: browser.find_elements("css selector", "#weights [role=option]"), "choices")
    assert [option.text.strip("✓ \n") for option in options] == [f"{n} (resnet18, 192x64)" for n in ("stereo", "mono")]
    options[1].click()
    shown(browser, picture)
    wait_for(lambda: "relative units" in text(browser, "#summary"), "the other weights")
    assert "relative units" in text(browser, "#bar")
    browser.find_elements("css selector", "#examples .thumbnail-item")[3].click()
    wait_for(lambda: "drive: 640x192, 20 frames at 10 fps" in text(browser, "#summary"), "a video")
    ready = "const v = document.querySelector('#video video'); return v ? v.videoWidth : 0"
    wait_for(lambda: browser.execute_script(ready) == 640, "a video that plays")


@pytest.mark.slow
def test_video_shows_its_progress(open_browser):
    """The frame that is predicted is named in the place of the result."""
    browser = open_browser()
    browser.execute_script("""
        window.seen = new Set();
        new MutationObserver(() => {
          for (const part of document.querySelectorAll("#compare .progress-text, #compare .progress-level-inner"))
            window.seen.add(part.textContent.trim());
        }).observe(document.body, { childList: true, subtree: true, characterData: true });
    """)
    video = ROOT / "tools/demo/pictures/drive.mp4"
    browser.find_element("css selector", "#sent input[type=file]").send_keys(str(video))
    wait_for(lambda: "drive: 640x192, 20 frames" in text(browser, "#summary"), "a video")
    seen = browser.execute_script("return [...window.seen]")
    assert any(re.match(r"Frame \d+ of 20\b", words) for words in seen), seen


@pytest.mark.slow
def test_visitors_are_separate_and_their_files_are_deleted(open_browser, server, photo, tmp_path):
    wait_for(lambda: server.visitors() == [], "deletion of earlier visitors' files")
    first, second = open_browser(), open_browser()
    Image.new("RGB", (64, 64), (0, 200, 0)).save(tmp_path / "green.png")
    one, two = send(first, photo), send(second, tmp_path / "green.png")
    assert "halves" in text(first, "#summary") and "green" in text(second, "#summary")
    assert len({one, two}) == 2 and len(server.visitors()) == 2
    first.get("about:blank")
    wait_for(lambda: len(server.visitors()) == 1, "deletion of the first visitor's files")
    assert "green_depth.npy" in server.visitors()[0]
    assert loaded(second, "#compare")[0] == two


@pytest.mark.slow
def test_page_fits_a_phone_screen_and_scrolls_to_the_result(open_browser, photo, tmp_path):
    browser = open_browser(phone=True)
    top = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    assert browser.execute_script("return window.scrollY") == 0
    assert browser.execute_script(top, "#compare") > browser.execute_script(top, "#settings")
    send(browser, photo)
    wait_for(lambda: downloads(browser), "links")
    wait_for(lambda: -1 <= browser.execute_script(top, "#compare") < 300, "scrolling to the result")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert browser.execute_script("return document.querySelector('#cloud iframe').getBoundingClientRect().width") > 250
    (tmp_path / "notes.txt").write_text("no picture")
    browser.find_element("css selector", "#sent input[type=file]").send_keys(str(tmp_path / "notes.txt"))
    wait_for(lambda: text(browser, "#message").strip(), "an error message")
    wait_for(lambda: 0 <= browser.execute_script(top, "#message") < 700, "scrolling to the message")


@pytest.mark.slow
def test_server_listens_on_localhost_and_cleans_up_on_sigterm(weights, tmp_path):
    pytest.importorskip("gradio", reason="gradio is not installed (pip install -r requirements-page.txt)")
    server = Server(weights, tmp_path)
    listening = Path("/proc/net/tcp")
    if listening.is_file():
        addresses = [line.split()[1] for line in listening.read_text().splitlines()[1:]]
        assert f"0100007F:{server.port:04X}" in addresses and f"00000000:{server.port:04X}" not in addresses
    assert list(tmp_path.glob("depth_page_*"))
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=WAIT) == 0
    assert not list(tmp_path.glob("depth_page_*"))
    assert "Traceback" not in server.log.read_text()


def request(server, path: str, host: str = "localhost", body: dict | None = None) -> http.client.HTTPResponse:
    """Send a request with this ``Host`` header."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT)
    content = None if body is None else json.dumps(body)
    connection.request("POST" if body else "GET", path, content, {"Host": host, "Content-Type": "application/json"})
    return connection.getresponse()


@pytest.mark.slow
def test_foreign_host_names_are_refused_and_paths_hidden(server, weights):
    for host, status in (("localhost", 200), (f"127.0.0.1:{server.port}", 200), ("foreign.example", 403)):
        response = request(server, "/", host)
        assert response.status == status and str(weights).encode() not in response.read()


@pytest.mark.slow
def test_queue_reports_its_state_and_does_not_block_the_page(server):
    """Two visitors select the example video with other weights: the second is told its place, then its start."""
    config = json.loads(request(server, "/config").read())
    select = next(d["id"] for d in config["dependencies"] if d["targets"][0][1] == "select" and d["backend_fn"])
    for visitor in ("first", "second"):
        data = {"data": ["mono"], "event_data": {"index": 3, "value": None, "selected": True}}
        joined = request(
            server,
            "/gradio_api/queue/join",
            body={**data, "fn_index": select, "session_hash": visitor, "trigger_id": 1},
        )
        assert joined.status == 200
    messages = []
    for line in request(server, "/gradio_api/queue/data?session_hash=second"):
        if line.startswith(b"data:"):
            messages.append(json.loads(line[5:]))
            if messages[-1]["msg"] == "estimation":
                started = time.monotonic()
                assert request(server, "/").status == 200 and time.monotonic() - started < 10
            if messages[-1]["msg"] == "process_completed":
                break
    kinds = [message["msg"] for message in messages]
    assert kinds.index("estimation") < kinds.index("process_starts") and messages[-1]["success"]
    assert isinstance(messages[kinds.index("estimation")]["rank"], int)
