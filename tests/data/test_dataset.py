"""Training samples and batches."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from flow_cache.images import read_image
from slimdp.config import AugmentSettings, CropSettings
from slimdp.data import (
    AnnotationError,
    AnnotationSet,
    PoseDataset,
    PoseSample,
    SampleIndex,
    WeightedSampler,
    collate,
    read_annotations,
    start_worker,
)
from slimdp.geometry import invert_affine
from slimdp.structures import IGNORE, ImageRecord, PersonAnnotation, PoseBatch
from slimdp.surface import PEOPLE
from slimdp.surface.symmetry import UvSymmetry

Make = Callable[..., PersonAnnotation]
CROP = CropSettings(size=64, margin=0.1)


@pytest.fixture
def people(tmp_path: Path, make_person: Make) -> AnnotationSet:
    picture = cv2.resize(np.random.default_rng(0).random((6, 8, 3)), (160, 120)).clip(0, 1)
    cv2.imwrite(str(tmp_path / "a.png"), (picture * 255).astype(np.uint8))
    image = ImageRecord(1, tmp_path / "a.png", "a.png", 160, 120)
    coarse = np.kron(np.arange(64).reshape(8, 8) % 15, np.ones((32, 32))).astype(np.uint8)
    return AnnotationSet(
        (image,),
        (
            make_person(image, [20, 10, 40, 90], 60, id=3, coarse=coarse),
            make_person(image, [70, 10, 50, 80], 0, id=4),  # without labels
            make_person(image, [90, 30, 60, 60], 25, id=5),
            make_person(image, [0, 0, 30, 30], 9, id=6, crowd=True),
        ),
        tmp_path / "people.json",
    )


def same(a: PoseSample | PoseBatch, b: PoseSample | PoseBatch) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


def test_only_labelled_people_are_samples(people: AnnotationSet) -> None:
    dataset = PoseDataset([people, people], CROP, None, UvSymmetry(), seed=0, stride=4)
    assert dataset.sizes == (2, 2)
    assert [dataset[i].annotation_id for i in range(len(dataset))] == [3, 5, 3, 5]


def test_a_set_without_labels_is_named(people: AnnotationSet) -> None:
    bare = AnnotationSet(people.images, people.people[1:2], people.file)
    with pytest.raises(AnnotationError, match=r"people\.json: a data set without labels"):
        PoseDataset([people, bare], CROP, None, UvSymmetry(), seed=0, stride=4)


def test_points_show_the_pixels_that_they_showed(people: AnnotationSet) -> None:
    """The image under a point of a changed crop is the image under the point in the picture."""
    dataset = PoseDataset(people, CROP, AugmentSettings(colour=0), UvSymmetry(), seed=0, stride=4)
    picture = read_image(people.images[0].file).astype(float)
    differences = []
    for number in range(20):
        sample = dataset[SampleIndex(number, 0)]
        assert ((sample.points >= 0) & (sample.points <= 63)).all()
        matrix = np.vstack([invert_affine(sample.crop_from_image)])
        for point in sample.points:
            x, y = matrix[:, :2] @ point + matrix[:, 2]
            here = sample.image[round(point[1]), round(point[0])]
            differences.append(np.abs(picture[round(min(y, 119)), round(x)] - here).max())
    assert len(differences) > 800
    assert np.median(differences) < 6
    assert np.percentile(differences, 95) < 20


def test_truth_of_a_mirrored_crop_is_the_mirrored_truth(people: AnnotationSet) -> None:
    dataset = PoseDataset(
        people,
        CROP,
        AugmentSettings(scale=0, rotation_deg=0, shift=0, flip=True, colour=0),
        UvSymmetry(),
        seed=0,
        stride=4,
    )
    samples = [dataset[SampleIndex(number, 0)] for number in range(12)]
    flipped = [np.linalg.det(sample.crop_from_image[:, :2]) < 0 for sample in samples]
    plain, mirrored = samples[flipped.index(False)], samples[flipped.index(True)]
    part, uv = UvSymmetry().flip(plain.part, plain.uv)
    np.testing.assert_allclose(mirrored.points, [63, 0] + plain.points * [-1, 1], atol=1e-9)
    np.testing.assert_array_equal(mirrored.part, part)
    np.testing.assert_array_equal(mirrored.uv, uv)
    known = plain.coarse != IGNORE
    wanted = np.where(known, PEOPLE.flip_coarse[np.where(known, plain.coarse, 0)], IGNORE)
    np.testing.assert_array_equal(mirrored.coarse, wanted[:, ::-1])
    assert np.abs(mirrored.image[:, ::-1].astype(int) - plain.image).max() <= 2


def test_points_outside_the_crop_are_dropped_with_their_labels(people: AnnotationSet) -> None:
    dataset = PoseDataset(people, CROP, AugmentSettings(scale=2, shift=0.4), UvSymmetry(), seed=0, stride=4)
    counts = set()
    for number in range(20):
        sample = dataset[SampleIndex(number, 0)]
        counts.add(len(sample.points))
        assert len(sample.points) == len(sample.part) == len(sample.uv)
        assert ((sample.points >= 0) & (sample.points <= 63)).all()
    assert min(counts) < 60


def test_samples_depend_on_seed_draw_and_person_alone(people: AnnotationSet) -> None:
    changes = AugmentSettings(occlusion=0.5)
    one, two, other = (PoseDataset(people, CROP, changes, UvSymmetry(), seed, stride=4) for seed in (1, 1, 2))
    first = one[SampleIndex(9, 0)]
    for index in (0, 1, SampleIndex(4, 1)):
        two[index]
    assert same(first, two[SampleIndex(9, 0)])
    assert same(first, pickle.loads(pickle.dumps(two))[SampleIndex(9, 0)])
    assert not same(first, other[SampleIndex(9, 0)])
    assert not same(first, one[SampleIndex(8, 0)])
    assert same(one[0], one[SampleIndex(0, 0)])
    twins = PoseDataset([people, people], CROP, changes, UvSymmetry(), seed=1, stride=4)
    assert not same(
        twins[SampleIndex(9, 0)], twins[SampleIndex(9, 2)]
    )  # the same person, at another place in the set


@pytest.fixture
def opencv_threads() -> Iterator[Callable[[int], None]]:
    """Set the number of OpenCV's threads, with all of them started; the old number comes back."""
    before = cv2.getNumThreads()

    def start(threads: int) -> None:
        cv2.setNumThreads(threads)
        cv2.GaussianBlur(np.zeros((512, 512, 3), dtype=np.float32), (31, 31), 5)

    yield start
    cv2.setNumThreads(before)


