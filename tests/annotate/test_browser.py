"""A browser goes the whole way: outlines, points, undo, a reload, a killed server, a second window."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from annotation_page import Page, resize, served

from flow_cache.__main__ import main as flow_main
from flow_cache.images import save_png
from slimdp.__main__ import main
from slimdp.annotate.actions import act
from slimdp.data import read_annotations
from slimdp.settings_file import dump_yaml
from tests.annotate.conftest import draw_picture, open_labels
from tests.headless_browser import headless_browser

pytest.importorskip("uvicorn", reason="needs uvicorn: pip install -e '.[annotate]'")
WINDOW = 1280, 860
_WIDE = """
const out = ({left, right, width}) => width && (right > innerWidth + 1 || left < -1);
const all = [...document.querySelectorAll('button, h2, p, input')];
return [innerWidth, document.documentElement.scrollWidth,
  all.filter((each) => out(each.getBoundingClientRect())).map((each) => each.textContent)];
"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with headless_browser() as driver:
        resize(driver, *WINDOW)
        yield Page(driver)


def serving(folder: Path, *more: str) -> AbstractContextManager[tuple[subprocess.Popen[str], str]]:
    """A server of the pictures of a folder, and its address."""
    return served(folder / "pictures", folder / "labels.json", *more)


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
    with serving(folder) as (process, address):
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
    with serving(folder) as (_, address):
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
    with serving(folder) as (_, address):
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


#: Answers of the server come as late as on a busy machine.
_LATE = """
const reach = window.fetch;
window.fetch = async (path, options) => {
  if (/api.(act|state)/.test(String(path))) await new Promise((done) => setTimeout(done, 600));
  return reach(path, options);
};
"""


def prepared(folder: Path) -> Path:
    """A file with a person whose torso and right upper leg are outlined, in each picture of a folder."""
    with open_labels(folder) as session:
        for number in range(len(session.media)):
            act(session, number, "box", {"box": [40, 10, 80, 180]})
            for part, (top, bottom) in ((1, (20, 99)), (6, (100, 180))):
                corners = [[50, top], [110, top], [110, bottom], [50, bottom]]
                act(session, number, "polygon", {"person": number + 1, "part": part, "points": corners})
    return folder / "labels.json"


#: What a page does with late answers is what it does with quick ones, and more.
LATE = [pytest.param(False, marks=pytest.mark.slow, id="at once"), pytest.param(True, id="late")]


@pytest.mark.parametrize("late", LATE)
def test_a_double_click_answers_one_point(page: Page, folder: Path, late: bool) -> None:
    prepared(folder)
    with serving(folder) as (_, address):
        page.open(address)
        page.keys("4")
        page.wait(lambda: page.person()["asked"])
        before = page.person()["asked"]
        if late:
            page.run(_LATE)
        page.double_click(page.view_at(0))
        page.wait(lambda: page.answers() == 1)
        page.settle()
        assert page.answers() == 1
        assert len(page.person()["asked"]) == len(before) - 1
        page.answer(1)  # the next click is one


@pytest.mark.parametrize("late", LATE)
def test_a_double_click_places_one_keypoint(page: Page, folder: Path, late: bool) -> None:
    prepared(folder)
    with serving(folder) as (_, address):
        page.open(address)
        page.keys("3")
        page.wait(lambda: page.store("store.step") == "keypoints")
        if late:
            page.run(_LATE)
        page.double_click(page.at(80, 40))
        page.wait(lambda: page.store("store.keypoint"))
        page.keys("s")
        page.wait(lambda: "hidden" in page.run("return document.getElementById('hint').textContent"))
        assert page.store("store.keypoint") == 1
        page.mouse((70, 60))
        page.wait(lambda: page.store("store.keypoint") == 2)
        assert [each[2] for each in page.person()["keypoints"][:3]] == [2, 1, 0]


@pytest.mark.parametrize("count", [0, pytest.param(5, marks=pytest.mark.slow)])
def test_keypoints_of_a_file_that_does_not_name_them(page: Page, folder: Path, count: int) -> None:
    labels = prepared(folder)
    content = json.loads(labels.read_text())
    del content["categories"][0]["keypoints"]
    if count:
        content["annotations"][0]["keypoints"] = [60, 30, 2] * count
    labels.write_text(json.dumps(content))
    with serving(folder) as (_, address):
        page.open(address)
        page.keys("2")
        page.wait(lambda: page.store("store.step") == "outlines")
        page.driver.get_log("browser")
        page.keys("3")
        page.settle()
        told = (
            "return [document.getElementById('hint').textContent, document.getElementById('panel').innerText]"
        )
        hint, panel = page.run(told)
        page.mouse((80, 40))
        page.keys("dsan")
        page.settle()
        people = people_of(folder)[0]
        if count:
            assert hint == ""
            assert "keypoints without names" in panel
            assert people == content["annotations"]
        else:
            assert hint == "click: nose"
            assert people[0]["num_keypoints"] == 1
            assert len(json.loads(labels.read_text())["categories"][0]["keypoints"]) == 17
        assert page.driver.get_log("browser") == []


_RIGHT, _ENTER, _DELETE = "\ue014", "\ue007", "\ue017"


def two_pictures(folder: Path) -> None:
    """Another picture, and a prepared person in both."""
    save_png(folder / "pictures" / "1.png", draw_picture(1))
    prepared(folder)


def people_of(folder: Path) -> list[list[dict[str, Any]]]:
    """By picture: the entries of its people."""
    content = json.loads((folder / "labels.json").read_text())
    images = [image["id"] for image in content["images"]]
    return [[each for each in content["annotations"] if each["image_id"] == image] for image in images]


