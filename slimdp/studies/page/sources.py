"""Which studies folders and files of results belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from flow_cache.runtime.nearest import listed
from flow_cache.runtime.shell import quoted
from slimdp.config import ConfigError
from slimdp.studies import PlannedRun, RunResult, Study, plan_runs, read_study
from slimdp.studies.groups import RowGroup, baselines_of, groups_of
from slimdp.studies.kept import kept_studies, study_key
from slimdp.studies.results import RESULTS
from slimdp.studies.study import SHARED, Scores
from slimdp.studies.table import TableRow, read_results, table_rows

STUDY_FILE = "study.yaml"


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

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets that its rows are scored on, by name; "" where there is one without a name."""
        return (self.study.evaluate_name, *self.study.others)

    def scores(self, result: RunResult, on: str, full: bool = False) -> Mapping[str, float] | None:
        """A result's percent by column on a set ("": the first one); None where it was not scored."""
        other = "" if on == self.study.evaluate_name else on
        if other and other not in result.others:
            return None
        return result.on(other).full if full else result.on(other).scores

    def paper(self, on: str, full: bool = False) -> Scores:
        """The paper's numbers on one of the sets, by row and column."""
        study = self.study
        if on not in ("", study.evaluate_name):
            return {} if full else study.others[on].paper
        return study.paper_full if full else study.paper

    def rows(self, full: bool = False, on: str = "") -> list[TableRow]:
        """The rows of its table that have results; `full` as for `table_rows`, `on` one of the sets."""
        other = "" if on == self.study.evaluate_name else on
        paper = self.paper(on, full)
        return table_rows(self.results, self.groups, paper, full, other)

    @cached_property
    def runs(self) -> dict[tuple[str, int], PlannedRun]:
        """Its runs by row and seed, those of seeds beside the study's too; raises ConfigError as they do."""
        more = [result.seed for result in self.results]
        return {
            (run.row, run.seed): run for run in plan_runs(self.study.including(more)) if run.row is not None
        }

    def folder_of(self, row: str, seed: int) -> Path | None:
        """The sweep's folder that has a run, if any."""
        run = self.runs[row, seed]
        return next((folder for folder in self.folders if (folder / run.folder).is_dir()), None)


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
    files = [_results_file(place) for place in places if _results_file(place).is_file()]
    results = [result for result in read_results(files) if result.row in study.names]
    for file in files:
        # Other studies may have been swept into the same folder.
        known = {name for each in (study, *kept_studies(file.parent)) for name in each.names}
        unknown = [result.row for result in read_results([file]) if result.row not in known]
        if unknown:
            raise ConfigError(
                f"{file}: results of row {unknown[0]}, which {study.file} does not have; there are: "
                f"{', '.join(study.names)}"
            )
    groups = groups_of(study.names, study.groups, baseline if baseline in study.names else None)
    return SweptStudy(key, study, tuple(places), tuple(results), groups)


def _studies_of(place: Path) -> list[Study]:
    folder = place if place.is_dir() else place.parent
    kept = kept_studies(folder)
    if kept:
        return kept
    if (folder / STUDY_FILE).is_file():
        return [read_study(folder / STUDY_FILE)]
    raise NoStudyError(
        f"{folder} does not say which study it was made with (a sweep of an older version); name its file: "
        "--study experiments/NAME/study.yaml"
    )


def _trained_there(study: Study, place: Path) -> Study:
    """A study that knows where a sweep trained its stages: as the folder says, else beside the folder, where
    several studies that were swept together have them."""
    kept = [each.shared for each in kept_studies(place) if each.names == study.names]
    if kept:
        return replace(study, shared=kept[0])
    together = Path("..", SHARED)
    if not (place / study.shared).is_dir() and (place / together).is_dir():
        return replace(study, shared=str(together))
    return study


def _results_file(place: Path) -> Path:
    return place / RESULTS if place.is_dir() else place


def _require_results(place: Path) -> None:
    """Something to report on: a file, or a folder of a sweep, which may have done nothing yet."""
    if not place.exists():
        raise ConfigError(
            f"{place}: no such folder or file; slimdp sweep STUDY --out {quoted(place)} makes it"
        )
    if place.is_dir() and not _results_file(place).is_file() and not kept_studies(place):
        raise ConfigError(
            f"{place} has no {RESULTS}: it is no folder of slimdp sweep; "
            f"slimdp sweep STUDY --out {quoted(place)} makes one"
        )
