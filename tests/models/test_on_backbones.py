"""The networks on a backbone: fpn, without and with hourglasses, and fcn."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from slimdp.config import ConfigError, TrainConfig
from slimdp.models import MODELS, DenseFcn, DensePoseModel, FeaturePyramid, fcn, fpn
from slimdp.models.backbones import BACKBONES, EfficientNetLite0, Resnet18, Resnet50
from slimdp.models.heads import DensePoseHead
from slimdp.structures import PoseBatch
from slimdp.surface import PEOPLE
from tests.narrow_backbone import Narrow


def small(name: str, keypoints: tuple[str, ...] = ()) -> DensePoseModel:
    torch.manual_seed(0)
    if name == "fcn":
        return DenseFcn(Narrow(8), 8, keypoints)
    return FeaturePyramid(Narrow(32), 8, keypoints, stacks={"fpn": 0, "stacked fpn": 2}[name])


BOTH = pytest.mark.parametrize("name", ["fpn", "fcn"])
ALL = pytest.mark.parametrize("name", ["fpn", "stacked fpn", "fcn"])


@ALL
@pytest.mark.parametrize(("height", "width"), [(64, 64), (128, 192)])
def test_maps_and_features_have_the_raster_that_is_told(name: str, height: int, width: int) -> None:
    """Of crops, and of pictures of another shape."""
    model, told = small(name).eval(), (fcn if name == "fcn" else fpn).FEATURES
    with torch.no_grad():
        output = model(PoseBatch.of_images(torch.rand(2, 3, height, width)), tuple(told))
    stride = model.spec.stride
    shape = (height // stride, width // stride)
    assert stride == (8 if name == "fcn" else 4)
    assert len(output.stages) == len(output.features) == (3 if name == "stacked fpn" else 1)
    for maps, features in zip(output.stages, output.features, strict=True):
        assert maps.fine_segm.shape == (2, 25, *shape)
        assert maps.u.shape == maps.v.shape == (2, 24, *shape)
        assert maps.coarse_segm.shape == (2, 15, *shape)
        assert maps.keypoint_maps is None
        assert tuple(features) == tuple(told) == model.spec.features
        for feature, words in told.items():
            side = int(words.rpartition("S / ")[2].rstrip(")"))
            assert features[feature].shape[2:] == (height // side, width // side), feature
        assert torch.equal(features["segmentation"], maps.fine_segm)
        assert torch.equal(features["uv"], torch.cat([maps.u, maps.v], dim=1))
        assert features["output"].shape[1] == 25 + 24 + 24 + 15


@ALL
def test_features_only_when_they_are_asked_for(name: str) -> None:
    output = small(name)(PoseBatch.of_images(torch.rand(2, 3, 64, 64)))
    assert output.features == ({},) * len(output.stages)


def test_a_hourglass_corrects_what_the_head_and_the_one_before_it_found() -> None:
    """What enters it is what entered the one before, with that one's features and maps (Newell et al.)."""
    model = small("stacked fpn", ("nose",)).eval()
    assert isinstance(model, FeaturePyramid)
    refined = model.refinement
    assert refined is not None
    assert refined.return_keypoints is not None
    assert len(refined.return_maps) == len(refined.stacks) == 2
    torch.nn.init.normal_(refined.stacks[0].to_keypoints.weight)  # it begins at 0
    names = ("fused", "features", "output")
    with torch.no_grad():
        output = model(PoseBatch.of_images(torch.rand(1, 3, 64, 64)), names)
        entered = output.features[0]["fused"]
        for number, stack in enumerate(refined.stacks):
            before, heat = output.features[number], output.stages[number].keypoint_maps
            entered = entered + refined.return_features[number](before["features"])
            entered = entered + refined.return_maps[number](before["output"])
            entered = entered + refined.return_keypoints[number](heat)
            found = output.features[number + 1]
            torch.testing.assert_close(found["fused"], entered)
            features = stack.to_features(stack.hourglass(entered))
            torch.testing.assert_close(found["features"], features)
            torch.testing.assert_close(found["output"], stack.to_maps(features))


