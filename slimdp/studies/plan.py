"""Which training runs a study comes to: what rows have in common is trained once.

Every stage is a run of its own, in a folder named after the settings up to its end (`check_same_settings`
says which of them teach). So rows that agree up to there, in one study or in several, begin with the same
run, and a row itself only scores the end of its last stage.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from slimdp.config import ConfigError, TrainConfig, config_to_dict
from slimdp.inference.multi_scale import ONE_SCALE
from slimdp.studies.study import Study
from slimdp.training import stage_file
from slimdp.training.checkpoint import FREE_KEYS

#: The work of a pair, in crops: 16 pairs took as long as 48 crops, 8 as long as 24 (64 px, one core).
_PAIR_CROPS = 3.0


@dataclass(frozen=True)
class PlannedRun:
    """What is done for a study in one piece: a stage that is trained, or a row that is scored."""

    folder: Path  # as seen from the sweep's: ROW/seed_N, or HASH/seed_N where the stages are
    config: TrainConfig  # up to the stage's end, or the row's
    rows: tuple[str, ...]  # of the study that need it
    upstream: tuple[PlannedRun, ...] = ()  # the stages with whose end it begins, from the first one on
    row: str | None = None  # that it scores; None: a stage
    finder: PlannedRun | None = None  # the end of the row whose network finds people for it; None: no other's
    teacher: PlannedRun | None = None  # the end of the row whose network teaches the stage; None: none
    scales: tuple[float, ...] = ONE_SCALE  # that a row's network looks at when it is scored

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def name(self) -> str:
        """How lines for people call it."""
        if self.row is not None:
            return self.folder.as_posix()
        rows = ", ".join(self.rows) if len(self.rows) < 4 else f"{self.rows[0]} and {len(self.rows) - 1} more"
        return f"stage {self.config.stages[-1].name} of {rows}, seed {self.seed}"

    @property
    def trains(self) -> bool:
        """Whether it is a stage."""
        return self.row is None

    @property
    def begins_with(self) -> tuple[PlannedRun, ...]:
        """The stages whose weights it takes up itself: that before it, its teacher's, its finder's."""
        other = [run for run in (self.teacher, self.finder) if run is not None]
        return (*self.upstream[-1:], *other)

    @property
    def needs(self) -> tuple[PlannedRun, ...]:
        """The stages that must be done before it begins, each after those that it needs itself."""
        other = [run for run in (self.teacher, self.finder) if run is not None]
        found = {each.folder: each for run in (*self.upstream, *other) for each in (*run.needs, run)}
        return tuple(found.values())

    @property
    def finder_folder(self) -> str:
        """The folder of the stage whose network finds people for it; "" for none."""
        return "" if self.finder is None else self.finder.folder.as_posix()

    @property
    def crops(self) -> int:
        """That it sees in training, second pictures not counted."""
        stage = self.config.stages[-1]
        return stage.steps * stage.batch if self.trains else 0

    @property
    def work(self) -> float:
        """Of training, about, in crops of one stack of 64 features at 64 px; scoring counts as none."""
        pair = self.config.motion_of(self.config.stages[-1]).kind != "none"
        pixels = (self.config.crop.size / 64) ** 2
        return self.crops * (_PAIR_CROPS if pair else 1.0) * pixels * self.config.model.cost

    def folder_in(self, out: Path) -> Path:
        """Its folder, of a study that is swept into `out`, which need not be there yet."""
        return Path(os.path.normpath(out / self.folder))

    def config_in(self, out: Path) -> TrainConfig:
        """What it is trained with: its settings, with the weights of another row's teacher where they are."""
        return (
            self.config if self.teacher is None else _taught(self.config, str(self.teacher.checkpoint(out)))
        )

    def initial(self, out: Path) -> Path | None:
        """The checkpoint that it begins with."""
        return self.upstream[-1].checkpoint(out) if self.upstream else None

    def checkpoint(self, out: Path) -> Path:
        """The end of its stage, or of its row's last one."""
        owner = self if self.trains else self.upstream[-1]
        return stage_file(owner.folder_in(out), owner.config.stages[-1].name)


def plan_runs(study: Study) -> tuple[PlannedRun, ...]:
    """All runs of a study, each after those that it begins with; raises ConfigError for wrong settings."""
    by_seed: dict[int, dict[str, TrainConfig]] = {}
    for row, seed, config in study.configs():
        by_seed.setdefault(seed, {})[row] = config
    finders = {row.name: row.boxes_of for row in study.rows if row.boxes_of}
    teachers = {row.name: row.taught_by for row in study.rows if row.taught_by}
    scales = {row.name: row.scales for row in study.rows}
    for configs in by_seed.values():
        for row, config in configs.items():
            _check_scales(row, scales[row], config)
        for row, finder in finders.items():
            _check_finder(row, finder, configs[finder])
        for row, teacher in teachers.items():
            _check_teacher(row, teacher, configs)
    plans = (_plan_seed(configs, Path(study.shared), finders, teachers) for configs in by_seed.values())
    return tuple(
        run if run.row is None else replace(run, scales=scales[run.row]) for plan in plans for run in plan
    )


