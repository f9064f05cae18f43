"""Dense pose of people in boxes: crops through the network, and its maps to an answer for every pixel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flow_cache.images import read_image
from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.progress import tracked
from slimdp.config import CropSettings
from slimdp.data.crops import crop_affine, crop_image
from slimdp.data.outline import hide_background
from slimdp.evaluation.predictions import PredictionOrigin, PredictionWriter
from slimdp.inference.decoding import DecodedMaps, decode, decode_person
from slimdp.inference.error_bars import ErrorBars, expected_of_parts
from slimdp.inference.found_people import FoundPeople
from slimdp.inference.multi_scale import ONE_SCALE, fuse_scales
from slimdp.inference.pictures import PICTURES, detect_in_pictures, predict_in_pictures
from slimdp.inference.video_records import PersonMaps
from slimdp.models import DensePoseModel, evaluating
from slimdp.structures import DensePoseInstance, DensePoseMaps, ImageRecord, PersonAnnotation, PoseBatch
from slimdp.surface.symmetry import UvSymmetry

#: Crops that go through the network together.
CROPS = 16
#: A person, the affine (2, 3) from image px to crop px, and the crop (S, S, 3) uint8 RGB.
_Crop = tuple[PersonAnnotation, np.ndarray, np.ndarray]


def predict_people(
    model: DensePoseModel,
    people: Sequence[PersonAnnotation],
    crop: CropSettings,
    batch: int | None = None,
    flip_symmetry: UvSymmetry | None = None,
    scales: Sequence[float] = ONE_SCALE,
    error_bars: ErrorBars | None = None,
) -> Iterator[DensePoseInstance]:
    """Predict the dense pose of each person from a crop around the box; only box and image are looked at.

    A network of whole pictures sees those instead, with the boxes as given ones, and no mirrored ones.
    Of a network that was trained on grey background the outline is looked at too.

    Args:
        model: runs where its weights lie, without gradients, in evaluation mode; its mode is restored.
        people: with or without points. Each picture is opened once, and people come out picture by picture,
            in the order in which the pictures first appear.
        crop: how the crop is cut; as in training.
        batch: crops that go through the network together, or whole pictures; None: 16, or 4.
        flip_symmetry: average with the prediction of the mirrored crop, by this symmetry of the body.
        scales: of the crops, whose predictions are fused (`fuse_scales`).
        error_bars: of a network of crops, to say at every pixel how far off it may be.

    Raises:
        ImageError: a picture is missing or damaged.
        FloatingPointError: the network gives values that are not finite, for these people.
        ValueError: a person has no outline, and the network needs one.
    """
    if model.spec.input == "image":
        if flip_symmetry is not None:
            raise ValueError(
                "the network takes whole pictures, which are not mirrored: leave out --flip-test"
            )
        if error_bars is not None:
            raise ValueError(
                "the network takes whole pictures, of which there are no error bars: remove those beside it"
            )
        yield from predict_in_pictures(model, people, crop, PICTURES if batch is None else batch, scales)
        return
    batch = CROPS if batch is None else batch
    if batch < 1:
        raise ValueError(f"batch = {batch}, but at least one crop is wanted")
    waiting: list[_Crop] = []
    for ready in crops_of(people, crop):
        waiting.append(ready)
        if len(waiting) == batch:
            yield from _predict_batch(model, waiting, flip_symmetry, scales, error_bars)
            waiting = []
    if waiting:
        yield from _predict_batch(model, waiting, flip_symmetry, scales, error_bars)


def predict_to_file(
    model: DensePoseModel,
    people: Sequence[PersonAnnotation],
    crop: CropSettings,
    out: str | Path,
    origin: PredictionOrigin | None = None,
    batch: int | None = None,
    flip_symmetry: UvSymmetry | None = None,
    scales: Sequence[float] = ONE_SCALE,
    error_bars: ErrorBars | None = None,
) -> Path:
    """Predict everyone into a predictions file, whole or not at all; returns its path.

    Arguments and errors as for `predict_people`; ValueError where there is nobody.
    """
    if not people:
        raise ValueError(f"nobody to predict: {out} would be empty")
    predictions = predict_people(model, people, crop, batch, flip_symmetry, scales, error_bars)
    return _write(tracked(predictions, "predict", "people", len(people)), model, crop, out, origin)


def detect_to_file(
    model: DensePoseModel, images: Sequence[ImageRecord], crop: CropSettings, out: str | Path,
    origin: PredictionOrigin | None = None,
) -> Path:  # fmt: skip
    """The same of the people whom a network of whole pictures finds (`detect_in_pictures`)."""
    if not images:
        raise ValueError(f"no picture to look at: {out} would be empty")
    seen = tracked(images, "predict", "pictures", len(images))
    return _write(detect_in_pictures(model, seen, crop), model, crop, out, origin)


def predict_found(
    model: DensePoseModel, found: FoundPeople, crop: CropSettings, out: str | Path,
    origin: PredictionOrigin | None = None, flip_symmetry: UvSymmetry | None = None,
    scales: Sequence[float] = ONE_SCALE, error_bars: ErrorBars | None = None,
) -> Path:  # fmt: skip
    """Predict into a file, with the scores of their detections, the people whom another network found.

    Nobody found is an empty file. Arguments and errors as for `predict_people`.
    """
    predictions = predict_people(
        model, found.people, crop, flip_symmetry=flip_symmetry, scales=scales, error_bars=error_bars
    )
    seen = tracked(found.scored(predictions), "predict", "people", len(found.people))
    return _write(seen, model, crop, out, origin)


def predict_set(
    model: DensePoseModel, people: Sequence[PersonAnnotation], images: Sequence[ImageRecord],
    crop: CropSettings, scales: Sequence[float] = ONE_SCALE,
) -> Iterator[DensePoseInstance]:  # fmt: skip
    """What a network says of a labelled set by itself: of whom it finds, or else, at some scales, of the
    people in boxes."""
    if model.spec.detects:
        return detect_in_pictures(model, images, crop)
    return predict_people(model, people, crop, scales=scales)


def predict_where_found(
    finder: DensePoseModel, finder_crop: CropSettings, model: DensePoseModel, images: Sequence[ImageRecord],
    crop: CropSettings, scales: Sequence[float] = ONE_SCALE,
) -> Iterator[DensePoseInstance]:  # fmt: skip
    """What a network says of the people whom another one finds, with the scores of their detections."""
    found = FoundPeople.of(detect_in_pictures(finder, images, finder_crop), images, "the finder")
    yield from found.scored(predict_people(model, found.people, crop, scales=scales))


def _write(
    predictions: Iterable[DensePoseInstance], model: DensePoseModel, crop: CropSettings, out: str | Path,
    origin: PredictionOrigin | None,
) -> Path:  # fmt: skip
    with PredictionWriter(out, crop.size, origin, model.layout) as writer:
        for prediction in predictions:
            writer.write(prediction)
    return Path(out)


def describe_origin(
    checkpoint: str | Path, annotations: str | Path, category_id: int = 1
) -> PredictionOrigin:
    """The origin that a predictions file names, with the SHA-256 of the checkpoint.

    `category_id` is what the annotation file calls people (`AnnotationSet.category_id`).
    """
    return PredictionOrigin(str(checkpoint), file_sha256(checkpoint).hex(), str(annotations), category_id)


def crops_of(people: Sequence[PersonAnnotation], settings: CropSettings) -> Iterator[_Crop]:
    """Everyone, with the affine (2, 3) from image px to crop px and the crop, picture by picture."""
    by_file: dict[Path, list[PersonAnnotation]] = {}
    for person in people:
        by_file.setdefault(person.image.file, []).append(person)
    for file, in_image in by_file.items():
        image = read_image(file)
        for person in in_image:
            affine = crop_affine(person.box, settings)
            shown = crop_image(image, affine, settings.size)
            if settings.background == "grey":
                hide_background(shown, person, affine)
            yield person, affine, shown


def _predict_batch(
    model: DensePoseModel, crops: list[_Crop], flip_symmetry: UvSymmetry | None, scales: Sequence[float],
    error_bars: ErrorBars | None,
) -> list[DensePoseInstance]:  # fmt: skip
    images = np.stack([image for _, _, image in crops])
    names = [f"{person.image.file_name} annotation {person.id}" for person, _, _ in crops]
    predicted, stride = predict_crops(model, images, names, flip_symmetry, scales), model.spec.stride
    maps = decode(predicted, stride)
    bars = None if error_bars is None else error_bars.of(predicted, maps.part, stride)
    return [
        # The box is given, not detected: score 1.
        _instance(person.image.id, person.id, person.box, 1.0, affine, maps, i, bars)
        for i, (person, affine, _) in enumerate(crops)
    ]


def predict_crops(
    model: DensePoseModel, crops: np.ndarray, names: Sequence[str], flip_symmetry: UvSymmetry | None = None,
    scales: Sequence[float] = ONE_SCALE,
) -> DensePoseMaps:  # fmt: skip
    """What the network says of crops (B, S, S, 3) uint8 RGB; the maps lie where its weights do.

    Raises FloatingPointError where that is not finite, naming the crops by `names`.
    """
    weight = next(model.parameters())
    images = torch.from_numpy(crops).to(weight.device)
    prediction = run_model(model, images.permute(0, 3, 1, 2).to(weight.dtype) / 255, flip_symmetry, scales)
    parts = prediction.fine_segm, prediction.u, prediction.v, prediction.coarse_segm
    if not all(torch.isfinite(each).all() for each in parts):
        raise FloatingPointError(
            f"the network gives values that are not finite for: {', '.join(names)}; are its weights whole?"
        )
    return prediction


def instance_of(person: PersonMaps, frame: int, error_bars: ErrorBars | None = None) -> DensePoseInstance:
    """Decide what the maps of a tracked person in a frame say, and how far off that may be.

    A pixel or more away from the person, part is 1, and u, v and the error are 0.
    """
    tracked, found = person.person, decode_person(person.maps, person.stride)
    pixels, error_cm = found.pixels, None
    if error_bars is not None:
        of_parts = expected_of_parts(person.maps, error_bars.between_cm)
        bars = error_bars.from_expected(pixels.read_channel(of_parts, found.part - 1))
        error_cm = pixels.spread(bars, 0, np.float16)
    return DensePoseInstance(
        annotation_id=tracked.track,
        image_id=frame,
        box=np.asarray(tracked.box, dtype=np.float64),
        score=tracked.score,
        crop_from_image=np.asarray(person.crop_from_image, dtype=np.float64),
        part=pixels.spread(found.part, 1, np.uint8),
        uv=pixels.spread(found.uv, 0, np.float16),
        foreground=found.foreground,
        error_cm=error_cm,
    )


def _instance(
    image_id: int, annotation_id: int, box: np.ndarray, score: float, crop_from_image: np.ndarray,
    maps: DecodedMaps, index: int, error_cm: np.ndarray | None,
) -> DensePoseInstance:  # fmt: skip
    return DensePoseInstance(
        annotation_id=annotation_id,
        image_id=image_id,
        box=np.asarray(box, dtype=np.float64),
        score=score,
        crop_from_image=np.asarray(crop_from_image, dtype=np.float64),
        part=maps.part[index].cpu().numpy(),
        uv=maps.uv[index].half().cpu().numpy(),
        foreground=maps.foreground[index].cpu().numpy(),
        error_cm=None if error_cm is None else error_cm[index].astype(np.float16),
    )


@torch.inference_mode()
def run_model(
    model: DensePoseModel, images: Tensor, flip_symmetry: UvSymmetry | None = None,
    scales: Sequence[float] = ONE_SCALE,
) -> DensePoseMaps:  # fmt: skip
    """The last stage's prediction of crops (B, 3, S, S) RGB in 0..1, in evaluation mode."""

    def predict(some: Tensor) -> DensePoseMaps:
        straight = model(PoseBatch.of_images(some)).best
        if flip_symmetry is None:
            return straight
        mirrored = model(PoseBatch.of_images(some.flip(-1))).best
        return mean_maps(straight, mirror_maps(mirrored, flip_symmetry))

    with evaluating(model):
        if tuple(scales) == ONE_SCALE:
            return predict(images)
        return fuse_scales(predict, images, scales, model.spec)


