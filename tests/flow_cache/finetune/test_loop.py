from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import optical_flow

from flow_cache.errors import FlowCacheError
from flow_cache.estimators import RaftSmall
from flow_cache.finetune.command import split, tell
from flow_cache.finetune.loop import finetune, sequence_loss
from flow_cache.finetune.measure import flow_errors
from flow_cache.finetune.samples import Field
from flow_cache.finetune.settings import FinetuneSettings


class MovingPictures:
    """Stands for `StoredPairs`: noise that moves by (3, 0) px, with people in its upper half."""

    def __init__(self, **other: str) -> None:
        self._identity = {"flow": "exact", "frames": "noise", "masks": "none", **other}
        rng = np.random.default_rng(0)
        self._first = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
        self.store = self

    def image(self, video: str, frame: int) -> np.ndarray:
        return np.roll(self._first, 3 * frame, axis=1)

    def people(self, video: str, frame: int) -> np.ndarray:
        return np.arange(128)[:, None].repeat(128, axis=1) < 64

    def identity(self, video: str, frames: Iterable[int]) -> dict[str, str]:
        return self._identity

    def read(self, video: str, frame: int, step: int, box: tuple | None = None) -> object:
        width, height = (128, 128) if box is None else box[2:]
        flow = np.zeros((2, height, width), np.float32)
        flow[0] = 3 * step
        return type("Read", (), {"displacement": flow})()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "raft.pth"
    torch.save(optical_flow.raft_small().state_dict(), file)
    return str(file)


FIELDS = [Field(MovingPictures(), "noise", 0, 1)]  # type: ignore[arg-type]
SHORT = {"steps": 3, "batch": 1, "iterations": 2, "checkpoint_every": 1, "zoom": (1.0, 1.0)}


def test_a_run_that_was_stopped_goes_on_bit_for_bit(weights: str, tmp_path: Path, monkeypatch) -> None:
    settings = FinetuneSettings(**SHORT)
    straight = torch.load(finetune(FIELDS, weights, tmp_path / "a", settings, "cpu"), weights_only=True)
    from flow_cache.finetune import loop

    learn = loop._learn

    def stop(state: object, *rest: object) -> float:
        if state.step == 2:
            raise KeyboardInterrupt
        return learn(state, *rest)

    monkeypatch.setattr(loop, "_learn", stop)
    with pytest.raises(KeyboardInterrupt):
        finetune(FIELDS, weights, tmp_path / "b", settings, "cpu")
    monkeypatch.undo()
    resumed = torch.load(finetune(FIELDS, weights, tmp_path / "b", settings, "cpu"), weights_only=True)
    before = torch.load(weights, weights_only=True)
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    assert any(not torch.equal(straight[name], before[name]) for name in straight)
    assert RaftSmall(str(tmp_path / "a" / "weights.pt"), device="cpu").settings()["iterations"] == 12
    with pytest.raises(FlowCacheError, match=r"begun with other settings or data \(rate\); give the"):
        finetune(FIELDS, weights, tmp_path / "a", FinetuneSettings(**SHORT, rate=1e-3), "cpu")


def test_a_run_goes_on_with_its_own_data_alone(
    weights: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    finetune(FIELDS, weights, tmp_path, FinetuneSettings(**SHORT), "cpu")
    for what in ("flow", "frames", "masks"):
        other = [Field(MovingPictures(**{what: "other"}), "noise", 0, 1)]  # type: ignore[arg-type]
        with pytest.raises(FlowCacheError, match=rf"begun with other settings or data \({what}\)"):
            finetune(other, weights, tmp_path, FinetuneSettings(**SHORT), "cpu")
    assert not caplog.messages
    last = torch.load(tmp_path / "last.pt", weights_only=True)
    for what in ("flow", "frames", "masks"):  # as before these were kept
        del last["about"][what]
    torch.save(last, tmp_path / "last.pt")
    finetune(FIELDS, weights, tmp_path, FinetuneSettings(**SHORT), "cpu")
    assert len(caplog.messages) == 1
    assert "last.pt does not say with which flow, frames, masks it was begun" in caplog.messages[0]
    with pytest.raises(FlowCacheError, match=r"other settings or data \(fields\)"):
        finetune(FIELDS * 2, weights, tmp_path, FinetuneSettings(**SHORT), "cpu")


def test_a_loss_that_is_not_finite_ends_the_run(weights: str, tmp_path: Path) -> None:
    broken = torch.load(weights, weights_only=True)
    broken["update_block.flow_head.conv2.bias"].fill_(torch.inf)
    torch.save(broken, tmp_path / "broken.pth")
    with pytest.raises(FlowCacheError, match="step 0: a loss of"):
        finetune(FIELDS, str(tmp_path / "broken.pth"), tmp_path, FinetuneSettings(**SHORT), "cpu")
    with pytest.raises(FlowCacheError, match="no fields to learn from"):
        finetune([], weights, tmp_path / "none", FinetuneSettings(**SHORT), "cpu")


def test_the_loss_is_as_computed_by_hand() -> None:
    flow_0to1, weight = torch.zeros(1, 2, 1, 2), torch.tensor([[[1.0, 3.0]]])
    first = torch.tensor([[[[1.0, 2.0]], [[0.0, 0.0]]]])
    last = torch.tensor([[[[0.0, 1.0]], [[2.0, 0.0]]]])
    # (1 * 1 + 3 * 2) / 4 and (1 * 2 + 3 * 1) / 4, the first counted 0.8
    assert sequence_loss([first, last], flow_0to1, weight, 0.8).item() == pytest.approx(0.8 * 1.75 + 1.25)


def test_errors_are_measured_on_people_and_everywhere() -> None:
    class Shifted:
        name, frames_a_batch = "shifted", 2

        def estimate(self, frames: np.ndarray, pairs: object) -> np.ndarray:
            flow = np.zeros((1, 2, 128, 128), np.float32)
            flow[0, 0, :64], flow[0, 0, 64:] = 7, 3  # 4 px off on people, right elsewhere
            return flow

        def settings(self) -> dict:
            return {}

    rows = flow_errors(Shifted(), FIELDS)
    assert rows == [
        {"frames": 1, "where": "all", "pixels": 128 * 128, "median_px": 2.0, "95_px": 4.0},
        {"frames": 1, "where": "people", "pixels": 128 * 64, "median_px": 4.0, "95_px": 4.0},
    ]
    assert "4.000" in tell({"before": rows, "after": rows})[2]


def test_videos_are_held_out() -> None:
    assert split(["a", "b", "c"], None) == (("a", "b"), ("c",))
    assert split(["a", "b", "c"], 2) == (("a",), ("b", "c"))
    for count in (0, 3):
        with pytest.raises(FlowCacheError, match="of 3 videos held out"):
            split(["a", "b", "c"], count)