def select(runs: Iterable[PlannedRun], rows: Iterable[str], seeds: Iterable[int]) -> tuple[PlannedRun, ...]:
    """The runs that some rows need for some seeds."""
    rows, seeds = set(rows), set(seeds)
    return tuple(run for run in runs if run.seed in seeds and not rows.isdisjoint(run.rows))


def _check_finder(row: str, finder: str, config: TrainConfig) -> None:
    if not config.model.spec.detects:
        found = f"rows.{row}.boxes_of = {finder!r}, whose network ({config.model.name}) finds nobody"
        raise ConfigError(f"{found}; name a row of a network that finds people, such as region")


def _check_scales(row: str, scales: tuple[float, ...], config: TrainConfig) -> None:
    if scales != ONE_SCALE and config.model.spec.detects:
        found = f"rows.{row}.scales = {list(scales)}, whose network ({config.model.name}) finds people"
        raise ConfigError(f"{found}, which it does at one scale; leave them out")


def _check_teacher(row: str, teacher: str, configs: Mapping[str, TrainConfig]) -> None:
    found = f"rows.{row}.taught_by = {teacher!r}"
    if not _is_taught(configs[row]):
        raise ConfigError(f"{found}, but none of its stages has a teacher; give one stages.N.teacher")
    if configs[teacher].model.spec.input != "crop":
        raise ConfigError(f"{found}, whose network takes whole pictures; a teacher takes crops")


def _is_taught(config: TrainConfig) -> bool:
    return any(stage.teacher is not None for stage in config.stages)


def _taught(config: TrainConfig, weights: str) -> TrainConfig:
    """The settings with other weights of the teacher, where a stage has one."""
    stages = tuple(
        stage if stage.teacher is None else stage.replace(teacher=stage.teacher.replace(weights=weights))
        for stage in config.stages
    )
    return config.replace(stages=stages)


def _plan_seed(
    configs: Mapping[str, TrainConfig], shared: Path, finders: Mapping[str, str], teachers: Mapping[str, str]
) -> list[PlannedRun]:
    """The runs of all rows for one seed.

    `finders`: row -> the row whose network finds people for it; `teachers`: row -> the one that teaches it.
    """
    beginnings = {row: _beginnings(config) for row, config in configs.items() if row not in teachers}
    for row, teacher in teachers.items():
        # Known by what the teacher learned, wherever its weights lie, and for all seeds.
        beginnings[row] = _beginnings(_taught(configs[row], beginnings[teacher][-1][0]))

    def needed(row: str) -> Iterator[str]:
        yield from (key for key, _ in beginnings[row])
        for other in (finders.get(row), teachers.get(row)):
            yield from needed(other) if other else ()

    users: dict[str, list[str]] = {}  # key of a stage -> the rows that have it
    for row in configs:
        for key in dict.fromkeys(needed(row)):
            users.setdefault(key, []).append(row)
    runs: dict[str, PlannedRun] = {}  # in the order of the rows

    def stages_of(row: str) -> tuple[PlannedRun, ...]:
        upstream: tuple[PlannedRun, ...] = ()
        teacher = stages_of(teachers[row])[-1] if row in teachers else None
        for key, first in beginnings[row]:
            if key not in runs:
                folder = shared / key / f"seed_{first.seed}"
                taught = teacher if _is_taught(first) else None
                runs[key] = PlannedRun(folder, first, tuple(users[key]), upstream, teacher=taught)
            upstream = (*upstream, runs[key])
        return upstream

    for row in configs:
        config = beginnings[row][-1][1]
        finder = stages_of(finders[row])[-1] if row in finders else None
        folder = Path(row, f"seed_{config.seed}")
        runs[f"row {row}"] = PlannedRun(folder, config, (row,), stages_of(row), row, finder)
    return list(runs.values())


def _beginnings(config: TrainConfig) -> list[tuple[str, TrainConfig]]:
    """The first stages of a row up to the end of each, and a key that names it: the same for settings that
    teach the same, but for the seed."""
    found = []
    for end in range(1, len(config.stages) + 1):
        first = config.replace(stages=config.stages[:end])
        values = config_to_dict(first)
        for free in (*FREE_KEYS, "seed"):
            del values[free]
        key = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]
        found.append((key, first))
    return found
