"""Reading DensePose-COCO and PoseTrack files."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slimdp.data import AnnotationError, read_annotations
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
    ({"bbox": [0, 0, -1, 5]}, r"bbox: a width and height of -1 x 5"),
    ({"bbox": [0, 0, 1e9, 5]}, r"bbox: entry 2 is 1e\+09 px, but at most 1,000,000 px"),
    ({"bbox": [0, 0, 1e308, 1e308]}, r"bbox: entry 2 is 1e\+308 px"),
    ({"bbox": [0, 0, "5", 5]}, r"bbox: not a flat list of numbers: entry 2 is '5'"),
    ({"bbox": [0, 0, 10**400, 5]}, r"bbox: a number beyond all floats"),
    ({"bbox": [0, 0, True, 5]}, r"bbox: not a flat list of numbers: entry 2 is True"),
    ({"track_id": 2**63}, r"track_id: 9223372036854775808, but a whole number below 2\*\*63"),
    ({"area": float("nan")}, r"area: entry 0 is nan"),
    ({"area": -1}, r"area: -1, but 0 px or more"),
    ({"area": "12"}, r"area: not a flat list of numbers"),
    ({"iscrowd": "0"}, r"iscrowd: '0', but 0, 1, false or true is wanted"),
    ({"iscrowd": 2}, r"iscrowd: 2, but 0, 1"),
    ({"keypoints": [1e9, 2, 2, 0, 0, 0]}, r"keypoints: entry 0 is 1e\+09 px"),
    ({"dp_masks": [{"size": [256, 256], "counts": [0] * 65537 + [65536]}]}, r"dp_masks\[0\]: .*65538 runs"),
    ({"dp_masks": [[], {"size": [256, 256], "counts": [65537]}]}, r"dp_masks\[1\]: .*fill 65537 pixels"),
    ({"dp_masks": [{"size": 256, "counts": "a"}]}, r"dp_masks\[0\]: a run-length mask of size 256"),
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
    ({"height": None, "file_name": "b.jpg"}, r"width, height: missing, and the picture cannot tell them"),
    ({"height": 2**16, "width": 2**16}, r"width, height: 65536 x 65536, but at most"),
    ({"file_name": "a\0.jpg"}, r"file_name: .*signs that no name of a file has"),
    ({"file_name": "\ud800.jpg"}, r"file_name: .*signs that no name of a file has"),
    ({"is_labeled": "0"}, r"is_labeled: '0', but 0, 1"),
    ({"has_no_densepose": "false"}, r"has_no_densepose: 'false', but 0, 1"),
    ({"has_no_densepose": []}, r"has_no_densepose: \[\], but 0, 1"),
    (
        {"ignore_regions_x": [[0, 1e9, 3]], "ignore_regions_y": [[0, 0, 3]]},
        r"ignore_regions_x: entry 1 is 1e\+09",
    ),
    ({"ignore_regions_x": [[0, 1e6] * 9], "ignore_regions_y": [[0, 0] * 9]}, r"ignore_regions_x, .* px long"),
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
    image = path.parent / "a.jpg"
    image.write_bytes(image.read_bytes()[:-200])
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


def test_flags_are_numbers_or_booleans(scene: dict[str, Any], save: Save) -> None:
    for value, crowd in ((0, False), (False, False), (None, False), (1, True), (True, True), (1.0, True)):
        scene["annotations"][0]["iscrowd"] = value
        assert read(save(scene)).people[0].crowd is crowd
    for value, labelled in ((0, False), (None, True), (1, True)):
        scene["images"][0]["is_labeled"] = value
        assert read(save(scene)).images[0].labelled is labelled


def test_a_person_without_extent_is_left_out_and_said(
    scene: dict[str, Any], save: Save, caplog: pytest.LogCaptureFixture
) -> None:
    good = scene["annotations"][0]
    for identity, box in ((8, [10, 20, 64, 0]), (9, [3, 4, 0, 0]), (10, [500, 20, 64, 32])):
        scene["annotations"].append({**good, "id": identity, "bbox": box})
    # Off the picture is not without extent: evaluators count such people.
    assert [person.id for person in read(save(scene)).people] == [7, 10]
    assert "people.json: 2 of 4 people left out, for their boxes have no width or height" in caplog.text
    assert "annotation 8 of image 1, annotation 9 of image 1" in caplog.text


def test_missing_sizes_are_those_of_the_pictures(scene: dict[str, Any], save: Save, tmp_path: Path) -> None:
    """PoseTrack's own files have none."""
    del scene["images"][0]["width"], scene["images"][0]["height"]
    assert [(image.width, image.height) for image in read(save(scene)).images] == [(120, 80)]
    (tmp_path / "annotations").mkdir()
    path = save(scene).rename(tmp_path / "annotations" / "people.json")
    # Whoever looks at no picture finds them around the file.
    found = read_annotations(path, "", check_images=False)
    assert [(image.width, image.height) for image in found.images] == [(120, 80)]


