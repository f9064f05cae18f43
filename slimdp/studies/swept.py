"""A study and what there is of it: its results, what is missing, and what was made with other settings."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from flow_cache.runtime.lock import is_held
from flow_cache.runtime.words import listed, quoted
from slimdp.config import ConfigError
from slimdp.studies import records
from slimdp.studies.plan import PlannedRun, plan_runs
from slimdp.studies.records import Evaluated, RunRecord, RunResult
from slimdp.studies.results import (
    SCORES,
    TableRow,
    baselines_of,
    groups_of,
    missing_runs,
    read_scores,
    table_rows,
)
from slimdp.studies.settings import SHARED, RowGroup
from slimdp.studies.study import Study, read_snapshots, read_study, study_key

STUDY_FILE = "study.yaml"
#: Differences that are told of a run; the rest are counted.
_MOST = 4
#: What a run's labels, and its pictures, are known by.
_Digests = tuple[dict[str, str], dict[str, str]]


class NoStudyError(ConfigError):
    """Results of which nothing says what study they are of."""


@dataclass(frozen=True)
class SweptStudy:
    """A study, and what there is of it."""

    key: str  # that names its files
    study: Study
    places: tuple[Path, ...]  # folders of its sweeps, and files of results
    results: tuple[RunResult, ...]
    groups: tuple[RowGroup, ...]  # all rows, and the row that each is compared with

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders of its sweeps."""
        return tuple(place for place in self.places if place.is_dir())

    @property
    def baselines(self) -> tuple[str, ...]:
        """The rows that others are compared with, each once."""
        return baselines_of(self.groups)

    def baseline_of(self, row: str) -> str:
        """The row that a row is compared with: itself, where it is one of these."""
        return next(group.baseline for group in self.groups if row in group.rows)

    def rows(self, full: bool = False, on: str = "") -> list[TableRow]:
        """The rows of its table that have results; `full` as for `table_rows`, `on` one of the sets."""
        paper = self.study.paper(on, full)
        return table_rows(self.results, self.groups, paper, self.study.columns, full, on)

    @cached_property
    def runs(self) -> dict[tuple[str, int], PlannedRun]:
        """Its runs by row and seed, those of seeds beside the study's too; raises ConfigError as they do."""
        more = [result.seed for result in self.results]
        planned = plan_runs(self.study.including(more))
        return {(run.row, run.seed): run for run in planned if run.row is not None}

    def folder_of(self, row: str, seed: int) -> Path | None:
        """The sweep's folder that has a run, if any."""
        run = self.runs[row, seed]
        return next((folder for folder in self.folders if (folder / run.folder).is_dir()), None)

    def sweep_command(self, rows: Sequence[str], seeds: Sequence[int]) -> str:
        """The command line that makes some rows for some seeds."""
        return self.study.sweep_command(self.folders[0] if self.folders else None, rows, seeds)


def find_studies(
    places: Sequence[Path], study_file: Path | None = None, baseline: str | None = None
) -> list[SweptStudy]:
    """The studies of some places, each with the results of all places that belong to it.

    A sweep's folder says which study it was made with. Beside a file of results, or in its folder, lies
    study.yaml (as under experiments/).

    Args:
        places: folders of `slimdp sweep`, or files of results.
        study_file: the study of all of them, whatever they say.
        baseline: the row to compare all with, in the studies that have it; else, and in the rest, that of
            each group, or the first one.

    Raises:
        NoStudyError: no study to be found.
        ConfigError: no such place, nothing done there, results of other rows, or a baseline that none has.
    """
    found: dict[str, tuple[Study, list[Path]]] = {}
    for place in map(Path, places):
        _require_results(place)
        given = [_trained_there(read_study(study_file), place)] if study_file is not None else None
        for study in given or _studies_of(place):
            known, its_places = found.setdefault(study_key(study.file), (study, []))
            if known.names != study.names:
                raise ConfigError(
                    f"{place}: its study {study.file} has other rows than {known.file} of {its_places[0]}; "
                    "report on them one by one, or name the study: --study"
                )
            its_places.append(place)
    names = list(dict.fromkeys(name for study, _ in found.values() for name in study.names))
    if baseline is not None and baseline not in names:
        files = ", ".join(str(study.file) for study, _ in found.values())
        raise ConfigError(f"no row {baseline!r} in {files}; there are: {listed(names, baseline)}")
    return [_swept(key, *each, baseline) for key, each in found.items()]


def _swept(key: str, study: Study, places: list[Path], baseline: str | None) -> SweptStudy:
    files = [file for file in map(_results_file, places) if file.is_file()]
    of_rows = [_scored_on(study, result) for result in read_scores(files) if result.row in study.names]
    results = [result for result in of_rows if result is not None]
    for file in files:
        # Other studies may have been swept into the same folder.
        known = {name for each in (study, *read_snapshots(file.parent)) for name in each.names}
        unknown = [result.row for result in read_scores([file]) if result.row not in known]
        if unknown:
            found = f"{file}: results of row {unknown[0]}, which {study.file} does not have"
            raise ConfigError(f"{found}; there are: {', '.join(study.names)}")
    groups = groups_of(study.names, study.groups, baseline if baseline in study.names else None)
    return SweptStudy(key, study, tuple(places), tuple(results), groups)


