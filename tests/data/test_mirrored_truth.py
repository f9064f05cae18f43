"""Mirrored crops of rendered people: what is true of them is what is true of a mirrored photograph."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from flow_cache.images import read_image
from slimdp.config import AugmentSettings, CropSettings
from slimdp.data import (
    AnnotationSet,
    PoseDataset,
    PoseSample,
    SampleIndex,
    flip_labels,
    read_annotations,
    surface_anchors,
)
from slimdp.structures import IGNORE, ImageRecord, LabelSource, PersonAnnotation
from slimdp.surface import COCO_KEYPOINTS, PEOPLE, BodySurface, load_surface
from slimdp.synthetic.dataset import synthesize
from tests.small_sets import small_plan

CROP = CropSettings(size=128, margin=0.2)
ONLY_FLIPS = AugmentSettings(scale=0, rotation_deg=0, shift=0, flip=True, colour=0)
OTHER_SIDE = {"left": "right", "right": "left"}


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    return load_surface("open")


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory, surface: BodySurface) -> AnnotationSet:
    folder = tmp_path_factory.mktemp("stills") / "set"
    synthesize(
        folder,
        small_plan(stills=2, frames=1, size=128),
        seed=3,
        processes=1,
        quiet=True,
    )
    return read_annotations(folder / "stills_train.json", folder)


def mirrored_place(surface: BodySurface, part: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Where the mirror images of body points lie in space: (N, 3) metres; x points to the person's left."""
    return surface.positions(*surface.locate(part, uv)) * [-1, 1, 1]


def mirror_person(person: PersonAnnotation, image: ImageRecord, surface: BodySurface) -> PersonAnnotation:
    """A person as annotators of the mirrored photograph see it; part and (u, v) by the body's symmetry."""
    x, y, width, height = person.box
    points = person.points * [-1, 1] + [image.width - 1, 0]
    part, uv = surface.symmetry.flip(person.part, person.uv)
    assert person.coarse is not None
    assert person.keypoints is not None
    # Column i of a mask lies at box px i w / 256. Mirrored it is at w - 1 - i w / 256: read the nearest.
    columns = np.floor(256 * (width - 1) / width - np.arange(256) + 0.5).clip(0, 255).astype(int)
    coarse = person.coarse[:, columns]
    keypoints = person.keypoints.copy()
    keypoints[:, 0] = np.where(keypoints[:, 2] > 0, image.width - 1 - keypoints[:, 0], 0)
    names = tuple(
        "_".join(OTHER_SIDE.get(word, word) for word in name.split("_")) for name in person.keypoint_names
    )
    assert (coarse != IGNORE).all()
    return replace(
        person, image=image, box=np.array([image.width - x - width, y, width, height]), points=points,
        part=part, uv=uv, coarse=PEOPLE.flip_coarse[coarse].astype(np.uint8),
        keypoints=keypoints, keypoint_names=names,
    )  # fmt: skip


@pytest.fixture(scope="module")
def mirrored(
    stills: AnnotationSet, surface: BodySurface, tmp_path_factory: pytest.TempPathFactory
) -> AnnotationSet:
    """The same people on mirrored pictures."""
    folder = tmp_path_factory.mktemp("mirrored")
    images = {}
    for image in stills.images:
        file = folder / f"{image.id}.png"
        cv2.imwrite(str(file), np.ascontiguousarray(read_image(image.file)[:, ::-1, ::-1]))
        images[image.id] = replace(image, file=file, file_name=file.name)
    people = [mirror_person(person, images[person.image.id], surface) for person in stills.people]
    return AnnotationSet(tuple(images.values()), tuple(people))


def test_flipped_labels_name_the_mirrored_body_points(stills: AnnotationSet, surface: BodySurface) -> None:
    for person in stills.people:
        part, uv = surface.symmetry.flip(person.part, person.uv)
        found = surface.positions(*surface.locate(part, uv))
        off_m = np.linalg.norm(found - mirrored_place(surface, person.part, person.uv), axis=1)
        assert len(off_m) > 50
        assert np.median(off_m) < 0.002
        assert off_m.max() < 0.02


