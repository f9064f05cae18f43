"""Frames made large enough for a network, and even enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def padded(images: Tensor, multiple: int, smallest_side: int) -> tuple[Tensor, tuple[int, int]]:
    """Repeat the border of images up to a size that a network takes, about as much on either side.

    Args:
        images: (N, 3, H, W).
        multiple: of both sides, px.
        smallest_side: px, itself a multiple.

    Returns:
        The padded images, and how many px were added on the left and at the top.
    """
    from torch.nn.functional import pad

    height, width = images.shape[-2:]
    more_x, more_y = (max(-side % multiple, smallest_side - side) for side in (width, height))
    left, top = more_x // 2, more_y // 2
    return pad(images, (left, more_x - left, top, more_y - top), mode="replicate"), (left, top)
