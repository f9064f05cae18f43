"""What networks of whole pictures draw at random in training, a seed for each picture.

So a picture draws the same in whatever part of a batch, and process, it is looked at.
"""

from __future__ import annotations

import torch
from torch import Tensor

from slimdp.structures import PoseBatch


def picture_seeds(batch: PoseBatch) -> list[int]:
    """A seed in 0..2^63 - 1 for each picture of a batch: of this step, and of what is seen of the picture."""
    step = int(torch.randint(2**31, ()))  # the same in all parts and processes, which draw alike
    affines = batch.crop_from_image.flatten(1).tolist()
    first = dict(reversed([*zip(batch.image_index.tolist(), batch.annotation_id.tolist())]))
    return [hash((step, first.get(image, 0), *affine)) % 2**63 for image, affine in enumerate(affines)]


def draw_people(batch: PoseBatch, share: float) -> Tensor:
    """Which of N people are drawn, (N,) bool: each with the chance `share` in 0..1."""
    chance = torch.empty(len(batch.image_index))
    image_index = batch.image_index.cpu()
    for image, seed in enumerate(picture_seeds(batch)):
        mine = image_index == image
        chance[mine] = torch.rand(int(mine.sum()), generator=torch.Generator().manual_seed(seed))
    return (chance < share).to(batch.image_index.device)
