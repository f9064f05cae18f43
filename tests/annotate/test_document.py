"""The file: whole after every edit, with what others wrote, and undo that outlives the server."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pytest

from flow_cache.coco import AnnotationError
from flow_cache.runtime.lock import HeldError
from slimdp.annotate.actions import act
from slimdp.annotate.document import ChangedOutsideError, open_document
from slimdp.annotate.media import open_media
from slimdp.annotate.people import EditError
from slimdp.annotate.session import Session
from slimdp.annotate.views import surface_identity
from slimdp.data import read_annotations
from slimdp.surface import PEOPLE, BodySurface, load_surface
from slimdp.surface.people import COCO_KEYPOINTS
from tests.annotate.conftest import Opened
from tests.box_animal import LAYOUT, write_box_surface

_BOX = {"box": [40, 10, 80, 180]}


def test_nothing_is_written_before_the_first_edit(opened: Opened) -> None:
    assert not opened.labels.exists()
    act(opened.session, 0, "box", _BOX)
    assert opened.person()["bbox"] == [40, 10, 80, 180]
    assert [image["file_name"] for image in opened.content()["images"]] == ["pictures/0.png"]


def test_undo_and_redo_without_end_and_over_servers(open_session: Callable[..., Opened]) -> None:
    opened, contents = open_session(), []
    for x in range(12):
        act(opened.session, x % 2, "box", {"box": [x, 10, 50, 60]})
        contents.append(opened.labels.read_bytes())
    opened = open_session()
    assert opened.session.document.edits == 12
    for content in reversed(contents[:-1]):
        assert opened.session.document.undo() is not None
        assert opened.labels.read_bytes() == content
    opened = open_session()
    assert opened.session.document.undo() == 0
    assert opened.content()["annotations"] == []
    assert opened.session.document.undo() is None
    opened = open_session()
    for content in contents:
        opened.session.document.redo()
        assert opened.labels.read_bytes() == content
    assert opened.session.document.redo() is None


def test_an_edit_after_undo_drops_what_was_undone(open_session: Callable[..., Opened]) -> None:
    opened = open_session()
    act(opened.session, 0, "box", _BOX)
    act(opened.session, 0, "box", {"box": [0, 0, 30, 30]})
    opened.session.document.undo()
    act(opened.session, 0, "box", {"box": [5, 5, 30, 30]})
    for session in (opened.session, open_session().session):
        assert session.document.redo_title is None
        assert session.document.edits == 2


def test_a_killed_server_loses_no_label_and_no_undo(open_session: Callable[..., Opened]) -> None:
    opened = open_session()
    act(opened.session, 0, "box", _BOX)
    content, journal = opened.labels.read_bytes(), opened.labels.with_name(".labels.json.edits")
    act(opened.session, 0, "box", {"box": [0, 0, 30, 30]})
    # Killed between the line of the edit and the file, and within the line.
    opened.labels.write_bytes(content)
    with open(journal, "a") as file:
        file.write('{"title": "box", "ima')
    session = open_session().session
    assert session.document.edits == 1
    act(session, 0, "box", {"box": [5, 5, 30, 30]})
    assert open_session().session.document.edits == 2


def test_a_file_that_cannot_be_written_changes_nothing(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    act(opened.session, 0, "box", _BOX)
    content, state = opened.labels.read_bytes(), opened.session.state(0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("slimdp.annotate.document.write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        act(opened.session, 0, "box", {"box": [0, 0, 30, 30]})
    assert opened.labels.read_bytes() == content
    assert opened.session.state(0) == state
    monkeypatch.undo()
    act(opened.session, 0, "box", {"box": [0, 0, 30, 30]})
    assert len(opened.content()["annotations"]) == 2


@pytest.mark.parametrize("fails", ["journal", "file"])
def test_an_edit_that_was_not_saved_cannot_be_undone_later(
    open_session: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    opened = open_session()
    act(opened.session, 0, "box", _BOX)
    first = opened.labels.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    @contextmanager
    def cut_off(path: Path, *_: object, **__: object) -> Iterator[TextIO]:
        with path.open("a") as journal, StringIO() as text:
            yield text
            journal.write(text.getvalue()[:20])
        full()

    with monkeypatch.context() as patch:
        if fails == "file":
            patch.setattr("slimdp.annotate.document.write_bytes", full)
        else:
            patch.setattr("slimdp.annotate.document.open", cut_off, raising=False)
        with pytest.raises(OSError, match="No space"):
            act(opened.session, 0, "box", {"box": [0, 0, 30, 30]})
    act(opened.session, 0, "box", {"box": [5, 5, 30, 30]})
    document = open_session().session.document
    assert document.edits == 2
    document.undo()
    assert opened.labels.read_bytes() == first


def _of_another_program(labels: Path) -> bytes:
    """A note that another program writes into the file; the file's bytes then."""
    content = json.loads(labels.read_text())
    content["annotations"][0]["note"] = "mine"
    labels.write_text(json.dumps(content))
    return labels.read_bytes()


