from __future__ import annotations

import importlib.util
import pickle
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch

from flow_cache.__main__ import main
from flow_cache.errors import FlowCacheError
from flow_cache.estimators import DenseInverseSearch, RaftSmall, make_estimator, settings_hash

THERE = importlib.util.find_spec("ptlflow") is not None
needs_ptlflow = pytest.mark.skipif(not THERE, reason="ptlflow is not installed (an extra of this package)")


def test_names_and_settings_make_estimators() -> None:
    assert make_estimator("dis", preset="fast", weights=None) == DenseInverseSearch("fast")
    assert make_estimator("raft_small", iterations=3) == RaftSmall(iterations=3)
    with pytest.raises(
        FlowCacheError, match=r"estimator 'raft_smal'; did you mean raft_small\? choices: dis, .*"
    ):
        make_estimator("raft_smal")
    with pytest.raises(FlowCacheError, match=r"'xyz'; choices: dis, raft_small, raft_large, ptlflow:NETWORK"):
        make_estimator("xyz")
    with pytest.raises(FlowCacheError, match="weights is no setting of dis; it has: preset"):
        make_estimator("dis", weights="a.pth")


@pytest.mark.skipif(THERE, reason="ptlflow is installed")
def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "precompute",
        "a.mp4",
        "--out",
        str(tmp_path / "flow.h5"),
        "--estimator",
        "ptlflow:sea_raft_s",
    ]
    assert main(arguments) == 2
    message = "ptlflow:sea_raft_s needs the package ptlflow; run: pip install 'slimdp[ptlflow]'"
    assert capsys.readouterr().err == f"flow_cache: {message}\n"


@needs_ptlflow
def test_an_unknown_network_is_answered_with_near_names() -> None:
    with pytest.raises(
        FlowCacheError, match=r"no network 'searaft'; did you mean: sea_raft.*; it has: .*flownet2"
    ):
        make_estimator("ptlflow:searaft")


@needs_ptlflow
def test_settings_that_a_network_does_not_have_are_refused() -> None:
    with pytest.raises(FlowCacheError, match="ptlflow:flownet2 has no number of iterations"):
        make_estimator("ptlflow:flownet2", iterations=3)
    with pytest.raises(FlowCacheError, match="iterations 0"):
        make_estimator("ptlflow:raft_small", iterations=0)
    with pytest.raises(
        FlowCacheError, match=r"weights 'x' of ptlflow:sea_raft_s: no such file, and none of: .*thi"
    ):
        make_estimator("ptlflow:sea_raft_s", weights="x").settings()
    estimator = make_estimator("ptlflow:sea_raft_s")
    assert estimator.settings() == {"weights": "things"}
    assert make_estimator("ptlflow:ms_raft_p").settings() == {"weights": "mixed"}  # its only ones
    assert settings_hash(estimator) != settings_hash(make_estimator("ptlflow:sea_raft_s", half=True))
    assert pickle.loads(pickle.dumps(estimator)) == estimator


@needs_ptlflow
@pytest.mark.parametrize("size", [(96, 128), (61, 43), (133, 150)])
def test_raft_small_is_ours(samples: Path, texture: np.ndarray, size: tuple[int, int]) -> None:
    weights = str(samples / "weights" / "raft-small.pth")
    height, width = size
    large = np.kron(texture, np.ones((2, 2, 1), np.uint8))
    frames = np.stack([np.roll(large, shift, axis=1)[:height, :width] for shift in (0, 3)])
    settings = {"weights": weights, "iterations": 4, "device": "cpu"}
    pairs = [(0, 1), (1, 0)]
    theirs = make_estimator("ptlflow:raft_small", **settings).estimate(frames, pairs)
    assert theirs.shape == (2, 2, height, width)
    ours = RaftSmall(**settings).estimate(frames, pairs)  # type: ignore[arg-type]
    np.testing.assert_allclose(theirs, ours, atol=1e-3)


@needs_ptlflow
def test_checkpoints_of_ptlflow_are_read_and_others_refused(tmp_path: Path, texture: np.ndarray) -> None:
    import ptlflow

    torch.manual_seed(0)
    network = ptlflow.get_model("sea_raft_s").eval()
    file = tmp_path / "sea_raft.ckpt"
    torch.save({"state_dict": network.state_dict(), "hyper_parameters": {"train_size": [64, 64]}}, file)
    frames = np.stack([np.kron(texture, np.ones((2, 2, 1), np.uint8))] * 2)
    flow = make_estimator("ptlflow:sea_raft_s", weights=str(file), device="cpu").estimate(frames, [(0, 1)])
    images = torch.from_numpy(frames[None, ..., ::-1].copy()).permute(0, 1, 4, 2, 3) / 255
    with torch.inference_mode():
        expected = network({"images": images})["flows"][0, 0].numpy()
    np.testing.assert_array_equal(flow[0], expected)
    with pytest.raises(FlowCacheError, match="does not fit ptlflow:fastflownet"):
        make_estimator("ptlflow:fastflownet", weights=str(file), device="cpu").estimate(frames, [(0, 1)])
    file.write_bytes(pickle.dumps(print))
    with pytest.raises(FlowCacheError, match="is no checkpoint that torch reads"):
        make_estimator("ptlflow:sea_raft_m", weights=str(file), device="cpu").estimate(frames, [(0, 1)])


@needs_ptlflow
def test_weights_that_cannot_be_downloaded(texture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", refuse)
    with pytest.raises(
        FlowCacheError, match=r"weights sintel of ptlflow:raft cannot be downloaded .*name a check"
    ):
        make_estimator("ptlflow:raft", weights="sintel").estimate(np.stack([texture, texture]), [(0, 1)])
