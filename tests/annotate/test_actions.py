"""What each action makes of the file, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flow_cache.coco import AnnotationError
from slimdp.annotate.actions import ACTIONS, act
from slimdp.annotate.people import EditError
from slimdp.data import read_annotations
from slimdp.inference.video_records import Boxes
from slimdp.synthetic.labels import MOST_POINTS_A_REGION
from tests.annotate.conftest import Opened

#: The upper half of the drawn body, and the lower one.
TORSO = [[50, 20], [110, 20], [110, 100], [50, 100]]
LEG = [[50, 100], [110, 100], [110, 180], [50, 180]]


def do(opened: Opened, action: str, **values: Any) -> dict[str, Any]:
    """An action in the first picture; the first person as the page is told of it."""
    act(opened.session, 0, action, values)
    people: list[dict[str, Any]] = opened.session.state(0)["people"]
    return people[0] if people else {}


@pytest.fixture
def outlined(opened: Opened) -> Opened:
    do(opened, "box", box=[40, 10, 80, 180])
    do(opened, "polygon", person=1, part=1, points=TORSO)
    do(opened, "polygon", person=1, part=6, points=LEG)
    return opened


@pytest.fixture
def asked(outlined: Opened) -> Opened:
    do(outlined, "ask", person=1)
    return outlined


def _answer(opened: Opened, index: int, **more: Any) -> dict[str, Any]:
    part = opened.session.state(0)["people"][0]["asked"][index]["part"]
    views = opened.session.views.of(part)
    at = [views.width / 2, views.height / 2]
    return do(opened, "place", person=1, asked=index, coarse=part, view=0, at=at, **more)


def test_points_are_asked_inside_of_parts_at_most_fourteen(asked: Opened) -> None:
    person = asked.session.state(0)["people"][0]
    parts = [each["part"] for each in person["asked"]]
    assert set(parts) == {1, 6}
    for part, corners in ((1, TORSO), (6, LEG)):
        places = np.array([each["at"] for each in person["asked"] if each["part"] == part])
        assert 10 <= len(places) <= MOST_POINTS_A_REGION
        low, high = np.min(corners, axis=0), np.max(corners, axis=0)
        assert ((places >= low - 0.5) & (places <= high + 0.5)).all()
        near = np.linalg.norm(places[:, None] - places[None], axis=2) + 1e9 * np.eye(len(places))
        assert near.min() > 6
    before = asked.labels.read_bytes()
    do(asked, "ask", person=1)
    assert asked.labels.read_bytes() == before  # nothing more to ask


def test_an_answer_is_a_label_that_training_reads(asked: Opened) -> None:
    place = asked.session.state(0)["people"][0]["asked"][0]["at"]
    person = _answer(asked, 0)
    assert person["points"] == [place]
    found = read_annotations(asked.labels, asked.labels.parent).people[0]
    assert found.part.tolist() == person["part"] == [2]  # seen from the front
    assert np.linalg.norm(found.points[0] - place) < 0.02
    assert len(person["asked"]) == len(asked.person()["dp_asked"])


def test_a_correction_replaces_the_answer(asked: Opened) -> None:
    first = _answer(asked, 0)
    views = asked.session.views.of(1)
    at = [views.width / 2, views.height / 2]
    second = do(asked, "place", person=1, point=0, coarse=1, view=2, at=at)
    assert first["part"] == [2]
    assert second["part"] == [1]
    assert second["points"] == first["points"]
    again = do(asked, "take_back", person=1, point=0)
    assert again["points"] == []
    assert "dp_x" not in asked.person()
    assert again["asked"][0]["at"] == first["points"][0]


def test_an_answer_is_refused_where_another_point_than_was_shown_has_its_number(asked: Opened) -> None:
    person = asked.session.state(0)["people"][0]
    shown = person["asked"][0]["at"]
    person = _answer(asked, 0, shown=shown)
    assert person["points"] == [shown]
    before = asked.labels.read_bytes()
    with pytest.raises(EditError, match=r"asked point 0 lies at .* but the page showed it at"):
        _answer(asked, 0, shown=shown)  # the second click of two: 0 is the next one by now
    _answer(asked, 0, shown=person["asked"][0]["at"])
    views = asked.session.views.of(1)
    at = [views.width / 2, views.height / 2]
    do(asked, "take_back", person=1, point=0)
    with pytest.raises(EditError, match=r"^point 0 lies at"):
        do(asked, "place", person=1, point=0, shown=shown, coarse=1, view=2, at=at)
    asked.session.undo()
    asked.session.undo()
    assert asked.labels.read_bytes() == before


def test_an_answer_on_another_part_is_refused(asked: Opened) -> None:
    part = asked.session.state(0)["people"][0]["asked"][0]["part"]
    other = {1: 6, 6: 1}[part]
    views = asked.session.views.of(other)
    at = [views.width / 2, views.height / 2]
    with pytest.raises(EditError, match=r"lies on part '.*', but the click is on"):
        do(asked, "place", person=1, asked=0, coarse=other, view=0, at=at)


def test_snap_takes_the_nearest_vertex_and_is_off_by_default(asked: Opened) -> None:
    surface = asked.session.surface
    _answer(asked, 0)
    _answer(asked, 0, snap=True)
    person = asked.person()
    face, barycentric = surface.locate(person["dp_I"], np.column_stack([person["dp_U"], person["dp_V"]]))
    assert barycentric[0].max() < 0.999
    assert barycentric[1].max() > 0.999
    assert np.linalg.norm(np.subtract(*surface.positions(face, barycentric))) < 0.02


def test_skipped_points_come_last_and_hidden_ones_never(asked: Opened) -> None:
    person = asked.session.state(0)["people"][0]
    count, first = len(person["asked"]), person["asked"][person["next"]]
    person = do(asked, "mark", person=1, asked=person["next"], state="skipped")
    assert person["asked"][-1]["at"] == first["at"]
    assert person["next"] != count - 1
    for _ in range(count - 1):
        person = do(asked, "mark", person=1, asked=person["next"], state="hidden")
    assert person["asked"][person["next"]]["at"] == first["at"]
    person = do(asked, "mark", person=1, asked=person["next"], state="hidden")
    assert person["next"] is None
    assert do(asked, "mark", person=1, asked=0, state="open")["next"] == 0


def test_skipped_points_are_asked_in_turn_when_all_are_skipped(asked: Opened) -> None:
    person = asked.session.state(0)["people"][0]
    count, order = len(person["asked"]), []
    for _ in range(2 * count):
        order.append(tuple(person["asked"][person["next"]]["at"]))
        person = do(asked, "mark", person=1, asked=person["next"], state="skipped")
    assert len(set(order[:count])) == count
    assert order[count:] == order[:count]


def test_open_points_outside_of_a_new_outline_are_no_longer_asked(asked: Opened) -> None:
    person = do(asked, "clear", person=1, part=6)
    assert {each["part"] for each in person["asked"]} == {1}
    person = do(asked, "polygon", person=1, part=6, points=LEG)
    person = do(asked, "ask", person=1)
    assert {each["part"] for each in person["asked"]} == {1, 6}


def test_another_box_leaves_labels_where_they_are(asked: Opened) -> None:
    before = _answer(asked, 0)
    after = do(asked, "box", person=1, box=[45, 15, 100, 184])
    assert np.allclose(before["points"], after["points"], atol=0.02)
    assert np.allclose([a["at"] for a in before["asked"]], [a["at"] for a in after["asked"]], atol=0.02)
    small = do(asked, "box", person=1, box=[60, 60, 5, 5])
    x, y, width, height = small["box"]
    places = np.array([*small["points"], *(each["at"] for each in small["asked"])])
    assert ((places >= [x - 0.02, y - 0.02]) & (places <= [x + width + 0.02, y + height + 0.02])).all()


def test_keypoints_come_and_go(outlined: Opened) -> None:
    person = do(outlined, "keypoint", person=1, index=5, at=[60.5, 30], seen=1)
    assert person["keypoints"][5] == [60.5, 30, 1]
    assert outlined.person()["num_keypoints"] == 1
    do(outlined, "keypoint", person=1, index=5, at=[0, 0], seen=0)
    assert outlined.person()["num_keypoints"] == 0


def test_a_detector_adds_those_who_have_no_box(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finds:
        name = "two"

        def detect(self, image: np.ndarray, index: int = 0) -> Boxes:
            return Boxes(np.array([[40.0, 10, 80, 180], [0, 0, 30, 60]]), np.ones(2))

    monkeypatch.setattr(opened.session, "_detector", Finds())
    do(opened, "box", box=[42, 12, 80, 178])
    do(opened, "detect")
    boxes = [person["box"] for person in opened.session.state(0)["people"]]
    assert boxes == [[42, 12, 80, 178], [0, 0, 30, 60]]
    with pytest.raises(EditError, match="nobody without a box"):
        do(opened, "detect")


def test_boxes_of_a_file_are_those_of_the_opened_pictures(
    open_session: Callable[..., Opened], tmp_path: Path
) -> None:
    images = [{"id": 5, "file_name": "pictures/1.png"}]
    boxes = {"images": images, "annotations": [{"id": 1, "image_id": 5, "bbox": [40, 10, 80, 180]}]}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    opened = open_session(detector=f"boxes:{tmp_path / 'boxes.json'}")
    with pytest.raises(EditError, match="nobody without a box"):
        act(opened.session, 0, "detect", {})
    act(opened.session, 1, "detect", {})
    assert opened.person()["bbox"] == [40, 10, 80, 180]


def test_people_found_in_a_new_file_can_be_undone(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finds:
        def detect(self, image: np.ndarray, index: int = 0) -> Boxes:
            return Boxes(np.array([[40.0, 10, 80, 180], [0, 0, 30, 60]]), np.ones(2))

    monkeypatch.setattr(opened.session, "_detector", Finds())
    do(opened, "detect")
    assert [person["id"] for person in opened.content()["annotations"]] == [1, 2]
    assert opened.session.document.undo() == 0
    assert opened.content()["annotations"] == opened.content()["images"] == []
    opened.session.document.redo()
    assert [person["id"] for person in opened.content()["annotations"]] == [1, 2]


def test_removing_a_person_can_be_undone(asked: Opened) -> None:
    before = asked.content()
    assert do(asked, "remove", person=1) == {}
    asked.session.document.undo()
    assert asked.content() == before


def test_every_action_is_undone_to_the_bytes_of_before(asked: Opened) -> None:
    _answer(asked, 0)
    steps: list[tuple[str, dict[str, Any]]] = [
        ("box", {"box": [0, 0, 20, 20]}), ("box", {"person": 1, "box": [30, 5, 100, 190]}),
        ("brush", {"person": 1, "part": 14, "points": [[80, 30]], "radius": 6}),
        ("grab", {"person": 1, "part": 0}), ("grab", {"person": 1, "part": 1}),
        ("clear", {"person": 1, "part": 6}),
        ("ask", {"person": 1}), ("mark", {"person": 1, "asked": 0, "state": "hidden"}),
        ("take_back", {"person": 1, "point": 0}), ("remove", {"person": 1}),
    ]  # fmt: skip
    for action, values in steps:
        before = asked.labels.read_bytes()
        act(asked.session, 0, action, values)
        assert asked.labels.read_bytes() != before, action
        asked.session.document.undo()
        assert asked.labels.read_bytes() == before, action
        asked.session.document.redo()


@pytest.mark.parametrize(
    ("action", "values", "says"),
    [
        ("nothing", {}, "no action"),
        ("box", {"box": [0, 0, 1, 1]}, "less than 2 px"),
        ("box", {"box": [0, 0, 1e9, 1]}, "box.2"),
        ("box", {"box": [0, 0, "9", 9]}, "box.2"),
        ("box", {"box": [0, 0, 9, 9], "extra": 1}, "extra"),
        ("box", {"person": 8, "box": [0, 0, 9, 9]}, "nobody with the id 8"),
        ("polygon", {"person": 1, "part": 15, "points": TORSO}, "part 15"),
        ("polygon", {"person": 1, "part": 1, "points": TORSO[:2]}, "fewer than 3"),
        ("polygon", {"person": 1, "part": 1, "points": [[0, 0]] * 5001}, "points"),
        ("brush", {"person": 1, "part": 1, "points": [[0, 0]], "radius": 0}, "radius"),
        ("grab", {"person": 1, "part": 9}, "roughly first"),
        ("clear", {"person": 1, "part": 9}, "no outline"),
        ("place", {"person": 1, "asked": 500, "coarse": 1, "view": 0, "at": [80, 200]}, "no point 500"),
        ("place", {"person": 1, "asked": 0, "coarse": 1, "view": 6, "at": [80, 200]}, "view"),
        ("place", {"person": 1, "asked": 0, "coarse": 99, "view": 0, "at": [80, 200]}, "no part 99"),
        ("place", {"person": 1, "asked": 0, "coarse": 1, "view": 0, "at": [-90, 0]}, "beside the part"),
        ("accept", {"person": 1}, "no proposal"),
        ("refuse", {"person": 1, "asked": 0}, "no proposal"),
        ("take_back", {"person": 1, "point": 0}, "no point 0"),
        ("keypoint", {"person": 1, "index": 17, "at": [0, 0]}, "keypoint 17"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    asked: Opened, action: str, values: dict[str, Any], says: str
) -> None:
    before = asked.labels.read_bytes()
    with pytest.raises(EditError, match=says):
        act(asked.session, 0, action, values)
    assert asked.labels.read_bytes() == before


def test_pictures_of_another_size_are_named(opened: Opened) -> None:
    do(opened, "box", box=[40, 10, 80, 180])
    opened.session.document.content["images"][0]["width"] = 99
    with pytest.raises((EditError, AnnotationError), match="not the pictures of these labels"):
        opened.session.state(0)


def test_all_actions_have_titles_for_undo() -> None:
    assert all(action.title for action in ACTIONS.values())
