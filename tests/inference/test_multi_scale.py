from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from slimdp.config import ModelSpec
from slimdp.inference import run_model
from slimdp.inference.multi_scale import fuse_scales
from slimdp.models import DenseFcn
from slimdp.structures import DensePoseMaps
from tests.narrow_backbone import Narrow

SPEC = ModelSpec(stride=4, size_multiple=16)


def test_the_scale_of_the_image_alone_changes_nothing_but_the_form_of_scores() -> None:
    torch.manual_seed(0)
    model, images = DenseFcn(Narrow(8), 8), torch.rand(2, 3, 64, 64)
    plain, fused = run_model(model, images), run_model(model, images, scales=(1.0,))
    assert plain.fine_segm is not None
    torch.testing.assert_close(fused.fine_segm, plain.fine_segm)
    both = fuse_scales(lambda some: run_model(model, some), images, (1.0, 1.0), model.spec)
    torch.testing.assert_close(both.fine_segm, plain.fine_segm.log_softmax(1))
    torch.testing.assert_close(both.coarse_segm, plain.coarse_segm.log_softmax(1))
    torch.testing.assert_close(both.u, plain.u.clamp(0, 1))


def fixed(images: Tensor, odds: dict[int, float], u: dict[int, float]) -> DensePoseMaps:
    """The same at every pixel: log odds of part 1 against all else, and its u, by the width of the images."""
    side = images.shape[-1]
    fine = torch.full((len(images), 25, side // 4, side // 4), -100.0)
    fine[:, 0], fine[:, 1] = 0.0, odds[side]
    values = torch.full((len(images), 24, side // 4, side // 4), u[side])
    return DensePoseMaps(fine, values, 1 - values, fine[:, :15])


def test_probabilities_are_averaged_and_u_weighs_by_that_of_its_part() -> None:
    """By hand: 0.8 and 0.2 of part 1 give 0.5, and u = (0.8 x 0.1 + 0.2 x 0.6) / (0.8 + 0.2) = 0.2."""
    log_4 = float(np.log(4))
    fused = fuse_scales(
        lambda some: fixed(some, {32: log_4, 64: -log_4}, {32: 0.1, 64: 0.6}),
        torch.rand(1, 3, 64, 64), (0.5, 1.0), SPEC,
    )  # fmt: skip
    assert fused.u.shape == (1, 24, 16, 16)
    torch.testing.assert_close(fused.fine_segm.exp()[:, :2], torch.full((1, 2, 16, 16), 0.5))
    torch.testing.assert_close(fused.u[:, 0], torch.full((1, 16, 16), 0.2))
    torch.testing.assert_close(fused.v[:, 0], torch.full((1, 16, 16), 0.8))
    assert torch.isfinite(fused.fine_segm).all()


def test_what_lies_at_a_place_stays_there_at_every_scale() -> None:
    """A network that answers with the image's own values: their centres agree to a tenth of a pixel.

    At 1.5 torch's own filter is 0.074 px off, one way and the other; half a pixel would be a mistake.
    """
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")

    def echo(images: Tensor) -> DensePoseMaps:
        values = F.avg_pool2d(images, 4)
        even = torch.zeros(1, 25, *values.shape[2:])
        return DensePoseMaps(even, values[:, :1].expand(-1, 24, -1, -1), values[:, 1:2], even[:, :15])

    image = torch.stack([x / 96, y / 64, 0 * x])[None]
    for scale in (0.5, 1.5, 2.0):
        fused = fuse_scales(echo, image, (scale,), SPEC)
        wanted = echo(image)
        inner = (..., slice(2, -2), slice(2, -2))  # at the border there is less to average
        torch.testing.assert_close(fused.u[inner], wanted.u[inner], atol=0.1 / 96, rtol=0)


@pytest.mark.parametrize(("scale", "sides"), [(0.1, (16, 16)), (0.5, (32, 48)), (1.3, (80, 128))])
def test_sides_are_those_that_the_network_takes(scale: float, sides: tuple[int, int]) -> None:
    seen = []

    def look(images: Tensor) -> DensePoseMaps:
        seen.append(tuple(images.shape[-2:]))
        height, width = (side // 4 for side in images.shape[-2:])
        return DensePoseMaps(*(torch.rand(1, count, height, width) for count in (25, 24, 24, 15)))

    fused = fuse_scales(look, torch.rand(1, 3, 64, 96), (scale,), SPEC)
    assert seen == [sides]
    assert fused.fine_segm.shape == (1, 25, 16, 24)


@pytest.mark.parametrize("scales", [(), (1.0, 0.0), (-1.0,)])
def test_impossible_scales_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="scales = "):
        fuse_scales(lambda some: fixed(some, {}, {}), torch.rand(1, 3, 64, 64), scales, SPEC)
