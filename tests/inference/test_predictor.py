from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from flow_cache.images import ImageError, read_image
from slimdp.config import CropSettings
from slimdp.data import crop_affine, crop_image, read_annotations
from slimdp.evaluation import PredictionFile, PredictionOrigin
from slimdp.inference import decode, describe_origin, predict_people, predict_to_file, run_model
from slimdp.models import StackedHourglass
from slimdp.structures import ImageRecord, PersonAnnotation, PoseBatch
from slimdp.surface.symmetry import UvSymmetry

CROP = CropSettings(size=64)


@pytest.fixture(scope="module")
def model() -> StackedHourglass:
    torch.manual_seed(0)
    return StackedHourglass(stacks=2, features=16)


def person(image: ImageRecord, annotation_id: int, box: tuple[float, ...]) -> PersonAnnotation:
    """A person with a box and no labels, as in a video without annotations."""
    nothing = np.zeros(0, dtype=np.int64)
    return PersonAnnotation(
        annotation_id, image, np.array(box, dtype=float), np.zeros((0, 2)), nothing,
        np.zeros((0, 2), np.float32), nothing, nothing,
    )  # fmt: skip


@pytest.fixture
def people(tmp_path: Path) -> list[PersonAnnotation]:
    """Five people in two pictures, not in the order of the pictures."""
    rng = np.random.default_rng(0)
    images = []
    for i in (1, 2):
        noise = cv2.GaussianBlur(rng.integers(0, 256, (60, 80, 3)).astype(np.uint8), (0, 0), 3) * 2
        cv2.imwrite(str(tmp_path / f"{i}.png"), noise)
        images.append(ImageRecord(i, tmp_path / f"{i}.png", f"{i}.png", 80, 60))
    boxes = [(10, 5, 40, 50), (0, 0, 80, 60), (30, 20, 20, 30), (-5, -5, 30, 40), (60, 40, 30, 30)]
    return [person(images[i % 2], 10 + i, box) for i, box in enumerate(boxes)]


def test_people_come_picture_by_picture_with_their_crops(
    model: StackedHourglass, people: list[PersonAnnotation]
) -> None:
    predictions = list(predict_people(model, people, CROP, batch=2))
    assert [(p.image_id, p.annotation_id) for p in predictions] == [
        (1, 10),
        (1, 12),
        (1, 14),
        (2, 11),
        (2, 13),
    ]
    by_id = {p.id: p for p in people}
    for prediction in predictions:
        one = by_id[prediction.annotation_id]
        affine = crop_affine(one.box, CROP)
        np.testing.assert_array_equal(prediction.box, one.box)
        np.testing.assert_array_equal(prediction.crop_from_image, affine)
        assert prediction.score == 1
        crop = crop_image(read_image(one.image.file), affine, 64)
        # The last stack, alone in its batch, gives the same maps.
        image = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
        maps = decode(run_model(model, image), 4)
        assert (prediction.part == maps.part[0].numpy()).mean() > 0.99
        np.testing.assert_allclose(prediction.uv, maps.uv[0].numpy(), atol=2e-3)
        assert (prediction.part.dtype, prediction.uv.dtype) == (np.uint8, np.float16)


def test_the_last_stack_answers_in_evaluation_mode(model: StackedHourglass) -> None:
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    model.train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    prediction = run_model(model, image)
    assert model.training
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before[name]), f"{name} changed: the batch norms were still learning"
    with torch.no_grad():
        last = model.eval()(PoseBatch.of_images(image)).best
    torch.testing.assert_close(prediction.fine_segm, last.fine_segm)
    assert not prediction.fine_segm.requires_grad


def test_a_mirrored_crop_gives_the_mirrored_answer(model: StackedHourglass) -> None:
    # Averaged over both sides, the prediction of a mirrored image is the mirror of the prediction.
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    symmetry = UvSymmetry()
    straight = decode(run_model(model, image, symmetry), 4)
    mirrored = decode(run_model(model, image.flip(-1), symmetry), 4)
    part, uv = symmetry.flip(
        straight.part[0].numpy().ravel(), straight.uv[0].permute(1, 2, 0).reshape(-1, 2).numpy()
    )
    same = mirrored.part[0].flip(-1).numpy().ravel() == part
    assert same.mean() > 0.99
    back = mirrored.uv[0].flip(-1).permute(1, 2, 0).reshape(-1, 2).numpy()
    np.testing.assert_allclose(back[same], uv[same], atol=1e-4)


def test_predictions_are_saved(
    model: StackedHourglass, people: list[PersonAnnotation], tmp_path: Path
) -> None:
    origin = PredictionOrigin("last.pt", "00", "a.json")
    out = predict_to_file(model, people, CROP, tmp_path / "out" / "predictions.h5", origin, batch=3)
    with PredictionFile(out) as file:
        assert (len(file), file.origin, file.crop_size) == (5, origin, 64)
        for prediction in predict_people(model, people, CROP, batch=3):
            saved = file.read(prediction.image_id, prediction.annotation_id)
            np.testing.assert_array_equal(saved.part, prediction.part)
            np.testing.assert_array_equal(saved.foreground, prediction.foreground)


def test_a_damaged_picture_leaves_no_file(
    model: StackedHourglass, people: list[PersonAnnotation], tmp_path: Path
) -> None:
    picture = people[1].image.file
    picture.write_bytes(picture.read_bytes()[:500])
    with pytest.raises(ImageError, match=r"2\.png"):
        predict_to_file(model, people, CROP, tmp_path / "out" / "predictions.h5", batch=2)
    assert list((tmp_path / "out").iterdir()) == []


def test_numbers_that_are_not_finite_name_the_people(people: list[PersonAnnotation]) -> None:
    broken = StackedHourglass(stacks=1, features=16)
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)
    with pytest.raises(FloatingPointError, match=r"1\.png annotation 10, 1\.png annotation 12"):
        list(predict_people(broken, people, CROP, batch=2))


def test_bad_arguments(model: StackedHourglass, people: list[PersonAnnotation], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nobody to predict"):
        predict_to_file(model, [], CROP, tmp_path / "p.h5")
    with pytest.raises(ValueError, match="batch = 0"):
        list(predict_people(model, people, CROP, batch=0))
    flat = dataclasses.replace(people[0], box=np.array([5.0, 5.0, 0.0, 10.0]))
    with pytest.raises(ValueError, match="a crop of box"):
        list(predict_people(model, [flat], CROP))


def test_origin_holds_the_hash(tmp_path: Path) -> None:
    checkpoint = tmp_path / "last.pt"
    checkpoint.write_bytes(b"weights" * 300_000)
    origin = describe_origin(checkpoint, "a.json")
    assert origin.checkpoint_sha256 == hashlib.sha256(b"weights" * 300_000).hexdigest()
    assert origin.annotations == "a.json"


def test_the_real_annotation(model: StackedHourglass, samples: Path) -> None:
    people = read_annotations(samples / "densepose/one_person.json", samples / "densepose").people
    (prediction,) = predict_people(model, people, CROP)
    assert prediction.part.shape == (64, 64)
    assert prediction.image_id == people[0].image.id
