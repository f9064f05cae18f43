from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from slimdp.config import ConfigError, DataSource, TrainConfig
from slimdp.training import TrainRun, load_checkpoint, train, train_side_by_side


def named(config: TrainConfig, name: str, seed: int = 0) -> TrainConfig:
    return replace(config, stages=(replace(config.stages[0], name=name),), seed=seed)


def test_runs_side_by_side_are_the_runs_one_by_one(
    small_run: TrainConfig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = named(small_run, "first"), named(small_run, "second", seed=1)
    runs = [TrainRun(first, tmp_path / "a"), TrainRun(second, tmp_path / "b")]
    together = train_side_by_side(runs, processes=2)
    said = capfd.readouterr().err
    assert "first: step" in said
    assert "second: step" in said
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        alone = [train(run.config, tmp_path / f"{run.out.name}_alone") for run in runs]
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(together, alone, strict=True):
        for name, value in load_checkpoint(one).model.items():
            assert torch.equal(value, load_checkpoint(other).model[name]), name


def test_a_run_that_fails_ends_the_others(small_run: TrainConfig, tmp_path: Path) -> None:
    stage = replace(small_run.stages[0], data=(DataSource("nothing.json", "."),))
    broken = replace(small_run, stages=(stage,))
    longer = replace(small_run, stages=(replace(small_run.stages[0], steps=100_000),))
    with pytest.raises(ConfigError, match=r"nothing\.json"):
        train_side_by_side([TrainRun(broken, tmp_path / "a"), TrainRun(longer, tmp_path / "b")], processes=2)
    assert not list((tmp_path / "b").glob("stage_*.pt"))
