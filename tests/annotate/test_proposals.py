"""Labels that the flow carries, and answers of a network: proposed, accepted, corrected, refused, counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from flow_cache.images import save_png
from slimdp.annotate import network
from slimdp.annotate.actions import act
from slimdp.annotate.network import NetworkAnswer
from slimdp.annotate.people import EditError
from slimdp.annotate.proposals import REACH, propose
from slimdp.annotate.suggestions import is_labelled
from slimdp.config import CropSettings
from slimdp.data.crops import crop_affine
from slimdp.inference.video_records import PersonMaps, TrackedPerson
from slimdp.structures import DensePoseMaps
from slimdp.surface import PEOPLE
from tests.annotate.conftest import Opened

#: The right lower leg of the drawn person, and the torso.
LEG, TORSO = 8, 1
_STEP = np.array([3.0, 1.0])  # px a frame
_SIDE = 24


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames of a textured body that moves evenly before a still wall."""
    folder = tmp_path_factory.mktemp("clip")
    rng = np.random.default_rng(0)
    wall = cv2.GaussianBlur(rng.integers(0, 255, (160, 200, 3)).astype(np.uint8), (5, 5), 0)
    body = cv2.GaussianBlur(rng.integers(0, 255, (90, 60, 3)).astype(np.uint8), (5, 5), 0)
    for number in range(6):
        x, y = (np.array([40, 30]) + number * _STEP).astype(int)
        image = wall.copy()
        image[y : y + 90, x : x + 60] = body
        save_png(folder / f"{number:06d}.png", image)
    return folder


@pytest.fixture
def labelled(open_session: Callable[..., Opened], clip: Path) -> Opened:
    """The first frame with outlines of two parts and an answer to each point."""
    opened = open_session(clip, frames=True)
    session = opened.session
    act(session, 0, "box", {"box": [36, 26, 68, 98]})
    act(
        session,
        0,
        "polygon",
        {"person": 1, "part": TORSO, "points": [[42, 32], [97, 32], [97, 72], [42, 72]]},
    )
    act(
        session,
        0,
        "polygon",
        {"person": 1, "part": LEG, "points": [[42, 73], [97, 73], [97, 117], [42, 117]]},
    )
    act(session, 0, "ask", {"person": 1})
    while (person := session.state(0)["people"][0])["next"] is not None:
        index = person["next"]
        views = session.views.of(person["asked"][index]["part"])
        at = [views.width / 2, views.height / 2]
        part = person["asked"][index]["part"]
        act(session, 0, "place", {"person": 1, "asked": index, "coarse": part, "view": 0, "at": at})
    return opened


def _person(opened: Opened, number: int) -> dict[str, Any]:
    person: dict[str, Any] = opened.session.state(number)["people"][0]
    return person


def test_flow_carries_box_outlines_and_guesses(labelled: Opened) -> None:
    before = _person(labelled, 0)
    propose(labelled.session, 3, "flow", None)
    person = _person(labelled, 3)
    moved = 3 * _STEP
    # At the rim of the body the flow is between its own and the wall's.
    assert np.allclose(np.array(person["box"])[:2] - np.array(before["box"])[:2], moved, atol=6)
    assert person["track"] == before["track"] == 0
    assert person["points"] == []  # no label before it is accepted
    assert sorted(person["help"]["pending_parts"]) == [TORSO, LEG]
    guesses = [each for each in person["asked"] if "guess" in each]
    assert len(guesses) > 0.6 * len(before["points"])
    off_px = []
    for each in guesses:
        start = np.array(each["at"]) - moved
        distance = np.linalg.norm(np.array(before["points"]) - start, axis=1)
        off_px.append(distance.min())
        assert each["guess"]["part"] == before["part"][int(distance.argmin())]
        assert each["guess"]["by"] == "flow"
        assert 0 < each["guess"]["confidence"] <= 1
    assert np.percentile(off_px, 80) < 1.5


#: The boxes of two people side by side, who move as the body of `clip` does.
_LEFT, _RIGHT = [20, 20, 50, 100], [110, 20, 50, 100]


