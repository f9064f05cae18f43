"""Networks to pass on: their weights in 16 bits, in use as before, and a start for other runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from slimdp.config import TrainConfig
from slimdp.training import CheckpointError, load_checkpoint, load_model, train
from slimdp.training.checkpoint import save_checkpoint
from slimdp.training.packed import mean_of, packed, stage_reached, with_mean_backbone


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


def test_weights_in_8_bits(straight: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    """Each is off by half a step of its channel at most, and packing what was read changes no bit."""
    whole, file = load_checkpoint(straight[1] / "checkpoints" / "step_00000007.pt"), tmp_path / "eight.pt"
    whole.best_weights["stem.0.weight"][0] = 0  # a channel that is off
    save_checkpoint(file, packed(whole, "eight", ["stem.", "stacks.0."]))
    kept, found = torch.load(file, weights_only=True), load_checkpoint(file)
    assert found.scales == {}
    for name, weight in whole.best_weights.items():
        if name.startswith(("stem.", "stacks.0.")) and weight.ndim > 1:
            assert kept["model"][name].dtype == torch.int8
            assert kept["model"][name].abs().max() == 127
            most = weight.abs().flatten(1).amax(1).reshape(-1, *(1,) * (weight.ndim - 1)) / 254
            assert ((found.model[name] - weight).abs() <= most * 1.001).all(), name
        else:
            assert name not in kept["scales"]
            half = weight.half().float() if weight.ndim > 1 else weight
            assert torch.equal(found.model[name], half)
    again = packed(found, "eight", ["stem.", "stacks.0."])
    assert all(torch.equal(weight, kept["model"][name]) for name, weight in again.model.items())
    model, _ = load_model(file)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_what_8_bits_do_not_hold_is_named(straight: tuple[TrainConfig, Path]) -> None:
    checkpoint = load_checkpoint(straight[1] / "checkpoints" / "step_00000007.pt")
    with pytest.raises(CheckpointError, match=r"no weight begins with 'backbone\.'"):
        packed(checkpoint, "eight", ["stem.", "backbone."])
    checkpoint.best_weights["stem.0.weight"][0, 0, 0, 0] = float("nan")
    with pytest.raises(CheckpointError, match=r"stem\.0\.weight holds numbers that are not finite"):
        packed(checkpoint, "eight", ["stem."])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda scales: scales.pop("stem.0.weight"), r"the weight stem\.0\.weight has no scale"),
        (lambda scales: scales.update(odd=torch.ones(1)), "the weight odd has a scale, but is not there"),
        (
            lambda scales: scales.update({"stem.0.weight": torch.ones(3)}),
            r"the scale of stem\.0\.weight is of shape \(3,\), but \(\d+, 1, 1, 1\) is wanted",
        ),
        (lambda scales: scales["stem.0.weight"].fill_(torch.nan), r"scales\.stem\.0\.weight"),
    ],
)
def test_a_scale_that_is_wrong_is_named(
    straight: tuple[TrainConfig, Path],
    tmp_path: Path,
    change: Callable[[dict[str, Tensor]], None],
    words: str,
) -> None:
    checkpoint = load_checkpoint(straight[1] / "checkpoints" / "step_00000007.pt")
    save_checkpoint(tmp_path / "eight.pt", packed(checkpoint, "eight", ["stem."]))
    content = torch.load(tmp_path / "eight.pt", weights_only=True)
    change(content["scales"])
    torch.save(content, tmp_path / "eight.pt")
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(tmp_path / "eight.pt")


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


def test_a_backbone_half_way_to_its_beginning(straight: tuple[TrainConfig, Path]) -> None:
    whole = load_checkpoint(straight[1] / "checkpoints" / "step_00000007.pt")
    weights = {"backbone.a": torch.tensor([1.0, 3.0]), "backbone.n": torch.tensor(7), "head": torch.ones(2)}
    others = {"backbone.a": torch.tensor([3.0, 3.0]), "backbone.n": torch.tensor(9), "head": torch.zeros(5)}
    mine = replace(whole, model={name: torch.zeros_like(w) for name, w in weights.items()}, average=weights)
    mixed = with_mean_backbone(mine, replace(whole, model=others, average=None))
    assert mixed.average is None
    assert mixed.model["backbone.a"].tolist() == [2.0, 3.0]
    assert mixed.model["backbone.n"] == 7
    assert mixed.model["head"].tolist() == [1.0, 1.0]
    with pytest.raises(CheckpointError, match="not of one kind"):
        with_mean_backbone(mine, replace(whole, model={"backbone.a": torch.ones(3)}, average=None))
    with pytest.raises(CheckpointError, match="not of one kind"):
        with_mean_backbone(whole, whole)  # a hourglass has none


def test_another_network_has_no_mean_with_it(straight: tuple[TrainConfig, Path]) -> None:
    end = load_checkpoint(straight[1] / "stage_clips.pt")
    other = replace(end, model={**end.best_weights, "more": torch.zeros(1)}, average=None)
    with pytest.raises(CheckpointError, match="stages clips and clips are not of one network"):
        mean_of([other, end])
