"""Headless Chromium, for tests of what browsers make of our files; skipped where it is absent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from browser import NoBrowserError, open_browser


@contextmanager
def headless_browser() -> Iterator[Any]:
    """A driver of Chromium that notes what it fetches and complains about."""
    with ExitStack() as opened:
        try:
            driver = opened.enter_context(open_browser())
        except NoBrowserError as error:
            pytest.skip(str(error))
        yield driver
