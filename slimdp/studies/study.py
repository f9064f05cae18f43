"""A study: the rows of a table, each a training run, for several seeds (docs/studies.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flow_cache.runtime.file_name import PLAIN_NAME_WORDS, is_plain_name
from flow_cache.runtime.nearest import listed
from slimdp.config import ConfigError, TrainConfig, config_from_dict
from slimdp.settings_file import apply_override, from_plain, read_mapping, read_settings, to_plain
from slimdp.studies.figures import FigureSettings, Scores, check_figures
from slimdp.studies.grid import Grid, check_grid, grid_names, grid_rows
from slimdp.studies.groups import RowGroup, check_groups
from slimdp.studies.own_data import OwnData, replace_evaluated, replace_trained, replace_validated

#: Where stages are trained, unless told otherwise, and where jobs keep their logs: beside the folders of the
#: rows, which therefore have other names.
SHARED, JOBS = "shared", "jobs"
#: The columns of the tables of Slim DensePose.
COLUMNS = ("5cm", "10cm", "20cm")


@dataclass(frozen=True)
class EvaluationSettings:
    """Who is scored, with the averaged weights of each run's last stage."""

    annotations: str
    images: str
    paper: Scores = field(default_factory=dict)  # the paper's numbers on such a set


@dataclass(frozen=True)
class StudySettings:
    """What a study file holds."""

    title: str
    evaluate: Mapping[str, EvaluationSettings]  # the first one is what the study is about
    rows: Mapping[str, str] = field(default_factory=dict)  # name -> settings file, in the table's order
    base: str = ""  # the settings file that the grid changes
    grid: Grid = field(default_factory=dict)  # its rows come after `rows`
    seeds: tuple[int, ...] = (0, 1, 2)
    people: str = ""  # whom it is about, after the title; a user's own files take its place
    paper: Scores = field(default_factory=dict)  # the paper's numbers, "localization only"
    paper_full: Scores = field(default_factory=dict)  # where what is taken for background is wrong
    figures: tuple[FigureSettings, ...] = ()  # curves that `slimdp report` draws, and `slimdp advise` reads
    groups: tuple[RowGroup, ...] = ()  # in the table's order; none: all are compared with the first row
    about: Mapping[str, str] = field(default_factory=dict)  # row -> a short sentence of what it is

    def __post_init__(self) -> None:
        check_grid(self.grid)
        if bool(self.grid) != bool(self.base):
            raise ConfigError(
                f"base = {self.base!r}, grid = {{{', '.join(self.grid)}}}: one changes the other; give both"
            )
        names = [*self.rows, *grid_names(self.grid)]
        if not names:
            raise ConfigError("no rows and no grid, but one row or more is wanted")
        for name in names:
            if not is_plain_name(name) or name in (SHARED, JOBS):
                raise ConfigError(
                    f"rows.{name}: a row names a folder: {PLAIN_NAME_WORDS} are wanted, "
                    f"and not {SHARED!r} or {JOBS!r}"
                )
            if names.count(name) > 1:
                raise ConfigError(
                    f"rows.{name}: two rows have this name; rename one, or an option of the grid"
                )
        if not self.evaluate:
            raise ConfigError("evaluate = {}, but a set to score on is wanted: annotations, images")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ConfigError(f"seeds = {list(self.seeds)}, but numbers of 0 or more that differ are wanted")
        _check_scores("paper", self.paper, names)
        _check_scores("paper_full", self.paper_full, names)
        for place, settings in self.evaluate.items():
            if place and not is_plain_name(place):
                raise ConfigError(f"evaluate.{place}: a set names files: {PLAIN_NAME_WORDS} are wanted")
            _check_scores(f"evaluate.{place}.paper", settings.paper, names)
        papers = {place: settings.paper for place, settings in self.evaluate.items()}
        first = next(iter(papers))
        check_figures(self.figures, names, {**papers, first: self.paper or papers[first]})
        check_groups(self.groups, names)
        for name, words in self.about.items():
            _require_known("about", name, names)
            if not words.strip() or "\n" in words:
                raise ConfigError(f"about.{name} = {words!r}, but one line of words is wanted")


