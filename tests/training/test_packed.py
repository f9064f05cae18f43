"""Networks to pass on: their weights in 16 bits, in use as before, and a start for other runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from slimdp.config import TrainConfig
from slimdp.training import CheckpointError, load_checkpoint, load_model, train
from slimdp.training.checkpoint import save_checkpoint
from slimdp.training.packed import mean_of, packed, stage_reached


@pytest.fixture
def small(straight: tuple[TrainConfig, Path], tmp_path: Path) -> Path:
    save_checkpoint(
        tmp_path / "small.pt",
        packed(load_checkpoint(straight[1] / "checkpoints" / "step_00000007.pt"), "small"),
    )
    return tmp_path / "small.pt"


def test_it_holds_the_average_and_nothing_of_the_run(straight: tuple[TrainConfig, Path], small: Path) -> None:
    whole = load_checkpoint(straight[1] / "checkpoints" / "step_00000007.pt")
    assert whole.average is not None
    assert whole.optimizer is not None
    found = load_checkpoint(small)
    assert found.average is found.optimizer is found.random_state is None
    assert (found.stage, found.step, found.layout) == (2, 0, whole.layout)
    for name, weight in whole.average.items():
        assert found.model[name].dtype == weight.dtype  # in use
        rounded = weight.half().to(weight.dtype) if weight.ndim > 1 else weight
        assert torch.equal(found.model[name], rounded)
    assert not torch.equal(found.model["stem.0.weight"], whole.average["stem.0.weight"])
    stored = torch.load(small, weights_only=True)["model"]
    assert {w.dtype for w in stored.values() if w.ndim > 1} == {torch.float16}
    assert small.stat().st_size < whole_size(straight) / 3
    assert str(straight[1].parent) not in str(found.config)
    assert [stage.name for stage in found.config.stages] == ["small_stills", "small_clips"]
    assert (found.config.model, found.config.crop) == (whole.config.model, whole.config.crop)


def whole_size(straight: tuple[TrainConfig, Path]) -> int:
    return (straight[1] / "checkpoints" / "step_00000007.pt").stat().st_size


def test_it_predicts_and_is_what_other_runs_begin_with(
    straight: tuple[TrainConfig, Path], small: Path, tmp_path: Path
) -> None:
    model, _ = load_model(small)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    stage = straight[0].stages[0].replace(steps=1)  # of a name that the packed run had too
    end = train(straight[0].replace(stages=(stage,)), tmp_path / "run", initial=small, bar=False)
    assert load_checkpoint(end).model["stem.0.weight"].dtype == torch.float32
    assert "stages done: none" in (tmp_path / "run" / "train.log").read_text()


def test_packing_again_changes_nothing(small: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "again.pt", packed(load_checkpoint(small), "more"))
    first, again = (load_checkpoint(file).model for file in (small, tmp_path / "again.pt"))
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())


def test_a_weight_that_16_bits_do_not_hold_is_named(straight: tuple[TrainConfig, Path]) -> None:
    checkpoint = load_checkpoint(straight[1] / "stage_clips.pt")
    large = {**checkpoint.model, "stem.0.weight": checkpoint.model["stem.0.weight"] + 7e4}
    with pytest.raises(CheckpointError, match=r"stem\.0\.weight holds a number beyond 65504"):
        packed(replace(checkpoint, model=large), "small")


def test_the_mean_of_two_ends(straight: tuple[TrainConfig, Path]) -> None:
    ends = [load_checkpoint(straight[1] / f"stage_{name}.pt") for name in ("stills", "clips")]
    assert [*map(stage_reached, ends)] == ["stills", "clips"]
    found = mean_of(ends)
    assert found.average is None
    assert found.config == ends[1].config
    first, last = (end.best_weights for end in ends)
    assert found.model.keys() == last.keys()
    for name, weight in found.model.items():
        assert weight.dtype == last[name].dtype
        if weight.is_floating_point():
            torch.testing.assert_close(weight, (first[name] + last[name]) / 2)
        else:
            assert torch.equal(weight, last[name])
    assert all(torch.equal(w, last[name]) for name, w in mean_of(ends[1:]).model.items())


def test_another_network_has_no_mean_with_it(straight: tuple[TrainConfig, Path]) -> None:
    end = load_checkpoint(straight[1] / "stage_clips.pt")
    other = replace(end, model={**end.best_weights, "more": torch.zeros(1)}, average=None)
    with pytest.raises(CheckpointError, match="stages clips and clips are not of one network"):
        mean_of([other, end])
