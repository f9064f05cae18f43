"""A study that was read: the rows of a table, each a training run, for several seeds (docs/studies.md).

A sweep keeps a snapshot of its study in its folder, so that the folder tells of itself.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.words import quoted
from slimdp.config import ConfigError, TrainConfig, config_from_dict
from slimdp.config.base import Many, Settings
from slimdp.inference.multi_scale import ONE_SCALE
from slimdp.registry import require_imported
from slimdp.settings_file import apply_override, read_mapping, read_settings
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
#: An annotation file, and the folder that its file names start at.
Files = Annotated[tuple[str, str], Field(strict=False)]


class DataOverride(Settings):
    """Somebody's own files, in the places of those that a study names."""

    train: Many[Files] = ()  # for each set that the rows train on, in the order in which they name them
    evaluate: Many[Files] = ()  # for each set that is scored; those left over are not scored

    def names(self) -> str:
        """Of the annotation files, each once, for people: "train.json and val.json"."""
        files = dict.fromkeys(Path(annotations).name for annotations, _ in (*self.train, *self.evaluate))
        return " and ".join(files)

    def words(self) -> list[str]:
        """As the command line has it."""
        named = [("--data", self.train), ("--evaluate", self.evaluate)]
        return [word for option, sets in named for files in sets for word in (option, *files)]

    def change_rows(self, rows: Sequence[dict[str, Any]]) -> None:
        """Let the plain settings of all rows name other labels, in place; ConfigError where the rows train on
        another number of sets.

        Where training is watched by scores, these are of the people who are scored at its end.
        """
        for values in rows:
            if self.evaluate and isinstance(values.get("validation"), dict):
                values["validation"]["data"] = [dict(zip(("annotations", "images"), self.evaluate[0]))]
        sources = [source for values in rows for source in _sources(values)]
        theirs = list(dict.fromkeys(_files(source) for source in sources))
        if self.train and len(theirs) != len(self.train):
            listed = "".join(f"\n  {annotations} in {images}" for annotations, images in theirs)
            raise ConfigError(
                f"--data was given {len(self.train)} times, but the sets that the rows train on are "
                f"{len(theirs)}; give it for each, in the order of these:{listed}"
            )
        places = dict(zip(theirs, self.train))
        for source in sources if self.train else ():
            source["annotations"], source["images"] = places[_files(source)]

    def change_evaluate(self, theirs: Mapping[str, EvaluationSettings]) -> dict[str, EvaluationSettings]:
        """The sets to score on, by name, without those that are left over; ConfigError if they are fewer."""
        if not self.evaluate:
            return dict(theirs)
        if len(self.evaluate) > len(theirs):
            there = f"the sets that the study scores on are {len(theirs)}"
            raise ConfigError(f"--evaluate was given {len(self.evaluate)} times, but {there}")
        return {
            name: settings.replace(annotations=annotations, images=images)
            for (name, settings), (annotations, images) in zip(theirs.items(), self.evaluate)
        }


def _sources(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The data of a row's stages; what is no such thing is left for the settings to refuse."""
    stages = values.get("stages")
    for stage in stages if isinstance(stages, list) else ():
        data = stage.get("data") if isinstance(stage, dict) else None
        for source in data if isinstance(data, list) else ():
            if isinstance(source, dict) and {"annotations", "images"} <= source.keys():
                yield source


def _files(source: Mapping[str, Any]) -> Files:
    return str(source["annotations"]), str(source["images"])


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
    overrides: Many[str] = ()  # that the rows were read with
    paper_full: Scores = Field(default_factory=dict)
    figures: Many[FigureSettings] = ()
    rcp: RcpSettings | None = None
    groups: Many[RowGroup] = ()  # all rows, in their order; or none
    data_override: DataOverride = DataOverride()  # that took the place of the file's
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


def read_study(file: Path, overrides: Sequence[str] = (), data_override: DataOverride | None = None) -> Study:
    """Read a study and the settings of its rows.

    Args:
        file: YAML, the keys of `StudySettings`; `evaluate` may also be one set without a name. The rows'
            settings files are relative to it.
        overrides: `key=value` for the settings of every row.
        data_override: files to take the place of those that it names; None: none. Sets that it leaves over
            are not scored, and figures of them are left out.

    Raises:
        ConfigError: naming the file, the key and what it could have been.
    """
    file, data_override = Path(file), data_override or DataOverride()
    values = read_mapping(file)
    try:
        settings = StudySettings.parse(values)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
    sets = data_override.change_evaluate(settings.evaluate)
    first = next(iter(sets))
    if settings.paper:
        sets[first] = sets[first].replace(paper=settings.paper)
    return Study(
        title=", on ".join(filter(None, (settings.title, data_override.names() or settings.people))),
        file=file,
        rows=_read_rows(file, settings, overrides, data_override),
        seeds=settings.seeds,
        evaluate=sets,
        columns=settings.columns,
        imports=settings.imports,
        overrides=tuple(overrides),
        paper_full=settings.paper_full,
        figures=tuple(figure for figure in settings.figures if figure.scored_on in ("", *sets)),
        rcp=settings.rcp,
        groups=settings.groups,
        data_override=data_override,
    )


def _read_rows(
    file: Path, settings: StudySettings, overrides: Sequence[str], data_override: DataOverride
) -> tuple[StudyRow, ...]:
    """The rows that have files of their own, then those of the grid; where there are groups, in theirs."""
    if any(override.partition("=")[0].strip() == "seed" for override in overrides):
        raise ConfigError(
            "--set seed=...: every run has one of the study's seeds; choose among them: --seeds"
        )
    placed = [(name, file.parent / row.settings, row.title) for name, row in settings.rows.items()]
    read = [(name, read_settings(place), str(place), title) for name, place, title in placed]
    if settings.grid:
        base = file.parent / settings.base
        try:
            read += grid_rows(read_settings(base), settings.grid, str(base))
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from error
    data_override.change_rows([values for _, values, _, _ in read])
    for _, values, _, _ in read:
        for override in overrides:
            apply_override(values, override)
    words = [*data_override.words(), *overrides]
    order = [row for group in settings.groups for row in group.rows]
    read = sorted(read, key=lambda row: order.index(row[0])) if order else read
    of_grid = RowSettings(settings="")
    return tuple(
        StudyRow(
            name=name,
            values=values,
            where=" with ".join([where, *words]),
            title=title,
            boxes_of=row.boxes_of,
            taught_by=row.taught_by,
            scales=row.scales,
        )
        for name, values, where, title in read
        for row in [settings.rows.get(name, of_grid)]
    )


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
