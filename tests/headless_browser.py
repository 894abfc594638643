"""Headless Chromium for the tests of pages."""

import shutil
from pathlib import Path

import pytest

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
DRAWN = """
const canvas = document.getElementById("points");
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
let drawn = 0, sum = 0;
for (let i = 0; i < data.length; i += 4) if (data[i + 3]) { drawn++; sum = (sum * 31 + data[i] + i) % 1000003; }
return [drawn, sum];
"""


def require_chromium() -> tuple[str, str]:
    """Return the paths of Chromium and its driver; skip the test without them or Selenium."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    return chromium, driver


def start_browser(profile: Path, *, height: int, logs: tuple[str, ...] = ("browser",), downloads: Path | None = None):
    """Start Chromium with a window of 1200 pixels' width; its logs are recorded.

    Args:
        profile: New folder for its profile.
        height: Height of the window, pixels.
        logs: "browser", "performance".
        downloads: Folder of downloaded files.
    """
    from selenium import webdriver

    chromium, driver = require_chromium()
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--window-size=1200,{height}", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    if downloads is not None:
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", dict.fromkeys(logs, "ALL"))
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def drawn_points(browser) -> tuple[int, int]:
    """Return the number of drawn pixels of the point cloud's canvas, and a checksum of their colours and places."""
    return tuple(browser.execute_script(DRAWN))