@pytest.mark.parametrize(
    ("categories", "people"),
    [
        ([{"id": 1, "name": "Person"}, {"id": 2, "name": "dog"}], [7]),
        ([{"id": 1, "name": " pedestrian"}, {"id": 2, "name": "car"}], [7]),
        ([{"id": 1, "name": "woman", "supercategory": "person"}, {"id": 2, "name": "dog"}], [7]),
        (None, [7, 8]),
        ([{"id": 1, "name": "face", "supercategory": "person"}, {"id": 2, "name": "person"}], [8]),
        ([], [7, 8]),
    ],
)
def test_who_is_a_person(
    scene: dict[str, Any], save: Save, categories: list[dict[str, Any]] | None, people: list[int]
) -> None:
    scene["categories"] = categories
    scene["annotations"].append({**scene["annotations"][0], "id": 8, "category_id": 2})
    assert [person.id for person in read(save(scene)).people] == people


@pytest.mark.parametrize("said", [{}, {"category_id": None}, {"category_id": 4}])
def test_the_only_category_is_that_of_who_does_not_say(
    scene: dict[str, Any], save: Save, said: dict[str, Any]
) -> None:
    scene["categories"] = [{"id": 4, "name": "skier", "keypoints": ["nose"]}]
    del scene["annotations"][0]["category_id"]
    scene["annotations"][0] |= {**said, "keypoints": [20, 30, 2]}
    person = read(save(scene)).people[0]
    assert len(person.points) == len(scene["annotations"][0]["dp_x"])
    assert person.keypoints is not None  # which are named by the category


@pytest.mark.parametrize(
    ("categories", "category", "message"),
    [
        ([1], 2, r"annotation 7 .*: category_id: 2 is none of the ids of `categories` \(1\); correct it"),
        ([1, 4], 0, r"annotation 7 .*: category_id: 0 is none of the ids of `categories` \(1, 4\)"),
        ([1, 4], None, r"annotation 7 .*: category_id: missing, but `categories` lists several \(1, 4\)"),
    ],
)
def test_categories_that_are_not_listed_are_refused(
    scene: dict[str, Any], save: Save, categories: list[int], category: int | None, message: str
) -> None:
    scene["categories"] = [{"id": identity, "name": "person"} for identity in categories]
    scene["annotations"][0]["category_id"] = category
    with pytest.raises(AnnotationError, match=message):
        read(save(scene))


def test_negative_categories_are_counted_and_passed_over(
    scene: dict[str, Any], save: Save, caplog: pytest.LogCaptureFixture
) -> None:
    scene["categories"] = [{"id": 1, "name": "pedestrian"}]
    scene["annotations"].append({**scene["annotations"][0], "id": 8, "category_id": -1})
    assert [person.id for person in read(save(scene)).people] == [7]
    assert "1 annotation of a negative category_id passed over" in caplog.text


def test_several_categories_without_people_are_refused(scene: dict[str, Any], save: Save) -> None:
    scene["categories"] = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    with pytest.raises(AnnotationError, match=r"categories: none of the 2 .*'cat', 'dog'"):
        read(save(scene))


def test_frames_are_numbered_video_by_video(scene: dict[str, Any], save: Save) -> None:
    first = scene["images"][0]
    names = {"a": ["a_1.jpg", "a_3.jpg"], "b": ["7_x_1080.jpg", "9_x_1080.jpg"]}
    scene["images"] = [
        {**first, "id": 10 * video + place, "vid_id": key, "file_name": name}
        for video, (key, shown) in enumerate(names.items())
        for place, name in enumerate(shown)
    ]
    scene["annotations"] = []
    assert [image.frame for image in read(save(scene), check_images=False).images] == [1, 3, 7, 9]
    scene["images"][1]["frame_id"] = scene["images"][0]["frame_id"] = 4
    with pytest.raises(AnnotationError, match=r"image 1: frame_id: .* a_3\.jpg, and a_1\.jpg too.*'a'"):
        read(save(scene), check_images=False)