@pytest.mark.parametrize("verb", ["edit", "undo", "redo"])
def test_what_another_program_wrote_is_not_written_over(opened: Opened, verb: str) -> None:
    act(opened.session, 0, "box", _BOX)
    act(opened.session, 1, "box", _BOX)
    if verb == "redo":
        opened.session.document.undo()
    theirs = _of_another_program(opened.labels)
    journal, state = opened.labels.with_name(".labels.json.edits").read_bytes(), opened.session.state(0)
    step: dict[str, Callable[[], object]] = {
        "edit": lambda: act(opened.session, 0, "box", {"box": [0, 0, 30, 30]}),
        "undo": opened.session.undo,
        "redo": opened.session.redo,
    }
    with pytest.raises(ChangedOutsideError, match="was changed or removed by another program"):
        step[verb]()
    assert opened.labels.read_bytes() == theirs
    assert opened.labels.with_name(".labels.json.edits").read_bytes() == journal
    assert opened.session.state(0) == state
    opened.session.claim("a-page-that-begins")
    act(opened.session, 0, "box", {"box": [0, 0, 30, 30]})
    assert opened.person()["note"] == "mine"
    assert opened.session.document.edits == 1


def test_a_file_that_comes_or_goes_is_noticed_and_one_that_is_touched_is_not(opened: Opened) -> None:
    opened.labels.write_text(json.dumps(_foreign()))
    with pytest.raises(ChangedOutsideError):
        act(opened.session, 0, "box", _BOX)
    opened.labels.unlink()
    act(opened.session, 0, "box", _BOX)
    os.utime(opened.labels, ns=(1, 1))
    act(opened.session, 0, "box", _BOX)
    written = opened.labels.read_bytes()
    opened.labels.unlink()
    with pytest.raises(ChangedOutsideError):
        act(opened.session, 0, "box", _BOX)
    opened.labels.write_bytes(written)
    act(opened.session, 0, "box", _BOX)
    assert opened.session.document.edits == 3


@pytest.mark.parametrize("theirs", ["{", json.dumps({"info": {"dp_surface": {"sha256": "0"}}})])
def test_what_cannot_be_edited_any_more_is_refused_until_it_can(opened: Opened, theirs: str) -> None:
    act(opened.session, 0, "box", _BOX)
    good = opened.labels.read_bytes()
    opened.labels.write_text(theirs)
    for _ in range(2):
        with pytest.raises(AnnotationError):
            opened.session.claim("a-page-that-begins")
    with pytest.raises(ChangedOutsideError):
        act(opened.session, 0, "box", _BOX)
    assert opened.labels.read_text() == theirs
    opened.labels.write_bytes(good)
    opened.session.claim("a-page-that-begins")
    act(opened.session, 0, "box", _BOX)
    assert len(opened.content()["annotations"]) == 2


def test_pictures_are_found_in_what_another_program_wrote(opened: Opened) -> None:
    act(opened.session, 0, "box", _BOX)
    content = opened.content()
    content["images"][0]["file_name"] = "pictures/1.png"
    content["categories"][0]["id"] = content["annotations"][0]["category_id"] = 7
    opened.labels.write_text(json.dumps(content))
    opened.session.claim("a-page-that-begins")
    assert [each["people"] for each in opened.session.overview()] == [0, 1]
    act(opened.session, 0, "box", _BOX)
    assert opened.person(1)["category_id"] == 7