@pytest.fixture
def two_people(open_session: Callable[..., Opened], tmp_path: Path) -> Callable[..., Opened]:
    """Opens three frames of two people, with boxes in all of them; nobody has a track by default."""

    def begin(*tracks: int | None) -> Opened:
        folder = tmp_path / "two"
        folder.mkdir()
        rng = np.random.default_rng(1)
        wall, *bodies = (
            cv2.GaussianBlur(rng.integers(0, 255, (*size, 3)).astype(np.uint8), (5, 5), 0)
            for size in ((160, 200), (90, 40), (90, 40))
        )
        images, people = [], []
        for number in range(3):
            image = wall.copy()
            for body, (x, y, _, _) in zip(bodies, (_LEFT, _RIGHT)):
                left, top = (np.array([x, y]) + 5 + number * _STEP).astype(int)
                image[top : top + 90, left : left + 40] = body
            save_png(folder / f"{number:06d}.png", image)
            name = f"two/{number:06d}.png"
            images.append({"id": number + 1, "file_name": name, "width": 200, "height": 160})
            for box in (_LEFT, _RIGHT):
                corner = (np.array(box[:2]) + number * _STEP).tolist()
                one = {"id": len(people) + 1, "image_id": number + 1, "category_id": 1}
                track = tracks[len(people)] if tracks else None
                given = {} if track is None else {"track_id": track}
                people.append({**one, "bbox": [*corner, *box[2:]], **given})
        content = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
        (tmp_path / "two.json").write_text(json.dumps(content))
        return open_session(folder, name="two.json", frames=True)

    return begin


def _label(opened: Opened, number: int, who: int, box: list[int]) -> None:
    """An outline, and an answer to each of its points, of somebody in a box."""
    session, (x, y, width, height) = opened.session, box
    edges = x + 6, y + 6, x + width - 6, y + height - 6
    corners = [[edges[i], edges[j]] for i, j in ((0, 1), (2, 1), (2, 3), (0, 3))]
    act(session, number, "polygon", {"person": who, "part": TORSO, "points": corners})
    act(session, number, "ask", {"person": who})
    views = session.views.of(TORSO)
    at = [views.width / 2, views.height / 2]
    while _one(opened, number, who)["next"] is not None:
        place = {"person": who, "asked": 0, "coarse": TORSO, "view": 0, "at": at}
        act(session, number, "place", place)


def _one(opened: Opened, number: int, who: int) -> dict[str, Any]:
    """Somebody of a picture, by the id."""
    found: dict[str, Any] = next(p for p in opened.session.state(number)["people"] if p["id"] == who)
    return found


def test_labels_of_who_has_no_track_stay_with_the_person(two_people: Callable[..., Opened]) -> None:
    opened = two_people()
    before = opened.content()["annotations"]
    _label(opened, 0, 1, _LEFT)
    propose(opened.session, 1, "flow", None)
    left, right = _one(opened, 1, 3), _one(opened, 1, 4)
    assert left["help"]["pending_parts"] == [TORSO]
    assert left["asked"]
    assert np.allclose(left["box"][:2], _LEFT[:2] + _STEP, atol=6)
    assert opened.person(3) == before[3]
    assert right["asked"] == []
    # From here on the file says who is who, and nobody has another one's track.
    assert [entry.get("track_id") for entry in opened.content()["annotations"]] == [
        0,
        None,
        0,
        None,
        None,
        None,
    ]
    opened.session.document.undo()
    assert [entry.get("track_id") for entry in opened.content()["annotations"]] == [None] * 6


def test_labels_of_two_people_without_tracks_go_to_both(two_people: Callable[..., Opened]) -> None:
    opened = two_people()
    _label(opened, 0, 1, _LEFT)
    _label(opened, 0, 2, _RIGHT)
    propose(opened.session, 2, "flow", None)
    for who, box in ((5, _LEFT), (6, _RIGHT)):
        person = _one(opened, 2, who)
        assert person["asked"]
        assert np.allclose(person["box"][:2], box[:2] + 2 * _STEP, atol=6)
    tracks = [entry.get("track_id") for entry in opened.content()["annotations"]]
    assert tracks == [0, 1, None, None, 0, 1]


