"""Debian's chromium without a window and without a network, for tests that look at real pages."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",  # no name resolves: the network is off
]
WAIT = 20  # seconds
OWN = ("file:", "data:", "blob:", "about:")  # addresses that need no network


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; a missing one skips the test here and fails it in CI."""
    binary, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and chromedriver):
        say = pytest.fail if os.environ.get("CI") else pytest.skip
        say("chromium and chromedriver are missing: pages are NOT tested in a browser (apt install both)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    try:
        yield driver
    finally:
        driver.quit()


def until(condition: Callable[[], Any], what: str, within: float = WAIT) -> Any:
    """Waits for `condition` to hold; returns its value."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"after {within} s still not: {what}")


def resize(driver: Any, width: int, height: int = 900) -> None:
    """Sets the width of the page itself, below the least width of a window too."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )


def complaints(driver: Any, server: str | None = None) -> list[str]:
    """Errors and warnings on the console, and what the page asked of a network beside its `server`."""
    known = (*OWN, server) if server else OWN
    said = [
        entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")
    ]
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            if not url.startswith(known):
                said.append(f"asked for {url}")
    return said
