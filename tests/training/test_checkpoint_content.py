"""Files that are checkpoints but for what is in them: each error names the file and the entry."""

from __future__ import annotations

import dataclasses
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from slimdp.config import TrainConfig
from slimdp.training.checkpoint import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    load_optimizer,
    save_checkpoint,
)
from slimdp.training.optimisation import make_optimizer

STEM = "stem.0.weight"
EXPANDED = torch.zeros(1).expand(10**6, 10**6)  # 4 TB of one number
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch is to lose them
    QUANTISED = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)


@pytest.fixture(scope="module")
def saved(small_run: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small file that is as it should be."""
    model = network()
    optimizer = make_optimizer(model, small_run.stages[0])
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    weights, state = model.state_dict(), {"cpu": torch.get_rng_state()}
    path = tmp_path_factory.mktemp("checkpoint") / "good.pt"
    save_checkpoint(
        path, Checkpoint(small_run, 0, 1, weights, dict(weights), 3, optimizer.state_dict(), 5.0, state)
    )
    return path


def network() -> nn.Module:
    """Two tensors in place of a network's hundreds."""
    return nn.Sequential(OrderedDict(stem=nn.Sequential(nn.Linear(4, 3))))


def changed(saved: Path, path: Path, place: str, value: Any) -> Path:
    """The same file with another value at a place, "model/stem.0.weight"."""
    content = torch.load(saved, weights_only=True)
    node: Any = content
    *above, last = place.split("/")
    for key in above:
        node = node[int(key) if key.isdecimal() else key]
    node[int(last) if last.isdecimal() else last] = value
    torch.save(content, path)
    return path


def test_a_good_file_is_read(saved: Path) -> None:
    assert load_checkpoint(saved).step == 1


def recursive() -> list[Any]:
    inside: list[Any] = []
    inside.append(inside)
    return inside


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("config", 3, r"config: the settings = 3"),
        ("config", None, r"config: "),
        ("config", torch.zeros(3), r"config: "),
        ("config/seed", torch.zeros(3), r"config: seed = tensor"),
        ("config/seed", "1", r"config: seed = '1'"),
        ("config/stages", 5, r"config: "),
        ("config/stages", [5], r"config: "),
        ("config/stages/0/data", [[1]], r"config: "),
        ("config/stages/0/loss", torch.zeros(2), r"config: "),
        ("config/model", recursive(), r"config.*nested more than"),
        ("stage", "0", r"stage is str '0', but int is wanted"),
        ("stage", True, r"stage is bool"),
        ("stage", 9, r"stage = 9, but its settings have \d stages"),
        ("stage", torch.tensor(0), r"stage is a tensor"),
        ("step", -1, r"step = -1"),
        ("step", 2**70, r"step = 1180591620717411303424, but"),
        ("step", 1.5, r"step is float 1\.5"),
        ("average_updates", None, r"average_updates is NoneType"),
        ("best_score", float("nan"), r"best_score = nan"),
        ("best_score", "high", r"best_score is str"),
        ("versions", ["torch"], r"versions is a list"),
        ("versions", {"torch": 2}, r"versions.'torch' is int 2"),
        ("model", [1], r"model is a list, but dict is wanted"),
        ("model", None, r"model is NoneType"),
        (f"model/{STEM}", "x", rf"model\.{STEM} is str 'x'"),
        (f"model/{STEM}", None, rf"model\.{STEM} is NoneType"),
        (f"model/{STEM}", torch.zeros(2, dtype=torch.complex64), rf"model\.{STEM} is of torch\.complex64"),
        (f"model/{STEM}", torch.full((2,), float("nan")), rf"model\.{STEM} holds 2 of 2 numbers"),
        (f"model/{STEM}", torch.eye(3).to_sparse(), rf"model\.{STEM} is a tensor of another kind"),
        (f"model/{STEM}", QUANTISED, rf"{STEM} is a.*quan"),
        (f"model/{STEM}", torch.empty(3, device="meta"), rf"model\.{STEM} is a tensor of another kind.*meta"),
        (f"model/{STEM}", EXPANDED, rf"model\.{STEM} claims 1000000000000 numbers, but the file holds 1 of"),
        ("model/7", torch.zeros(1), r"model\.7 is"),
        (f"average/{STEM}", torch.full((2,), float("inf")), rf"average\.{STEM} holds 2 of 2"),
        (f"average/{STEM}", torch.ones(2), rf"average\.{STEM} is not what model\.{STEM} is the average of"),
        ("average/other", torch.ones(2), r"average\.other is not what"),
        ("optimizer", [1], r"optimizer is a list"),
        ("optimizer", {}, r"optimizer lacks `state`"),
        ("optimizer/state", {"x": {}}, r"optimizer\.state\.'x' is a dict"),
        ("optimizer/state/0", 3, r"optimizer\.state\.0 is int 3"),
        ("optimizer/state/0/exp_avg", "x", r"optimizer\.state\.0\.exp_avg is str 'x'"),
        ("optimizer/state/0/exp_avg", EXPANDED, r"optimizer\.state\.0\.exp_avg claims 1000000000000"),
        ("optimizer/state/0/exp_avg", torch.tensor([float("nan")]), r"state\.0\.exp_avg holds 1 of 1"),
        ("optimizer/param_groups/0", 3, r"optimizer\.param_groups\.0 holds no list"),
        ("optimizer/param_groups/0/params", "x", r"optimizer\.param_groups\.0 holds no list"),
        ("random_state", {}, r"random_state\.cpu is NoneType"),
        ("random_state/cpu", torch.zeros(5, dtype=torch.uint8), r"random_state\.cpu is of 5 bytes"),
        ("random_state/cpu", [1], r"random_state\.cpu is a list"),
    ],
)  # fmt: skip
def test_an_odd_entry_is_named(saved: Path, tmp_path: Path, place: str, value: Any, said: str) -> None:
    with pytest.raises(CheckpointError, match=rf"odd\.pt: .*{said}"):
        load_checkpoint(changed(saved, tmp_path / "odd.pt", place, value))


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (
            "optimizer/state/0/exp_avg",
            torch.zeros(7),
            r"optimizer\.state\.0\.exp_avg is of shape \(7,\), but",
        ),
        ("optimizer/state/99999", {}, r"optimizer\.state\.99999: there is no weight"),
        ("optimizer/param_groups/0/params", [0, 1], r"optimizer\.param_groups are of \[2, 1\] weights"),
        ("optimizer/param_groups/0/betas", "x", r"optimizer\.param_groups\.0\.betas is str 'x', but tuple"),
    ],
)
def test_an_optimiser_of_other_weights_is_refused(
    saved: Path, tmp_path: Path, place: str, value: Any, said: str
) -> None:
    checkpoint = load_checkpoint(changed(saved, tmp_path / "odd.pt", place, value))
    optimizer = make_optimizer(network(), checkpoint.config.stages[0])
    assert checkpoint.optimizer is not None
    with pytest.raises(CheckpointError, match=said):
        load_optimizer(optimizer, checkpoint.optimizer)