def test_labels_never_go_to_a_box_that_is_of_somebody_else(two_people: Callable[..., Opened]) -> None:
    opened = two_people()
    _label(opened, 0, 1, _LEFT)
    act(opened.session, 1, "remove", {"person": 3})
    before = opened.content()["annotations"]
    propose(opened.session, 1, "flow", None)
    after = opened.content()["annotations"]
    assert after[2] == before[2]  # the right person's
    added = after[-1]
    assert len(after) == len(before) + 1
    assert np.allclose(added["bbox"][:2], _LEFT[:2] + _STEP, atol=6)
    assert added["track_id"] == after[0]["track_id"] == 0


def test_a_box_that_the_frame_had_takes_the_labels_and_their_track(two_people: Callable[..., Opened]) -> None:
    opened = two_people(0, 1, 7, 8, 9, 1)  # as boxes that were drawn or found frame by frame
    _label(opened, 0, 1, _LEFT)
    propose(opened.session, 1, "flow", None)
    assert len(opened.session.state(1)["people"]) == 2
    assert _one(opened, 1, 3)["asked"]
    assert _one(opened, 1, 3)["track"] == 0
    assert _one(opened, 1, 4)["track"] == 8


def test_who_has_labels_under_another_track_is_not_doubled(two_people: Callable[..., Opened]) -> None:
    opened = two_people(0, 1, 7, 8, 9, 1)
    _label(opened, 0, 1, _LEFT)
    _label(opened, 1, 3, [int(n) for n in [*(_LEFT[:2] + _STEP), *_LEFT[2:]]])
    before = opened.labels.read_bytes()
    with pytest.raises(EditError, match="carries nobody"):
        propose(opened.session, 1, "flow", None)
    assert opened.labels.read_bytes() == before


def test_a_track_that_a_picture_shows_beside_the_other_is_somebody_else(
    two_people: Callable[..., Opened],
) -> None:
    opened = two_people(0, 1, 7, 8, 7, 0)  # 0 and 7 are in the last frame both
    _label(opened, 0, 1, _LEFT)
    before = opened.person(2)
    propose(opened.session, 1, "flow", None)
    assert opened.person(2) == before
    assert [person["track"] for person in opened.session.state(1)["people"]] == [7, 8, 0]


def test_the_least_sure_guess_comes_first(labelled: Opened) -> None:
    propose(labelled.session, 3, "flow", None)
    person = _person(labelled, 3)
    sure = [each["guess"]["confidence"] for each in person["asked"] if "guess" in each]
    assert person["asked"][person["next"]]["guess"]["confidence"] == min(sure)


def test_accepted_corrected_and_refused_ones_are_counted(labelled: Opened) -> None:
    session = labelled.session
    propose(session, 2, "flow", None)
    person = _person(labelled, 2)
    who, count = person["id"], len(person["asked"])
    guess = person["asked"][0]["guess"]
    act(session, 2, "accept", {"person": who, "asked": [0]})
    person = _person(labelled, 2)
    assert (person["part"], person["uv"][0]) == (
        [guess["part"]],
        pytest.approx([guess["u"], guess["v"]], abs=1e-3),
    )
    act(session, 2, "refuse", {"person": who, "asked": 0})
    part = person["asked"][1]["part"]
    views = session.views.of(part)
    at = [views.width / 2, views.height / 2]
    act(session, 2, "place", {"person": who, "asked": 1, "coarse": part, "view": 2, "at": at})
    act(session, 2, "accept", {"person": who})
    counted = _person(labelled, 2)["help"]["points"]
    assert counted == {"accepted": count - 2, "corrected": 1, "refused": 1}
    session.document.undo()
    assert _person(labelled, 2)["help"]["points"] == {"accepted": 1, "corrected": 1, "refused": 1}


def test_outlines_count_when_they_are_done_or_changed(labelled: Opened) -> None:
    session = labelled.session
    propose(session, 2, "flow", None)
    who = _person(labelled, 2)["id"]
    act(session, 2, "brush", {"person": who, "part": LEG, "points": [[70, 90]], "radius": 3})
    act(session, 2, "ask", {"person": who})
    told = _person(labelled, 2)["help"]
    assert told["parts"] == {"accepted": 1, "corrected": 1, "refused": 0}
    assert "pending_parts" not in told


