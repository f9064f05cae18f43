from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from slimdp.models import StackedHourglass
from slimdp.models.heads import output_channels
from slimdp.models.hourglass import FEATURES, Hourglass, Residual
from slimdp.structures import DensePoseMaps, PoseBatch
from slimdp.surface import PEOPLE

LEVELS = [f"level_{number}" for number in range(5)]


def predict(model: nn.Module, images: torch.Tensor) -> tuple[DensePoseMaps, ...]:
    return model(PoseBatch.of_images(images)).stages


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
        predictions = predict(model, torch.rand(2, 3, size, size))
    assert len(predictions) == 2
    for prediction in predictions:
        side = size // 4
        assert prediction.fine_segm.shape == (2, 25, side, side)
        assert prediction.u.shape == prediction.v.shape == (2, 24, side, side)
        assert prediction.coarse_segm.shape == (2, 15, side, side)


def test_maps_are_the_channels_of_one_convolution_in_order() -> None:
    model = StackedHourglass(1, 8).eval()
    stack = model.stacks[0]
    with torch.no_grad():
        stack.to_maps.weight.zero_()
        stack.to_maps.bias.copy_(torch.arange(sum(output_channels(PEOPLE))))
        (prediction,) = predict(model, torch.rand(1, 3, 64, 64))
    maps = (prediction.fine_segm, prediction.u, prediction.v, prediction.coarse_segm)
    first_and_last = [(int(m[0, 0, 3, 5]), int(m[0, -1, 3, 5])) for m in maps]
    assert first_and_last == [(0, 24), (25, 48), (49, 72), (73, 87)]


def test_u_and_v_start_around_the_middle_of_their_range() -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        (prediction,) = predict(StackedHourglass(1, 32), torch.rand(2, 3, 64, 64))
    assert prediction.u.mean().item() == pytest.approx(0.5, abs=0.15)
    assert prediction.v.mean().item() == pytest.approx(0.5, abs=0.15)
    assert prediction.fine_segm.mean().item() == pytest.approx(0.0, abs=0.15)


def test_later_stacks_use_what_earlier_ones_found() -> None:
    torch.manual_seed(0)
    model = StackedHourglass(2, 8).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = predict(model, image)
        model.stacks[0].to_maps.bias[:25] += 1
        after = predict(model, image)
    assert torch.allclose(after[0].fine_segm, before[0].fine_segm + 1, atol=1e-5)
    assert torch.equal(after[0].u, before[0].u)
    assert not torch.allclose(after[1].fine_segm, before[1].fine_segm, atol=1e-4)


def test_the_gradient_reaches_every_weight_from_the_last_stack_or_its_own() -> None:
    model = StackedHourglass(2, 8)
    predictions = predict(model, torch.rand(2, 3, 64, 64))
    maps = [m for p in predictions[1:] for m in (p.fine_segm, p.u, p.v, p.coarse_segm)]
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
        (plain,) = predict(model, image)
        model = model.to(memory_format=torch.channels_last)
        (other,) = predict(model, image.contiguous(memory_format=torch.channels_last))
    assert torch.allclose(plain.fine_segm, other.fine_segm, atol=1e-4)


@pytest.mark.parametrize("shape", [(2, 3, 100, 100), (2, 1, 64, 64), (3, 64, 64)])
def test_an_image_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiple of 64"):
        StackedHourglass(1, 8)(
            replace(PoseBatch.of_images(torch.zeros(1, 3, 64, 64)), images=torch.zeros(shape))
        )


@pytest.mark.parametrize(("stacks", "features"), [(0, 8), (1, 10), (1, 0)])
def test_an_impossible_size_is_refused(stacks: int, features: int) -> None:
    with pytest.raises(ValueError, match="stacks"):
        StackedHourglass(stacks, features)


def test_features_only_when_they_are_asked_for() -> None:
    torch.manual_seed(0)
    model = StackedHourglass(2, 8).eval()
    image = torch.rand(2, 3, 128, 64)
    with torch.no_grad():
        plain = model(PoseBatch.of_images(image))
        asked = model(PoseBatch.of_images(image), FEATURES)
    assert plain.features == ({}, {})
    for without, stage, features in zip(plain.stages, asked.stages, asked.features):
        assert torch.equal(without.fine_segm, stage.fine_segm)
        assert list(features) == list(FEATURES)
        shapes = [tuple(features[level].shape) for level in LEVELS]
        assert shapes == [(2, 8, 32, 16), (2, 8, 16, 8), (2, 8, 32, 16), (2, 8, 32, 16), (2, 88, 32, 16)]
        assert torch.equal(features["segmentation"], stage.fine_segm)
        assert torch.equal(features["uv"], torch.cat([stage.u, stage.v], dim=1))


