"""A browser goes the whole way: outlines, points, undo, a reload, a killed server, a second window."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flow_cache.__main__ import main as flow_main
from flow_cache.images import save_png
from slimdp.__main__ import main
from slimdp.data import read_annotations
from slimdp.settings_file import dump_yaml
from tests.annotate.conftest import draw_picture
from tests.headless_browser import headless_browser

pytest.importorskip("uvicorn", reason="needs uvicorn: pip install -e '.[annotate]'")
#: Longer than any answer takes on a busy machine, s.
PATIENCE_S = 120
_STORE = "const {store} = await import(new URL('page/store.js', location.href)); return "


WINDOW = 1280, 860
_WIDE = """
const out = ({left, right, width}) => width && (right > innerWidth + 1 || left < -1);
const all = [...document.querySelectorAll('button, h2, p, input')];
return [innerWidth, document.documentElement.scrollWidth,
  all.filter((each) => out(each.getBoundingClientRect())).map((each) => each.textContent)];
"""


def resize(driver: Any, width: int, height: int) -> None:
    """The window's inside, px."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@contextmanager
def served(folder: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of the pictures of a folder, and its address."""
    command = [sys.executable, "-m", "slimdp", "annotate", str(folder / "pictures")]
    command += ["--out", str(folder / "labels.json"), "--no-browser", *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


class Page:
    """What a person would do in the page."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        driver.set_script_timeout(PATIENCE_S)

    def open(self, address: str) -> None:
        self.driver.get(address)
        self.wait(
            lambda: self.driver.execute_script("return document.querySelector('#steps button') !== null")
        )

    def wait(self, true: Callable[[], Any]) -> Any:
        end = time.monotonic() + PATIENCE_S
        while not (found := true()):
            assert time.monotonic() < end, self.driver.get_log("browser")
            time.sleep(0.05)
        return found

    def store(self, what: str) -> Any:
        code = "const done = arguments[arguments.length - 1];"
        code += f"(async () => {{ {_STORE} {what}; }})().then(done, (e) => done('error ' + e))"
        return self.driver.execute_async_script(code)

    def person(self) -> Any:
        return self.store("store.state.people[0] ?? null")

    def keys(self, keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(keys).perform()

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a px of the picture is in the window."""
        place: list[float] = self.driver.execute_script(
            "const p = document.getElementById('picture').getBoundingClientRect();"
            "const k = p.width / document.getElementById('picture').offsetWidth;"
            "return [p.left + (arguments[0] + 0.5) * k, p.top + (arguments[1] + 0.5) * k]",
            x, y,
        )  # fmt: skip
        return place[0], place[1]

    def mouse(self, *places: tuple[float, float], button: str = "left") -> None:
        """Press at the first px of the picture, move over the others, and let go."""
        spots = [self.at(*place) for place in places]
        self._event("mousePressed", spots[0], button)
        for spot in spots[1:]:
            self._event("mouseMoved", spot, button)
        self._event("mouseReleased", spots[-1], button)

    def _event(self, kind: str, spot: tuple[float, float], button: str) -> None:
        values = {"type": kind, "x": spot[0], "y": spot[1], "button": button, "buttons": 1, "clickCount": 1}
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", values)

    def click_view(self, number: int) -> None:
        """Click the middle of a view of the part that is asked."""
        find = (
            "return document.querySelectorAll('.view').length === 6 && document.querySelectorAll('.view')[%d]"
        )
        view = self.wait(lambda: self.driver.execute_script(find % number))
        rect = self.driver.execute_script(
            "const r = arguments[0].getBoundingClientRect();"
            "return [r.left + r.width / 2, r.top + r.height / 2]",
            view,
        )
        self._event("mousePressed", rect, "left")
        self._event("mouseReleased", rect, "left")

    def answers(self) -> int:
        return len(self.person()["points"])

    def answer(self, count: int) -> None:
        """Answer so many points, each by a click on the front view."""
        for _ in range(count):
            before = self.answers()
            self.click_view(0)
            self.wait(lambda before=before: self.answers() == before + 1)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with headless_browser() as driver:
        resize(driver, *WINDOW)
        yield Page(driver)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    save_png(tmp_path / "pictures" / "0.png", draw_picture())
    return tmp_path


def outline(page: Page) -> None:
    """From a picture to two outlined parts: a box, a polygon, and a brush with GrabCut."""
    page.mouse((40, 12), (80, 100), (121, 188))
    page.wait(page.person)
    page.keys("2")
    for corner in ((51, 21), (109, 21), (109, 99), (51, 99)):
        page.mouse(corner)
    page.keys("\ue007")  # Enter
    page.wait(lambda: page.person()["mask"])
    page.keys("bddddd")  # the brush, and the sixth part
    assert page.store("store.about.parts[store.part - 1]") == "right upper leg"
    for y in range(105, 180, 10):
        page.mouse((58, y), (80, y), (103, y))
    page.wait(lambda: 6 in page.person()["mask"][::2])
    page.keys("g")
    page.wait(lambda: page.store("store.state.undo") == "GrabCut")


@pytest.mark.slow
def test_from_an_empty_folder_to_a_complete_person(
    page: Page, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = folder / "labels.json"
    with served(folder) as (process, address):
        page.open(address)
        outline(page)
        page.keys("4")
        page.wait(lambda: page.person()["asked"])
        page.answer(3)
        page.keys("u")
        page.wait(lambda: page.answers() == 2)
        page.keys("U")
        page.wait(lambda: page.answers() == 3)
        page.open(address)  # a reload in the middle
        assert page.store("store.step") == "points"
        page.answer(2)
        page.keys("s")
        page.keys("n")
        page.wait(lambda: {each["state"] for each in page.person()["asked"]} == {"open", "skipped", "hidden"})
        second_window(page, address)
        process.send_signal(signal.SIGKILL)
        process.wait()
        page.click_view(0)
        page.wait(lambda: not page.driver.execute_script("return document.getElementById('blocked').hidden"))
        assert "does not answer" in page.driver.execute_script(
            "return document.getElementById('blocked').innerText"
        )
    with served(folder) as (_, address):
        page.open(address)
        assert page.answers() == 5
        page.keys("4")
        page.wait(lambda: page.store("store.step") == "points")
        page.keys("u")
        page.wait(lambda: "hidden" not in {each["state"] for each in page.person()["asked"]})
        page.answer(sum(each["state"] != "hidden" for each in page.person()["asked"]))
        page.wait(lambda: page.person()["next"] is None)
    (person,) = read_annotations(labels, folder).people
    assert len(person.points) > 15
    assert {2, 9} <= set(person.part.tolist())
    assert main(["doctor", str(folder), "--json", str(tmp_path / "told.json")]) == 0
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["findings"] == []
    assert trains(folder, labels, tmp_path / "run")


def second_window(page: Page, address: str) -> None:
    """Another window is refused until it takes the file, and then the first one is."""
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("window")
    page.driver.get(address)
    blocked = (
        "return document.getElementById('blocked').hidden ? '' : document.getElementById('blocked').innerText"
    )
    page.wait(lambda: "open in another window" in page.driver.execute_script(blocked))
    page.driver.execute_script("document.querySelector('#blocked button').click()")
    page.wait(lambda: page.driver.execute_script("return document.querySelector('#steps button') !== null"))
    page.driver.switch_to.window(first)
    page.click_view(0)
    page.wait(lambda: "open in another window" in page.driver.execute_script(blocked))
    page.driver.execute_script("document.querySelector('#blocked button').click()")
    page.wait(lambda: page.driver.execute_script(blocked) == "")
    page.wait(page.person)


def trains(folder: Path, labels: Path, out: Path) -> bool:
    """Whether a small network learns from the labels for two steps."""
    settings = {
        "model": {"stacks": 1, "features": 16},
        "crop": {"size": 64},
        "stages": [
            {
                "name": "one",
                "data": [{"annotations": str(labels), "images": str(folder)}],
                "steps": 2,
                "batch": 2,
            }
        ],
    }
    (folder / "train.yaml").write_text(dump_yaml(settings))
    return (
        main(["train", str(folder / "train.yaml"), "--out", str(out)]) == 0
        and (out / "stage_one.pt").is_file()
    )


def test_a_person_is_begun_and_the_page_fits_any_window(page: Page, folder: Path) -> None:
    with served(folder) as (_, address):
        page.open(address)
        outline(page)
        page.keys("4")
        page.wait(lambda: page.person()["asked"])
        page.answer(1)
        page.keys("u")
        page.wait(lambda: page.answers() == 0)
        page.keys("1")
        page.driver.get_log("browser")
        for width, height in ((390, 844), (1024, 768), (1600, 1000), WINDOW):
            resize(page.driver, width, height)
            for key, step in zip("1234", ("boxes", "outlines", "keypoints", "points")):
                page.keys(key)
                page.wait(lambda step=step: page.store("store.step") == step)
                inner, scroll, outside = page.driver.execute_script(_WIDE)
                assert (inner, outside) == (width, [])
                assert scroll <= width
        assert page.driver.get_log("browser") == []


def test_the_picture_that_is_next_worth_labelling_is_shown(page: Page, folder: Path) -> None:
    for number in range(1, 9):
        save_png(folder / "pictures" / f"{number}.png", draw_picture(number))
    with served(folder) as (_, address):
        page.open(address)
        assert page.store("store.picture") == 0
        page.mouse((40, 12), (80, 100), (121, 188))
        page.wait(page.person)
        # The middles of five equal shares of 9 pictures; the first one is shown already.
        page.keys("f")
        page.wait(lambda: page.store("store.picture") == 2)
        assert page.store("store.suggested") == [0, 2, 4, 6, 8]
        told = "return document.getElementById('worth').textContent"
        assert page.driver.execute_script(told) == "\u2605 2 of 5, evenly spread"
        page.driver.execute_script("document.getElementById('suggest').click()")
        page.wait(lambda: page.store("store.picture") == 4)
        page.driver.get_log("browser")
        for width, height in ((390, 844), (1024, 768), WINDOW):
            resize(page.driver, width, height)
            inner, scroll, outside = page.driver.execute_script(_WIDE)
            assert (inner, outside) == (width, [])
            assert scroll <= width
        assert page.driver.get_log("browser") == []


def test_what_to_label_next_by_flow_waits_for_the_work(page: Page, folder: Path) -> None:
    for number in range(1, 12):
        save_png(folder / "pictures" / f"{number:02d}.png", draw_picture(0 if number < 6 else 1))
    flow = ["--flow", str(folder / "flow.h5")]
    assert flow_main(["precompute", str(folder / "pictures"), "--out", flow[1], "--steps=-1,1"]) == 0
    told = "return document.getElementById('worth').textContent"
    with served(folder, "--frames", *flow) as (_, address):
        page.open(address)
        page.keys("f")
        page.wait(lambda: page.store("store.suggested.length"))
        page.wait(lambda: "1 of 5, by the flow" in page.driver.execute_script(told))
        assert page.store("store.looking") is None
        assert page.store("store.picture") == page.store("store.suggested[0]")
    save_png(folder / "pictures" / "12.png", draw_picture(0))  # of which the store knows nothing
    with served(folder, "--frames", *flow) as (_, address):
        page.open(address)
        page.keys("f")
        toast = "return document.getElementById('toast').textContent"
        page.wait(
            lambda: "12 frames of 'pictures', but the video has 13" in page.driver.execute_script(toast)
        )
        assert page.store("store.suggestedHow") == "evenly spread"
