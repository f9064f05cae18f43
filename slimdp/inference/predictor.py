"""Dense pose of people in boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flow_cache.images import read_image
from flow_cache.runtime.file_hash import file_sha256
from flow_cache.runtime.progress import tracked
from slimdp.config import CropSettings
from slimdp.data.crops import crop_affine, crop_image
from slimdp.evaluation.predictions import PredictionOrigin, PredictionWriter
from slimdp.inference.decode import decode, mean_prediction, mirror_prediction
from slimdp.models import DensePoseModel
from slimdp.structures import DensePoseInstance, DensePoseMaps, PersonAnnotation, PoseBatch
from slimdp.surface.symmetry import UvSymmetry

#: A person, the affine (2, 3) from image px to crop px, and the crop (S, S, 3) uint8 RGB.
_Crop = tuple[PersonAnnotation, np.ndarray, np.ndarray]


def predict_people(
    model: DensePoseModel,
    people: Sequence[PersonAnnotation],
    crop: CropSettings,
    batch: int = 16,
    flip_symmetry: UvSymmetry | None = None,
) -> Iterator[DensePoseInstance]:
    """Predict the dense pose of each person from a crop around the box; only box and image are looked at.

    Args:
        model: runs where its weights lie, without gradients, in evaluation mode; its mode is restored.
        people: with or without points. Each picture is opened once, and people come out picture by picture,
            in the order in which the pictures first appear.
        crop: how the crop is cut; as in training.
        batch: crops that go through the network together.
        flip_symmetry: average with the prediction of the mirrored crop, by this symmetry of the body.

    Raises:
        ImageError: a picture is missing or damaged.
        FloatingPointError: the network gives values that are not finite, for these people.
    """
    if model.spec.input != "crop":
        raise ValueError("the network takes whole pictures with the people in them; only crops are predicted")
    if batch < 1:
        raise ValueError(f"batch = {batch}, but at least one crop is wanted")
    waiting: list[_Crop] = []
    for ready in _crops(people, crop):
        waiting.append(ready)
        if len(waiting) == batch:
            yield from _predict_batch(model, waiting, flip_symmetry)
            waiting = []
    if waiting:
        yield from _predict_batch(model, waiting, flip_symmetry)


def predict_to_file(
    model: DensePoseModel,
    people: Sequence[PersonAnnotation],
    crop: CropSettings,
    out: str | Path,
    origin: PredictionOrigin | None = None,
    batch: int = 16,
    flip_symmetry: UvSymmetry | None = None,
) -> Path:
    """Predict everyone into a predictions file, whole or not at all; returns its path.

    Arguments and errors as for `predict_people`; ValueError where there is nobody.
    """
    if not people:
        raise ValueError(f"nobody to predict: {out} would be empty")
    with PredictionWriter(out, crop.size, origin, model.layout) as writer:
        predictions = predict_people(model, people, crop, batch, flip_symmetry)
        for prediction in tracked(predictions, "predict", "people", len(people)):
            writer.write(prediction)
    return Path(out)


def describe_origin(checkpoint: str | Path, annotations: str | Path) -> PredictionOrigin:
    """The origin that a predictions file names, with the SHA-256 of the checkpoint."""
    return PredictionOrigin(str(checkpoint), file_sha256(checkpoint).hex(), str(annotations))


def _crops(people: Sequence[PersonAnnotation], settings: CropSettings) -> Iterator[_Crop]:
    """Everyone's crop, picture by picture."""
    by_file: dict[Path, list[PersonAnnotation]] = {}
    for person in people:
        by_file.setdefault(person.image.file, []).append(person)
    for file, in_picture in by_file.items():
        image = read_image(file)
        for person in in_picture:
            affine = crop_affine(person.box, settings)
            yield person, affine, crop_image(image, affine, settings.size)


def _predict_batch(
    model: DensePoseModel, crops: list[_Crop], flip_symmetry: UvSymmetry | None
) -> list[DensePoseInstance]:
    weight = next(model.parameters())
    images = torch.from_numpy(np.stack([image for _, _, image in crops])).to(weight.device)
    prediction = run_model(model, images.permute(0, 3, 1, 2).to(weight.dtype) / 255, flip_symmetry)
    finite = [torch.isfinite(maps).all() for maps in (prediction.fine_segm, prediction.u, prediction.v)]
    if not all(finite) or not torch.isfinite(prediction.coarse_segm).all():
        names = ", ".join(f"{p.image.file_name} annotation {p.id}" for p, _, _ in crops)
        raise FloatingPointError(
            f"the network gives values that are not finite for: {names}; are its weights whole?"
        )
    maps = decode(prediction, model.spec.stride)
    part, uv, foreground = (
        maps.part.cpu().numpy(),
        maps.uv.half().cpu().numpy(),
        maps.foreground.cpu().numpy(),
    )
    return [
        DensePoseInstance(
            annotation_id=person.id,
            image_id=person.image.id,
            box=np.asarray(person.box, dtype=np.float64),
            score=1.0,  # the box is given, not detected
            crop_from_image=np.asarray(affine, dtype=np.float64),
            part=part[i],
            uv=uv[i],
            foreground=foreground[i],
        )
        for i, (person, affine, _) in enumerate(crops)
    ]


@torch.inference_mode()
def run_model(
    model: DensePoseModel, images: Tensor, flip_symmetry: UvSymmetry | None = None
) -> DensePoseMaps:
    """The last stack's prediction of crops (B, 3, S, S) RGB in 0..1, in evaluation mode."""
    was_training = model.training
    model.eval()
    try:
        prediction = model(PoseBatch.of_images(images)).best
        if flip_symmetry is None:
            return prediction
        mirrored = model(PoseBatch.of_images(images.flip(-1))).best
        return mean_prediction(prediction, mirror_prediction(mirrored, flip_symmetry))
    finally:
        model.train(was_training)
