from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import optical_flow

from flow_cache.errors import FlowCacheError
from flow_cache.estimators import RaftLarge, RaftSmall, settings_hash
from flow_cache.estimators.raft import translate

# Names of the authors' code (princeton-vl/RAFT) and of torchvision for the same numbers.
SAME_NAMES = {
    "small": {
        "module.fnet.conv1.weight": "feature_encoder.convnormrelu.0.weight",
        "module.fnet.layer1.0.conv3.bias": "feature_encoder.layer1.0.convnormrelu3.0.bias",
        "module.cnet.layer2.0.downsample.0.weight": "context_encoder.layer2.0.downsample.0.weight",
        "module.cnet.conv2.weight": "context_encoder.conv.weight",
        "module.update_block.encoder.convc1.weight": "update_block.motion_encoder.convcorr1.0.weight",
        "module.update_block.encoder.convf2.bias": "update_block.motion_encoder.convflow2.0.bias",
        "module.update_block.encoder.conv.weight": "update_block.motion_encoder.conv.0.weight",
        "module.update_block.gru.convz.weight": "update_block.recurrent_block.convgru1.convz.weight",
        "module.update_block.flow_head.conv2.weight": "update_block.flow_head.conv2.weight",
    },
    "large": {
        "cnet.norm1.running_mean": "context_encoder.convnormrelu.1.running_mean",
        "cnet.layer1.1.norm2.weight": "context_encoder.layer1.1.convnormrelu2.1.weight",
        "cnet.layer3.0.downsample.1.bias": "context_encoder.layer3.0.downsample.1.bias",
        "update_block.encoder.convc2.weight": "update_block.motion_encoder.convcorr2.0.weight",
        "update_block.gru.convq2.bias": "update_block.recurrent_block.convgru2.convq.bias",
        "update_block.mask.0.weight": "mask_predictor.convrelu.0.weight",
        "update_block.mask.2.bias": "mask_predictor.conv.bias",
    },
}
BUILD = {"small": optical_flow.raft_small, "large": optical_flow.raft_large}


@pytest.fixture(scope="module", params=["small", "large"])
def untrained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """An estimator with random weights, and torchvision's network with the same."""
    torch.manual_seed(0)
    network = BUILD[request.param]().eval()
    file = tmp_path_factory.mktemp("weights") / "raft.pth"
    torch.save(network.state_dict(), file)
    kind = {"small": RaftSmall, "large": RaftLarge}[request.param]
    return kind(str(file), iterations=3, device="cpu"), network


def test_flow_is_that_of_torchvision(untrained: tuple, texture: np.ndarray) -> None:
    estimator, network = untrained
    frames = np.stack(
        [np.kron(np.roll(texture, shift, axis=1), np.ones((2, 1, 1), np.uint8)) for shift in (0, 2, 5)]
    )
    pairs = [(0, 1), (2, 0), (0, 2)]
    flows = estimator.estimate(frames, pairs)
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        for flow, (first, second) in zip(flows, pairs, strict=True):
            wanted = network(images[first, None], images[second, None], num_flow_updates=3)[-1][0]
            np.testing.assert_allclose(flow, wanted.numpy(), atol=1e-4)


def test_any_size_comes_back_in_its_own_size(untrained: tuple, texture: np.ndarray) -> None:
    estimator, _ = untrained
    for height, width in ((96, 128), (61, 43), (2, 9)):
        flow = estimator.estimate(np.stack([texture[:height, :width]] * 2), [(0, 1)])
        assert flow.shape == (1, 2, height, width)
        assert np.isfinite(flow).all()


def test_enlarged_frames_give_the_means_of_squares(untrained: tuple, texture: np.ndarray) -> None:
    """Twice as large by the same bicubic curve, estimated, and every 2 x 2 px of it averaged and halved."""
    estimator, _ = untrained
    frames = np.stack([texture, np.roll(texture, 3, axis=1)])
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    large = torch.nn.functional.interpolate(images, scale_factor=2, mode="bicubic").clamp(0, 255)
    large_frames = large.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    wanted = estimator.estimate(large_frames, [(0, 1)])[0]
    height, width = texture.shape[:2]
    wanted = wanted.reshape(2, height, 2, width, 2).mean(axis=(2, 4)) / 2
    found = dataclasses.replace(estimator, enlarge=2).estimate(frames, [(0, 1)])[0]
    assert found.shape == (2, height, width)
    np.testing.assert_allclose(found, wanted, atol=0.1)  # rounding to whole grey levels


