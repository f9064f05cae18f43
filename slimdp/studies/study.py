"""A study that was read: the rows of a table, each a training run, for several seeds (docs/studies.md).

A sweep keeps a snapshot of its study in its folder, so that the folder tells of itself.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.words import listed, quoted
from slimdp.config import ConfigError, TrainConfig, config_from_dict
from slimdp.config.base import Many, Settings
from slimdp.inference.multi_scale import ONE_SCALE
from slimdp.registry import require_imported
from slimdp.settings_file import apply_override, read_mapping, read_settings
from slimdp.studies.data_override import DataOverride, replace_files, sets_of, shares_of, tell_shares
from slimdp.studies.settings import (
    COLUMNS,
    RCP_AREAS,
    RCP_SCORES,
    SHARED,
    ColumnSettings,
    EvaluationSettings,
    FigureSettings,
    RcpSettings,
    RowGroup,
    RowSettings,
    Scores,
    StudySettings,
    grid_rows,
    require_known,
)

#: No row can be called like this: beside the folders of the rows lies a file for each study.
_SNAPSHOT = "_study_"


class StudyRow(Settings):
    """A row of the table: what its runs have in common."""

    name: str
    values: dict[str, Any]  # plain training settings
    where: str  # they come from, for the errors
    title: str = ""  # what readers see
    boxes_of: str = ""  # the row whose network finds the people that it looks at; "": none
    taught_by: str = ""  # the row whose network teaches its stages that have a teacher; "": their own weights
    scales: Many[float] = ONE_SCALE  # of the pictures or crops that its network looks at when it is scored

    def config(self, seed: int) -> TrainConfig:
        """The settings of one of its runs; raises ConfigError where they are none."""
        return config_from_dict({**self.values, "seed": seed}, f"row {self.name}: {self.where}")


class Study(Settings):
    """A study that was read: whatever the file looks like, a list of rows, each for the same seeds."""

    title: str
    file: Path
    rows: Many[StudyRow]
    seeds: Many[int]
    evaluate: Mapping[str, EvaluationSettings]  # by name, "" of a single one; the first is what it is about
    columns: Mapping[str, ColumnSettings] = COLUMNS
    imports: Many[str] = ()  # modules that register metrics of their own
    overrides: Many[str] = ()  # that the rows were read with: `key=value`, or `row:key=value`
    paper_full: Scores = Field(default_factory=dict)
    figures: Many[FigureSettings] = ()
    rcp: RcpSettings | None = None
    groups: Many[RowGroup] = ()  # all rows, in their order; or none
    data_override: DataOverride = DataOverride()  # that took the place of the file's
    replaced: Many[str] = ()  # what took the place of what, and shares to think over: lines for people
    shared: str = SHARED  # where stages are trained, as seen from the folder of the sweep

    @property
    def names(self) -> tuple[str, ...]:
        """Of the rows, in the order of the table."""
        return tuple(row.name for row in self.rows)

    @property
    def titles(self) -> dict[str, str]:
        """Of the rows by name: what readers see of them."""
        return {row.name: row.title or row.name for row in self.rows}

    @property
    def told_apart(self) -> dict[str, str]:
        """Of the rows by name, where nothing else names them: "their title", or, where several have the same,
        as options of a grid without titles give them, "their title (name)"."""
        titles = self.titles
        often = Counter(titles.values())
        return {
            name: title if often[title] == 1 or title == name else f"{title} ({name})"
            for name, title in titles.items()
        }

    @property
    def labels(self) -> dict[str, str]:
        """Of the rows by name, for tables of text: "their title (name)"."""
        return {row.name: f"{row.title} ({row.name})" if row.title else row.name for row in self.rows}

    @property
    def main_column(self) -> str:
        """The column where there is room for one."""
        return "10cm" if "10cm" in self.columns else next(iter(self.columns))

    @property
    def score_names(self) -> tuple[str, ...]:
        """The scores that its runs are given."""
        columns = self.columns.values()
        more = [] if self.rcp is None else [*RCP_SCORES, *RCP_AREAS.values()]
        return tuple(
            dict.fromkeys([*(each.score for each in columns), *(each.full_score for each in columns), *more])
        )

    def paper(self, on: str = "", full: bool = False) -> Scores:
        """The paper's numbers on one of the sets ("": the first), by row and column."""
        first = next(iter(self.evaluate))
        if full:
            return self.paper_full if on in ("", first) else {}
        return self.evaluate[on or first].paper

    def configs(self) -> Iterator[tuple[str, int, TrainConfig]]:
        """Every run's row, seed and settings: all rows of the first seed, then of the next one; raises
        ConfigError with a line for each row whose settings are wrong."""
        found, wrong = [], {}
        for seed, row in itertools.product(self.seeds, self.rows):
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
        return self.replace(seeds=tuple(dict.fromkeys([*self.seeds, *seeds])))

    def require_rows(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """The rows of some names, or all; raises ConfigError for a name that is not there."""
        for name in names or ():
            require_known("rows", name, self.names)
        return self.names if names is None else tuple(name for name in self.names if name in names)

    def sweep_command(self, out: Path | None, rows: Sequence[str], seeds: Sequence[int]) -> str:
        """The command line that trains and scores some rows for some seeds; `out` is None where not known."""
        words = ["slimdp", "sweep", str(self.file)]
        for override in self.overrides:
            words += ["--set", override]
        words += self.data_override.words()
        if out is not None:
            words += ["--out", str(out)]
            if self.shared != SHARED:
                words += ["--shared", os.path.normpath(out / self.shared)]
        if tuple(rows) != self.names:
            words += ["--rows", ",".join(rows)]
        if tuple(seeds) != self.seeds:
            words += ["--seeds", ",".join(map(str, seeds))]
        return " ".join(map(quoted, words))


def read_study(
    file: Path,
    overrides: Sequence[str] = (),
    data_override: DataOverride | None = None,
    rows: Sequence[str] | None = None,
) -> Study:
    """Read a study and the settings of its rows.

    Args:
        file: YAML, the keys of `StudySettings`; `evaluate` may also be one set without a name. The rows'
            settings files are relative to it.
        overrides: `key=value` for the settings of every row, or `row:key=value` for those of one.
        data_override: files to take the place of those that it names; None: none. Sets that it leaves over
            are not scored, and figures of them are left out.
        rows: those that are to be trained, whose sets `data_override` must replace; None: all. The study has
            the others too.

    Raises:
        ConfigError: naming the file, the key and what it could have been.
    """
    file, data_override = Path(file), data_override or DataOverride()
    values = read_mapping(file)
    try:
        settings = StudySettings.parse(values)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    scored = data_override.evaluation_places(settings.evaluate)
    sets = _scored_sets(settings, scored)
    first = next(iter(settings.evaluate))  # that `paper_full` and figures without `scored_on` speak of
    read = _read_rows(file, settings)
    trained = {name: values for name, values, _, _ in read}
    for name in rows or ():
        require_known("rows", name, list(trained))
    chosen = _with_serving(settings, trained if rows is None else rows)
    places = data_override.training_places(trained, chosen)
    every = sets_of(trained.values())
    shares = {name: shares_of(trained[name]) for name in chosen}
    watched = next(iter(scored.values()), None)
    for row in trained.values():
        replace_files(row, places, watched)
    study_rows = _study_rows(settings, overrides, data_override, read)
    told = [("train", theirs[0], own[0]) for theirs, own in places.items()]
    told += [("score", settings.evaluate[name].annotations, own[0]) for name, own in scored.items()]
    replaced = [f"to {what} on: {theirs} -> {own}" for what, theirs, own in told]
    replaced += tell_shares(shares, {name: shares_of(trained[name]) for name in chosen})
    return Study(
        title=", on ".join(filter(None, (settings.title, data_override.names() or settings.people))),
        file=file,
        rows=study_rows,
        seeds=settings.seeds,
        evaluate=sets,
        columns=settings.columns,
        imports=settings.imports,
        overrides=tuple(overrides),
        paper_full=settings.paper_full if first in sets else {},
        figures=tuple(figure for figure in settings.figures if (figure.scored_on or first) in sets),
        rcp=settings.rcp,
        groups=settings.groups,
        data_override=data_override.named(places, scored, every, len(settings.evaluate) > 1),
        replaced=tuple(replaced),
    )


def _scored_sets(
    settings: StudySettings, places: Mapping[str, tuple[str, str]]
) -> dict[str, EvaluationSettings]:
    """The sets to score on, by name, with the files that take their places; without any, all as they are."""
    first = next(iter(settings.evaluate))
    sets = dict(settings.evaluate)
    if settings.paper:
        sets[first] = sets[first].replace(paper=settings.paper)
    if not places:
        return sets
    return {
        name: sets[name].replace(annotations=annotations, images=images)
        for name, (annotations, images) in places.items()
    }


def _with_serving(settings: StudySettings, names: Collection[str]) -> list[str]:
    """Some rows, and those whose networks find people for them or teach them, in the study's order."""
    found, todo = set(names), list(names)
    while todo:
        row = settings.rows.get(todo.pop())
        serving = {row.boxes_of, row.taught_by} - {"", *found} if row else set()
        found |= serving
        todo += serving
    return [name for name in settings.names if name in found]


#: A row's name, plain settings, where they come from, and its title.
_ReadRow = tuple[str, dict[str, Any], str, str]


def _read_rows(file: Path, settings: StudySettings) -> list[_ReadRow]:
    """The rows that have files of their own, then those of the grid."""
    placed = [(name, file.parent / row.settings, row.title) for name, row in settings.rows.items()]
    read = [(name, read_settings(place), str(place), title) for name, place, title in placed]
    if settings.grid:
        base = file.parent / settings.base
        try:
            read += grid_rows(read_settings(base), settings.grid, str(base))
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from error
    return read


def _study_rows(
    settings: StudySettings,
    overrides: Sequence[str],
    data_override: DataOverride,
    read: Sequence[_ReadRow],
) -> tuple[StudyRow, ...]:
    """Rows with what overrides change; where there are groups, in their order."""
    changes = [_of_row(override, settings.names) for override in overrides]
    for row, override in changes:
        if override.partition("=")[0].strip() == "seed":
            raise ConfigError(
                "--set seed=...: every run has one of the study's seeds; choose among them: --seeds"
            )
        for name, values, _, _ in read:
            if row in ("", name):
                apply_override(values, override)
    order = [row for group in settings.groups for row in group.rows]
    read = sorted(read, key=lambda row: order.index(row[0])) if order else read
    of_grid = RowSettings(settings="")
    return tuple(
        StudyRow(
            name=name,
            values=values,
            where=" with ".join(
                [where, *data_override.words(), *(change for of, change in changes if of in ("", name))]
            ),
            title=title,
            boxes_of=row.boxes_of,
            taught_by=row.taught_by,
            scales=row.scales,
        )
        for name, values, where, title in read
        for row in [settings.rows.get(name, of_grid)]
    )


def _of_row(override: str, names: Sequence[str]) -> tuple[str, str]:
    """The row that an override is of, "" of all, and what it changes; ConfigError for a row that is none."""
    row, colon, _ = override.partition("=")[0].partition(":")
    if not colon:
        return "", override
    if row not in names:
        raise ConfigError(f"--set {override}: unknown row {row}; there are: {listed(names, row)}")
    return row, override[len(row) + len(colon) :]


def study_key(file: Path) -> str:
    """How a study is called in names of files: by its folder, or by itself where it is no study.yaml."""
    return Path(os.path.abspath(file)).parent.name if file.stem == "study" else file.stem


def write_snapshot(study: Study, out: Path) -> None:
    """Write a study, its rows with all their settings, into the folder of its sweep, unless it is there."""
    text = json.dumps(study.plain(), indent=1) + "\n"
    file = out / f"{_SNAPSHOT}{study_key(study.file)}.json"
    if not file.is_file() or file.read_bytes() != text.encode():
        write_text(file, text)


def read_snapshots(out: Path) -> list[Study]:
    """The studies that were swept into a folder, by name; raises ConfigError where one is damaged."""
    return [_read_snapshot(file) for file in sorted(out.glob(f"{_SNAPSHOT}*.json"))]


def _read_snapshot(file: Path) -> Study:
    try:
        values: dict[str, Any] = read_json(file)
        require_imported(values.get("imports", ()))
        return Study.parse({**values, "file": Path(values["file"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        way_out = "remove it, and give the study itself: --study"
        raise ConfigError(f"{file} is damaged, or of an earlier version: {error}; {way_out}") from error