def batches(dataset: PoseDataset, workers: int) -> list[PoseBatch]:
    draws = WeightedSampler(dataset.sizes, [1], count=12, seed=0)
    loader = DataLoader(
        dataset,
        4,
        sampler=draws,
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=start_worker,
        multiprocessing_context="fork" if workers else None,
        timeout=60 if workers else 0,
    )
    return list(loader)


def test_workers_do_not_change_the_batches(
    people: AnnotationSet, opencv_threads: Callable[[int], None]
) -> None:
    dataset = PoseDataset(people, CROP, AugmentSettings(occlusion=0.5), UvSymmetry(), seed=0, stride=4)
    opencv_threads(3)
    alone = batches(dataset, workers=0)
    opencv_threads(1)
    assert len(alone) == 3
    assert all(same(a, b) for a, b in zip(alone, batches(dataset, workers=2)))


def test_a_worker_that_could_hang_says_so(
    people: AnnotationSet, opencv_threads: Callable[[int], None]
) -> None:
    opencv_threads(3)
    with pytest.raises(RuntimeError, match="forked while OpenCV had 3 threads"):
        batches(PoseDataset(people, CROP, None, UvSymmetry(), seed=0, stride=4), workers=1)


def test_collate(people: AnnotationSet) -> None:
    dataset = PoseDataset(people, CROP, None, UvSymmetry(), seed=0, stride=4)
    samples = [dataset[0], dataset[1], dataset[0]]
    batch = collate(samples)
    assert batch.images.shape == (3, 3, 64, 64)
    assert batch.images.dtype == batch.coarse.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.images[1, 2, 10, 20].item() == samples[1].image[10, 20, 2]
    assert batch.coarse.shape == (3, 16, 16)
    assert batch.uv.dtype == batch.points.dtype == torch.float32
    assert batch.part.dtype == batch.instance_index.dtype == torch.int64
    assert batch.instance_index.bincount().tolist() == [60, 25, 60]
    np.testing.assert_allclose(batch.points[60:85], samples[1].points, atol=1e-4)
    assert batch.part[60:85].tolist() == samples[1].part.tolist()
    assert batch.annotation_id.tolist() == [3, 5, 3]
    assert batch.crop_from_image.shape == (3, 2, 3)
    assert batch.nbytes == 3 * (64 * 64 * 3 + 16 * 16 + 24 + 8 + 8 + 16) + 145 * (8 + 8 + 8 + 8 + 4 + 8)


