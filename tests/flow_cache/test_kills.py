"""Precomputation that is killed again and again; the tool does the killing and the comparing."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import h5py
import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "flow_kill_test.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    if not Path("/proc/self/stat").exists():
        pytest.skip("processes are looked up in /proc")
    spec = importlib.util.spec_from_file_location("flow_kill_test", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their own names
    spec.loader.exec_module(module)
    return module


def kill(tool: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    code = tool.main([str(argument) for argument in arguments])
    found = json.loads(capsys.readouterr().out)
    assert found["faults"] == []
    assert code == 0
    return found


def test_killed_runs_end_as_one_that_was_left_alone(
    tool: ModuleType, make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = kill(tool, capsys, make_folder(count=40), "--kills", 3, "--folder", tmp_path, "--preset", "fast")
    assert found["moments"] == {"start-up": 1, "estimation": 1, "commit": 1}


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("victim", ["main", "worker"])
@pytest.mark.parametrize("estimator", ["dis", "raft_small"])
def test_twenty_kills_on_real_video(
    tool: ModuleType,
    samples: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    processes: int,
    victim: str,
    estimator: str,
) -> None:
    video, settings = samples / "video" / "vtest.avi", ["--frames", "0:20", "--steps=-2:2"]
    if estimator == "raft_small":
        video = samples / "posetrack18" / "videos" / "000001_mpiinew_test"
        weights = samples / "weights" / "raft-small.pth"
        settings = [
            "--estimator",
            estimator,
            "--weights",
            str(weights),
            "--iterations",
            "1",
            "--device",
            "cpu",
        ]
    where = ("--folder", tmp_path, "--processes", processes, "--victim", victim)
    found = kill(tool, capsys, video, *where, *settings)
    assert sum(found["moments"].values()) == 20
    # Where a worker is killed, the run itself ends its commit, on a quick machine before the tool looks.
    if victim == "main":
        assert found["in_commit"] > 0


def test_differences_are_found(tool: ModuleType, tmp_path: Path) -> None:
    def make(name: str, values: list[int], note: str = "same", **layout: object) -> Path:
        with h5py.File(tmp_path / name, "w") as file:
            file.create_dataset("a/b", data=values, **layout)
            file["a"].attrs["note"] = note
        return tmp_path / name

    first = make("first", [1, 2, 3])
    assert tool.differences(first, make("other", [1, 2, 3])) == []
    assert tool.differences(first, make("other", [1, 5, 3])) == ["a/b, row 1"]
    assert tool.differences(first, make("other", [1, 2, 3], "not the same"))[0].startswith("a: ")
    assert tool.differences(first, make("other", [1, 2, 3], chunks=(1,), compression="gzip"))[0].startswith(
        "a/b: "
    )
    with h5py.File(tmp_path / "other", "r+") as file:
        file["more"] = 1
    assert tool.differences(first, tmp_path / "other") == ["other objects: ['more']"]
