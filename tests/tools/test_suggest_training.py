"""Videos of pieces of clips, and the seconds after which a method has reached enough."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from suggest_training import make_video, seconds_to, table

from flow_cache import FlowStore
from flow_cache.images import read_image
from slimdp.data import AnnotationSet, read_annotations
from tests.training.conftest import ellipse_person


def test_a_video_has_the_pieces_and_labels_of_its_clips(tmp_path: Path) -> None:
    people = []
    for number in range(8):
        person = ellipse_person(tmp_path, number)
        video, frame = divmod(number, 4)
        people.append(replace(person, image=replace(person.image, video=f"clip_{video}", frame=frame)))
    clips = AnnotationSet(tuple(person.image for person in people), tuple(people), tmp_path / "labels.json")
    folder = tmp_path / "video"
    make_video(clips, ((0, 1, 3), (1, 0, 3)), 1, folder)  # seed 1 begins with the second clip
    found = read_annotations(folder / "labels.json", folder / "images")
    wanted = [people[5], people[6], people[0], people[1], people[2]]
    assert [image.frame for image in found.images] == [0, 1, 2, 3, 4]
    for person, made in zip(found.people, wanted, strict=True):
        assert np.array_equal(read_image(person.image.file), read_image(made.image.file))
        assert np.allclose(person.points, made.points, atol=1e-3)
        assert person.part.tolist() == made.part.tolist()
    assert len({person.track for person in found.people[:2]} & {p.track for p in found.people[2:]}) == 0
    with FlowStore(folder / "flow.h5") as store:
        assert len(store.frames("video")) == 5


def rows(seed: int, reached: dict[str, list[float]]) -> list[dict[str, Any]]:
    """Rows of a video for 1, 2 and 4 frames of 100 s each, and 80 % for all 60."""
    everything = {"video": "take", "seed": seed, "method": "all", "count": 60, "annotator_seconds": 6000.0}
    found: list[dict[str, Any]] = [everything | {"points": {"10cm": 80.0}}]
    for method, points in reached.items():
        for count, each in zip((1, 2, 4), points, strict=True):
            about = {"method": method, "count": count, "annotator_seconds": 100.0 * count}
            found.append({"video": "take", "seed": seed, **about, "points": {"10cm": each}})
    return found


def test_seconds_to_enough_lie_on_the_line_between_two_numbers_of_frames() -> None:
    found = rows(0, {"flow": [60, 70, 78], "even": [76, 70, 70], "random": [10, 20, 75.9]})
    assert seconds_to(found, "flow", "10cm") == 200 + 200 * (76 - 70) / (78 - 70)
    assert seconds_to(found, "even", "10cm") == 100
    assert seconds_to(found, "random", "10cm") is None


def test_the_table_has_means_of_complete_videos() -> None:
    four = {"random": [10, 20, 30], "even": [50, 60, 76], "features": [1, 2, 3]}
    complete = rows(0, four | {"flow": [76, 77, 78]}) + rows(1, four | {"flow": [40, 77, 78]})
    lines = table([*complete, *rows(2, {"flow": [1, 1, 1]})], "take").splitlines()
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines[2:]
    }
    assert cells["flow"] == ["58.0", "77.0", "78.0", "100, 197"]
    assert cells["random"][-1] == "-, -"
    assert cells["all frames"][0] == "80.0"
