"""Whole pictures as samples: who is in them and where, and batches with any number of people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from slimdp.config import AugmentSettings, CropSettings
from slimdp.data import (
    AnnotationError,
    AnnotationSet,
    PictureDataset,
    SampleIndex,
    collate_pictures,
    picture_affine,
)
from slimdp.geometry import apply_affine
from slimdp.structures import IGNORE, ImageRecord, PersonAnnotation
from slimdp.surface.symmetry import UvSymmetry

Make = Callable[..., PersonAnnotation]
SIZE, STRIDE = 64, 2


@pytest.fixture
def annotations(tmp_path: Path, make_person: Make) -> AnnotationSet:
    """Two people with labels and one without, a crowd; a person without labels; nobody."""
    images = []
    for number in (1, 2, 3):
        pixels = np.random.default_rng(number).integers(0, 256, (80, 160, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), pixels)
        images.append(ImageRecord(number, tmp_path / f"{number}.png", f"{number}.png", 160, 80))
    left_half = np.kron([[1, 0]], np.ones((256, 128))).astype(np.uint8)
    outline = np.zeros((80, 160), bool)
    outline[20:60, 70:100] = True
    people = (
        make_person(images[0], [20, 10, 40, 60], 60, id=3, coarse=left_half),
        make_person(images[0], [70, 20, 30, 40], 0, id=4, mask=outline),
        make_person(images[0], [120, 30, 30, 50], 25, id=5),
        make_person(images[0], [0, 0, 30, 30], 9, id=6, crowd=True),
        make_person(images[1], [70, 20, 30, 40], 0, id=7),
    )
    return AnnotationSet(tuple(images), people, tmp_path / "people.json")


def pictures(
    annotations: AnnotationSet, augment: AugmentSettings | None = None, **more: object
) -> PictureDataset:
    crop = CropSettings(size=SIZE, margin=0.4)  # the margin is of crops
    return PictureDataset([annotations], crop, augment, UvSymmetry(), 0, STRIDE, **more)  # type: ignore[arg-type]


def test_pictures_with_labels_count_or_all_of_them(annotations: AnnotationSet) -> None:
    assert pictures(annotations).sizes == (1,)
    everything = pictures(annotations, labelled_only=[False])
    assert everything.sizes == (3,)
    found = [[person.annotation_id for person in everything[i].people] for i in range(3)]
    assert found == [[3, 4, 5], [7], []]
    assert [person.id for person in everything.people_in(0)] == [3, 4, 5]
    bare = AnnotationSet(annotations.images, annotations.people[-1:], annotations.file)
    with pytest.raises(
        AnnotationError, match=r"people\.json: a data set without labels: none of its 1 people"
    ):
        pictures(bare)


def test_the_longer_side_fills_the_square(annotations: AnnotationSet) -> None:
    """160 x 80 px in 64: a scale of 0.4, and 16 px of border above and below."""
    sample = pictures(annotations)[0]
    (x, y), (right, bottom) = apply_affine(sample.crop_from_image, np.array([[-0.5, -0.5], [159.5, 79.5]]))
    assert (x, y, right, bottom) == pytest.approx((-0.5, 15.5, 63.5, 47.5))
    assert np.allclose(sample.crop_from_image, picture_affine(annotations.images[0], SIZE))
    assert (sample.image[:15] == sample.image[0, 0]).all()
    first, _, third = sample.people
    assert first.box.tolist() == pytest.approx([8, 20, 16, 24])
    assert third.box.tolist() == pytest.approx([48, 28, 12, 20])
    assert len(first.points) == 60
    assert np.allclose(first.points, apply_affine(sample.crop_from_image, annotations.people[0].points))


def test_masks_come_from_outlines_or_else_from_coarse_labels(annotations: AnnotationSet) -> None:
    sample = pictures(annotations)[0]
    coarse, drawn, unknown = sample.masks
    # The box is 4..11 by 10..21 of the maps' px; its left half is the person. Other boxes may show anybody.
    assert (coarse[11:21, 4:8] == 1).all()
    assert (coarse[11:21, 9:12] == 0).all()
    assert (drawn[12:20, 14:20] == 1).all()
    assert drawn.sum() == 8 * 6
    assert (unknown[15:23, 25:29] == IGNORE).all()


def test_a_mirrored_picture_has_mirrored_people(annotations: AnnotationSet) -> None:
    still = AugmentSettings(scale=0, rotation_deg=0, shift=0, colour=0)
    dataset, plain = pictures(annotations, still), pictures(annotations)[0]
    turned = next(
        sample
        for number in range(20)
        if (sample := dataset[SampleIndex(number, 0)]).crop_from_image[0, 0] < 0
    )
    assert np.array_equal(turned.image, plain.image[:, ::-1])
    for person, before, mask, mask_before in zip(turned.people, plain.people, turned.masks, plain.masks):
        assert person.box[0] == pytest.approx(SIZE - before.box[0] - before.box[2])
        assert np.allclose(person.points[:, 0], SIZE - 1 - before.points[:, 0])
        differing = np.mean(mask != mask_before[:, ::-1])
        assert differing < 0.03  # a place on the edge of a pixel goes to either side


def test_who_is_moved_out_of_the_picture_is_not_in_it(annotations: AnnotationSet) -> None:
    dataset = pictures(
        annotations, AugmentSettings(scale=1.0, rotation_deg=0, shift=0.5, colour=0, flip=False)
    )
    counts = set()
    for number in range(40):
        sample = dataset[SampleIndex(number, 0)]
        counts.add(len(sample.people))
        for person in sample.people:
            assert (person.box[:2] >= 0).all()
            assert (person.box[:2] + person.box[2:] <= SIZE).all()
            assert (person.box[2:] >= 1).all()
        assert len(sample.masks) == len(sample.people)
    assert len(counts) > 1


def test_a_batch_has_its_people_flat(annotations: AnnotationSet) -> None:
    dataset = pictures(annotations, labelled_only=[False])
    batch = collate_pictures([dataset[2], dataset[0], dataset[1]])
    assert batch.images.shape == (3, 3, SIZE, SIZE)
    assert batch.image_index.tolist() == [1, 1, 1, 2]
    assert batch.annotation_id.tolist() == [3, 4, 5, 7]
    assert batch.instance_index.tolist() == [0] * 60 + [2] * 25
    assert batch.point_image.tolist() == [1] * 85
    assert batch.coarse.shape == (4, SIZE // STRIDE, SIZE // STRIDE)
    assert batch.mask is not None
    assert batch.mask.shape == batch.coarse.shape
    assert batch.stride == STRIDE
    moved = batch.to("cpu")
    assert moved.images.dtype == torch.float32
    assert torch.equal(moved.points, batch.points)


def test_a_batch_of_nobody(annotations: AnnotationSet) -> None:
    dataset = pictures(annotations, labelled_only=[False])
    batch = collate_pictures([dataset[2]]).to("cpu")
    assert batch.box.shape == (0, 4)
    assert batch.points.shape == batch.uv.shape == (0, 2)
    assert batch.coarse.shape == (0, SIZE // STRIDE, SIZE // STRIDE)
    assert batch.stride == STRIDE


def slow_crowd(
    annotations: AnnotationSet, image: ImageRecord, affine: np.ndarray, reach_px: float = 0
) -> np.ndarray:
    """Map px by map px: whether its centre lies in the box of a crowd, or an ignore region of the image.

    Or at most so far from the region.
    """
    side, back = SIZE // STRIDE, np.linalg.inv(np.vstack([affine, [0, 0, 1]]))
    found = np.zeros((side, side), bool)
    for row in range(side):
        for column in range(side):
            centre = [STRIDE * column + (STRIDE - 1) / 2, STRIDE * row + (STRIDE - 1) / 2, 1]
            x, y, _ = back @ centre
            for person in annotations.people:
                if person.crowd and person.image.id == image.id:
                    left, top, width, height = person.box
                    found[row, column] |= -0.5 <= x - left < width - 0.5 and -0.5 <= y - top < height - 0.5
            for region in image.ignore_regions:
                found[row, column] |= (
                    cv2.pointPolygonTest(region.astype(np.float32), (x, y), True) >= -reach_px
                )
    return found


@pytest.mark.parametrize("number", range(4))
def test_crowds_and_ignore_regions_are_where_their_boxes_and_outlines_are(
    annotations: AnnotationSet, number: int
) -> None:
    region = np.array([[90.0, 40], [150, 42], [120, 75]])
    images = tuple(replace(image, ignore_regions=(region,) * (image.id == 2)) for image in annotations.images)
    people = tuple(replace(person, image=images[person.image.id - 1]) for person in annotations.people)
    changed = AnnotationSet(images, people, annotations.file)
    augment = AugmentSettings(scale=0.3, rotation_deg=0, shift=0.1, colour=0)
    dataset = pictures(changed, augment if number else None, labelled_only=[False])
    samples = [dataset[SampleIndex(number, i)] for i in range(3)]
    for sample, image in zip(samples, images):
        wanted = slow_crowd(changed, image, sample.crop_from_image)
        map_px = STRIDE / abs(sample.crop_from_image[0, 0])
        # OpenCV draws what the outline of a polygon touches, too.
        with_edge = slow_crowd(changed, image, sample.crop_from_image, map_px)
        assert (sample.crowd >= wanted).all()
        assert (sample.crowd <= with_edge).all()
        assert wanted.any() == (image.id != 3)
    batch = collate_pictures(samples)
    assert batch.crowd is not None
    assert batch.crowd.shape == (3, SIZE // STRIDE, SIZE // STRIDE)
    assert collate_pictures(samples[2:]).crowd is None
