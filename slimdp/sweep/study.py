"""A study: the rows of a table, each a training run, for several seeds (docs/studies.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from slimdp.config import ConfigError, TrainConfig, config_from_dict
from slimdp.settings_file import apply_override, from_plain, read_settings, to_plain
from slimdp.sweep.figures import FigureSettings, check_figures

#: Where training runs that several rows begin with are kept, beside the folders of the rows.
SHARED = "shared"
#: The columns of the tables of Slim DensePose.
COLUMNS = ("5cm", "10cm", "20cm")


@dataclass(frozen=True)
class EvaluationSettings:
    """Who is scored, with the averaged weights of each run's last stage."""

    annotations: str
    images: str


@dataclass(frozen=True)
class StudySettings:
    """What a study file holds."""

    title: str
    rows: Mapping[str, str]  # name -> settings file beside the study, in the order of the table
    evaluate: EvaluationSettings
    seeds: tuple[int, ...] = (0, 1, 2)
    paper: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # row -> column -> percent
    figures: tuple[FigureSettings, ...] = ()  # curves that `slimdp report` draws

    def __post_init__(self) -> None:
        if not self.rows:
            raise ConfigError("rows = {}, but one row or more is wanted")
        for name in self.rows:
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) or name == SHARED:
                raise ConfigError(
                    f"rows.{name}: a row names a folder: letters, digits, '_', '.' and '-' are wanted, "
                    f"and not {SHARED!r}"
                )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ConfigError(f"seeds = {list(self.seeds)}, but numbers of 0 or more that differ are wanted")
        for name, scores in self.paper.items():
            _require_known("paper", name, list(self.rows))
            for column in scores:
                _require_known(f"paper.{name}", column, COLUMNS)


@dataclass(frozen=True)
class StudyRow:
    """A row of the table: what its runs have in common."""

    name: str
    values: dict[str, Any]  # plain training settings
    where: str  # they come from, for the errors

    def config(self, seed: int) -> TrainConfig:
        """The settings of one of its runs; raises ConfigError where they are none."""
        return config_from_dict({**self.values, "seed": seed}, f"row {self.name}: {self.where}")


@dataclass(frozen=True)
class Study:
    """A study that was read: whatever the file looks like, a list of rows, each for the same seeds."""

    title: str
    file: Path
    rows: tuple[StudyRow, ...]
    seeds: tuple[int, ...]
    evaluate: EvaluationSettings
    paper: Mapping[str, Mapping[str, float]]
    overrides: tuple[str, ...] = ()  # that the rows were read with
    figures: tuple[FigureSettings, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the rows, in the order of the table."""
        return tuple(row.name for row in self.rows)

    def configs(self) -> Iterator[tuple[str, int, TrainConfig]]:
        """Every run's row, seed and settings: all rows of the first seed, then of the next one.

        Raises:
            ConfigError: of all rows with wrong settings, each in a line.
        """
        found, wrong = [], {}
        for seed in self.seeds:
            for row in self.rows:
                try:
                    found.append((row.name, seed, row.config(seed)))
                except ConfigError as error:
                    wrong[row.name] = str(error)
        if wrong:
            raise ConfigError("\n".join(wrong.values()))
        yield from found

    def including(self, seeds: Sequence[int]) -> Study:
        """The same rows for more seeds; raises ConfigError for a negative one."""
        if any(seed < 0 for seed in seeds):
            raise ConfigError(f"seeds {list(seeds)}, but numbers of 0 or more are wanted")
        return replace(self, seeds=tuple(dict.fromkeys([*self.seeds, *seeds])))

    def require_rows(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """The rows of some names, or all; raises ConfigError for a name that is not there."""
        for name in names or ():
            _require_known("rows", name, self.names)
        return self.names if names is None else tuple(name for name in self.names if name in names)


def read_study(file: Path, overrides: Sequence[str] = ()) -> Study:
    """Read a study and the settings of its rows.

    Args:
        file: YAML, the keys of `StudySettings`; the rows' settings files are relative to it.
        overrides: `key=value` for the settings of every row.

    Raises:
        ConfigError: naming the file, the key and what it could have been.
    """
    file = Path(file)
    values = read_settings(file)
    try:
        settings: StudySettings = from_plain(StudySettings, values)
        check_figures(settings.figures, list(settings.rows))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    rows = tuple(_read_row(name, file.parent / each, overrides) for name, each in settings.rows.items())
    return Study(
        title=settings.title,
        file=file,
        rows=rows,
        seeds=settings.seeds,
        evaluate=settings.evaluate,
        paper=to_plain(settings.paper),
        overrides=tuple(overrides),
        figures=settings.figures,
    )


def _read_row(name: str, file: Path, overrides: Sequence[str]) -> StudyRow:
    values = read_settings(file)
    for override in overrides:
        apply_override(values, override)
    return StudyRow(name, values, " with ".join([str(file), *overrides]))


def _require_known(key: str, name: str, choices: Sequence[str]) -> None:
    if name not in choices:
        raise ConfigError(f"unknown key {key}.{name}; there are: {', '.join(choices)}")
