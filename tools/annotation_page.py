"""The page of `slimdp annotate` in headless Chromium, worked with mouse and keys as a person does."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Longer than any answer takes on a busy machine, s.
PATIENCE_S = 120
_STORE = "const {store} = await import(new URL('page/store.js', location.href)); return "


@contextmanager
def served(source: Path, labels: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of pictures, with more options, and its address."""
    command = [sys.executable, "-m", "slimdp", "annotate", str(source), "--out", str(labels), "--no-browser"]
    process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def resize(driver: Any, width: int, height: int) -> None:
    """The window's inside, px."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


class Page:
    """What a person would do in the page."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        driver.set_script_timeout(PATIENCE_S)

    def open(self, address: str) -> None:
        """Go to an address, and wait until the page is there."""
        self.driver.get(address)
        self.wait(lambda: self.run("return document.querySelector('#steps button') !== null"))

    def wait(self, true: Callable[[], Any]) -> Any:
        """What `true` gives as soon as that is true; AssertionError with the browser's log if never."""
        end = time.monotonic() + PATIENCE_S
        while not (found := true()):
            assert time.monotonic() < end, self.driver.get_log("browser")
            time.sleep(0.05)
        return found

    def run(self, script: str, *values: Any) -> Any:
        """What a script in the page returns."""
        return self.driver.execute_script(script, *values)

    def store(self, what: str) -> Any:
        """An expression of what the page knows, `store.step` say."""
        code = "const done = arguments[arguments.length - 1];"
        code += f"(async () => {{ {_STORE} {what}; }})().then(done, (e) => done('error ' + e))"
        return self.driver.execute_async_script(code)

    def settle(self) -> None:
        """Wait until the page has done all that waits for its turn, and what that has put behind it."""
        code = "const done = arguments[arguments.length - 1]; (async () => {"
        code += "const {tried} = await import(new URL('page/dom.js', location.href));"
        code += "for (let turn = 0; turn < 3; turn++) await tried(async () => {}); })().then(done, done)"
        self.driver.execute_async_script(code)

    def person(self) -> Any:
        """The first person of the picture; None for nobody."""
        return self.store("store.state.people[0] ?? null")

    def keys(self, keys: str) -> None:
        """Press keys, one after another."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(keys).perform()

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a px of the picture is in the window, as soon as it is in sight."""
        self.wait(lambda: self.run("return document.getElementById('picture').complete"))
        place: list[float] = self.run(
            "const p = document.getElementById('picture').getBoundingClientRect();"
            "const k = p.width / document.getElementById('picture').offsetWidth;"
            "return [p.left + (arguments[0] + 0.5) * k, p.top + (arguments[1] + 0.5) * k]",
            x, y,
        )  # fmt: skip
        return place[0], place[1]

    def mouse(self, *places: tuple[float, float], button: str = "left") -> None:
        """Press at the first px of the picture, move over the others, and let go."""
        spots = [self.at(*place) for place in places]
        self.event("mousePressed", spots[0], button)
        for spot in spots[1:]:
            self.event("mouseMoved", spot, button)
        self.event("mouseReleased", spots[-1], button)

    def event(self, kind: str, spot: tuple[float, float], button: str = "left", click: int = 1) -> None:
        """An event of the mouse at a place of the window; of a double click `click` is 1, then 2."""
        values = {"type": kind, "x": spot[0], "y": spot[1], "button": button, "buttons": 1}
        values["clickCount"] = click
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", values)

    def double_click(self, spot: tuple[float, float]) -> None:
        """Click twice at a place of the window, faster than any answer comes."""
        for click in (1, 2):
            self.event("mousePressed", spot, click=click)
            self.event("mouseReleased", spot, click=click)

    def click_view(self, number: int, at: tuple[float, float] | None = None) -> None:
        """Click a view of the part that is asked: at x, y px of it, or in its middle."""
        spot = self.view_at(number, at)
        self.event("mousePressed", spot)
        self.event("mouseReleased", spot)

    def view_at(self, number: int, at: tuple[float, float] | None = None) -> tuple[float, float]:
        """Where a view of the part that is asked is in the window: x, y px of it, or its middle."""
        find = (
            "const all = document.querySelectorAll('#views .view'), node = all[arguments[0]];"
            "if (all.length !== 6) return null;"
            "node.scrollIntoView({block: 'nearest'});"
            "const [, , w, h] = node.querySelector('svg').getAttribute('viewBox').split(' ').map(Number);"
            "const r = node.getBoundingClientRect(), at = arguments[1] ?? [w / 2 - 0.5, h / 2 - 0.5];"
            "return [r.left + node.clientLeft + (at[0] + 0.5) / w * node.clientWidth,"
            " r.top + node.clientTop + (at[1] + 0.5) / h * node.clientHeight]"
        )
        spot = self.wait(lambda: self.run(find, number, at))
        return spot[0], spot[1]

    def answers(self) -> int:
        """How many points the first person has."""
        return len(self.person()["points"])

    def shows_asked(self) -> bool:
        """Whether the views are of the part of the first person's point that is asked."""
        part = self.store("store.state.people[0].asked[store.asked]?.part ?? null")
        shown = self.run("return document.getElementById('views')?.dataset.part")
        return part is not None and shown == str(part)

    def answer(self, count: int) -> None:
        """Answer so many points, each by a click on the front view."""
        for _ in range(count):
            before = self.answers()
            self.wait(self.shows_asked)
            self.click_view(0)
            self.wait(lambda before=before: self.answers() == before + 1)