@pytest.mark.parametrize(
    "goes", ["picture", *(pytest.param(goes, marks=pytest.mark.slow) for goes in ("person", "step"))]
)
def test_an_open_polygon_goes_with_what_it_was_begun_on(page: Page, folder: Path, goes: str) -> None:
    two_pictures(folder)
    with open_labels(folder) as session:
        act(session, 0, "box", {"box": [30, 5, 110, 190]})
    before = people_of(folder)
    with serving(folder) as (_, address):
        page.open(address)
        page.keys("2")
        page.wait(lambda: page.store("store.step") == "outlines")
        for corner in ((51, 110), (109, 110), (109, 160)):
            page.mouse(corner)
        first = page.store("store.person")
        if goes == "picture":
            page.keys(_RIGHT)
            page.wait(lambda: page.store("store.picture") == 1)
        elif goes == "person":
            page.keys("\ue004")  # Tab
            page.wait(lambda: page.store("store.person") != first)
        else:
            page.keys("12")
            page.wait(lambda: page.store("store.step") == "outlines")
        page.keys(_ENTER)
        page.settle()
        assert people_of(folder) == before


def test_what_is_drawn_on_a_picture_is_of_it_though_the_next_one_is_asked_for(
    page: Page, folder: Path
) -> None:
    two_pictures(folder)
    before = people_of(folder)
    with serving(folder) as (_, address):
        page.open(address)
        page.run(_LATE)
        page.keys(_RIGHT)
        page.mouse((5, 5), (20, 30), (45, 60))
        page.wait(lambda: page.store("store.picture") == 1)
        page.wait(lambda: len(people_of(folder)[0]) == 2)
        page.wait(lambda: page.store("store.overview[0].people") == 2)
        assert people_of(folder)[1] == before[1]
        assert page.store("[store.picture, store.state.picture, store.state.undo]") == [1, 1, "box"]
        # A stroke, too; of the keys those that change labels are not meant for a picture not seen yet.
        page.keys("2b")
        page.wait(lambda: page.store("store.tool") == "brush")
        page.keys("\ue012")  # left
        page.mouse((80, 120), (80, 130), (80, 140))
        page.keys(_DELETE)
        page.wait(lambda: page.store("store.picture") == 0)
        page.wait(lambda: people_of(folder)[1] != before[1])
        toast = "return document.getElementById('toast').textContent"
        page.wait(lambda: "another picture came meanwhile" in page.run(toast))
        assert people_of(folder)[0][0] == before[0][0]
        assert page.driver.execute_script("return document.getElementById('blocked').hidden")


def test_the_page_shows_what_another_program_wrote_when_it_is_loaded_again(page: Page, folder: Path) -> None:
    labels = prepared(folder)
    content = json.loads(labels.read_text())
    content["annotations"][0]["bbox"] = [1, 2, 30, 40]
    with serving(folder) as (_, address):
        page.open(address)
        labels.write_text(json.dumps(content))
        page.keys(_DELETE)
        toast = "return document.getElementById('toast').textContent"
        page.wait(lambda: "load this page again" in page.run(toast))
        assert json.loads(labels.read_text()) == content
        page.open(address)
        page.wait(page.person)
        assert page.person()["box"] == [1, 2, 30, 40]
        page.keys(_DELETE)
        page.wait(lambda: people_of(folder) == [[]])
        labels.write_text("{")
        page.driver.get(address)
        blocked = "return document.getElementById('blocked').innerText"
        page.wait(lambda: "The labels cannot be read" in page.run(blocked))
        labels.write_text(json.dumps(content))
        page.run("document.querySelector('#blocked button').click()")
        page.wait(lambda: page.store("store.state?.people.length === 1"))


def test_a_box_that_is_begun_while_the_one_before_is_saved_is_not_lost(page: Page, folder: Path) -> None:
    with serving(folder) as (_, address):
        page.open(address)
        page.run(_LATE)
        page.mouse((40, 12), (80, 100), (121, 188))
        page.event("mousePressed", page.at(5, 5))
        page.event("mouseMoved", page.at(20, 30))
        page.wait(lambda: len(page.store("store.state.people")) == 1)
        page.event("mouseMoved", page.at(30, 60))
        page.event("mouseReleased", page.at(30, 60))
        page.wait(lambda: len(page.store("store.state.people")) == 2)
        boxes = [each["box"] for each in page.store("store.state.people")]
        assert boxes[1] == pytest.approx([5.5, 5.5, 25, 55], abs=1)


def test_the_picture_that_is_next_worth_labelling_is_shown(page: Page, folder: Path) -> None:
    for number in range(1, 9):
        save_png(folder / "pictures" / f"{number}.png", draw_picture(number))
    with serving(folder) as (_, address):
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
    with serving(folder, "--frames", *flow) as (_, address):
        page.open(address)
        page.keys("f")
        page.wait(lambda: page.store("store.suggested.length"))
        page.wait(lambda: "1 of 5, by the flow" in page.driver.execute_script(told))
        assert page.store("store.looking") is None
        assert page.store("store.picture") == page.store("store.suggested[0]")
    save_png(folder / "pictures" / "12.png", draw_picture(0))  # of which the store knows nothing
    with serving(folder, "--frames", *flow) as (_, address):
        page.open(address)
        page.keys("f")
        toast = "return document.getElementById('toast').textContent"
        page.wait(
            lambda: (
                "first 12.png, that the flow of video 'pictures' was not computed from"
                in page.driver.execute_script(toast)
            )
        )
        assert page.store("store.suggestedHow") == "evenly spread"
