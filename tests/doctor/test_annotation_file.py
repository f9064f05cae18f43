"""The doctor and the reader agree: what the reader refuses is an error, and no file makes the doctor fail."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slimdp.data import AnnotationError, read_annotations
from slimdp.data.rle import encode_rle
from slimdp.doctor import Findings, Severity
from slimdp.doctor.annotation_file import FileSummary, check_annotation_file, load_annotations

MASK = np.zeros((256, 256), dtype=bool)
MASK[60:200, 40:220] = True
SCENE: dict[str, Any] = {
    "images": [
        {"id": 1, "file_name": "clip/000000.jpg", "width": 120, "height": 80, "vid_id": "7", "nframes": 9,
         "is_labeled": True, "has_no_densepose": False, "ignore_regions_x": [[1, 9, 9]],
         "ignore_regions_y": [[1, 1, 9]]},
        {"id": 2, "file_name": "clip/000004.jpg", "width": 120, "height": 80, "vid_id": "7", "nframes": 9},
    ],
    "annotations": [
        {"id": 7 + number, "image_id": number, "category_id": 1, "bbox": [10, 20, 64, 32], "track_id": 3,
         "iscrowd": 0, "num_keypoints": 1, "keypoints": [20, 30, 2, 0, 0, 0],
         "segmentation": [[10, 20, 70, 20, 70, 50]], "dp_masks": [encode_rle(MASK), []],
         "dp_x": [50, 128, 200], "dp_y": [64, 100, 180], "dp_I": [1, 12, 24], "dp_U": [0, 0.5, 1],
         "dp_V": [1, 0.25, 0]}
        for number in (1, 2)
    ],
    "categories": [{"id": 1, "name": "person", "keypoints": ["nose", "left_knee"]}],
}  # fmt: skip


def check(content: dict[str, Any]) -> tuple[FileSummary, Findings]:
    findings = Findings()
    return check_annotation_file(content, findings.of("people.json"), quiet=True), findings


def codes(content: dict[str, Any]) -> list[str]:
    return [finding.code for finding in check(content)[1]]


@pytest.fixture
def scene() -> dict[str, Any]:
    return copy.deepcopy(SCENE)


def test_counts_by_hand(scene: dict[str, Any]) -> None:
    summary, findings = check(scene)
    assert list(findings) == []
    assert summary.as_json() == {
        "images": 2, "dense_images": 2, "people": 2, "dense_people": 2, "points": 6, "videos": 1, "tracks": 1,
    }  # fmt: skip


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats(allow_nan=False) | st.just("12"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    max_leaves=5,
)  # fmt: skip
PLACES = [(name, field) for name in ("images", "annotations", "categories") for field in SCENE[name][0]]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from([*PLACES, ("annotations", "dp_ignore")]), junk=JUNK, first=st.booleans())
def test_what_the_reader_refuses_is_an_error(
    tmp_path: Path, place: tuple[str, str], junk: object, first: bool
) -> None:
    content, (name, field) = copy.deepcopy(SCENE), place
    if first and isinstance(content[name][0].get(field), list):
        content[name][0][field][0] = junk  # one entry of the list
    else:
        content[name][0][field] = junk
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    findings = check(json.loads(path.read_text()))[1]
    try:
        read_annotations(path, tmp_path, check_images=False)
    except AnnotationError:
        assert findings.count(Severity.ERROR) > 0
    else:
        beyond_the_reader = {"box-elsewhere", "outline-broken", "track-twice", "point-lengths", "json-lists"}
        errors = {finding.code for finding in findings if finding.severity is Severity.ERROR}
        assert errors <= beyond_the_reader


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        ([10, 20, 64, 32], []),
        ([0, 0, 120, 80], []),
        ([-0.5, 0, 121, 80], []),  # rounding
        ([-30, 20, 64, 32], ["box-outside"]),
        ([90, 20, 64, 32], ["box-outside"]),
        ([130, 20, 64, 32], ["box-elsewhere"]),
        ([10, -40, 64, 32], ["box-elsewhere"]),
    ],
)
def test_boxes_and_their_picture(scene: dict[str, Any], box: list[float], wanted: list[str]) -> None:
    scene["annotations"] = scene["annotations"][:1]
    scene["annotations"][0]["bbox"] = box
    assert [code for code in codes(scene) if code.startswith("box")] == wanted


@pytest.mark.parametrize(
    ("x", "wanted"),
    [(41, []), (36, ["points-near-mask"]), (33, ["points-off-mask"]), (256, ["points-off-mask"])],
)
def test_points_and_their_mask(scene: dict[str, Any], x: float, wanted: list[str]) -> None:
    """The mask begins at column 40; points may stray by 6 px."""
    scene["annotations"][0]["dp_x"][0] = x
    assert codes(scene) == wanted


def test_a_point_at_the_far_corner_of_a_full_mask_is_on_it(scene: dict[str, Any]) -> None:
    person = scene["annotations"][0]
    person["dp_x"][0] = person["dp_y"][0] = 256
    person["dp_masks"] = [encode_rle(np.ones((256, 256), dtype=bool))]
    assert codes(scene) == []


def test_a_keypoint_outside_counts_if_it_is_seen(scene: dict[str, Any]) -> None:
    scene["annotations"][0]["keypoints"] = [20, 30, 2, 500, 500, 0]
    assert codes(scene) == []
    scene["annotations"][0] |= {"keypoints": [20, 30, 2, 500, 500, 1], "num_keypoints": 2}
    assert codes(scene) == ["keypoints-outside"]


def test_two_people_who_share_a_track_jump(scene: dict[str, Any]) -> None:
    scene["annotations"][1]["bbox"] = [110, 70, 10, 10]
    scene["annotations"][0]["bbox"] = [0, 0, 20, 20]
    assert "track-jump" in codes(scene)
    scene["images"][1]["file_name"] = "clip/000005.jpg"  # too far apart to tell
    assert "track-jump" not in codes(scene)


def test_a_track_with_a_gap(scene: dict[str, Any]) -> None:
    scene["images"].append({**scene["images"][0], "id": 3, "file_name": "clip/000002.jpg"})
    scene["annotations"].append({**scene["annotations"][0], "id": 20, "image_id": 3, "track_id": 4})
    summary, findings = check(scene)
    assert [finding.code for finding in findings] == ["track-gap"]
    assert "absent in 1 labelled frames between 0 and 4: 2" in next(iter(findings)).found
    assert summary.tracks == 2


def test_a_labelled_frame_without_people_is_noted(scene: dict[str, Any]) -> None:
    scene["images"].append({**scene["images"][0], "id": 3, "file_name": "clip/000008.jpg"})
    assert codes(scene) == ["frame-empty"]
    scene["images"][2]["has_no_densepose"] = True
    assert codes(scene) == []


def test_the_same_id_twice_in_a_picture_and_in_two(scene: dict[str, Any]) -> None:
    scene["annotations"][1]["id"] = 8
    assert codes(scene) == ["person-id-repeated"]
    scene["annotations"][1] |= {"image_id": 1, "track_id": 4}
    assert codes(scene) == ["person-id-twice", "frame-empty"]


def test_files_without_dense_labels_get_a_warning(scene: dict[str, Any]) -> None:
    for person in scene["annotations"]:
        for field in [name for name in person if name.startswith("dp_")]:
            del person[field]
    assert codes(scene) == ["no-points"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{", "json-broken"),
        ("\xff", "json-broken"),
        ("[]", "not-checked"),
        ('[{"image_id": 1, "uv_data": "", "uv_shape": [3, 1, 1]}]', "not-checked"),
        ('{"a": 1}', "not-checked"),
    ],
)
def test_files_that_are_no_annotation_files(tmp_path: Path, text: str, wanted: str) -> None:
    path, findings = tmp_path / "a.json", Findings()
    path.write_bytes(text.encode("latin-1"))
    assert load_annotations(path, findings.of("a.json")) is None
    assert [finding.code for finding in findings] == [wanted]


def test_parts_alone_and_masks_alone_are_in_order(scene: dict[str, Any]) -> None:
    """What budgets leave."""
    scene["annotations"][0] |= {"dp_U": [None, 0.5, None], "dp_V": [None, 0.25, None]}
    for field in ("dp_x", "dp_y", "dp_I", "dp_U", "dp_V"):
        del scene["annotations"][1][field]
    assert codes(scene) == []
    scene["annotations"][0]["dp_V"][0] = 0.5
    assert codes(scene)[0] == "person-broken"
    scene["annotations"][0] |= {"dp_U": [None, 0.5, None], "dp_V": [None, 0.25, None], "dp_I": [1, 99, 2]}
    assert [code for code in codes(scene) if "range" in code] == ["part-range"]
