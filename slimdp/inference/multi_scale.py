"""Multi-scale testing: the same images at several sizes through a network, fused (DensePose, 4.2).

DensePose fuses the probabilities of its fully convolutional network that way, which has to answer for people
of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from slimdp.config import ModelSpec
from slimdp.structures import DensePoseMaps

#: Of images as they are.
ONE_SCALE = (1.0,)


def fuse_scales(
    predict: Callable[[Tensor], DensePoseMaps], images: Tensor, scales: Sequence[float], spec: ModelSpec
) -> DensePoseMaps:
    """The mean prediction of images at several scales, on the maps' raster of the images as they are.

    Probabilities are averaged, and u, v of each part with the part's probability as their weight; heat maps
    of keypoints are left out.

    Args:
        predict: a network's maps of images of any size that it takes.
        images: (B, 3, H, W) RGB in 0..1.
        scales: of the sides of the images; each side becomes the nearest that the network takes.
        spec: of the network.

    Returns:
        Maps of (H / stride, W / stride) px, scores as log probabilities.

    Raises ValueError where a scale is not positive, or there is none.
    """
    if not scales or not all(scale > 0 for scale in scales):
        raise ValueError(f"scales = {tuple(scales)}; wanted at least one, all positive")
    at_scales = [_on_raster(predict(_scaled(images, scale, spec)), images, spec) for scale in scales]
    fine = torch.stack([maps.fine_segm for maps in at_scales])  # (scales, B, 1 + parts, h, w)
    weight = fine[:, :, 1:] / fine[:, :, 1:].sum(dim=0).clamp(min=torch.finfo(fine.dtype).tiny)
    u, v = (
        (weight * torch.stack(values)).sum(dim=0)
        for values in ([maps.u for maps in at_scales], [maps.v for maps in at_scales])
    )
    coarse = torch.stack([maps.coarse_segm for maps in at_scales])
    return DensePoseMaps(_log_mean(fine), u, v, _log_mean(coarse))


def _scaled(images: Tensor, scale: float, spec: ModelSpec) -> Tensor:
    """The images at about a scale, at a size that the network takes."""
    height, width = (
        max(1, round(side * scale / spec.size_multiple)) * spec.size_multiple for side in images.shape[-2:]
    )
    return _resized(images, height, width)


def _on_raster(maps: DensePoseMaps, images: Tensor, spec: ModelSpec) -> DensePoseMaps:
    """Probabilities and u, v in 0..1 where the maps of the images as they are have their pixels."""
    height, width = (side // spec.stride for side in images.shape[-2:])

    def here(values: Tensor) -> Tensor:
        return _resized(values, height, width)

    return DensePoseMaps(
        fine_segm=here(maps.fine_segm.softmax(dim=1)),
        u=here(maps.u.clamp(0, 1)),
        v=here(maps.v.clamp(0, 1)),
        coarse_segm=here(maps.coarse_segm.softmax(dim=1)),
    )


def _resized(values: Tensor, height: int, width: int) -> Tensor:
    """(B, C, h, w) on another raster over the same image: pixels are squares that tile it."""
    if values.shape[-2:] == (height, width):
        return values
    return F.interpolate(values, (height, width), mode="bilinear", align_corners=False, antialias=True)


def _log_mean(probabilities: Tensor) -> Tensor:
    mean = probabilities.mean(dim=0)
    return mean.clamp(min=torch.finfo(mean.dtype).tiny).log()
