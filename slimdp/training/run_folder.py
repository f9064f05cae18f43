"""What a run's folder tells of itself: settings, code, machine, and what was said and measured.

| file | what |
|---|---|
| `config.yaml` | the settings, whole |
| `environment.json` | of every start: versions, git commit, device, processes |
| `train.log` | what was said, with the time |
| `metrics.jsonl` | a JSON line for every logged step and validation |
| `last.pt`, `checkpoints/` | to go on from |
| `best.pt`, `stage_<name>.pt` | to predict with |
| `began_<name>.pt` | what a stage of which a share stays (`initial_share`) began with, until it has ended |
| `tensorboard/` | curves and pictures |
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import cv2
import h5py
import torch
from tqdm import tqdm

from flow_cache.runtime.atomic import write_json, write_text
from flow_cache.runtime.json_file import JsonFileError, parse_json, read_json, read_json_bytes
from flow_cache.runtime.lock import HeldError, held_folder
from flow_cache.runtime.machine import git_state
from slimdp.config import TrainConfig, config_to_dict
from slimdp.settings_file import dump_yaml
from slimdp.training.checkpoint import CheckpointError, current_versions
from slimdp.training.distributed import DistributedContext


class RunFolder:
    """Writes lines and numbers, for the first of several processes; the others say and write nothing."""

    def __init__(self, path: Path, speaks: bool = True) -> None:
        self.path, self.speaks = Path(path), speaks
        self._early: list[str] | None = []  # lines of the log from before `begin` made the folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other trainings out of the folder; raises CheckpointError if one is in it."""
        with ExitStack() as stack:
            try:
                if self.speaks:
                    stack.enter_context(held_folder(self.path))
            except HeldError as error:
                told = f"{self.path} is in use: {error}; wait for its end, or choose another folder"
                raise CheckpointError(told) from None
            yield

    def begin(self, config: TrainConfig, device: torch.device, processes: DistributedContext) -> None:
        """Write the settings and what they run on, and clear away what a killed run left half-written."""
        if not self.speaks:
            return
        for left in [*self.path.glob(".*.part*"), *(self.path / "checkpoints").glob(".*.part*")]:
            left.unlink()  # no other process works in a folder that is held
        write_text(self.path / "config.yaml", dump_yaml(config_to_dict(config)))
        file = self.path / "environment.json"
        starts = read_json(file) if file.is_file() else []
        if not isinstance(starts, list):
            found = type(starts).__name__
            raise ValueError(f"{file}: a {found}, but a list of starts is wanted; remove the file")
        starts.append(describe_environment(device, processes))
        write_json(file, starts, 2)
        early, self._early = self._early or [], None
        for line in early:
            self._append("train.log", line)

    def log(self, line: str, show: bool = True) -> None:
        """A line for the log, and to show above a progress bar if there is one."""
        if not self.speaks:
            return
        if show:
            tqdm.write(line, file=sys.stderr)
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}"
        if self._early is None:
            self._append("train.log", line)
        else:
            self._early.append(line)

    def measure(self, step: int, stage: str, numbers: Mapping[str, float]) -> None:
        """Numbers by name, after `step` steps of the run, all stages counted."""
        if self.speaks:
            self._append("metrics.jsonl", json.dumps({"step": step, "stage": stage, **numbers}))

    def forget_after(self, step: int) -> None:
        """Drop the numbers of steps after `step`: a killed run may have gone past its last checkpoint."""
        file = self.path / "metrics.jsonl"
        if not self.speaks or not file.is_file():
            return
        kept = [row for row in read_metrics(file) if row["step"] <= step]
        write_text(file, "".join(json.dumps(row) + "\n" for row in kept))

    def _append(self, name: str, line: str) -> None:
        with open(self.path / name, "a", encoding="utf-8") as file:
            file.write(line + "\n")


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl; a last line that a killed run left half-written is passed over."""
    rows = []
    lines = read_json_bytes(file).splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = parse_json(line, f"{file}, line {number}")
            if not isinstance(row, dict) or "step" not in row:
                raise JsonFileError(f"{file}, line {number}: no object with a step")
            rows.append(row)
        except JsonFileError:
            if number < len(lines):
                raise
    return rows


def describe_environment(device: torch.device, processes: DistributedContext) -> dict[str, Any]:
    """What a run ran on, as JSON values."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    git = git_state(__file__)
    return {
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "command": sys.argv,
        "git": None if git is None else {"commit": git[0], "changed": git[1]},
        "python": platform.python_version(),
        "versions": {**current_versions(), "opencv": cv2.__version__, "h5py": h5py.__version__},
        "system": f"{platform.system()} {platform.machine()}",
        "device": f"{device} {name}".strip(),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "processes": processes.count,
    }