def _scored_on(study: Study, result: RunResult) -> RunResult | None:
    """A result on the sets that a study has now, in its order; None: it was scored on none of them."""
    first = next(iter(study.evaluate))
    # Files of earlier versions do not say how the first set is called; a set that they name is another one.
    nameless = {first: result.scores[""]} if "" in result.scores else {}
    named = {name: scores for name, scores in result.scores.items() if name}
    return result.replace(scores={**nameless, **named}).on_sets(study.evaluate)


def _studies_of(place: Path) -> list[Study]:
    folder = place if place.is_dir() else place.parent
    if found := read_snapshots(folder):
        return found
    if (folder / STUDY_FILE).is_file():
        return [read_study(folder / STUDY_FILE)]
    raise NoStudyError(
        f"{folder} does not say which study it was made with (a sweep of an older version); name its file: "
        "--study experiments/NAME/study.yaml"
    )


def _trained_there(study: Study, place: Path) -> Study:
    """A study that knows where a sweep trained its stages: as the folder says, else beside the folder, where
    several studies that were swept together have them."""
    known = [each.shared for each in read_snapshots(place) if each.names == study.names]
    together = Path("..", SHARED)
    if known:
        return study.replace(shared=known[0])
    if not (place / study.shared).is_dir() and (place / together).is_dir():
        return study.replace(shared=str(together))
    return study


def _results_file(place: Path) -> Path:
    return place / SCORES if place.is_dir() else place


def _require_results(place: Path) -> None:
    """Something to report on: a file, or a folder of a sweep, which may have done nothing yet."""
    command = f"slimdp sweep STUDY --out {quoted(place)}"
    if not place.exists():
        raise ConfigError(f"{place}: no such folder or file; {command} makes it")
    if place.is_dir() and not _results_file(place).is_file() and not read_snapshots(place):
        raise ConfigError(f"{place} has no {SCORES}: it is no folder of slimdp sweep; {command} makes one")


class MissingRuns(NamedTuple):
    """Rows that lack the same seeds."""

    rows: tuple[str, ...]
    seeds: tuple[int, ...]
    command: str  # that makes them


class Progress(NamedTuple):
    """How much of a study is there."""

    done: int
    wanted: int
    missing: tuple[MissingRuns, ...]
    failed: tuple[tuple[str, str], ...]  # run and error
    running: tuple[str, ...]


def progress_of(swept: SweptStudy) -> Progress:
    """Compare what a study wants with what there is; raises ConfigError where a run's file is damaged."""
    study = swept.study
    found = missing_runs(swept.results, study.names, study.seeds)
    there = {(result.row, result.seed) for result in swept.results}
    lacking = [end for key, end in swept.runs.items() if key not in there]
    failed, running = {}, []
    for run in {each.folder: each for end in lacking for each in (*end.needs, end)}.values():
        for folder in swept.folders:
            if is_held(folder / run.folder / records.LOCK):
                running.append(run.name)
            elif (failure := records.read_failure(folder / run.folder)) is not None:
                failed[run.name] = failure.error
    return Progress(
        done=sum(seed in study.seeds for _, seed in there),
        wanted=len(study.names) * len(study.seeds),
        missing=tuple(
            MissingRuns(tuple(rows), seeds, swept.sweep_command(rows, seeds)) for seeds, rows in found.items()
        ),
        failed=tuple(failed.items()),
        running=tuple(running),
    )


class ChangedRuns(NamedTuple):
    """Runs that differ from the study in the same things."""

    runs: tuple[str, ...]  # ROW/seed_N
    differences: tuple[str, ...]  # `key: there, now`

    @property
    def text(self) -> str:
        """For people, without what these words mean."""
        more = len(self.differences) - _MOST
        told = "; ".join(self.differences[:_MOST]) + (f"; and {more} more" if more > 0 else "")
        return f"{', '.join(self.runs)} ({told})"


def changed_runs(swept: SweptStudy) -> list[ChangedRuns]:
    """Runs with results whose folders tell of other settings, labels, pictures or people who are scored.

    Of results without a folder nothing is known. Times of files tell nothing: digests do, and each set that
    runs learn from is read once.

    Raises:
        ConfigError: a damaged file of a run, or wrong settings.
    """
    evaluated = records.describe_evaluation(swept.study)
    known: dict[Hashable, _Digests] = {}
    found: dict[tuple[str, ...], list[str]] = {}
    for result in swept.results:
        out, run = swept.folder_of(result.row, result.seed), swept.runs[result.row, result.seed]
        differences = () if out is None else _differences(run.folder_in(out), run, evaluated, known)
        if differences:
            found.setdefault(differences, []).append(run.name)
    return [ChangedRuns(tuple(runs), differences) for differences, runs in found.items()]


def _differences(
    folder: Path, run: PlannedRun, evaluated: Evaluated, known: dict[Hashable, _Digests]
) -> tuple[str, ...]:
    record = records.read_record(folder)
    found = [] if record is None else records.changes(record, _describe(run, known))
    if (folder / records.RESULT).is_file() and records.read_result(folder, evaluated) is None:
        found.append("other people were scored, or in another way")
    return tuple(found)


def _describe(run: PlannedRun, known: dict[Hashable, _Digests]) -> RunRecord:
    """As `describe_run`; the sizes of thousands of pictures are looked at once for all runs that see them."""
    config = run.config
    key = (
        frozenset((source.annotations, source.images) for stage in config.stages for source in stage.data),
        frozenset(config.motion_of(stage) for stage in config.stages),
    )
    if key not in known:
        known[key] = records.label_digests(config), records.picture_digests(config)
    return records.describe_run(config, run.finder_folder, run.scales, known[key])