def test_two_servers_on_one_file_are_refused(opened: Opened, surface: BodySurface) -> None:
    pid = os.fork()
    if not pid:  # flock knows processes apart
        try:
            with open_document(opened.labels, PEOPLE, surface_identity(surface), ()):
                os._exit(1)
        except HeldError as error:
            os._exit(0 if "labels.json is being edited" in str(error) else 2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_another_category_is_labelled_as_people_are(pictures: Path, tmp_path: Path) -> None:
    animal = load_surface(write_box_surface(tmp_path / "animal"))
    assert isinstance(animal, BodySurface)
    labels, identity = tmp_path / "labels.json", surface_identity(animal)
    with open_document(labels, animal.layout, identity, animal.layout.keypoints) as document:
        session = Session(document, open_media(pictures, labels), animal)
        act(session, 0, "box", {"box": [40, 10, 80, 180]})
        act(session, 0, "polygon", {"person": 1, "part": 2, "points": [[50, 20], [110, 20], [80, 150]]})
        act(session, 0, "ask", {"person": 1})
        views, asked = session.views.of(2), session.state(0)["people"][0]["next"]
        view = next(v for v in range(6) if views.hit(v, views.width / 2, views.height / 2))
        at = [views.width / 2, views.height / 2]
        act(session, 0, "place", {"person": 1, "asked": asked, "coarse": 2, "view": view, "at": at})
    (found,) = read_annotations(labels, tmp_path).people
    assert found.layout == animal.layout
    assert animal.layout.coarse_of_part[found.part].tolist() == [2]
    with pytest.raises(AnnotationError, match="labels are of the surface"):  # noqa: SIM117
        with open_document(labels, PEOPLE, {"name": "open", "sha256": "1"}, ()):
            pass


def _foreign() -> dict[str, Any]:
    """A file of another tool: unknown fields everywhere, ids that jump, two categories."""
    return {
        "licenses": [{"id": 3, "name": "x"}],
        "images": [{"id": 77, "file_name": "0.png", "width": 160, "height": 200, "coco_url": "http://x"}],
        "annotations": [
            {"id": 5, "image_id": 77, "category_id": 1, "bbox": [40, 10, 80, 180], "area": 3, "iscrowd": 0,
             "segmentation": [[1, 2, 3, 4, 5, 6]],
             "dp_x": [10.0, 20.0], "dp_y": [10.0, 250.0], "dp_I": [2, 12],
             "dp_U": [0.5, 0.25], "dp_V": [0.5, 0.75], "quality": {"by": "me"}},
            {"id": 6, "image_id": 77, "category_id": 18, "bbox": [0, 0, 5, 5]},
        ],
        "categories": [
            {"id": 18, "name": "dog"}, {"id": 1, "name": "person", "keypoints": ["nose"], "mine": 1}
        ],
        "notes": "ours",
    }  # fmt: skip


def test_a_file_of_another_tool_keeps_what_it_held(
    open_session: Callable[..., Opened], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = _foreign()
    (tmp_path / "other.json").write_text(json.dumps(given, indent=3))
    with caplog.at_level(logging.WARNING):
        opened = open_session(name="other.json")
    assert "does not say whose (u, v)" in caplog.text
    assert json.loads(opened.labels.read_text()) == given  # not touched by being opened
    assert [person["id"] for person in opened.session.state(0)["people"]] == [5]
    act(opened.session, 0, "polygon", {"person": 5, "part": 1, "points": [[40, 10], [120, 10], [80, 90]]})
    written = opened.content()
    assert written.pop("info")["dp_surface"]["name"] == "open"
    person = written["annotations"][0]
    assert [bool(mask) for mask in person.pop("dp_masks")] == [True]
    assert written == given


@pytest.mark.parametrize(
    "people",
    [
        {"id": 1, "name": "Person"},
        {"id": 1, "name": "pedestrian", "supercategory": "Person"},
        {"id": 1, "name": "human"},
    ],
)
def test_people_are_those_of_the_readers_whatever_comes_first(
    open_session: Callable[..., Opened], tmp_path: Path, people: dict[str, Any]
) -> None:
    given = {**_foreign(), "categories": [{"id": 18, "name": "dog"}, people]}
    (tmp_path / "other.json").write_text(json.dumps(given))
    opened = open_session(name="other.json")
    session = opened.session
    assert [person["id"] for person in session.state(0)["people"]] == [5]
    assert [each["people"] for each in session.overview()] == [1, 0]
    act(session, 0, "box", {"box": [10, 10, 40, 60]})
    assert opened.person(2)["category_id"] == 1
    assert [person.id for person in read_annotations(opened.labels, tmp_path / "pictures").people] == [5, 7]


def _as_the_reader_takes(**person: Any) -> dict[str, Any]:
    """A file without sizes, with a person of no box, one of a flat box, and a dog of whom little is said."""
    of_person = {"image_id": 1, "category_id": 1, "bbox": None}
    return {
        "images": [{"id": 1, "file_name": "pictures/0.png", "width": None, "height": None}],
        "annotations": [
            {"id": 5, **of_person, "dp_x": None, "dp_source": None, **person},
            {"id": 6, **of_person, "bbox": [3, 3, 0, 0]},
            {"image_id": 1, "category_id": 18},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person", "keypoints": ["nose", "tail"]}],
    }


@pytest.mark.parametrize(
    "person",
    [{"keypoints": [60, 30, 2, 100, 170, 2]}, {"center": [80, 100], "scale": 0.5}],
    ids=["keypoints", "centre"],
)
def test_what_the_reader_takes_can_be_labelled(
    open_session: Callable[..., Opened], tmp_path: Path, person: dict[str, Any]
) -> None:
    (tmp_path / "labels.json").write_text(json.dumps(_as_the_reader_takes(**person)))
    (before,) = read_annotations(tmp_path / "labels.json", tmp_path).people
    opened = open_session()
    session = opened.session
    (shown,) = session.state(0)["people"]
    assert shown["box"] == np.round(before.box, 2).tolist()
    assert session.overview()[0]["people"] == 1
    assert np.array_equal(session.boxes()[0], [before.box])
    act(session, 0, "polygon", {"person": 5, "part": 1, "points": [[60, 40], [100, 40], [100, 90], [60, 90]]})
    act(session, 0, "ask", {"person": 5})
    views, index = session.views.of(1), session.state(0)["people"][0]["next"]
    at = [views.width / 2, views.height / 2]
    act(session, 0, "place", {"person": 5, "asked": index, "coarse": 1, "view": 0, "at": at})
    act(session, 0, "keypoint", {"person": 5, "index": 1, "at": [90, 160], "seen": 0})
    act(session, 0, "box", {"box": [10, 10, 40, 60]})
    after, drawn = read_annotations(opened.labels, tmp_path).people
    assert np.array_equal(after.box, before.box)  # though its keypoints would give another one now
    assert (after.box_source, len(after.points), drawn.id) == (before.box_source, 1, 7)
    assert opened.content()["annotations"][1:3] == _as_the_reader_takes()["annotations"][1:]


def test_a_new_box_leaves_empty_fields_readable(open_session: Callable[..., Opened], tmp_path: Path) -> None:
    given = _as_the_reader_takes(bbox=[10, 10, 50, 50], dp_y=None, dp_I=None)
    (tmp_path / "labels.json").write_text(json.dumps(given))
    opened = open_session()
    act(opened.session, 0, "box", {"person": 5, "box": [20, 20, 50, 50]})
    (person,) = read_annotations(opened.labels, tmp_path).people
    assert person.box.tolist() == [20, 20, 50, 50]


@pytest.mark.parametrize("said", [{}, {"category_id": None}])
def test_who_does_not_say_the_only_category_is_of_it(
    open_session: Callable[..., Opened], tmp_path: Path, said: dict[str, None]
) -> None:
    given = _as_the_reader_takes(bbox=[10, 10, 50, 50])
    given["categories"] = [{"id": 3, "name": "person"}]
    (entry,) = given["annotations"] = given["annotations"][:1]
    del entry["category_id"]
    entry.update(said)
    (tmp_path / "labels.json").write_text(json.dumps(given))
    opened = open_session()
    assert [person["id"] for person in opened.session.state(0)["people"]] == [5]
    act(opened.session, 0, "box", {"person": 5, "box": [20, 20, 50, 50]})
    assert opened.person(0)["category_id"] == 3


def test_two_categories_of_people_each_keep_their_own_keypoints(
    open_session: Callable[..., Opened], tmp_path: Path
) -> None:
    categories = [
        {"id": 1, "name": "person", "keypoints": ["nose"]},
        {"id": 18, "name": "person", "keypoints": ["left_ear", "nose"]},
    ]
    given = {**_foreign(), "categories": categories}
    given["annotations"][1] |= {"bbox": [10, 10, 50, 50], "keypoints": [20, 20, 2, 30, 30, 2]}
    (tmp_path / "other.json").write_text(json.dumps(given))
    opened = open_session(name="other.json")
    assert [person["keypoints"] for person in opened.session.state(0)["people"]] == [None, None]
    act(opened.session, 0, "keypoint", {"person": 5, "index": 0, "at": [60, 30]})
    with pytest.raises(EditError, match="category 18 has other keypoints"):
        act(opened.session, 0, "keypoint", {"person": 6, "index": 0, "at": [60, 30]})
    assert opened.person(0)["keypoints"] == [60, 30, 2]
    assert opened.person(1) == given["annotations"][1]


def test_the_first_keypoint_names_those_of_a_category_without(
    open_session: Callable[..., Opened], tmp_path: Path
) -> None:
    given = {**_foreign(), "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person", "mine": 1}]}
    (tmp_path / "other.json").write_text(json.dumps(given))
    opened = open_session(name="other.json")
    assert opened.session.about()["keypoints"] == list(COCO_KEYPOINTS)
    assert len(opened.session.about()["skeleton"]) > 10
    act(opened.session, 0, "keypoint", {"person": 5, "index": 2, "at": [60, 30]})
    named = {"id": 1, "name": "person", "mine": 1, "keypoints": list(COCO_KEYPOINTS)}
    assert opened.content()["categories"] == [given["categories"][0], named]
    assert opened.session.state(0)["people"][0]["keypoints"][2] == [60, 30, 2]
    (person,) = read_annotations(opened.labels, tmp_path / "pictures").people
    assert person.keypoint_names == COCO_KEYPOINTS
    opened.session.undo()
    assert opened.content()["categories"] == given["categories"]
    assert opened.session.about()["keypoints"] == list(COCO_KEYPOINTS)
    opened.session.redo()
    again = open_session(name="other.json").session
    act(again, 0, "keypoint", {"person": 5, "index": 0, "at": [70, 30]})
    assert opened.content()["categories"] == [given["categories"][0], named]


def test_keypoints_without_names_are_gone_on_with_where_their_number_fits(
    open_session: Callable[..., Opened], tmp_path: Path
) -> None:
    for count, names in ((17, list(COCO_KEYPOINTS)), (5, [])):
        given = {**_foreign(), "categories": [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}]}
        given["annotations"][0]["keypoints"] = [60, 30, 2] * count
        (tmp_path / "other.json").write_text(json.dumps(given))
        opened = open_session(name="other.json")
        assert opened.session.about()["keypoints"] == names
        assert len(opened.session.state(0)["people"][0]["keypoints"]) == count
        if not names:
            with pytest.raises(EditError, match="category 1 does not name its keypoints; name them"):
                act(opened.session, 0, "keypoint", {"person": 5, "index": 0, "at": [60, 30]})
            assert opened.content() == given
            continue
        act(opened.session, 0, "keypoint", {"person": 5, "index": 0, "at": [61, 31]})
        assert opened.person(0)["keypoints"] == [61, 31, 2] + [60, 30, 2] * 16


