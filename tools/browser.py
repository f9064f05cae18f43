"""Headless Chromium, for programs and tests that look at pages as a person does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class NoBrowserError(RuntimeError):
    """Chromium, or what drives it, is not installed."""


@contextmanager
def open_browser() -> Iterator[Any]:
    """A driver of Chromium that notes what it fetches and complains about.

    Raises NoBrowserError where it is absent.
    """
    try:
        from selenium import webdriver
    except ImportError:
        raise NoBrowserError("needs selenium: pip install -e '.[dev]'") from None
    binaries = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    absent = [name for name, path in binaries.items() if path is None]
    if absent:
        raise NoBrowserError(f"no {' and no '.join(absent)}; apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binaries["chromium"] or ""
    # It starts as root without the sandbox, and in small containers without /dev/shm; the page is our own.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(binaries["chromedriver"]))
    try:
        yield driver
    finally:
        driver.quit()