def test_frames_that_have_labels_and_those_out_of_reach_get_none(
    labelled: Opened, open_session: Callable[..., Opened]
) -> None:
    propose(labelled.session, 1, "flow", None)
    propose(labelled.session, 1, "flow", None)  # anew, for nothing was accepted
    act(labelled.session, 1, "accept", {"person": _person(labelled, 1)["id"]})
    with pytest.raises(EditError, match="carries nobody"):
        propose(labelled.session, 1, "flow", None)
    assert REACH >= 5
    stills = open_session(name="stills.json").session
    with pytest.raises(EditError, match="these are pictures"):
        propose(stills, 0, "flow", None)
    with pytest.raises(EditError, match="flow, or from the network"):
        propose(stills, 0, "oracle", None)
    act(stills, 0, "box", {"box": [40, 10, 80, 180]})
    with pytest.raises(EditError, match="no network is given"):
        propose(stills, 0, "network", 1)


def _answer(box: np.ndarray) -> NetworkAnswer:
    """A network that sees a torso in the upper half of its crop, a leg below, surer from left to right."""
    crop = CropSettings(size=4 * _SIDE)
    fine = torch.full((1, 25, _SIDE, _SIDE), -5.0)
    fine[:, 2, : _SIDE // 2] = fine[:, 13, _SIDE // 2 :] = torch.linspace(0, 4, _SIDE)
    coarse = torch.zeros(1, 15, _SIDE, _SIDE)
    coarse[:, TORSO, : _SIDE // 2] = coarse[:, LEG, _SIDE // 2 :] = 5
    u = torch.linspace(0, 1, _SIDE).expand(1, 24, _SIDE, _SIDE).clone()
    maps = DensePoseMaps(fine, u, u.transpose(2, 3).contiguous(), coarse)
    person = PersonMaps(TrackedPerson(1, box, 1.0), crop_affine(box, crop), maps, 4)
    return NetworkAnswer(person, PEOPLE)


@pytest.fixture
def asked_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "slimdp.annotate.network.ask_network", lambda session, image, box: _answer(np.asarray(box))
    )


@pytest.mark.usefixtures("asked_network")
def test_a_network_proposes_outlines_and_then_points(opened: Opened) -> None:
    session = opened.session
    act(session, 0, "box", {"box": [20, 20, 100, 100]})
    propose(session, 0, "network", 1)
    person = _person(opened, 0)
    assert person["help"]["pending_parts"] == [TORSO, LEG]
    mask = np.repeat(*np.array(person["mask"]).reshape(-1, 2).T).reshape(256, 256)
    assert (mask[:120] == TORSO).all()
    assert (mask[136:] == LEG).all()
    propose(session, 0, "network", 1)
    asked = _person(opened, 0)["asked"]
    assert asked
    assert {each["guess"]["by"] for each in asked} == {"network"}
    for each in asked:
        assert each["guess"]["part"] == (2 if each["part"] == TORSO else 13)
        # The crop reaches past the box by a margin of 15 % of its side.
        assert each["guess"]["u"] == pytest.approx((each["at"][0] - 5) / 130, abs=0.06)
        assert each["guess"]["v"] == pytest.approx((each["at"][1] - 5) / 130, abs=0.06)
    places = np.array([each["at"][0] for each in asked])
    sure = np.array([each["guess"]["confidence"] for each in asked])
    assert np.corrcoef(places, sure)[0, 1] > 0.8
    with pytest.raises(EditError, match="has an answer or a proposal"):
        propose(session, 0, "network", 1)


def test_a_network_answers_within_the_part_that_was_outlined() -> None:
    box = np.array([20.0, 20.0, 100.0, 100.0])
    part, uv, sure = _answer(box).at(np.array([[70.0, 40.0], [70.0, 40.0]]), np.array([TORSO, LEG]))
    assert part[0] == 2
    assert PEOPLE.coarse_of_part[part[1]] == LEG
    assert sure[0] > 0.5 > sure[1]
    assert (uv >= 0).all()


def test_weights_of_other_parts_are_refused(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.box_animal import LAYOUT

    class Other:
        class model:
            layout = LAYOUT

    monkeypatch.setitem(network._LOADED, "other.pt", Other())
    opened.session.weights = "other.pt"
    act(opened.session, 0, "box", {"box": [40, 10, 80, 180]})
    with pytest.raises(EditError, match="speaks of"):
        propose(opened.session, 0, "network", 1)


def test_flow_carries_keypoints_that_are_no_labels_before_they_are_accepted(labelled: Opened) -> None:
    session = labelled.session
    nose, eye, hip = (session.about()["keypoints"].index(name) for name in ("nose", "left_ear", "left_hip"))
    places = {nose: (70, 45, 2), eye: (60, 50, 1), hip: (75, 90, 2)}
    for index, (x, y, seen) in places.items():
        act(session, 0, "keypoint", {"person": 1, "index": index, "at": [x, y], "seen": seen})
    propose(session, 3, "flow", None)
    person = _person(labelled, 3)
    assert person["keypoints"] is None
    assert {each["index"]: each["seen"] for each in person["guessedKeypoints"]} == {nose: 2, eye: 1, hip: 2}
    for each in person["guessedKeypoints"]:
        assert np.allclose([each["x"], each["y"]], places[each["index"]][:2] + 3 * _STEP, atol=1)
    who = person["id"]
    act(session, 3, "accept_keypoints", {"person": who, "keypoints": [eye]})
    act(session, 3, "keypoint", {"person": who, "index": nose, "at": [80, 47], "seen": 2})
    act(session, 3, "refuse_keypoint", {"person": who, "index": hip})
    person = _person(labelled, 3)
    assert person["guessedKeypoints"] == []
    assert person["help"]["keypoints"] == {"accepted": 1, "corrected": 1, "refused": 1}
    found = np.array(person["keypoints"])
    assert np.flatnonzero(found[:, 2]).tolist() == sorted([nose, eye])
    assert found[nose].tolist() == [80, 47, 2]
    assert np.allclose(found[eye], [60 + 9, 50 + 3, 1], atol=1)
    for name in ("accept_keypoints", "refuse_keypoint"):
        with pytest.raises(EditError, match="proposed"):
            act(session, 3, name, {"person": who} | ({"index": hip} if "refuse" in name else {}))


def test_all_keypoints_are_accepted_at_once_and_undone_at_once(labelled: Opened) -> None:
    session = labelled.session
    for index, at in enumerate(([70, 45], [60, 50])):
        act(session, 0, "keypoint", {"person": 1, "index": index, "at": at})
    propose(session, 2, "flow", None)
    who = _person(labelled, 2)["id"]
    act(session, 2, "accept_keypoints", {"person": who})
    assert sum(v > 0 for _, _, v in _person(labelled, 2)["keypoints"]) == 2
    session.document.undo()
    person = _person(labelled, 2)
    assert (person["keypoints"], len(person["guessedKeypoints"])) == (None, 2)


def test_keypoints_that_are_there_are_not_proposed_again(labelled: Opened) -> None:
    session = labelled.session
    act(session, 0, "keypoint", {"person": 1, "index": 0, "at": [70, 45]})
    propose(session, 3, "flow", None)
    who = _person(labelled, 3)["id"]
    act(session, 3, "accept_keypoints", {"person": who})
    before = _person(labelled, 3)["keypoints"]
    propose(session, 3, "flow", None)  # outlines and points still wait, and come again
    person = _person(labelled, 3)
    assert (person["keypoints"], person["guessedKeypoints"]) == (before, [])
    assert person["help"]["keypoints"]["accepted"] == 1


def _mask(person: dict[str, Any]) -> np.ndarray:
    mask: np.ndarray = np.repeat(*np.array(person["mask"]).reshape(-1, 2).T).reshape(256, 256)
    return mask


def _near(places: list[Any], others: list[Any]) -> np.ndarray:
    """How far each place is from the nearest of some others, px."""
    away: np.ndarray = np.linalg.norm(np.array(places)[:, None] - np.array(others)[None], axis=2).min(axis=1)
    return away


def test_outlines_and_a_box_that_were_corrected_stay(labelled: Opened) -> None:
    session = labelled.session
    propose(session, 3, "flow", None)
    first = _person(labelled, 3)
    who = first["id"]
    act(session, 3, "box", {"person": who, "box": [30, 20, 120, 120]})
    act(session, 3, "clear", {"person": who, "part": TORSO})
    upper = [[51, 35], [106, 35], [106, 55], [51, 55]]  # of the torso, 20 of 40 px
    act(session, 3, "polygon", {"person": who, "part": TORSO, "points": upper})
    corrected = _person(labelled, 3)
    assert not [each for each in corrected["asked"] if each["part"] == TORSO]
    propose(session, 3, "flow", None)
    again = _person(labelled, 3)
    assert (again["box"], again["mask"]) == (corrected["box"], corrected["mask"])
    assert again["help"]["pending_parts"] == [LEG]
    torso = [each["at"] for each in again["asked"] if each["part"] == TORSO]
    assert torso
    assert max(y for _, y in torso) < 56
    # They are where they were, though the box is another one.
    assert _near(torso, [each["at"] for each in first["asked"]]).max() < 0.1


def test_outlines_that_nobody_touched_come_anew_into_a_box_that_was_corrected(labelled: Opened) -> None:
    session = labelled.session
    propose(session, 3, "flow", None)
    first = _person(labelled, 3)
    act(session, 3, "box", {"person": first["id"], "box": [30, 20, 120, 120]})
    cut = _person(labelled, 3)
    propose(session, 3, "flow", None)
    again = _person(labelled, 3)
    assert again["box"] == cut["box"]
    assert (_mask(again) == _mask(cut)).mean() > 0.98
    assert again["help"]["pending_parts"] == [TORSO, LEG]
    assert _near([each["at"] for each in again["asked"]], [each["at"] for each in cut["asked"]]).max() < 0.1


def test_a_box_and_outlines_of_the_flow_follow_it(labelled: Opened) -> None:
    session = labelled.session
    propose(session, 3, "flow", None)
    first = labelled.person(1)
    act(session, 0, "box", {"person": 1, "box": [30, 20, 90, 110]})
    propose(session, 3, "flow", None)
    assert labelled.person(1)["bbox"] != first["bbox"]
    # Once they are accepted, they stay.
    act(session, 3, "ask", {"person": first["id"]})
    accepted = labelled.person(1)
    act(session, 0, "box", {"person": 1, "box": [36, 26, 68, 98]})
    propose(session, 3, "flow", None)
    assert {name: labelled.person(1)[name] for name in ("bbox", "dp_masks", "dp_help")} == {
        name: accepted[name] for name in ("bbox", "dp_masks", "dp_help")
    }


def test_a_box_that_was_drawn_stays_and_takes_the_labels(labelled: Opened) -> None:
    session = labelled.session
    propose(session, 3, "flow", None)
    places = [each["at"] for each in _person(labelled, 3)["asked"]]
    session.document.undo()
    act(session, 3, "box", {"box": [38, 26, 84, 110]})
    propose(session, 3, "flow", None)
    person = _person(labelled, 3)
    assert (person["box"], person["track"]) == ([38, 26, 84, 110], 0)
    assert len(person["asked"]) >= 0.9 * len(places)
    assert _near([each["at"] for each in person["asked"]], places).max() < 0.1
    mask = _mask(person)
    rows, columns = np.nonzero(mask == TORSO)
    middle = np.array([38, 26]) + np.array([columns.mean(), rows.mean()]) * np.array([84, 110]) / 256
    assert np.allclose(middle, np.array([69.5, 52]) + 3 * _STEP, atol=2)


def test_outlines_that_flow_alone_brought_before_make_room(labelled: Opened) -> None:
    session = labelled.session
    act(session, 3, "box", {"box": [45, 29, 68, 98]})
    square = [[50, 40], [80, 40], [80, 60], [50, 60]]
    act(session, 3, "polygon", {"person": 2, "part": LEG, "points": square})
    drawn = _person(labelled, 3)["mask"]
    entry = {**labelled.person(1), "dp_propagated": True}  # as of `slimdp propagate`, which kept no point
    session.document.edit("test", 3, {("annotations", 1): entry})
    propose(session, 3, "flow", None)
    assert _person(labelled, 3)["mask"] != drawn
    assert _person(labelled, 3)["help"]["pending_parts"] == [TORSO, LEG]
    act(session, 3, "ask", {"person": 2})
    assert is_labelled(labelled.person(1))


def test_points_that_were_put_aside_or_refused_are_not_proposed_again(labelled: Opened) -> None:
    session = labelled.session
    propose(session, 3, "flow", None)
    who = _person(labelled, 3)["id"]
    count = len(_person(labelled, 3)["asked"])
    for index, state in enumerate(("hidden", "skipped")):
        act(session, 3, "mark", {"person": who, "asked": index, "state": state})
    act(session, 3, "refuse", {"person": who, "asked": 1})
    before = _person(labelled, 3)["asked"]
    decided = [each for each in before if each["state"] != "open" or "guess" not in each]
    assert len(decided) == 3
    propose(session, 3, "flow", None)
    after = _person(labelled, 3)["asked"]
    assert len(after) == count
    for each in decided:
        same = [other for other in after if np.allclose(other["at"], each["at"], atol=0.1)]
        assert [(other["state"], "guess" in other) for other in same] == [(each["state"], "guess" in each)]


def test_keypoints_that_were_refused_are_not_proposed_again(labelled: Opened) -> None:
    session = labelled.session
    for index, at in enumerate(([70, 45], [60, 50], [80, 50], [75, 90])):
        act(session, 0, "keypoint", {"person": 1, "index": index, "at": at})
    propose(session, 3, "flow", None)
    who = _person(labelled, 3)["id"]
    act(session, 3, "refuse_keypoint", {"person": who, "index": 0})
    act(session, 3, "keypoint", {"person": who, "index": 1, "at": [0, 0], "seen": 0})
    act(session, 3, "accept_keypoints", {"person": who, "keypoints": [2]})
    placed = _person(labelled, 3)["keypoints"]
    propose(session, 3, "flow", None)
    person = _person(labelled, 3)
    assert person["keypoints"] == placed
    assert [each["index"] for each in person["guessedKeypoints"]] == [3]  # the one without an answer


def test_what_is_erased_of_a_proposed_outline_is_corrected(labelled: Opened) -> None:
    session = labelled.session
    propose(session, 3, "flow", None)
    who = _person(labelled, 3)["id"]
    act(session, 3, "brush", {"person": who, "part": 0, "points": [[60, 50]], "radius": 8})
    person = _person(labelled, 3)
    assert person["help"]["pending_parts"] == [LEG]
    assert person["help"]["parts"] == {"accepted": 0, "corrected": 1, "refused": 0}
    propose(session, 3, "flow", None)
    assert _person(labelled, 3)["mask"] == person["mask"]


def test_outlines_are_carried_where_no_frame_has_points(
    open_session: Callable[..., Opened], clip: Path
) -> None:
    opened = open_session(clip, frames=True)
    session = opened.session
    act(session, 0, "box", {"box": [36, 26, 68, 98]})
    with pytest.raises(EditError, match="no labelled frame"):
        propose(session, 2, "flow", None)
    square = [[42, 32], [97, 32], [97, 72], [42, 72]]
    act(session, 0, "polygon", {"person": 1, "part": TORSO, "points": square})
    propose(session, 2, "flow", None)
    assert _person(opened, 2)["help"]["pending_parts"] == [TORSO]
    assert (_mask(_person(opened, 2)) == TORSO).any()
    # Those that wait are no labels from which to go on.
    session.document.undo()
    act(session, 4, "box", {"box": [48, 30, 68, 98]})
    propose(session, 4, "flow", None)
    act(session, 0, "remove", {"person": 1})
    with pytest.raises(EditError, match="no labelled frame"):
        propose(session, 3, "flow", None)