def test_a_file_without_categories_gets_no_names_for_keypoints_of_another_number(
    open_session: Callable[..., Opened], tmp_path: Path
) -> None:
    given = _as_the_reader_takes(bbox=[10, 10, 50, 50], keypoints=[60, 30, 2] * 5)
    given["annotations"] = given["annotations"][:1]
    del given["categories"]
    (tmp_path / "labels.json").write_text(json.dumps(given))
    opened = open_session()
    assert opened.session.about()["keypoints"] == []
    assert len(opened.session.state(0)["people"][0]["keypoints"]) == 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"info": {"dp_surface": {"name": "horse", "sha256": "0"}}}, "labels are of the surface 'horse'"),
        ({"categories": [{"id": 1, "name": "beast", "dp_layout": LAYOUT.as_json()}]}, "dp_layout"),
        ({"images": 5}, "images"),
        ({"annotations": [{"id": 1, "image_id": 4, "category_id": 1, "bbox": [0, 0, 1, 1]}]}, "image_id"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_and_stays(
    open_session: Callable[..., Opened], tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({**_foreign(), **change}))
    before = file.read_bytes()
    with pytest.raises(AnnotationError, match=says):
        open_session()
    assert file.read_bytes() == before
    assert not list(tmp_path.glob(".labels*"))