def test_levels_are_what_they_are_called() -> None:
    torch.manual_seed(0)
    model = StackedHourglass(2, 8).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        output = model(PoseBatch.of_images(image), LEVELS)
        first, second = ([features[level] for level in LEVELS] for features in output.features)
        stem = model.stem((image - 0.5) / 0.25)
        hourglass, residual = model.stacks[0].hourglass
        whole = hourglass(stem)
        next_input = stem + model.return_features[0](first[3]) + model.return_maps[0](first[4])
        assert torch.equal(first[0], stem)
        assert torch.equal(hourglass.merge(stem, first[1]), whole)
        assert torch.equal(first[2], whole)
        assert torch.equal(first[3], model.stacks[0].to_features(residual(whole)))
        assert torch.equal(second[0], next_input)
    for levels, stage in zip((first, second), output.stages):
        maps = (stage.fine_segm, stage.u, stage.v, stage.coarse_segm)
        assert torch.equal(levels[4], torch.cat(maps, dim=1))


def test_the_gradient_comes_in_at_every_feature() -> None:
    model = StackedHourglass(2, 8)
    for name in FEATURES:
        model.zero_grad()
        output = model(PoseBatch.of_images(torch.rand(2, 3, 64, 64)), (name,))
        output.features[1][name].square().mean().backward()
        assert model.stem[0].weight.grad.abs().max() > 0


def test_heat_maps_of_keypoints() -> None:
    torch.manual_seed(0)
    model = StackedHourglass(2, 16, ("nose", "left_knee", "right_knee")).eval()
    assert model.keypoints == ("nose", "left_knee", "right_knee")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before = predict(model, image)
        model.stacks[0].to_keypoints.bias[1] += 1
        after = predict(model, image)
    assert before[0].keypoint_maps.shape == (1, 3, 16, 16)
    assert not before[1].keypoint_maps.any()
    moved = (after[0].keypoint_maps - before[0].keypoint_maps).amax((0, 2, 3))
    assert moved.tolist() == pytest.approx([0, 1, 0], abs=1e-6)
    assert not torch.allclose(after[1].fine_segm, before[1].fine_segm, atol=1e-5)


def test_heat_maps_cost_their_own_weights_alone() -> None:
    plain, keypoints = StackedHourglass(3, 16), StackedHourglass(3, 16, ["nose", "chin"])
    assert predict(plain, torch.rand(2, 3, 64, 64))[0].keypoint_maps is None
    heads, returns = 3 * 2 * (16 + 1), 2 * 16 * (2 + 1)
    assert count_parameters(keypoints) == count_parameters(plain) + heads + returns
    # A network without heat maps begins one with them, and the other way round.
    missing, unexpected = keypoints.load_state_dict(plain.state_dict(), strict=False)
    assert unexpected == []
    assert all("keypoints" in name for name in missing)


def test_bytes_are_read_as_what_they_stand_for() -> None:
    model = StackedHourglass(1, 8).eval()
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(predict(model, image)[0].u, predict(model, image.float() / 255)[0].u)


@pytest.mark.slow
def test_the_network_is_one_graph() -> None:
    """Nothing in it makes torch.compile fall back to Python."""
    torch.manual_seed(0)
    model = StackedHourglass(2, 8, ["nose"]).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        batch = PoseBatch.of_images(image)
        mine, wanted = compiled(batch, ("level_1",)), model(batch, ("level_1",))
    for here, there in zip(mine.stages, wanted.stages, strict=True):
        assert torch.equal(here.fine_segm, there.fine_segm)
    assert torch.equal(mine.features[1]["level_1"], wanted.features[1]["level_1"])


def test_bfloat16_stays_close() -> None:
    torch.manual_seed(0)
    model = StackedHourglass(1, 16).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        (exact,) = predict(model, image)
        with torch.autocast("cpu", torch.bfloat16):
            (half,) = predict(model, image)
    assert half.fine_segm.dtype == torch.bfloat16
    single = half.full_precision()
    assert single.fine_segm.dtype == single.u.dtype == torch.float32
    assert (single.u - exact.u).abs().max() < 0.05 * exact.u.abs().max()
    assert exact.full_precision().u is exact.u
