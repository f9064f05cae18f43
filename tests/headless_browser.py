"""Headless Chromium, for tests of what browsers make of our files; skipped where it is absent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_BINARIES = {"chromium": shutil.which("chromium"), "chromedriver": shutil.which("chromedriver")}


@contextmanager
def headless_browser() -> Iterator[Any]:
    """A driver of Chromium that notes what it fetches and complains about."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install -e '.[dev]'")
    absent = [name for name, path in _BINARIES.items() if path is None]
    if absent:
        pytest.skip(f"no {' and no '.join(absent)}; apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = _BINARIES["chromium"]
    # It starts as root without the sandbox, and in small containers without /dev/shm; the page is our own.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(_BINARIES["chromedriver"]))
    try:
        yield driver
    finally:
        driver.quit()
