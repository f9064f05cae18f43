"""Writing annotations, and reading them back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimdp.data import AnnotationError, image_from_frame, read_annotations, write_annotations
from slimdp.structures import IGNORE, BoxSource, ImageRecord, PersonAnnotation


def assert_same(found: Any, wanted: Any) -> None:
    """Equality of records, exact but for the points: they pass through the box frame."""
    for field in fields(wanted):
        a, b = getattr(found, field.name), getattr(wanted, field.name)
        if field.name == "image":
            assert_same(a, b)
        elif field.name == "points":
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)
        elif field.name == "ignore_regions":
            assert [region.tolist() for region in a] == [region.tolist() for region in b]
        elif isinstance(b, np.ndarray):
            assert a.dtype == b.dtype, field.name
            np.testing.assert_array_equal(a, b, err_msg=field.name)
        else:
            assert a == b, field.name


@st.composite
def images(draw: st.DrawFn, folder: Path, number: int) -> ImageRecord:
    video = draw(st.sampled_from([None, "012834"]))
    name = f"clip/{number:06d}.jpg"
    regions = [np.array([[0, 0], [5.5, 0], [5, 5]])] * draw(st.integers(0, 2))
    return ImageRecord(
        id=number + draw(st.integers(0, 1)) * 10**10,
        file=folder / name,
        file_name=name,
        width=30,
        height=20,
        video=video,
        frame=None if video is None else number,
        labelled=draw(st.booleans()),
        ignore_regions=tuple(regions),
    )


@st.composite
def people(draw: st.DrawFn, image: ImageRecord, number: int) -> PersonAnnotation:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    box = np.array([rng.uniform(-50, 20), rng.uniform(-50, 20), *rng.uniform(0.5, 900, 2)])
    count = draw(st.sampled_from([0, 1, 30]))
    frame_points = (
        rng.choice([0.0, 255.0, 256.0], (count, 2))
        if draw(st.booleans())
        else rng.uniform(0, 256, (count, 2))
    )
    coarse = np.kron(rng.choice([0, 1, 7, 14, IGNORE], (16, 16)), np.ones((16, 16))).astype(np.uint8)
    keypoints = np.column_stack([rng.uniform(-5, 40, (2, 2)), rng.integers(0, 3, 2)])
    return PersonAnnotation(
        id=number,
        image=image,
        box=box,
        points=image_from_frame(frame_points, box),
        part=rng.integers(1, 25, count),
        uv=rng.random((count, 2), dtype=np.float32),
        source=rng.integers(0, 3, count) * draw(st.integers(0, 1)),
        step=rng.integers(-3, 4, count),
        track=draw(st.sampled_from([None, 0, 12])),
        coarse=draw(st.sampled_from([None, coarse])),
        keypoints=draw(st.sampled_from([None, keypoints])),
        keypoint_names=draw(st.sampled_from([(), ("nose", "left_ear")])),
        mask=draw(st.sampled_from([None, rng.random((20, 30)) < 0.5])),
        crowd=draw(st.booleans()),
        confidence=draw(st.sampled_from([None, rng.random(count, dtype=np.float32)])) if count else None,
        box_source=draw(st.sampled_from(BoxSource)),
        area=draw(st.sampled_from([0.0, 12.25, 3e5])),
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_reading_gives_back_what_was_written(data: st.DataObject) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        pictures = [data.draw(images(folder, number)) for number in range(data.draw(st.integers(1, 3)))]
        count = data.draw(st.integers(0, 4))
        persons = [data.draw(people(data.draw(st.sampled_from(pictures)), number)) for number in range(count)]
        write_annotations(folder / "people.json", pictures, persons)
        found = read_annotations(folder / "people.json", folder, check_images=False, read_masks=True)
    assert (len(found.images), len(found.people)) == (len(pictures), len(persons))
    for image, wanted in zip(found.images, pictures):
        assert_same(image, wanted)
    for person, wanted_person in zip(found.people, persons):
        assert_same(person, wanted_person)


IMAGE = ImageRecord(1, Path("a.jpg"), "a.jpg", 120, 80)


def test_files_have_the_public_form(tmp_path: Path, make_person: Callable[..., PersonAnnotation]) -> None:
    coarse = np.zeros((256, 256), dtype=np.uint8)
    coarse[:9] = 2
    person = make_person(IMAGE, [0, 0, 128, 64], 1, points=np.array([[64.0, 16.0]]), coarse=coarse)
    write_annotations(tmp_path / "p.json", [IMAGE], [person])
    content = json.loads((tmp_path / "p.json").read_text())
    entry = content["annotations"][0]
    assert (entry["dp_x"], entry["dp_y"]) == ([128], [64])
    assert entry["dp_masks"][0] == []
    assert entry["dp_masks"][1]["size"] == [256, 256]
    assert len(entry["dp_masks"]) == 14
    assert not {"dp_source", "dp_step", "dp_confidence", "dp_ignore", "box_source"} & set(
        entry
    )  # nothing of ours without need
    assert set(content) == {"info", "images", "annotations", "categories"}


def test_an_area_that_nobody_gave_is_that_of_the_outline_or_the_box(
    tmp_path: Path, make_person: Callable[..., PersonAnnotation]
) -> None:
    mask = np.zeros((80, 120), dtype=bool)
    mask[10:20, 10:15] = True
    box = [0, 0, 12.5, 64]
    bare = make_person(IMAGE, box)
    drawn = replace(bare, id=bare.id + 1, mask=mask)
    people = [bare, drawn, replace(drawn, id=bare.id + 2, area=30.25)]
    write_annotations(tmp_path / "p.json", [IMAGE], people)
    content = json.loads((tmp_path / "p.json").read_text())
    assert [entry["area"] for entry in content["annotations"]] == [800, 50, 30.25]
    read = read_annotations(tmp_path / "p.json", tmp_path, check_images=False)
    assert [person.area for person in read.people] == [800, 50, 30.25]


def test_failure_keeps_the_old_file(tmp_path: Path, make_person: Callable[..., PersonAnnotation]) -> None:
    path = tmp_path / "p.json"
    path.write_text("old")
    outside = make_person(IMAGE, [0, 0, 10, 10], 1, points=np.array([[10.5, 3]]))
    with pytest.raises(AnnotationError, match=r"annotation 1 of image 1: points: point 0"):
        write_annotations(path, [IMAGE], [outside])
    lost = make_person(replace(IMAGE, id=2), [0, 0, 10, 10])
    with pytest.raises(AnnotationError, match="image 2 is not in"):
        write_annotations(path, [IMAGE], [lost])
    with pytest.raises(ValueError, match="JSON"):
        write_annotations(path, [IMAGE], [make_person(IMAGE, [float("nan"), 0, 1, 1])])
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.json"]
