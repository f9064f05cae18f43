"""Which training runs a study comes to: stages that rows have in common are trained once.

Rows share their first stages where their settings agree up to the end of these (`check_same_settings` says
what must agree). For a seed, the rows' lists of stages make a tree; every stage where rows part, or where
several of them end, ends a run of its own, with which theirs begin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from slimdp.config import TrainConfig, config_to_dict
from slimdp.sweep.study import SHARED, Study
from slimdp.training import stage_file
from slimdp.training.checkpoint import FREE_KEYS


@dataclass(frozen=True)
class PlannedRun:
    """A training run of a study, and what is to be done before and after it."""

    folder: Path  # below the study's
    config: TrainConfig  # of all its stages, those of the runs before it too
    rows: tuple[str, ...]  # that need it
    before: tuple[PlannedRun, ...] = ()  # with whose ends it begins: the first stages', then those after them
    row: str | None = None  # that it ends, whose score it gives; None: a shared run

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def name(self) -> str:
        """How lines for people call it."""
        return self.folder.as_posix()

    @property
    def stages_before(self) -> int:
        """Stages that the runs before it train."""
        return len(self.before[-1].config.stages) if self.before else 0

    @property
    def trains(self) -> bool:
        """Whether there is anything left to train after the runs before it."""
        return self.stages_before < len(self.config.stages)

    @property
    def crops(self) -> int:
        """That it sees in training itself."""
        return sum(stage.steps * stage.batch for stage in self.config.stages[self.stages_before :])

    def initial(self, out: Path) -> Path | None:
        """The checkpoint that it begins with."""
        return self.before[-1].checkpoint(out) if self.before else None

    def checkpoint(self, out: Path) -> Path:
        """The end of its last stage; where it trains none, that of the run before."""
        owner = self if self.trains else self.before[-1]
        return stage_file(out / owner.folder, owner.config.stages[-1].name)


def plan_runs(study: Study) -> tuple[PlannedRun, ...]:
    """All runs of a study, each after those that it begins with; raises ConfigError for wrong settings.

    What is shared follows from all of the study's rows: it does not change with those that are run at a time.
    """
    runs: list[PlannedRun] = []
    by_seed: dict[int, dict[str, TrainConfig]] = {}
    for row, seed, config in study.configs():
        by_seed.setdefault(seed, {})[row] = config
    for configs in by_seed.values():
        runs += _plan_seed(configs)
    return tuple(runs)


def select(runs: Iterable[PlannedRun], rows: Iterable[str], seeds: Iterable[int]) -> tuple[PlannedRun, ...]:
    """The runs that some rows need for some seeds."""
    rows, seeds = set(rows), set(seeds)
    return tuple(
        run
        for run in runs
        if run.seed in seeds and (run.row in rows if run.row is not None else rows & set(run.rows))
    )


def _plan_seed(configs: Mapping[str, TrainConfig]) -> list[PlannedRun]:
    """The runs of all rows for one seed."""
    users: dict[str, list[str]] = {}  # key of a list of stages -> the rows that begin with it
    keys: dict[str, list[str]] = {}  # row -> the keys of its first stage, its first two, ...
    for row, config in configs.items():
        keys[row] = [_key(replace(config, stages=config.stages[:end])) for end in _ends(config)]
        for key in keys[row]:
            users.setdefault(key, []).append(row)
    runs: list[PlannedRun] = []
    shared: dict[str, PlannedRun] = {}
    for row, config in configs.items():
        before: tuple[PlannedRun, ...] = ()
        for end, key in zip(_ends(config), keys[row]):
            together = users[key]
            last = end == len(config.stages)
            if len(together) < 2 or (not last and users[keys[row][end]] == together):
                continue  # nobody shares it, or all who do share the next stage too
            if key not in shared:
                stages = replace(config, stages=config.stages[:end])
                folder = Path(SHARED, key, f"seed_{config.seed}")
                shared[key] = PlannedRun(folder, stages, tuple(together), before)
                runs.append(shared[key])
            before = (*before, shared[key])
        runs.append(PlannedRun(Path(row, f"seed_{config.seed}"), config, (row,), before, row))
    return runs


def _ends(config: TrainConfig) -> range:
    return range(1, len(config.stages) + 1)


def _key(config: TrainConfig) -> str:
    """The same for settings that teach the same, but for the seed."""
    values = config_to_dict(config)
    for free in (*FREE_KEYS, "seed"):
        del values[free]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
