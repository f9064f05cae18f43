import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

from slimdp.surface import COCO_KEYPOINTS, PEOPLE, POSETRACK_KEYPOINTS, Part, PartLayout
from slimdp.surface.layout import layout_from_json

LEFT, RIGHT = Part("left", "all", "right", 0.1), Part("right", "all", "left")
TWO = PartLayout("box", (LEFT, RIGHT), ("all",), ("nose",))


def test_people_are_as_densepose_cuts_them() -> None:
    assert (len(PEOPLE.parts), len(PEOPLE.coarse_parts)) == (24, 14)
    assert PEOPLE.flip_part.tolist() == [
        0, 1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23,
    ]  # fmt: skip
    assert PEOPLE.flip_coarse.tolist() == [0, 1, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 14]
    assert PEOPLE.coarse_of_part.tolist() == [
        0, 1, 1, 2, 3, 4, 5, 6, 7, 6, 7, 8, 9, 8, 9, 10, 11, 10, 11, 12, 13, 12, 13, 14, 14,
    ]  # fmt: skip
    for name, mirrored in zip(PEOPLE.part_names, np.array(PEOPLE.part_names)[PEOPLE.flip_part]):
        assert mirrored == name.replace("left", "L").replace("right", "left").replace("L", "right")
    assert set(PEOPLE.keypoints) == {*COCO_KEYPOINTS, *POSETRACK_KEYPOINTS}


@pytest.mark.parametrize("layout", [PEOPLE, TWO])
def test_a_layout_survives_json_and_pickle(layout: PartLayout) -> None:
    for copy in (layout_from_json(layout.as_json()), pickle.loads(pickle.dumps(layout))):
        assert copy == layout
        assert hash(copy) == hash(layout)
        np.testing.assert_array_equal(copy.kappa_m, layout.kappa_m)


def test_a_small_layout() -> None:
    assert TWO.part_names == ("background", "left", "right")
    assert TWO.flip_part.tolist() == [0, 2, 1]
    assert TWO.flip_coarse.tolist() == [0, 1]
    np.testing.assert_array_equal(TWO.kappa_m, [np.nan, 0.1, 0.255])


def test_labels_of_other_parts_are_refused() -> None:
    TWO.check_same_labels(dataclasses.replace(TWO, keypoints=()), "a", "b")  # the numbers mean the same
    with pytest.raises(ValueError, match=r"a speaks of 2 parts in 1 .*left, right.* but b of 24 parts in 14"):
        TWO.check_same_labels(PEOPLE, "a", "b")


def test_without_left_and_right() -> None:
    layout = PartLayout("ball", (Part("all", "all"),), ("all",))
    with pytest.raises(ValueError, match="ball: no left and right is known; train and predict without flips"):
        _ = layout.flip_part


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": []}, "0 parts, but 1..254"),
        ({"parts": [{"name": "left", "coarse_part": "all"}] * 2}, "part 'left': a name of its own"),
        ({"parts": [{"name": "", "coarse_part": "all"}]}, "part '': a name of its own"),
        ({"parts": [{"name": "a", "coarse_part": "some"}]}, "part 'a': no coarse part 'some'"),
        ({"parts": [{"name": "a", "coarse_part": "all", "kappa_m": 0.0}]}, "kappa_m = 0, but more than 0"),
        ({"parts": [{"name": "a", "coarse_part": "all", "mirror": "b"}]}, "part 'a': 'b' has another"),
        ({"parts": [{"name": "a", "coarse_part": "all", "colour": 1}]}, r"parts.0.colour: Unexpected"),
        ({"parts": [{"name": 1, "coarse_part": "all"}]}, r"parts.0.name: .* string"),
        ({"coarse_parts": ["all", "none"]}, "coarse part 'none' has no part"),
        ({"keypoints": ["a", "a"]}, "keypoint 'a': a name of its own"),
        ({"category": ""}, "category ''"),
        ({"more": 1}, "more: Unexpected"),
    ],
)
def test_what_is_no_layout_is_told(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layout_from_json(TWO.as_json() | change)


def test_parts_of_one_coarse_part_mirrored_into_two() -> None:
    parts = tuple(Part(a, c, b) for a, c, b in (("a", "x", "b"), ("b", "y", "a"), ("c", "x", "c")))
    with pytest.raises(ValueError, match="parts of one coarse part have mirror images in several"):
        PartLayout("box", parts, ("x", "y"))
