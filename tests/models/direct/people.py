"""Made-up pictures with people in them, for the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from slimdp.models.direct.network import DirectDensePose
from slimdp.structures import PoseBatch
from slimdp.surface import PEOPLE
from tests.narrow_backbone import Narrow

STRIDE = 4
#: What belongs to the images, to the people and to the points of a batch.
_OF_IMAGES, _OF_PEOPLE = (
    ("images", "crop_from_image"),
    ("image_index", "annotation_id", "box", "coarse", "mask"),
)
_OF_POINTS = ("instance_index", "points", "part", "uv")


def small_network(**changes: Any) -> DirectDensePose:
    torch.manual_seed(0)
    return DirectDensePose(Narrow(32), 32, tower=1, **changes)


def pictures(
    boxes: Sequence[Sequence[float]], image_index: Sequence[int], images: int, size: int
) -> PoseBatch:
    """People who fill their boxes (x, y, width, height, px), the later ones before the earlier ones.

    Each has three labelled points, and coarse labels of 1 where it is seen.
    """
    generator, side, count = torch.Generator().manual_seed(0), size // STRIDE, len(boxes)
    box = torch.tensor(boxes, dtype=torch.float32).view(-1, 4)
    mask = torch.zeros(count, side, side, dtype=torch.uint8)
    for person, (x, y, width, height) in enumerate((box / STRIDE).long().tolist()):
        mask[:person][
            torch.tensor(image_index[:person]) == image_index[person], y : y + height, x : x + width
        ] = 0
        mask[person, y : y + height, x : x + width] = 1
    points = box[:, None, :2] + torch.rand(count, 3, 2, generator=generator) * box[:, None, 2:]
    given = PoseBatch.of_pictures(
        torch.rand(images, 3, size, size, generator=generator),
        torch.tensor(image_index, dtype=torch.int64),
        box,
    )
    return replace(
        given, mask=mask, coarse=mask.long(), instance_index=torch.arange(count).repeat_interleave(3),
        points=points.view(-1, 2), uv=torch.rand(3 * count, 2, generator=generator),
        part=torch.randint(1, 1 + len(PEOPLE.parts), (3 * count,), generator=generator),
    )  # fmt: skip


def part_of(batch: PoseBatch, first: int, end: int) -> PoseBatch:
    """The pictures first..end - 1 of a batch, with the people in them."""
    mine = (batch.image_index >= first) & (batch.image_index < end)
    points = mine[batch.instance_index]
    kept = {name: getattr(batch, name)[first:end] for name in _OF_IMAGES}
    kept |= {name: getattr(batch, name)[mine] for name in _OF_PEOPLE}
    kept |= {name: getattr(batch, name)[points] for name in _OF_POINTS}
    kept["image_index"] = kept["image_index"] - first
    kept["instance_index"] = (mine.cumsum(0) - 1)[kept["instance_index"]]
    return replace(batch, **kept)