def mirror_maps(prediction: DensePoseMaps, symmetry: UvSymmetry) -> DensePoseMaps:
    """What a prediction of a mirrored crop says of the crop itself (docs/data.md).

    The maps are mirrored, the channels of left and right change places, and u, v go through the symmetry of
    the body.
    """
    part_channels = torch.as_tensor(symmetry.layout.flip_part, device=prediction.fine_segm.device)
    coarse_channels = torch.as_tensor(symmetry.layout.flip_coarse, device=prediction.fine_segm.device)
    u, v = _mirror_uv(prediction.u.flip(-1), prediction.v.flip(-1), symmetry)
    return DensePoseMaps(
        fine_segm=prediction.fine_segm.flip(-1)[:, part_channels],
        u=u,
        v=v,
        coarse_segm=prediction.coarse_segm.flip(-1)[:, coarse_channels],
    )


def mean_maps(a: DensePoseMaps, b: DensePoseMaps) -> DensePoseMaps:
    """The mean of two predictions of the same crops: of log probabilities, and of u and v within 0..1."""
    return DensePoseMaps(
        fine_segm=(a.fine_segm.log_softmax(1) + b.fine_segm.log_softmax(1)) / 2,
        u=(a.u.clamp(0, 1) + b.u.clamp(0, 1)) / 2,
        v=(a.v.clamp(0, 1) + b.v.clamp(0, 1)) / 2,
        coarse_segm=(a.coarse_segm.log_softmax(1) + b.coarse_segm.log_softmax(1)) / 2,
    )


def _mirror_uv(u: Tensor, v: Tensor, symmetry: UvSymmetry) -> tuple[Tensor, Tensor]:
    """u and v (B, P, h, w) of the mirrored body, channel p - 1 for its part p, to those of the body."""
    mirrored = symmetry.layout.flip_part[1:]  # the mirrored body's part that becomes part 1, 2, ..., P
    source = torch.as_tensor(mirrored - 1, device=u.device)
    values = torch.stack([u[:, source], v[:, source]], dim=-1).clamp(0, 1)  # (B, P, h, w, 2)
    part = np.broadcast_to(mirrored[None, :, None, None], values.shape[:-1])
    _, flipped = symmetry.flip(part.ravel(), values.reshape(-1, 2).cpu().numpy())
    result = torch.as_tensor(flipped, device=u.device, dtype=u.dtype).reshape(values.shape)
    return result[..., 0], result[..., 1]