@pytest.mark.parametrize("size", ["small", "large"])
def test_the_authors_names_become_torchvisions(size: str) -> None:
    network = BUILD[size]()
    wanted = network.state_dict()
    assert set(SAME_NAMES[size].values()) <= set(wanted)
    theirs = {old: wanted[new] for old, new in SAME_NAMES[size].items()}
    # One norm of a block that halves the size stands in the authors' files under a second name.
    if size == "large":
        theirs["cnet.layer3.0.norm3.bias"] = theirs["cnet.layer3.0.downsample.1.bias"]
    translated = translate(theirs, network)
    assert set(translated) == set(SAME_NAMES[size].values())
    assert translate(wanted, network).keys() == wanted.keys()


def test_real_weights_in_both_layouts(samples: Path, tmp_path: Path, texture: np.ndarray) -> None:
    from tests.flow_cache.estimators.test_estimators import chairs_error_px

    theirs = samples / "weights" / "raft-small.pth"
    network = optical_flow.raft_small()
    network.load_state_dict(translate(torch.load(theirs, map_location="cpu", weights_only=True), network))
    torch.save(network.state_dict(), tmp_path / "ours.pth")
    assert chairs_error_px(samples, RaftSmall(str(theirs)))[0] < 1.6
    first, second = (RaftSmall(str(file), iterations=2) for file in (theirs, tmp_path / "ours.pth"))
    frames = np.stack([texture, np.roll(texture, 2, axis=1)])
    np.testing.assert_allclose(first.estimate(frames, [(0, 1)]), second.estimate(frames, [(0, 1)]), atol=1e-5)


def test_settings_follow_the_content_of_the_weights(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"one")
    (tmp_path / "b.pth").write_bytes(b"one")
    (tmp_path / "c.pth").write_bytes(b"two")
    a, b, c = (RaftSmall(str(tmp_path / f"{name}.pth")) for name in "abc")
    assert settings_hash(a) == settings_hash(b) != settings_hash(c)
    assert settings_hash(a) == settings_hash(RaftSmall(a.weights, device="cpu"))
    assert settings_hash(RaftSmall()) != settings_hash(RaftLarge())
    assert RaftLarge().settings() == {"weights": "C_T_V2", "iterations": 12}
    assert settings_hash(a) != settings_hash(RaftSmall(a.weights, enlarge=2))
    assert pickle.loads(pickle.dumps(a)) == a


def test_bad_weights_are_refused(tmp_path: Path, texture: np.ndarray) -> None:
    frames, pairs = np.stack([texture, texture]), [(0, 1)]
    with pytest.raises(FlowCacheError, match="iterations 0"):
        RaftSmall(iterations=0)
    with pytest.raises(FlowCacheError, match="enlarge 0 of raft_small; wanted 1 to 8"):
        RaftSmall(enlarge=0)
    with pytest.raises(FlowCacheError, match=r"'none\.pth' of raft_small: no such file, and none of: C_T_V1"):
        RaftSmall("none.pth").estimate(frames, pairs)
    file = tmp_path / "text.pth"
    file.write_text("text")
    with pytest.raises(FlowCacheError, match=r"text\.pth is no checkpoint"):
        RaftSmall(str(file)).estimate(frames, pairs)
    torch.save({"epoch": 3}, file)
    with pytest.raises(FlowCacheError, match="no plain state"):
        RaftSmall(str(file)).estimate(frames, pairs)
    torch.save(optical_flow.raft_small().state_dict(), file)
    with pytest.raises(FlowCacheError, match="does not fit raft_large"):
        RaftLarge(str(file)).estimate(frames, pairs)
