"""Keypoints by name, and as labels of the body's surface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.config import AugmentSettings, CropSettings
from slimdp.data import (
    AnnotationError,
    AnnotationSet,
    KeypointAnchors,
    PoseDataset,
    SampleIndex,
    collate,
    keypoint_union,
    read_annotations,
    surface_anchors,
)
from slimdp.data.dataset import anchored_points
from slimdp.data.keypoints import arrange_keypoints, mirrored_order, seen_from
from slimdp.geometry import apply_affine
from slimdp.structures import ImageRecord, LabelSource, PersonAnnotation
from slimdp.surface import COCO_KEYPOINTS, POSETRACK_KEYPOINTS, UvSymmetry, load_surface

Make = Callable[..., PersonAnnotation]
CROP = CropSettings(size=64, margin=0.1)
NAMES = ("nose", "left_knee", "right_knee")
ANCHORS = KeypointAnchors(
    ("right_knee", "left_knee", "chin"), np.array([9, 10, 23]), np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
)


@pytest.fixture
def image(tmp_path: Path) -> ImageRecord:
    cv2.imwrite(
        str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    )
    return ImageRecord(1, tmp_path / "a.png", "a.png", 160, 120)


@pytest.fixture
def people(image: ImageRecord, make_person: Make) -> AnnotationSet:
    """Three people: with points and keypoints, with keypoints alone, with none that is labelled."""
    keypoints = np.array([[60.0, 30, 2], [50, 80, 2], [70, 82, 1], [1, 1, 2]])
    names = ("nose", "left_knee", "right_knee", "tail")
    unlabelled = keypoints * [1, 1, 0]
    return AnnotationSet(
        (image,),
        (
            make_person(image, [40, 20, 40, 80], 30, id=3, keypoints=keypoints, keypoint_names=names),
            make_person(image, [40, 20, 40, 80], 0, id=4, keypoints=keypoints[:, :], keypoint_names=names),
            make_person(image, [40, 20, 40, 80], 0, id=5, keypoints=unlabelled, keypoint_names=names),
        ),
        Path("people.json"),
    )


def dataset(people: AnnotationSet, augment: AugmentSettings | None = None, **options: object) -> PoseDataset:
    return PoseDataset(people, CROP, augment, UvSymmetry(), seed=0, **options, stride=4)  # type: ignore[arg-type]


def test_the_union_of_two_data_sets(image: ImageRecord, make_person: Make) -> None:
    def someone(names: tuple[str, ...]) -> PersonAnnotation:
        return make_person(image, [0, 0, 9, 9], keypoints=np.ones((len(names), 3)), keypoint_names=names)

    both = keypoint_union([someone(COCO_KEYPOINTS), someone(POSETRACK_KEYPOINTS)])
    assert both == (*COCO_KEYPOINTS, "head_bottom", "head_top")
    arranged = arrange_keypoints(someone(POSETRACK_KEYPOINTS), both)
    assert arranged.shape == (19, 3)
    assert [both[k] for k in np.flatnonzero(arranged[:, 2] == 0)] == [
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
    ]


def test_keypoints_follow_the_crop_and_keep_their_visibility(people: AnnotationSet) -> None:
    sample = dataset(people, keypoints=NAMES)[0]
    person = people.people[0]
    assert person.keypoints is not None
    np.testing.assert_allclose(
        sample.keypoints[:, :2], apply_affine(sample.crop_from_image, person.keypoints[:3, :2])
    )
    assert sample.keypoints[:, 2].tolist() == [2, 2, 1]
    batch = collate([sample, sample])
    assert batch.keypoints is not None
    assert batch.keypoints.shape == (2, 3, 3)


def test_keypoints_change_sides_in_a_mirrored_crop(people: AnnotationSet) -> None:
    only_flips = AugmentSettings(scale=0, rotation_deg=0, shift=0, flip=True, colour=0)
    samples = [
        dataset(people, only_flips, keypoints=NAMES, anchors=ANCHORS)[SampleIndex(number, 0)]
        for number in range(12)
    ]
    mirrored = [np.linalg.det(sample.crop_from_image[:, :2]) < 0 for sample in samples]
    plain, other = samples[mirrored.index(False)], samples[mirrored.index(True)]
    wanted = plain.keypoints[[0, 2, 1]] * [-1, 1, 1] + [63, 0, 0]
    np.testing.assert_allclose(other.keypoints, wanted, atol=1e-9)
    # The left knee is the one that is seen: in the mirror it is a right one.
    assert plain.part[plain.source == LabelSource.KEYPOINT].tolist() == [10]
    assert other.part[other.source == LabelSource.KEYPOINT].tolist() == [9]


def test_seen_keypoints_become_points_of_the_surface(people: AnnotationSet) -> None:
    sample = dataset(people, anchors=ANCHORS)[0]
    assert sample.source.tolist() == [0] * 30 + [2]
    assert sample.part[-1] == 10
    np.testing.assert_allclose(sample.uv[-1], [0.3, 0.4])
    np.testing.assert_allclose(
        sample.points[-1], apply_affine(sample.crop_from_image, np.array([[50, 80]]))[0]
    )
    assert sample.keypoints.shape == (0, 3)


def test_hidden_ones_count_where_a_set_does_not_tell_them_apart(people: AnnotationSet) -> None:
    person = people.people[0]
    assert person.keypoints is not None
    assert seen_from(people.people) == 2
    ones = person.keypoints.copy()
    ones[:, 2] = 1
    person = PersonAnnotation(**{**person.__dict__, "keypoints": ones})
    assert seen_from([person]) == 1
    assert anchored_points(person, ANCHORS, 1).part.tolist() == [9, 10]
    assert anchored_points(person, ANCHORS, 2).part.tolist() == []


def test_patches_hide_keypoints(people: AnnotationSet) -> None:
    hiding = AugmentSettings(scale=0, rotation_deg=0, shift=0, flip=False, colour=0, occlusion=1)
    samples = [
        dataset(people, hiding, keypoints=NAMES, anchors=ANCHORS)[SampleIndex(number, 0)]
        for number in range(60)
    ]
    knee = np.array([sample.keypoints[1, 2] for sample in samples])
    anchored = np.array([(sample.source == LabelSource.KEYPOINT).any() for sample in samples])
    assert {1, 2} == set(knee)
    np.testing.assert_array_equal(anchored, knee == 2)
    assert min(len(sample.points) for sample in samples) < 25


def test_keypoints_alone_make_a_sample_if_they_are_asked_for(people: AnnotationSet) -> None:
    assert [
        len(dataset(people, **options)) for options in ({}, {"keypoints": NAMES}, {"anchors": ANCHORS})
    ] == [1, 2, 2]
    assert len(dataset(people, labelled_only=False)) == 3
    bare = AnnotationSet(people.images, people.people[2:], people.file)
    with pytest.raises(
        AnnotationError, match=r"people\.json: .* without labels: .* any of the keypoints asked for"
    ):
        dataset(bare, keypoints=NAMES)


def test_names_that_nobody_has(people: AnnotationSet) -> None:
    with pytest.raises(AnnotationError, match=r"'elbow'; there are: nose, left_knee, right_knee, tail"):
        dataset(people, keypoints=("nose", "elbow"))
    nameless = AnnotationSet(people.images, people.people[:0], people.file)
    with pytest.raises(AnnotationError, match=r"there are: none that its category names"):
        dataset(nameless, keypoints=("nose",))


def test_one_side_alone_cannot_be_mirrored(people: AnnotationSet) -> None:
    assert mirrored_order(NAMES).tolist() == [0, 2, 1]
    with pytest.raises(ValueError, match=r"'left_knee' without 'right_knee'; mirrored crops need both"):
        dataset(people, AugmentSettings(), keypoints=("nose", "left_knee"))
    dataset(people, AugmentSettings(flip=False), keypoints=("nose", "left_knee"))


def test_anchors_of_the_open_body() -> None:
    surface = load_surface("open")
    anchors = surface_anchors(surface, COCO_KEYPOINTS)
    place = dict(zip(anchors.names, surface.positions(*surface.locate(anchors.part, anchors.uv))))
    assert place["nose"][1] > place["left_hip"][1] > place["left_knee"][1] > place["left_ankle"][1]
    np.testing.assert_allclose(place["left_knee"] * [-1, 1, 1], place["right_knee"], atol=0.01)
    assert set(surface_anchors(surface).names) == set(surface.keypoints)
    with pytest.raises(ValueError, match="no keypoint 'tail'"):
        surface_anchors(surface, ["tail"])


def test_real_keypoints(samples: Path) -> None:
    coco = read_annotations(samples / "coco" / "keypoints.json", samples / "coco")
    people = PoseDataset(
        coco, CropSettings(size=256), None, UvSymmetry(), seed=0,
        keypoints=COCO_KEYPOINTS, anchors=surface_anchors(load_surface("open")), stride=4,
    )  # fmt: skip
    assert len(people) == 3
    skier = people[0]
    assert (skier.keypoints[:, 2] == 2).all()
    assert len(skier.points) == 17