@ALL
def test_the_gradient_reaches_every_weight(name: str) -> None:
    model = small(name, ("nose",))
    best = model(PoseBatch.of_images(torch.rand(2, 3, 64, 64))).best
    assert best.keypoint_maps is not None
    maps = (best.fine_segm, best.u, best.v, best.coarse_segm, best.keypoint_maps)
    sum((m * torch.randn_like(m)).sum() for m in maps).backward()  # type: ignore[union-attr]
    without = {
        key
        for key, weight in model.named_parameters()
        if weight.grad is None or not weight.grad.abs().max() > 0
    }
    # The fcn looks at the last layer alone; the first one is a feature to ask for. Heat maps are 0 at first.
    assert (
        without
        == {
            "fpn": set(),
            "stacked fpn": {f"refinement.return_keypoints.{number}.weight" for number in (0, 1)},
            "fcn": {"backbone.layers.0.weight", "backbone.layers.0.bias"},
        }[name]
    )


@BOTH
@pytest.mark.parametrize("kind", ["resnet18", "resnet50", "efficientnet_lite0", "blazepose"])
def test_real_backbones_are_reached_too(name: str, kind: str) -> None:
    if MODELS[name].BACKBONE_STRIDE not in BACKBONES[kind].STRIDES:
        pytest.skip(f"{kind} has no features of stride {MODELS[name].BACKBONE_STRIDE} at last")
    model = MODELS[name](backbone=kind, channels=8).build(PEOPLE)  # type: ignore[call-arg]
    output = model(PoseBatch.of_images(torch.rand(2, 3, 64, 64)))
    output.best.u.square().mean().backward()
    assert [key for key, weight in model.backbone.named_parameters() if weight.grad is None] == []


def test_the_levels_of_the_pyramid_are_enlarged_and_added() -> None:
    model = small("fpn").eval()
    names = ("pyramid_4", "pyramid_8", "pyramid_16", "pyramid_32", "fused", "features")
    with torch.no_grad():
        (found,) = model(PoseBatch.of_images(torch.rand(1, 3, 64, 64)), names).features
        wanted = found["pyramid_4"].clone()
        for level, times in ((8, 2), (16, 4), (32, 8)):
            wanted += nn.Upsample(scale_factor=times, mode="bilinear")(found[f"pyramid_{level}"])
        torch.testing.assert_close(found["fused"], wanted)
        torch.testing.assert_close(found["features"], model.head.to_features(wanted))


def test_a_head_starts_with_u_and_v_in_their_middle_and_heat_maps_at_0() -> None:
    head = DensePoseHead(4, 8, ("nose", "chin"), PEOPLE)
    bias = head.to_maps.bias
    assert bias is not None
    assert (bias[25:73] == 0.5).all()
    assert (bias[:25].abs() < 0.5).all()
    maps, _ = head(torch.rand(2, 4, 8, 8))
    assert maps.keypoint_maps is not None
    assert maps.keypoint_maps.shape == (2, 2, 8, 8)
    assert not maps.keypoint_maps.any()


@ALL
def test_bytes_are_read_as_what_they_stand_for(name: str) -> None:
    model = small(name).eval()
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        by_bytes, floats = (
            model(PoseBatch.of_images(each)).best.u for each in (images, images.float() / 255)
        )
    assert torch.equal(by_bytes, floats)


@ALL
@pytest.mark.parametrize("shape", [(2, 3, 100, 100), (2, 1, 64, 64), (3, 64, 64)])
def test_an_image_of_another_shape_is_refused(name: str, shape: tuple[int, ...]) -> None:
    batch = replace(PoseBatch.of_images(torch.zeros(1, 3, 64, 64)), images=torch.zeros(shape))
    with pytest.raises(ValueError, match="S a multiple of"):
        small(name)(batch)


@ALL
def test_double_precision_and_bfloat16(name: str) -> None:
    model = small(name).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        exact = model(PoseBatch.of_images(images)).best.u
        with torch.autocast("cpu", torch.bfloat16):
            half = model(PoseBatch.of_images(images)).best.full_precision().u
        double = model.double()(PoseBatch.of_images(images.double())).best.u
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), exact)
    assert (half - exact).abs().max() < 0.1 * exact.abs().max()


