from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from slimdp.data import AnnotationError, join_annotation_files, read_annotations, write_annotations
from slimdp.structures import ImageRecord, PersonAnnotation


def person(image: ImageRecord, identity: int, names: tuple[str, ...] = ("nose",)) -> PersonAnnotation:
    return PersonAnnotation(
        id=identity,
        image=image,
        box=np.array([1.0, 2.0, 30.0, 40.0]),
        points=np.array([[4.0, 5.0]]),
        part=np.array([3]),
        uv=np.array([[0.25, 0.5]], dtype=np.float32),
        source=np.zeros(1, dtype=np.int64),
        step=np.zeros(1, dtype=np.int64),
        keypoints=np.array([[7.0, 8.0, 2.0]] * len(names)),
        keypoint_names=names,
    )


def image(identity: int) -> ImageRecord:
    return ImageRecord(identity, Path(f"{identity}.jpg"), f"{identity}.jpg", 64, 64)


def test_a_joined_file_is_the_file_of_all(tmp_path: Path) -> None:
    images = [image(number) for number in (1, 2, 3)]
    people = [person(images[0], 5), person(images[0], 6), person(images[2], 7)]
    write_annotations(tmp_path / "all.json", images, people)
    parts = []
    for each in images:  # the second has nobody
        parts.append(tmp_path / f"part_{each.id}.json")
        write_annotations(parts[-1], [each], [person for person in people if person.image is each])
    join_annotation_files(tmp_path / "joined.json", parts)
    assert json.loads((tmp_path / "joined.json").read_text()) == json.loads(
        (tmp_path / "all.json").read_text()
    )
    joined = read_annotations(tmp_path / "joined.json", tmp_path, check_images=False)
    assert [person.keypoint_names for person in joined.people] == [("nose",)] * 3


@pytest.mark.parametrize("count", [0, 2])
def test_nobody_joined_is_an_empty_file(tmp_path: Path, count: int) -> None:
    parts = [tmp_path / f"{number}.json" for number in range(count)]
    for number, part in enumerate(parts):
        write_annotations(part, [image(number)], [])
    join_annotation_files(tmp_path / "joined.json", parts)
    joined = read_annotations(tmp_path / "joined.json", tmp_path, check_images=False)
    assert (len(joined.images), joined.people) == (count, ())


def test_other_keypoints_are_refused(tmp_path: Path) -> None:
    parts = [tmp_path / "a.json", tmp_path / "b.json"]
    for number, (part, names) in enumerate(zip(parts, [("nose",), ("left_ear",)])):
        write_annotations(part, [image(number)], [person(image(number), 1, names)])
    with pytest.raises(AnnotationError, match=r"b\.json: categories .* cannot be joined"):
        join_annotation_files(tmp_path / "joined.json", parts)
    assert not (tmp_path / "joined.json").exists()
