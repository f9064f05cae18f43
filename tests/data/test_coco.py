"""Reading DensePose-COCO and PoseTrack files."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slimdp.data import AnnotationError, read_annotations
from slimdp.data.coco import frame_number
from slimdp.data.rle import encode_rle
from slimdp.structures import IGNORE

Save = Callable[[dict[str, Any]], Path]


def read(path: Path, **options: bool) -> Any:
    return read_annotations(path, path.parent, **options)


def test_points_by_hand(scene: dict[str, Any], save: Save) -> None:
    person = read(save(scene)).people[0]
    np.testing.assert_allclose(person.points, [[10, 20], [42, 28], [74, 52]])
    assert person.part.tolist() == [1, 12, 24]
    np.testing.assert_allclose(person.uv, [[0, 1], [0.5, 0.25], [1, 0]])
    assert person.uv.dtype == np.float32
    assert person.source.tolist() == person.step.tolist() == [0, 0, 0]
    assert (person.track, person.coarse, person.keypoints, person.mask) == (None, None, None, None)


def test_people_without_points_are_kept(scene: dict[str, Any], save: Save) -> None:
    scene["annotations"] = [{"id": 7, "image_id": 1, "bbox": [0, 0, 5, 5], "category_id": 1}]
    person = read(save(scene)).people[0]
    assert person.points.shape == (0, 2)
    assert person.uv.shape == (0, 2)


def test_later_masks_cover_earlier_ones(scene: dict[str, Any], save: Save) -> None:
    low, high = np.zeros((2, 256, 256), dtype=bool)
    low[:100], high[50:150] = True, True
    scene["annotations"][0]["dp_masks"] = [encode_rle(low), [], encode_rle(high)]
    coarse = read(save(scene)).people[0].coarse
    assert coarse[[0, 49, 50, 149, 150], 7].tolist() == [1, 1, 3, 3, 0]


def test_a_single_mask_knows_the_background_alone(scene: dict[str, Any], save: Save) -> None:
    mask = np.eye(256, dtype=bool)
    scene["annotations"][0]["dp_masks"] = encode_rle(mask)
    coarse = read(save(scene)).people[0].coarse
    np.testing.assert_array_equal(coarse, np.where(mask, IGNORE, 0))


def test_posetrack_fields(scene: dict[str, Any], save: Save) -> None:
    scene["images"][0] |= {
        "vid_id": "012834",
        "is_labeled": True,
        "has_no_densepose": False,  # there and false: the frame has labels
        "ignore_regions_x": [[0, 5, 5], [1, 2]],
        "ignore_regions_y": [[0, 0, 5], [1, 2]],
    }
    scene["annotations"][0] |= {"track_id": 3, "keypoints": [1, 2, 1, 0, 0, 0], "segmentation": []}
    found = read(save(scene), read_masks=True)
    image, person = found.images[0], found.people[0]
    assert (image.video, image.frame, image.labelled) == ("012834", None, True)
    assert [region.tolist() for region in image.ignore_regions] == [[[0, 0], [5, 0], [5, 5]]]
    assert (person.track, person.mask) == (3, None)
    assert person.keypoint_names == ("nose", "left_knee")
    np.testing.assert_array_equal(person.keypoints, [[1, 2, 1], [0, 0, 0]])
    scene["images"][0]["has_no_densepose"] = True
    assert not read(save(scene)).images[0].labelled


def test_one_flat_ignore_region(scene: dict[str, Any], save: Save) -> None:
    scene["images"][0] |= {"ignore_regions_x": [0, 5, 5], "ignore_regions_y": [0, 0, 5]}
    assert [len(region) for region in read(save(scene)).images[0].ignore_regions] == [3]


def test_masks_only_when_asked_for(scene: dict[str, Any], save: Save) -> None:
    scene["annotations"][0]["segmentation"] = [[1, 1, 2, 2], [10, 20, 14, 20, 14, 23, 10, 23]]
    assert read(save(scene)).people[0].mask is None
    mask = read(save(scene), read_masks=True).people[0].mask
    assert mask.shape == (80, 120)
    assert mask.sum() == 12


def test_ids_may_repeat_between_images_but_not_in_one(scene: dict[str, Any], save: Save) -> None:
    scene["images"].append({**scene["images"][0], "id": 2})
    scene["annotations"].append({**scene["annotations"][0], "image_id": 2})
    assert [person.id for person in read(save(scene)).people] == [7, 7]
    scene["annotations"].append(scene["annotations"][0])
    with pytest.raises(AnnotationError, match="annotation 7 of image 1: id: 7 is used twice"):
        read(save(scene))


def test_other_categories_are_left_out(scene: dict[str, Any], save: Save) -> None:
    scene["categories"].append({"id": 2, "name": "bicycle"})
    scene["annotations"].append({**scene["annotations"][0], "id": 8, "category_id": 2})
    assert [person.id for person in read(save(scene)).people] == [7]


BAD_ANNOTATIONS = [
    ({"dp_x": [0, 300, 1]}, r"dp_x: entry 1 is 300, outside 0\.\.256"),
    ({"dp_y": [-1, 0, 1]}, r"dp_y: entry 0 is -1"),
    ({"dp_I": [1, 25, 2]}, r"dp_I: entry 1 is 25, outside 1\.\.24"),
    ({"dp_I": [0, 2, 2]}, r"dp_I: entry 0 is 0"),
    ({"dp_I": [1, 2.5, 2]}, r"dp_I: entry 1 is 2\.5, but a whole number"),
    ({"dp_U": [0, 1.2, 0]}, r"dp_U: entry 1 is 1\.2, outside 0\.\.1"),
    ({"dp_V": [0, float("nan"), 0]}, r"dp_V: entry 1 is nan"),
    ({"dp_V": [0, 1]}, r"dp_V: 2 numbers, but 3 are wanted"),
    ({"dp_V": None}, r"dp_V: missing"),
    ({"dp_U": ["0", "1", "1"]}, r"dp_U: not a flat list of numbers"),
    ({"dp_U": [[0], [1, 2], 3]}, r"dp_U: not a flat list of numbers"),
    ({"dp_U": 3}, r"dp_U: a int"),
    ({"dp_source": [0, 1, 9]}, r"dp_source: entry 2 is 9"),
    ({"dp_confidence": [0, 1, 1.5]}, r"dp_confidence: entry 2 is 1\.5, outside 0\.\.1"),
    ({"dp_confidence": [0.5]}, r"dp_confidence: 1 numbers, but 3 are wanted"),
    ({"bbox": [0, 0, 0, 5]}, r"bbox: a width and height of 0 x 5"),
    ({"bbox": [0, 0, 5]}, r"bbox: 3 numbers"),
    ({"bbox": None}, r"bbox: missing"),
    ({"dp_masks": [{"size": [256, 255], "counts": "a"}]}, r"dp_masks\[0\]: a run-length mask of size"),
    ({"dp_masks": [{"size": [256, 256], "counts": ""}]}, r"dp_masks\[0\]: .*empty"),
    ({"dp_masks": [[]] * 15}, r"dp_masks: a list of at most 14"),
    ({"dp_masks": ["x"]}, r"dp_masks\[0\]: a str"),
    ({"keypoints": [1, 2, 2]}, r"keypoints: 3 numbers, but 3 x 2"),
    ({"keypoints": [1, 2, 7, 1, 2, 2]}, r"keypoints: a visibility"),
    ({"image_id": 5}, r"image_id: 5 is none of the ids"),
    ({"track_id": 1.5}, r"track_id: 1\.5, but a whole number"),
]


@pytest.mark.parametrize(("change", "message"), BAD_ANNOTATIONS)
def test_bad_annotation_names_file_id_and_field(
    scene: dict[str, Any], save: Save, change: dict[str, Any], message: str
) -> None:
    scene["annotations"][0] |= change
    with pytest.raises(AnnotationError, match=r"people\.json: annotation 7 of image \d: " + message):
        read(save(scene))


BAD_IMAGES = [
    ({"file_name": "b.jpg"}, r"file_name: .*b\.jpg: no such image file"),
    ({"width": 121}, r"width, height: 121 x 80, but .*a\.jpg has 120 x 80"),
    ({"height": None}, r"height: missing"),
    ({"ignore_regions_x": [[1, 2, 3]]}, r"ignore_regions_x, ignore_regions_y: different"),
]


@pytest.mark.parametrize(("change", "message"), BAD_IMAGES)
def test_bad_image_names_file_id_and_field(
    scene: dict[str, Any], save: Save, change: dict[str, Any], message: str
) -> None:
    scene["images"][0] |= change
    with pytest.raises(AnnotationError, match=r"people\.json: image 1: " + message):
        read(save(scene))


def test_truncated_picture_is_found_before_training(scene: dict[str, Any], save: Save) -> None:
    path = save(scene)
    picture = path.parent / "a.jpg"
    picture.write_bytes(picture.read_bytes()[:-200])
    with pytest.raises(AnnotationError, match=r"image 1: file_name: .*a\.jpg is cut off"):
        read(path)
    assert len(read(path, check_images=False).people) == 1


def test_rounding_is_no_error(scene: dict[str, Any], save: Save) -> None:
    scene["annotations"][0]["dp_U"] = [-1e-5, 0.5, 1 + 1e-5]
    assert read(save(scene)).people[0].uv[:, 0].tolist() == [0, 0.5, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [],\n "annotations": [1,}', "line 2, column 20: malformed JSON"),
        ("", "line 1, column 1: malformed JSON"),
        ("[]", "a JSON list at the top"),
        ("{}", "images: missing"),
        ('{"images": [3], "annotations": []}', r"images\[0\]: no object"),
        ('{"images": [{"id": "1"}]}', "file_name: missing"),
    ],
)
def test_malformed_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "people.json"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=r"people\.json: .*" + message):
        read(path)


def test_no_file_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="no such annotation file"):
        read(tmp_path / "people.json")
    (tmp_path / "people.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AnnotationError, match=r"people\.json: .*not a text file in UTF-16"):
        read(tmp_path / "people.json")
    with pytest.raises(AnnotationError, match="a folder, but a file is wanted"):
        read(tmp_path)


def test_repeated_image_id(scene: dict[str, Any], save: Save) -> None:
    scene["images"].append(copy.deepcopy(scene["images"][0]))
    with pytest.raises(AnnotationError, match=r"image 1: id: 1 is also the id of a\.jpg"):
        read(save(scene))


@pytest.mark.parametrize(
    ("name", "number"),
    [("v/000005.jpg", 5), ("bonn_01/00000012.jpg", 12), ("img_7_left.png", 7), ("a.jpg", None)],
)
def test_frame_number(name: str, number: int | None) -> None:
    assert frame_number(name) == number


def test_real_densepose_points_on_the_right_places(samples: Path) -> None:
    found = read_annotations(samples / "densepose" / "one_person.json", samples / "densepose")
    person = found.people[0]
    assert len(person.points) == 125
    # Measured in the picture: the head is at the upper left, the left hand at the right edge, thighs below.
    head = person.points[person.part >= 23]
    assert head[:, 0].max() < 85
    assert head[:, 1].max() < 100
    left_hand = person.points[person.part == 4]
    assert left_hand[:, 0].min() > 285
    assert left_hand[:, 1].max() < 80
    assert person.points[person.part == 9][:, 1].min() > 250


def test_real_posetrack18(samples: Path) -> None:
    folder = samples / "posetrack18"
    found = read_annotations(folder / "annotations" / "test_posetrack18_val.json", folder)
    assert [image.video for image in found.images] == ["012834", "009473", "003418"]
    assert [image.frame for image in found.images] == [0, 0, 0]
    assert [len(image.ignore_regions) for image in found.images] == [4, 2, 9]
    assert not any(image.labelled for image in found.images)  # has_no_densepose
    assert len(found.people) == 14
    assert [person.track for person in found.people[:11]] == list(range(11))
    assert found.people[0].keypoint_names[1] == "head_bottom"


def test_real_coco_masks_are_inside_their_boxes(samples: Path) -> None:
    found = read_annotations(samples / "coco" / "keypoints.json", samples / "coco", read_masks=True)
    assert len(found.people) == 4
    for person in found.people:
        assert person.mask is not None
        y, x = np.nonzero(person.mask)
        assert x.min() >= person.box[0] - 1
        assert x.max() <= person.box[0] + person.box[2] + 1
        assert y.min() >= person.box[1] - 1
        assert y.max() <= person.box[1] + person.box[3] + 1