def test_moving_a_batch_widens_its_bytes(people: AnnotationSet) -> None:
    batch = collate([PoseDataset(people, CROP, None, UvSymmetry(), seed=0, stride=4)[0]])
    moved = batch.to("cpu")
    assert moved.images.dtype == torch.float32
    assert moved.images.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(moved.images, batch.images / 255)
    assert moved.coarse.dtype == torch.int64
    assert same(replace(moved, images=batch.images, coarse=batch.coarse.long()), batch)
    assert same(moved.to("cpu"), moved)


def test_confidence_stays_with_its_point(people: AnnotationSet) -> None:
    person = people.people[0]
    trust = np.linspace(0, 1, 60, dtype=np.float32)
    marked = replace(person, confidence=trust, uv=np.column_stack([trust, trust]))
    cut = AugmentSettings(scale=2, shift=0.4, flip=False, occlusion=1)
    dataset = PoseDataset(AnnotationSet(people.images, (marked,)), CROP, cut, UvSymmetry(), seed=0, stride=4)
    batch = collate([dataset[SampleIndex(number, 0)] for number in range(8)])
    assert batch.confidence is not None
    assert len(batch.confidence) < 8 * 60
    np.testing.assert_array_equal(batch.confidence, batch.uv[:, 0])
    plain = collate([PoseDataset(people, CROP, None, UvSymmetry(), seed=0, stride=4)[0]])
    assert plain.confidence is not None
    assert (plain.confidence == 1).all()


def test_a_batch_without_points(people: AnnotationSet, make_person: Make) -> None:
    coarse = np.zeros((256, 256), dtype=np.uint8)
    masked = make_person(people.images[0], [10, 10, 50, 50], 0, coarse=coarse)
    batch = collate(
        [PoseDataset(AnnotationSet(people.images, (masked,)), CROP, None, UvSymmetry(), 0, stride=4)[0]]
    )
    assert batch.points.shape == (0, 2)
    assert batch.instance_index.shape == (0,)


def test_real_annotation_gives_a_training_batch(samples: Path) -> None:
    found = read_annotations(samples / "densepose" / "one_person.json", samples / "densepose")
    dataset = PoseDataset(found, CropSettings(size=256), AugmentSettings(), UvSymmetry(), seed=0, stride=4)
    plain = PoseDataset(found, CropSettings(size=256), None, UvSymmetry(), seed=0, stride=4)[0]
    assert len(plain.points) == 125
    batch = collate([dataset[SampleIndex(number, 0)] for number in range(4)])
    assert batch.part.min() >= 1
    assert batch.part.max() <= 24
    assert batch.points.shape[0] > 300
    assert set(batch.coarse.unique().tolist()) <= {0, IGNORE}  # the sample has no masks
