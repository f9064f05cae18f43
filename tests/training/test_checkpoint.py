from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from slimdp.config import ConfigError, DataSource, OptimiserSettings, StageSettings, TrainConfig
from slimdp.models import DensePoseModel, HourglassSettings, StackedHourglass
from slimdp.structures import PoseBatch
from slimdp.training.checkpoint import (
    Checkpoint,
    CheckpointError,
    UnfitWeightsError,
    check_same_settings,
    load_checkpoint,
    load_model,
    load_weights,
    save_checkpoint,
)


@pytest.fixture
def checkpoint(small_run: TrainConfig) -> Checkpoint:
    torch.manual_seed(0)
    model, average = StackedHourglass(1, 8), StackedHourglass(1, 8)
    optimizer = torch.optim.AdamW(model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    return Checkpoint(small_run, 1, 2, model.state_dict(), average.state_dict(), 7, optimizer.state_dict())


def assert_answers_as(model: DensePoseModel, weights: dict[str, Tensor]) -> None:
    """A hourglass, folded or not, says what one with these weights says."""
    wanted = StackedHourglass(1, 8)
    wanted.load_state_dict(weights)
    batch = PoseBatch.of_images(torch.rand(1, 3, 64, 64))
    with torch.no_grad():
        torch.testing.assert_close(
            model(batch).best.fine_segm, wanted.eval()(batch).best.fine_segm, rtol=1e-3, atol=1e-4
        )


def test_everything_comes_back(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", checkpoint)
    loaded = load_checkpoint(tmp_path / "a.pt")
    assert (loaded.config, loaded.stage, loaded.step, loaded.average_updates) == (checkpoint.config, 1, 2, 7)
    assert loaded.average is not None
    assert checkpoint.average is not None
    for name, value in checkpoint.model.items():
        assert torch.equal(loaded.model[name], value)
        assert torch.equal(loaded.average[name], checkpoint.average[name])
    assert loaded.optimizer is not None
    assert checkpoint.optimizer is not None
    assert loaded.optimizer["param_groups"] == checkpoint.optimizer["param_groups"]
    moment = checkpoint.optimizer["state"][0]["exp_avg_sq"]
    assert torch.equal(loaded.optimizer["state"][0]["exp_avg_sq"], moment)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pt"]


def test_the_model_of_a_checkpoint_is_its_average_ready_to_predict(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    save_checkpoint(tmp_path / "a.pt", checkpoint)
    model, config = load_model(tmp_path / "a.pt")
    assert not model.training
    assert config == checkpoint.config
    assert checkpoint.average is not None
    assert_answers_as(model, checkpoint.average)
    save_checkpoint(tmp_path / "b.pt", dataclasses.replace(checkpoint, average=None))
    last, _ = load_model(tmp_path / "b.pt")
    assert_answers_as(last, checkpoint.model)


def test_a_failed_write_leaves_the_old_file(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, checkpoint)
    before = path.read_bytes()
    unsavable = dataclasses.replace(checkpoint, optimizer={"state": (i for i in range(3))})
    with pytest.raises(TypeError):
        save_checkpoint(path, unsavable)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*nowhere\.pt"):
        load_checkpoint(tmp_path / "nowhere.pt")


@pytest.mark.parametrize("data", [b"%s", b"aaaa", b"\x00\xff"], ids=["percent", "aaaa", "bytes"])
def test_what_is_no_pickle_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"a\.pt is broken or no checkpoint"):
        load_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("length", [0, 100, -1])
def test_a_broken_file_is_named(checkpoint: Checkpoint, tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, checkpoint)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match=r"a\.pt is broken or no checkpoint"):
        load_checkpoint(path)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("trapped"),))  # type: ignore[return-value]


def test_a_file_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(Trap(), "trap.pt")
    with pytest.raises(CheckpointError, match=r"trap\.pt"):
        load_checkpoint(Path("trap.pt"))
    assert not Path("trapped").exists()


@pytest.mark.parametrize("content", [{"weights": 1}, [1], {"format": "slimdp checkpoint 0"}])
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"other\.pt: wanted a file of format 'slimdp checkpoint 1'"):
        load_checkpoint(tmp_path / "other.pt")