def _check_scores(place: str, scores: Scores, names: Sequence[str]) -> None:
    for name, by_column in scores.items():
        _require_known(place, name, names)
        for column in by_column:
            _require_known(f"{place}.{name}", column, COLUMNS)


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
    paper: Scores
    overrides: tuple[str, ...] = ()  # that the rows were read with
    evaluate_name: str = ""  # of the set above, where there are several
    others: Mapping[str, EvaluationSettings] = field(default_factory=dict)  # more sets to score on, by name
    paper_full: Scores = field(default_factory=dict)
    figures: tuple[FigureSettings, ...] = ()
    groups: tuple[RowGroup, ...] = ()  # all rows, in their order; or none
    about: Mapping[str, str] = field(default_factory=dict)  # row -> what it is
    own: OwnData = field(default_factory=OwnData)  # that took the place of the file's
    shared: str = SHARED  # where stages are trained, as seen from the folder of the sweep

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


def read_study(file: Path, overrides: Sequence[str] = (), own: OwnData | None = None) -> Study:
    """Read a study and the settings of its rows.

    Args:
        file: YAML, the keys of `StudySettings`; `evaluate` may also be one set without a name. The rows'
            settings files are relative to it.
        overrides: `key=value` for the settings of every row.
        own: files to take the place of those that it names; None: none. Sets that it leaves over are not
            scored, and figures of them are left out.

    Raises:
        ConfigError: naming the file, the key and what it could have been.
    """
    file, own = Path(file), own or OwnData()
    values = read_mapping(file)
    evaluate = values.get("evaluate")
    try:
        if isinstance(evaluate, dict) and evaluate.keys() & {"annotations", "images"}:
            from_plain(EvaluationSettings, evaluate, "evaluate")  # its errors name it as it is in the file
            values["evaluate"] = {"": evaluate}
        settings: StudySettings = from_plain(StudySettings, values)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    (name, first), *others = from_plain(
        Mapping[str, EvaluationSettings], replace_evaluated(to_plain(settings.evaluate), own), "evaluate"
    ).items()
    scored = ("", name, *(each for each, _ in others))
    return Study(
        title=", on ".join(filter(None, (settings.title, own.names() or settings.people))),
        file=file,
        rows=_read_rows(file, settings, overrides, own),
        seeds=settings.seeds,
        evaluate=first,
        paper=to_plain(settings.paper or first.paper),
        overrides=tuple(overrides),
        evaluate_name=name,
        others=dict(others),
        paper_full=to_plain(settings.paper_full),
        figures=tuple(figure for figure in settings.figures if figure.scored_on in scored),
        groups=settings.groups,
        about=settings.about,
        own=own,
    )


def _read_rows(
    file: Path, settings: StudySettings, overrides: Sequence[str], own: OwnData
) -> tuple[StudyRow, ...]:
    """The rows that have files of their own, then those of the grid; where there are groups, in theirs."""
    read = [
        (name, read_settings(file.parent / each), str(file.parent / each))
        for name, each in settings.rows.items()
    ]
    if settings.grid:
        base = file.parent / settings.base
        try:
            read += grid_rows(read_settings(base), settings.grid, str(base))
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from error
    rows = [values for _, values, _ in read]
    replace_trained(rows, own)
    replace_validated(rows, own)
    if any(override.partition("=")[0].strip() == "seed" for override in overrides):
        raise ConfigError(
            "--set seed=...: every run has one of the study's seeds; choose among them: --seeds"
        )
    for values in rows:
        for override in overrides:
            apply_override(values, override)
    words = [*own.words(), *overrides]
    order = [row for group in settings.groups for row in group.rows]
    read = sorted(read, key=lambda row: order.index(row[0])) if order else read
    return tuple(StudyRow(name, values, " with ".join([where, *words])) for name, values, where in read)


def _require_known(key: str, name: str, choices: Sequence[str]) -> None:
    if name not in choices:
        raise ConfigError(f"unknown key {key}.{name}; there are: {listed(choices, name)}")
