"""The page in a browser, as wide as a phone and as a desktop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.headless_browser import headless_browser

_WIDE = """
return [innerWidth, document.documentElement.scrollWidth,
  [...document.images].filter(image => !image.complete || !image.naturalWidth).map(image => image.alt),
  [...document.querySelectorAll('h1, h2, h3, h4, h5, p, pre, figure, article, .box, tbody th *')]
    .filter(each => each.getClientRects().length && !each.closest('.unseen')
      && each.getBoundingClientRect().right > innerWidth).map(each => each.tagName + ' ' + each.className)]
"""
_MOVED = """
const box = document.querySelector('.box');
box.scrollLeft = 9999;
const kept = box.querySelectorAll(
  'caption span, tbody th span, th[scope="row"], thead tr + tr th:first-child');
const left = [...kept].map(each => each.getBoundingClientRect().left);
const moved = box.scrollLeft;
box.scrollLeft = 0;
return [moved, left];
"""
_OVER_NUMBERS = """
const words = [...document.querySelectorAll('tbody th small')].filter(each => each.getClientRects().length);
const beside = word => [...word.closest('tr').querySelectorAll('td')].filter(cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  const [a, b] = [range.getBoundingClientRect(), word.getBoundingClientRect()];
  return a.width && a.left < b.right && b.left < a.right && a.top < b.bottom - 1 && b.top < a.bottom - 1;
});
return [words.length, words.filter(word => beside(word).length).map(word => word.textContent)];
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with headless_browser() as driver:
        yield driver


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_fits_and_asks_for_nothing(browser: Any, page: Path, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(page.as_uri())
    browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    inner, scroll, broken, too_wide = browser.execute_script(_WIDE)
    assert inner == width
    assert scroll <= width
    assert broken == []
    assert too_wide == []
    assert browser.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    assert page.as_uri() in asked
    assert [url for url in asked if not url.startswith("data:") and url != page.as_uri()] == []
    columns = browser.execute_script(
        "return getComputedStyle(document.querySelector('.strip')).gridTemplateColumns.split(' ').length"
    )
    assert columns == (2 if width < 500 else 4)
    # Of a table that is moved to its right end, the caption, the headings and the names stay.
    moved, left = browser.execute_script(_MOVED)
    assert (moved > 0) == (width < 500)
    assert min(left) >= 0
    # What a row is stands below its numbers, and over none of them.
    overlaps = browser.execute_script(_OVER_NUMBERS)
    assert overlaps[0] > 0
    assert overlaps[1] == []
