"""The scores of a study in one file, and what a sweep leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flow_cache.runtime.atomic import write_json
from slimdp.settings_file import to_plain
from slimdp.studies.records import Failure, RunResult

#: What a sweep writes its scores to, unless told otherwise.
RESULTS = "results.json"


@dataclass(frozen=True)
class SweepSummary:
    """What a sweep left."""

    results: tuple[RunResult, ...]  # of all runs of the study that are done, seed by seed
    failures: dict[str, Failure]  # by run
    blocked: tuple[str, ...]  # runs that could not begin for a failure
    left: tuple[str, ...] = ()  # runs that jobs did not come to before they ended


def save_results(file: Path, results: Iterable[RunResult]) -> None:
    """Write scores, whole or not at all."""
    write_json(file, [to_plain(result) for result in results])


def describe_scores(result: RunResult) -> str:
    """ "42.9 / 61.0 / 75.2 % within 5 / 10 / 20 cm"."""
    scores = " / ".join(f"{value:.1f}" for value in result.scores.values())
    return f"{scores} % within {' / '.join(result.scores).replace('cm', '')} cm"


def whole_time(results: Iterable[RunResult]) -> str:
    """How long all of it took, for people."""
    return duration(sum(result.seconds + result.shared_seconds for result in results))


def describe_origin(results: Sequence[RunResult]) -> str:
    """The machines and the code that scores come from: "2 cores; commit 0123456789ab"."""
    machines = "; ".join(sorted({result.machine for result in results}))
    words = [commit.partition(" ") for each in results for commit in (each.commit, *each.trained_at)]
    commits = ", ".join(sorted({f"{number[:12]}{space}{remark}" for number, space, remark in words}))
    return f"{machines}; commit {commits}"


def duration(seconds: float) -> str:
    """A time for people: "48 s", "12 min", "2 h 05 min"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