#: Settings as checkpoints held them before a network had a name.
EARLIER = {
    "stages": [
        {
            "name": "stills",
            "data": [
                {"annotations": "people.json", "images": "pictures", "weight": 1.0, "unlabelled": False}
            ],
            "steps": 4, "batch": 2, "learning_rate": 0.001, "warmup": 0.05, "weight_decay": 0.0001,
            "clip_norm": 1.0, "optimiser": {"name": "adamw", "momentum": None, "smoothing": 0.9},
            "schedule": {"name": "cosine", "drops": [0.7, 0.9], "factor": 0.1}, "accumulate": 1,
            "loss": None, "augment": None, "motion": None,
        }
    ],
    "model": {"stacks": 1, "features": 8, "keypoints": []},
    "crop": {"size": 256, "margin": 0.15},
    "augment": {
        "scale": 0.25, "rotation_deg": 30.0, "shift": 0.05, "flip": True, "colour": 0.3, "occlusion": 0.0
    },
    "loss": {
        "part": 1.0, "coarse": 1.0, "background": 1.0, "uv": 10.0, "keypoint_part": 0.0, "keypoint_uv": 0.0,
        "keypoint_map": 1.0, "equivariance": 0.0, "equivariance_at": "level_3", "equivariance_stop": "none",
    },
    "motion": {
        "kind": "none", "flow": "", "exact": "", "steps": [-3, -2, -1, 1, 2, 3], "threshold_px": 5.0,
        "propagate": False,
        "warp": {
            "control_points": 5, "bend": 0.03, "rotation_deg": 15.0, "scale": 0.15, "shear": 0.1,
            "shift": 0.05,
        },
    },
    "validation": None, "surface": "open", "average_decay": 0.99, "seed": 0, "precision": "auto",
    "compile": False, "shared_batch_norm": False, "workers": 0, "log_every": 20, "images_every": 200,
    "checkpoint_every": 200, "keep": 2,
}  # fmt: skip


def test_a_checkpoint_of_an_earlier_version_holds_an_hourglass(tmp_path: Path) -> None:
    model = StackedHourglass(1, 8)
    content = {
        "config": EARLIER, "stage": 1, "step": 0, "model": model.state_dict(), "average": None,
        "average_updates": 0, "optimizer": None, "best_score": None, "random_state": None,
        "versions": {"slimdp": "0.1"}, "format": "slimdp checkpoint 1",
    }  # fmt: skip
    torch.save(content, tmp_path / "old.pt")
    loaded, config = load_model(tmp_path / "old.pt")
    assert isinstance(loaded, StackedHourglass)
    assert_answers_as(loaded, model.state_dict())
    source = DataSource(annotations="people.json", images="pictures")
    stage = StageSettings(
        name="stills", data=(source,), steps=4, batch=2, optimiser=OptimiserSettings(beta2=0.9)
    )
    assert config == TrainConfig(
        stages=(stage,), model=HourglassSettings(stacks=1, features=8), ema_decay=0.99, sync_batchnorm=False
    )
    # What is saved now names its network.
    save_checkpoint(tmp_path / "new.pt", load_checkpoint(tmp_path / "old.pt"))
    saved = torch.load(tmp_path / "new.pt", weights_only=True)["config"]["model"]
    assert saved == {"name": "hourglass", "keypoints": [], "stacks": 1, "features": 8}


def test_weights_of_another_model_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    config = checkpoint.config.replace(model=HourglassSettings(stacks=1, features=16))
    save_checkpoint(tmp_path / "a.pt", dataclasses.replace(checkpoint, config=config))
    with pytest.raises(CheckpointError, match=r"a\.pt do not fit the model, \d+ of \d+: ") as refused:
        load_model(tmp_path / "a.pt")
    # A few in a line, of hundreds.
    first, *others = str(refused.value).partition(": ")[2].split("; ")
    assert first == "stem.0.weight is of shape (2, 3, 7, 7), but (4, 3, 7, 7) is wanted"
    assert len(others) == 3
    assert re.fullmatch(r"and \d\d+ more", others[-1])


def test_weights_that_are_missing_or_too_many_are_counted(checkpoint: Checkpoint) -> None:
    model, weights = StackedHourglass(1, 8), dict(checkpoint.model)
    weights["extra.weight"] = weights.pop("stem.0.weight")
    told = f"2 of {len(weights) + 1}: stem.0.weight is missing; extra.weight has no place in it"
    with pytest.raises(UnfitWeightsError, match=rf"a\.pt do not fit the model, {re.escape(told)}$"):
        load_weights(model, weights, Path("a.pt"))


def test_other_settings_are_named_and_harmless_ones_pass(small_run: TrainConfig) -> None:
    path = Path("last.pt")
    check_same_settings(path, small_run, small_run.replace(workers=4, log_every=1))
    stages = (small_run.stages[0], small_run.stages[1].replace(steps=9))
    other = small_run.replace(stages=stages, model=HourglassSettings(stacks=1, features=16))
    with pytest.raises(ConfigError, match=r"last\.pt .*stages\.1\.steps: 4, 9; model\.features: 8, 16"):
        check_same_settings(path, small_run, other)
