"""Labels of pictures as a network looked at them: whole, or cut to regions, each the crop of one person."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from slimdp.geometry import map_from_crop
from slimdp.structures import IGNORE, PoseBatch

BACKGROUND = 0


def region_labels(batch: PoseBatch, box: Tensor, person: Tensor, side: int) -> PoseBatch:
    """The labels of R regions, in px of their maps: side x side px, evenly over each box.

    The regions of a person share the person's labels out among them: each weighs less, so that together they
    count as much as the batch says. What lies outside of a region is left out; keypoints are.

    Args:
        batch: pictures with N people.
        box: (R, 4) x, y, width, height, px of the batch's images, with a size.
        person: (R,) int64 in 0..N-1, whom each region is of.
        side: of the maps, px.

    Returns:
        For `ModelOutput.regions`; its images have no channels.
    """
    share = 1 / torch.bincount(person, minlength=len(batch.box)).clamp(min=1)[person].to(box.dtype)
    region, point = (person[:, None] == batch.instance_index[None]).nonzero().unbind(1)
    places = region_px(batch.points[point], box[region], side)
    inside = ((places >= -0.5) & (places <= side - 0.5)).all(dim=1)
    region, point, places = region[inside], point[inside], places[inside]
    confidence = torch.ones_like(batch.points[:, 0]) if batch.confidence is None else batch.confidence
    coarse = sample_regions(batch.coarse, box, person, side, batch.stride)
    pixels = batch.coarse.shape[-2] * batch.coarse.shape[-1] / side**2  # of the batch to one of a region
    regions = torch.arange(len(box), device=box.device)
    return replace(
        batch, images=batch.images.new_zeros(len(box), 0, side, side),
        crop_from_image=batch.crop_from_image[batch.image_index[person]], image_index=regions,
        annotation_id=batch.annotation_id[person], box=box, coarse=coarse, instance_index=region,
        points=places, part=batch.part[point], uv=batch.uv[point],
        confidence=confidence[point] * share[region],
        source=None if batch.source is None else batch.source[point],
        keypoints=None, mask=None, crowd=None, outline_weight=pixels * share, one_each=True,
    )  # fmt: skip


def picture_labels(batch: PoseBatch) -> PoseBatch:
    """The labels of B pictures as if each were one person: for maps that tell nobody apart.

    Background is known of a map pixel that everybody whose box it is in calls so; in nobody's box, everybody
    in the picture. Where somebody has a coarse part, that counts, of several the last in the order of the
    parts. A picture counts as many times as it has people. Background in a crowd is not known: it may be one
    of them. Returns what `ModelOutput.regions` takes.
    """
    pictures, image = len(batch.images), batch.image_index
    inside = inside_boxes(batch.box, (batch.coarse.shape[-2], batch.coarse.shape[-1]), batch.stride)
    unknown = batch.coarse == IGNORE
    part = torch.where(unknown, 0, batch.coarse)

    def of_pictures(maps: Tensor) -> Tensor:  # the largest of everybody in a picture
        index = image[:, None, None].expand_as(maps)
        start = maps.new_zeros(pictures, *maps.shape[1:])
        return start.scatter_reduce(0, index, maps, "amax")

    boxed = of_pictures(inside.long()) > 0
    in_box, anywhere = (of_pictures(each.long()) > 0 for each in (unknown & inside, unknown))
    part = of_pictures(part)
    coarse = torch.where((part == 0) & torch.where(boxed, in_box, anywhere), IGNORE, part)
    coarse = without_crowds(coarse, batch.crowd)
    numbers = torch.arange(pictures, device=image.device)
    people = torch.bincount(image, minlength=pictures)
    return replace(
        batch, image_index=numbers, annotation_id=numbers, box=batch.box.new_zeros(pictures, 4),
        coarse=coarse, instance_index=batch.point_image, keypoints=None, mask=None, crowd=None,
        outline_weight=people.to(batch.points.dtype), one_each=True,
    )  # fmt: skip


def without_crowds(coarse: Tensor, crowd: Tensor | None) -> Tensor:
    """Coarse labels (K, h, w) with IGNORE for background where a crowd (K, h, w) bool is; None: no crowd."""
    return coarse if crowd is None else coarse.masked_fill(crowd & (coarse == BACKGROUND), IGNORE)


def to_corners(box: Tensor) -> Tensor:
    """(N, 4) x, y, width, height -> x0, y0, x1, y1."""
    return torch.cat([box[:, :2], box[:, :2] + box[:, 2:]], dim=1)


def inside_boxes(box: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """(N, h, w) bool: the pixels of maps of a size (h, w) whose centres lie in each box (N, 4) xywh.

    `stride` px of the picture to one of the maps; a box begins where its first pixel does.
    """
    centres = [(torch.arange(side, device=box.device) + 0.5) * stride for side in size]
    x, y, width, height = box[:, :, None].unbind(1)
    in_rows = (centres[0] >= y) & (centres[0] < y + height)
    in_columns = (centres[1] >= x) & (centres[1] < x + width)
    return in_rows[:, :, None] & in_columns[:, None, :]


def region_px(points: Tensor, box: Tensor, side: int) -> Tensor:
    """Points (P, 2) x, y, px of a picture, each in px of maps of `side` px over a box (P, 4) xywh."""
    return (points - box[:, :2] + 0.5) * (side / box[:, 2:]) - 0.5


def sample_regions(labels: Tensor, box: Tensor, person: Tensor, side: int, stride: int) -> Tensor:
    """Label maps (N, h, w) of people at the pixels of R regions, (R, side, side); IGNORE beyond the maps.

    Read from the nearest map pixel; `box` and `person` as for `region_labels`, `stride` px of the picture to
    one of the maps.
    """
    steps = (torch.arange(side, device=box.device, dtype=box.dtype) + 0.5) / side
    places = box[:, None, :2] + steps[:, None] * box[:, None, 2:] - 0.5  # (R, side, 2), px of the picture
    column, row = (map_from_crop(places, stride) + 0.5).floor().long().unbind(2)
    height, width = labels.shape[-2:]
    inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None, :]
    row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
    found = labels[person[:, None, None], row[:, :, None], column[:, None, :]]
    return torch.where(inside, found, IGNORE)
