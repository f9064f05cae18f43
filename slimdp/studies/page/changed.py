"""Results that were made with other settings than the study has now."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

from slimdp.config import TrainConfig, config_to_dict
from slimdp.studies.inputs import label_digests, picture_digests
from slimdp.studies.page.sources import SweptStudy
from slimdp.studies.records import (
    RESULT,
    Evaluated,
    RunRecord,
    changes,
    describe_evaluation,
    read_record,
    read_result,
)

#: Differences that are told of a run; the rest are counted.
_MOST = 4
#: What a run's labels, and its pictures, are known by.
_Digests = tuple[dict[str, str], dict[str, str]]


@dataclass(frozen=True)
class ChangedRuns:
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
    evaluated = describe_evaluation(swept.study.evaluate, swept.study.others)
    known: dict[Hashable, _Digests] = {}
    found: dict[tuple[str, ...], list[str]] = {}
    for result in swept.results:
        out, run = swept.folder_of(result.row, result.seed), swept.runs[result.row, result.seed]
        differences = () if out is None else _differences(run.place(out), run.config, evaluated, known)
        if differences:
            found.setdefault(differences, []).append(run.name)
    return [ChangedRuns(tuple(runs), differences) for differences, runs in found.items()]


def _differences(
    folder: Path, config: TrainConfig, evaluated: Evaluated, known: dict[Hashable, _Digests]
) -> tuple[str, ...]:
    record = read_record(folder)
    found = [] if record is None else changes(record, _describe(config, known))
    if (folder / RESULT).is_file() and read_result(folder, evaluated) is None:
        found.append("other people were scored, or in another way")
    return tuple(found)


def _describe(config: TrainConfig, known: dict[Hashable, _Digests]) -> RunRecord:
    """As `describe_run`; the sizes of thousands of pictures are looked at once for all runs that see them."""
    key = (
        frozenset((source.annotations, source.images) for stage in config.stages for source in stage.data),
        frozenset(config.motion_of(stage) for stage in config.stages),
    )
    if key not in known:
        known[key] = label_digests(config), picture_digests(config)
    return RunRecord(config_to_dict(config), *known[key])
