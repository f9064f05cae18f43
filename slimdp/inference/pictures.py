"""Dense pose by networks of whole pictures: of people in given boxes, or of those that the network finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from flow_cache.images import read_image
from slimdp.config import CropSettings
from slimdp.data.crops import crop_image
from slimdp.data.pictures import picture_affine
from slimdp.geometry import invert_affine, move_box
from slimdp.inference.decoding import decide, one_person
from slimdp.inference.multi_scale import ONE_SCALE, fuse_scales
from slimdp.models import DensePoseModel, evaluating
from slimdp.structures import (
    DensePoseInstance,
    DensePoseMaps,
    ImageRecord,
    Instances,
    PersonAnnotation,
    PoseBatch,
)

#: Pictures that go through the network together.
PICTURES = 4


class Picture(NamedTuple):
    """A picture that is looked at."""

    record: ImageRecord
    image: np.ndarray  # (H, W, 3) uint8 RGB
    #: (N, 4) x, y, width, height, px of the picture, of people whose maps are wanted; None: find them.
    boxes: np.ndarray | None = None
    ids: tuple[int, ...] = ()  # of the people in these boxes


def predict_in_pictures(
    model: DensePoseModel, people: Sequence[PersonAnnotation], crop: CropSettings, batch: int = PICTURES,
    scales: Sequence[float] = ONE_SCALE,
) -> Iterator[DensePoseInstance]:  # fmt: skip
    """The dense pose of people in given boxes, picture by picture; only boxes and pictures are looked at.

    `scales` are of the pictures, fused (`fuse_scales`), for networks that give maps of whole pictures. Raises
    ImageError where a picture is missing or damaged, FloatingPointError where the network gives values that
    are not finite.
    """
    groups: dict[int, list[PersonAnnotation]] = {}
    for person in people:
        groups.setdefault(person.image.id, []).append(person)
    pictures = (
        Picture(
            group[0].image, read_image(group[0].image.file),
            np.stack([person.box for person in group]), tuple(person.id for person in group),
        )
        for group in groups.values()
    )  # fmt: skip
    return predict_pictures(model, pictures, crop, batch, scales)


def detect_in_pictures(
    model: DensePoseModel, images: Iterable[ImageRecord], crop: CropSettings, batch: int = PICTURES
) -> Iterator[DensePoseInstance]:
    """The people that a network finds, with their dense pose, picture by picture, the surest first.

    Their `annotation_id` is -1, -2, ... in each picture: nobody's. Errors are as of `predict_in_pictures`;
    ValueError where the network finds nobody by itself.
    """
    if not model.spec.detects:
        raise ValueError("the network finds no people: give it boxes (--given-boxes)")
    pictures = (Picture(image, read_image(image.file)) for image in images)
    return predict_pictures(model, pictures, crop, batch)


def predict_pictures(
    model: DensePoseModel, pictures: Iterable[Picture], crop: CropSettings, batch: int = PICTURES,
    scales: Sequence[float] = ONE_SCALE,
) -> Iterator[DensePoseInstance]:  # fmt: skip
    """As the two above, of pictures that are read; of one batch all have boxes, or none has."""
    if tuple(scales) != ONE_SCALE and model.spec.detects:
        raise ValueError("the network looks at regions, which have one scale: leave out --scales")
    if batch < 1:
        raise ValueError(f"batch = {batch}, but at least one picture is wanted")
    waiting = iter(pictures)
    while some := list(islice(waiting, batch)):
        yield from _predict_batch(model, some, crop.size, scales)


def _predict_batch(
    model: DensePoseModel, pictures: list[Picture], size: int, scales: Sequence[float]
) -> Iterator[DensePoseInstance]:
    affines = [picture_affine(picture.record, size) for picture in pictures]
    found = look_at(model, pictures, affines, size, scales)
    number = [0] * len(pictures)
    for i, index in enumerate(found.image_index.tolist()):
        picture, affine, number[index] = pictures[index], affines[index], number[index] + 1
        box = found.box[i].double().cpu().numpy()  # of the square
        if picture.boxes is None:
            annotation_id, score = -number[index], float(found.score[i])
            box = _within(move_box(box, invert_affine(affine)), picture.record)
        else:
            annotation_id, score = picture.ids[number[index] - 1], 1.0
            box = picture.boxes[number[index] - 1]
        window = found.window[i].double().cpu().numpy()
        maps = found.maps.map(partial(one_person, index=i))
        part, uv, log_odds = decide(maps, lambda each: F.interpolate(each, (size, size), mode="bilinear"))
        yield DensePoseInstance(
            annotation_id, picture.record.id, box, score,
            window_affine(window, size, affine),
            part[0].cpu().numpy(), uv[0].half().cpu().numpy(), (log_odds[0] > 0).cpu().numpy(),
        )  # fmt: skip


def found_boxes(
    model: DensePoseModel, image: np.ndarray, size: int, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """The people that a network finds in an image (H, W, 3) uint8 RGB, the surest first.

    Boxes (N, 4) x, y, width, height, px of the image, and scores (N,), both float64. `name` is for errors.
    """
    picture = Picture(_record(image, name), image)
    affine = picture_affine(picture.record, size)
    found, back = look_at(model, [picture], [affine], size), invert_affine(affine)
    boxes = [_within(move_box(box, back), picture.record) for box in found.box.double().cpu().numpy()]
    return np.array(boxes).reshape(-1, 4), found.score.double().cpu().numpy()


def maps_in_boxes(
    model: DensePoseModel, image: np.ndarray, boxes: np.ndarray, size: int, name: str
) -> Iterator[tuple[np.ndarray, DensePoseMaps, int]]:
    """What a network says of people in boxes (N, 4) x, y, width, height, px, of an image (H, W, 3) uint8 RGB.

    For each: the affine (2, 3) from px of the image to those of its maps enlarged, the maps of one person,
    float32 on the CPU, and by how much they are to be enlarged. `name` is for errors.

    A network that does not detect tells nobody apart: of its maps a person gets what lies in the box.
    """
    record = _record(image, name)
    picture = Picture(record, image, boxes, tuple(range(len(boxes))))
    affine = picture_affine(record, size)
    found = look_at(model, [picture], [affine], size)
    if not model.spec.detects:
        found = _cut_to(found, np.stack([move_box(_within(box, record), affine) for box in boxes]))
    stride = max(1, round(size / found.maps.u.shape[-1]))
    for i, window in enumerate(found.window.double().cpu().numpy()):
        maps = replace(found.maps, keypoint_maps=None).map(partial(one_person, index=i)).map(Tensor.cpu)
        yield window_affine(window, stride * maps.u.shape[-1], affine), maps, stride


@torch.inference_mode()
def _cut_to(found: Instances, boxes: np.ndarray) -> Instances:
    """People with the maps over boxes (D, 4) xywh, px of the square, alone; as many px of map as before."""
    from torchvision.ops import roi_align

    box, window = torch.from_numpy(boxes).to(found.window), found.window
    side = found.maps.u.shape[-1]
    near = (box[:, :2] - window[:, :2]) / window[:, 2:] * side  # edges, map px
    far = near + box[:, 2:] / window[:, 2:] * side
    person = torch.arange(len(box), device=box.device, dtype=box.dtype)
    rows = torch.cat([person[:, None], near, far], dim=1)

    def over_boxes(maps: Tensor) -> Tensor:
        # In half precision px of the maps would be rounded.
        cut: Tensor = roi_align(maps.float(), rows.float(), side, sampling_ratio=1, aligned=True)
        return cut

    return replace(found, maps=replace(found.maps, keypoint_maps=None).map(over_boxes), window=box)


def _record(image: np.ndarray, name: str) -> ImageRecord:
    height, width = image.shape[:2]
    return ImageRecord(0, Path(name), name, width, height)


@torch.inference_mode()
def look_at(
    model: DensePoseModel, pictures: Sequence[Picture], affines: Sequence[np.ndarray], size: int,
    scales: Sequence[float] = ONE_SCALE,
) -> Instances:  # fmt: skip
    """What a network says of pictures in squares of `size` px, by their affines, in evaluation mode.

    Raises ValueError where some of the pictures have boxes and others none.
    """
    given = sum(picture.boxes is not None for picture in pictures)
    if 0 < given < len(pictures):
        raise ValueError(
            f"{given} of {len(pictures)} pictures have boxes, but wanted of all of a batch, or none: predict "
            "those with boxes apart"
        )
    weight = next(model.parameters())
    squares = np.stack([crop_image(p.image, affine, size) for p, affine in zip(pictures, affines)])
    images = torch.from_numpy(squares).to(weight.device).permute(0, 3, 1, 2).to(weight.dtype) / 255
    batch = PoseBatch.of_pictures(images, None, None)
    if given:
        boxes = [
            np.array([move_box(box, affine) for box in picture.boxes]).reshape(-1, 4)
            for picture, affine in zip(pictures, affines)
            if picture.boxes is not None
        ]
        counts = torch.tensor([len(each) for each in boxes], device=images.device)
        index = torch.repeat_interleave(torch.arange(len(boxes), device=images.device), counts)
        batch = PoseBatch.of_pictures(images, index, torch.from_numpy(np.concatenate(boxes)).to(images))
    with evaluating(model):
        found = _instances(model, batch)
        if tuple(scales) != ONE_SCALE:
            maps = fuse_scales(lambda some: _resized(model, batch, some).maps, images, scales, model.spec)
            found = replace(found, maps=maps)
    _check_finite(found, pictures)
    return found


def _instances(model: DensePoseModel, batch: PoseBatch) -> Instances:
    found = model(batch).instances
    assert found is not None, "a network of pictures gives instances in evaluation"
    return found


def _resized(model: DensePoseModel, batch: PoseBatch, images: Tensor) -> Instances:
    """The same of a batch whose images were brought to another size."""
    scale = images.shape[-1] / batch.images.shape[-1]
    return _instances(model, PoseBatch.of_pictures(images, batch.image_index, batch.box * scale))


def _check_finite(found: Instances, pictures: Sequence[Picture]) -> None:
    maps = found.maps
    parts = maps.fine_segm, maps.u, maps.v, maps.coarse_segm, found.box, found.score
    if not all(torch.isfinite(each).all() for each in parts):
        names = ", ".join(picture.record.file_name for picture in pictures)
        raise FloatingPointError(
            f"the network gives values that are not finite for: {names}; are its weights whole?"
        )


def _within(box: np.ndarray, image: ImageRecord) -> np.ndarray:
    """A box cut to its picture; at least a thousandth of a px of it is left."""
    most = np.array([image.width, image.height], dtype=np.float64)
    near = box[:2].clip(0, most - 1e-3)
    far = np.maximum((box[:2] + box[2:]).clip(0, most), near + 1e-3)
    return np.concatenate([near, far - near])


def window_affine(window: np.ndarray, size: int, square_from_image: np.ndarray) -> np.ndarray:
    """Px of a picture -> px of maps of `size` px that lie evenly over a window xywh of its square, (2, 3)."""
    scale = size / window[2:]
    affine = square_from_image * scale[:, None]
    affine[:, 2] += scale * (0.5 - window[:2]) - 0.5  # a box begins half a px before its first pixel
    return affine