def test_flipping_twice_is_nothing(stills: AnnotationSet, surface: BodySurface) -> None:
    for person in stills.people:
        assert person.coarse is not None
        once = flip_labels(person.part, person.uv, person.coarse, surface.symmetry)
        part, uv, coarse = flip_labels(*once, surface.symmetry)
        assert (once[0] != person.part).any()
        np.testing.assert_array_equal(part, person.part)
        np.testing.assert_allclose(uv, person.uv, atol=1e-6)
        np.testing.assert_array_equal(coarse, person.coarse)


def samples(people: AnnotationSet, surface: BodySurface, flip: bool) -> list[PoseSample]:
    """Everybody's crop: as it is, or the first draw that mirrors it."""
    dataset = PoseDataset(
        people, CROP, ONLY_FLIPS if flip else None, surface.symmetry, seed=0,
        keypoints=COCO_KEYPOINTS, anchors=surface_anchors(surface), stride=4,
    )  # fmt: skip
    chosen = []
    for index in range(len(dataset)):
        draws = (dataset[SampleIndex(number, index)] for number in range(64))
        chosen.append(next(s for s in draws if (np.linalg.det(s.crop_from_image[:, :2]) < 0) == flip))
    return chosen


def test_a_flipped_crop_is_a_crop_of_the_mirrored_photograph(
    stills: AnnotationSet, mirrored: AnnotationSet, surface: BodySurface
) -> None:
    pairs = list(zip(samples(stills, surface, flip=True), samples(mirrored, surface, flip=False)))
    assert len(pairs) == len(stills.people) > 1
    for flipped, truth in pairs:
        assert np.abs(flipped.image.astype(int) - truth.image).mean() < 0.5
        # Points of keypoints come in the order of their names, which change sides.
        here, there = (np.lexsort([*s.points.T.round(6), s.source]) for s in (flipped, truth))
        np.testing.assert_allclose(flipped.points[here], truth.points[there], atol=1e-9)
        np.testing.assert_array_equal(flipped.source[here], truth.source[there])
        clicked = flipped.source[here] != LabelSource.KEYPOINT
        np.testing.assert_array_equal(flipped.part[here][clicked], truth.part[there][clicked])
        np.testing.assert_allclose(flipped.uv[here][clicked], truth.uv[there][clicked], atol=1e-6)
        # The nose lies on the seam between the halves of the head: its mirror image is named in the other.
        places = (surface.locate(s.part[rows], s.uv[rows]) for s, rows in ((flipped, here), (truth, there)))
        assert surface.geodesic_distance(*next(places), *next(places)).max() < 0.01
        np.testing.assert_allclose(flipped.keypoints, truth.keypoints, atol=1e-9)
        assert (flipped.keypoints[:, 2] > 0).sum() > 5
        # Masks have pixels: within a quarter of a px of the picture, an outline rounds to either side.
        assert np.mean(flipped.coarse == truth.coarse) > 0.96


def test_anchors_of_seen_keypoints_name_the_body_near_them(
    stills: AnnotationSet, surface: BodySurface
) -> None:
    """A keypoint's label and the annotators' points around it mean places of the body close to each other."""
    distances_m = []
    for sample in samples(stills, surface, flip=False):
        anchored = sample.source == LabelSource.KEYPOINT
        for place, part, uv in zip(sample.points[anchored], sample.part[anchored], sample.uv[anchored]):
            away_px = np.linalg.norm(sample.points[~anchored] - place, axis=1)
            near = np.flatnonzero(~anchored)[away_px < 6]
            if not len(near):
                continue
            here = surface.locate(np.full(len(near), part), np.tile(uv, (len(near), 1)))
            there = surface.locate(sample.part[near], sample.uv[near])
            distances_m.append(np.median(surface.geodesic_distance(*here, *there)))
    assert len(distances_m) > 8
    assert np.median(distances_m) < 0.15
