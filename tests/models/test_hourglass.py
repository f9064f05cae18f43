from __future__ import annotations

import pytest
import torch
from torch import nn

from slimdp.models import StackedHourglass
from slimdp.models.hourglass import OUTPUTS, Hourglass, Residual


def count_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("stacks", "published"), [(2, 6.73e6), (8, 25.59e6)])
def test_parameter_counts_are_those_of_public_implementations(stacks: int, published: float) -> None:
    # One residual a position; the published ones end in 16 joint maps where this one ends in 88.
    with torch.device("meta"):
        model = StackedHourglass(stacks, 256)
    assert count_parameters(model) == pytest.approx(published, rel=0.03)


def test_residual_has_the_parameters_of_its_three_convolutions_and_norms() -> None:
    convolutions = 16 * 8 + 8 * 8 * 9 + 8 * 16 + 16
    norms = 2 * (16 + 8 + 8)
    assert count_parameters(Residual(16, 16)) == convolutions + norms
    assert count_parameters(Residual(12, 16)) == convolutions - 4 * 8 + norms - 2 * 4 + 12 * 16 + 16


@pytest.mark.parametrize("size", [64, 128, 192])
def test_every_stack_gives_maps_a_quarter_of_the_crop(size: int) -> None:
    model = StackedHourglass(2, 8).eval()
    with torch.no_grad():
        predictions = model(torch.rand(2, 3, size, size))
    assert len(predictions) == 2
    for prediction in predictions:
        side = size // 4
        assert prediction.part_logits.shape == (2, 25, side, side)
        assert prediction.u.shape == prediction.v.shape == (2, 24, side, side)
        assert prediction.coarse_logits.shape == (2, 15, side, side)
        assert prediction.features.shape == (2, 8, side, side)


def test_maps_are_the_channels_of_one_convolution_in_order() -> None:
    model = StackedHourglass(1, 8).eval()
    stack = model.stacks[0]
    with torch.no_grad():
        stack.to_maps.weight.zero_()
        stack.to_maps.bias.copy_(torch.arange(sum(OUTPUTS)))
        (prediction,) = model(torch.rand(1, 3, 64, 64))
    maps = (prediction.part_logits, prediction.u, prediction.v, prediction.coarse_logits)
    first_and_last = [(int(m[0, 0, 3, 5]), int(m[0, -1, 3, 5])) for m in maps]
    assert first_and_last == [(0, 24), (25, 48), (49, 72), (73, 87)]


def test_u_and_v_start_around_the_middle_of_their_range() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        (prediction,) = StackedHourglass(1, 32)(torch.rand(2, 3, 64, 64))
    assert prediction.u.mean().item() == pytest.approx(0.5, abs=0.15)
    assert prediction.v.mean().item() == pytest.approx(0.5, abs=0.15)
    assert prediction.part_logits.mean().item() == pytest.approx(0.0, abs=0.15)


def test_later_stacks_use_what_earlier_ones_found() -> None:
    torch.manual_seed(0)
    model = StackedHourglass(2, 8).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = model(image)
        model.stacks[0].to_maps.bias[:25] += 1
        after = model(image)
    assert torch.allclose(after[0].part_logits, before[0].part_logits + 1, atol=1e-5)
    assert torch.equal(after[0].features, before[0].features)
    assert not torch.allclose(after[1].part_logits, before[1].part_logits, atol=1e-4)


def test_the_gradient_reaches_every_weight_from_the_last_stack_or_its_own() -> None:
    model = StackedHourglass(2, 8)
    predictions = model(torch.rand(2, 3, 64, 64))
    maps = [m for p in predictions[1:] for m in (p.part_logits, p.u, p.v, p.coarse_logits)]
    sum((m * torch.randn_like(m)).sum() for m in maps).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_the_hourglass_sees_the_whole_map() -> None:
    # What the corner says must reach the opposite corner: the point of going down and up again.
    torch.manual_seed(0)
    hourglass = Hourglass(4, 8).eval()
    x = torch.randn(1, 8, 16, 16, requires_grad=True)
    hourglass(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    assert x.grad[0, :, 15, 15].abs().max() > 0


def test_memory_format_does_not_change_the_answer() -> None:
    torch.manual_seed(0)
    model = StackedHourglass(1, 16).eval()
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        plain = model(image)[-1]
        model = model.to(memory_format=torch.channels_last)
        other = model(image.contiguous(memory_format=torch.channels_last))[-1]
    assert torch.allclose(plain.part_logits, other.part_logits, atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 3, 100, 100), (2, 1, 64, 64), (3, 64, 64)])
def test_an_image_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiple of 64"):
        StackedHourglass(1, 8)(torch.zeros(shape))


@pytest.mark.parametrize(("stacks", "features"), [(0, 8), (1, 10), (1, 0)])
def test_an_impossible_size_is_refused(stacks: int, features: int) -> None:
    with pytest.raises(ValueError, match="stacks"):
        StackedHourglass(stacks, features)
