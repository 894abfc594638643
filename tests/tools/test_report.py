"""``tools/report.py``: command line, and the report in a headless browser."""

import subprocess
import sys
from pathlib import Path

import pytest
from headless_browser import drawn_points, require_chromium, start_browser

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object, status: int = 0) -> str:
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def trained(stereo_drive, tmp_path_factory) -> Path:
    """Folder of a run of train.py."""
    log_dir = tmp_path_factory.mktemp("logs")
    run(
        *("train.py", "--data_path", stereo_drive, "--split", "kitti_sample", "--log_dir", log_dir, "--use_stereo"),
        *("--height", 64, "--width", 96, "--batch_size", 2, "--max_steps", 1, "--num_workers", 0),
        *("--weights_init", "scratch"),
    )
    return log_dir / "monodepthv2"


def test_writes_one_file_to_the_given_path(trained, tmp_path):
    printed = run("tools/report.py", trained, "--frames", 1, "--num_workers", 0)
    assert str(trained / "report.html") in printed
    page = (trained / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.count('<h3 class="frame">') == 1
    other = tmp_path / "new" / "other.html"
    run("tools/report.py", trained, "--out", other, "--weights", trained / "models/weights_0", "--data_path", "nowhere")
    assert "No frames available" in other.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], ["nowhere", "LOG_DIR/MODEL_NAME"]),
        (["tests"], ["opt.json", "train.py"]),
        (["RUN", "--weights", "nowhere"], ["nowhere", "weights_best"]),
        (["RUN", "--frames", "0"], ["--frames", "at least 1"]),
        (["RUN", "--dta_path", "x"], ["--dta_path", "--data_path"]),
        (["RUN", "--num_layers", "50"], ["depth_network"]),
    ],
)
def test_invalid_arguments_exit_with_an_error_message(trained, arguments, words):
    arguments = [str(trained) if word == "RUN" else word for word in arguments]
    printed = run("tools/report.py", *arguments, status=2)
    assert "error: " in printed and "Traceback" not in printed
    for word in words:
        assert word in printed


@pytest.fixture(scope="module")
def browser(trained, tmp_path_factory):
    """Headless Chromium that shows the report."""
    require_chromium()
    run("tools/report.py", trained, "--frames", 2, "--num_workers", 0)
    browser = start_browser(tmp_path_factory.mktemp("profile"), height=900)
    try:
        browser.get((trained / "report.html").as_uri())
        yield browser
    finally:
        browser.quit()


def settled(browser) -> tuple[int, int]:
    """Wait for the next frame; return the number of drawn canvas pixels and a checksum."""
    browser.execute_async_script("const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done));")
    return drawn_points(browser)


@pytest.mark.slow
def test_report_renders_without_browser_errors(browser):
    widths = browser.execute_script("return [...document.images].map((image) => image.naturalWidth)")
    assert len(widths) >= 2 * 6 and all(width > 0 for width in widths)
    plots = "return [...document.querySelectorAll('svg')].map((plot) => plot.getBoundingClientRect().height)"
    assert all(height > 100 for height in browser.execute_script(plots))
    assert settled(browser)[0] > 10_000
    top = "return document.querySelector('#typical img').getBoundingClientRect().bottom + window.scrollY"
    assert browser.execute_script(top) < 900  # the typical frame is on the first screen
    assert browser.get_log("browser") == []


@pytest.mark.slow
def test_point_cloud_rotates_zooms_and_switches(browser):
    from selenium.webdriver import ActionChains, Keys

    canvas = browser.find_element("id", "points")
    browser.execute_script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", canvas)
    start = settled(browser)
    ActionChains(browser).drag_and_drop_by_offset(canvas, 150, 40).perform()
    turned = settled(browser)
    browser.find_element("css selector", "input[value='ground truth']").click()
    switched = settled(browser)
    canvas.send_keys(Keys.ARROW_LEFT, "+", "+")
    zoomed = settled(browser)
    assert len({start, turned, switched, zoomed}) == 4
    assert all(pixels > 3000 for pixels, _ in (start, turned, switched, zoomed))
    browser.find_element("css selector", "input[value=predicted]").click()
    browser.find_element("id", "reset").click()
    assert settled(browser) == start
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.slow
def test_report_fits_a_phone_screen(browser):
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
        wide = (
            "return [...document.querySelectorAll('.numbers')].every((t) => t.scrollWidth <= t.parentNode.clientWidth)"
        )
        assert browser.execute_script(wide), "a table of metrics scrolls sideways"
        beyond = (
            "return [...document.querySelectorAll('.ticks span')].filter((label) => "
            "label.getBoundingClientRect().right > label.parentNode.getBoundingClientRect().right + 1).length"
        )
        assert browser.execute_script(beyond) == 0, "labels of a colour bar stick out"
        assert settled(browser)[0] > 3000
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