def test_an_archive_that_unfolds_is_refused(saved: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(saved) as archive, zipfile.ZipFile(tmp_path / "bomb.pt", "w") as packed:
        for entry in archive.infolist():
            packed.writestr(entry.filename, archive.read(entry), zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match=r"bomb\.pt .*data\.pkl is compressed"):
        load_checkpoint(tmp_path / "bomb.pt")


def test_a_tensor_of_more_numbers_than_its_part_of_the_file_is_refused(saved: Path, tmp_path: Path) -> None:
    content = torch.load(saved, weights_only=True)
    content["model"] = {"only": torch.zeros(64)}
    content["average"] = content["optimizer"] = None
    torch.save(content, tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as archive, zipfile.ZipFile(tmp_path / "cut.pt", "w") as cut:
        for entry in archive.infolist():
            data = archive.read(entry)
            cut.writestr(entry.filename, data[:8] if entry.filename.endswith("data/0") else data)
    with pytest.raises(CheckpointError, match=r"cut\.pt"):
        load_checkpoint(tmp_path / "cut.pt")


def test_weights_alone_are_enough(saved: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(saved)
    bare = dataclasses.replace(checkpoint, average=None, optimizer=None, random_state=None, best_score=None)
    save_checkpoint(tmp_path / "bare.pt", bare)
    assert load_checkpoint(tmp_path / "bare.pt").optimizer is None