def test_normalisation_is_no_part_of_what_is_saved() -> None:
    assert not {"backbone.mean", "backbone.deviation"} & small("fpn").state_dict().keys()


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"name": "fpn", "backbone": "resnet19"}, r"model\.backbone = 'resnet19', but it must be one of"),
        ({"name": "fpn", "channels": 0}, r"model\.channels = 0, but it must be in 8\.\.1024"),
        ({"name": "fpn", "stacks": -1}, r"model\.stacks = -1, but it must be in 0\.\.16"),
        ({"name": "fcn", "stacks": 2}, r"unknown key model\.stacks; there are: name, keypoints, backbone"),
        ({"name": "fpn", "weights": 3}, r"model\.weights = 3, but a text"),
    ],
)
def test_bad_settings_are_told_by_key(model: dict[str, object], words: str) -> None:
    stage = {"name": "all", "steps": 1, "data": [{"annotations": "a.json", "images": "."}]}
    with pytest.raises(ConfigError, match=words):
        TrainConfig.parse({"stages": [stage], "crop": {"size": 64}, "model": model})


def test_a_backbone_that_has_no_features_of_the_stride_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Coarse(Narrow):
        STRIDES = (32,)

    monkeypatch.setitem(BACKBONES, "coarse", Coarse)
    stage = {"name": "all", "steps": 1, "data": [{"annotations": "a.json", "images": "."}]}
    with pytest.raises(ConfigError, match=r"model\.backbone = 'coarse', but it must be one of stride 8"):
        TrainConfig.parse(
            {"stages": [stage], "crop": {"size": 64}, "model": {"name": "fcn", "backbone": "coarse"}}
        )


def test_a_crop_that_the_coarsest_level_does_not_divide_is_refused() -> None:
    stage = {"name": "all", "steps": 1, "data": [{"annotations": "a.json", "images": "."}]}
    with pytest.raises(ConfigError, match=r"crop\.size = 72, but it must be a positive multiple of 32"):
        TrainConfig.parse({"stages": [stage], "crop": {"size": 72}, "model": {"name": "fpn"}})
    with pytest.raises(ConfigError, match=r"crop\.size = 96, but it must be a positive multiple of 64"):
        TrainConfig.parse({"stages": [stage], "crop": {"size": 96}, "model": {"name": "fpn", "stacks": 1}})
    config = TrainConfig.parse({"stages": [stage], "crop": {"size": 72}, "model": {"name": "fcn"}})
    assert config.model.spec.input == "crop"


def test_costs_rise_with_the_backbone_and_by_dilation() -> None:
    costs = [MODELS["fpn"](backbone=kind).cost for kind in ("resnet18", "resnet34", "resnet101")]  # type: ignore[call-arg]
    assert costs == sorted(costs)
    stacked = [MODELS["fpn"](stacks=stacks).cost for stacks in range(3)]  # type: ignore[call-arg]
    assert stacked == sorted(set(stacked))
    assert MODELS["fcn"]().cost > MODELS["fpn"]().cost  # type: ignore[call-arg]
    assert Resnet50.COST > Resnet18.COST > EfficientNetLite0.COST


def test_the_pyramid_is_torchvisions() -> None:
    """Which loads for seconds: the same first weights, names and features, bit for bit."""
    from torchvision.ops import FeaturePyramidNetwork

    backbone = Narrow(32)
    widths = list(backbone.channels.values())
    torch.manual_seed(0)
    theirs = FeaturePyramidNetwork(widths, 8)
    torch.manual_seed(0)
    ours = FeaturePyramid(backbone, 8).pyramid
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    assert all(torch.equal(weight, state[name]) for name, weight in ours.state_dict().items())
    levels = [torch.rand(2, width, 64 // s, 96 // s) for s, width in backbone.channels.items()]
    wanted = theirs({str(place): level for place, level in enumerate(levels)})
    found = ours(levels)
    assert len(found) == len(wanted)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted.values()))


def test_a_network_loads_without_torchvision() -> None:
    code = (
        "import sys; from slimdp import DensePose; from slimdp.models import MODELS; "
        "from slimdp.config import ModelSettings; from slimdp.models import FpnSettings; "
        "from slimdp.surface import PEOPLE; "
        "FpnSettings(backbone='efficientnet_lite0', channels=8).build(PEOPLE); "
        "import slimdp.training.checkpoint; "
        "print(*{'torchvision', 'scipy', 'tensorboard'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "\n"
