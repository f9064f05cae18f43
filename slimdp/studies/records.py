"""What a sweep keeps in the folder of a run, beside what `train` keeps there.

| file | what |
|---|---|
| `sweep.json` | with which settings and files it is trained, and how long it took until now |
| `result.json` | its score; there once everything is done |
| `failed.json` | why it ended, until it is tried again |
| `output.log` | what it printed |
| `.lock` | held by the process that works on it |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from flow_cache.runtime.atomic import write_json
from flow_cache.runtime.json_file import JsonFileError, read_json
from slimdp.config import ConfigError, TrainConfig, config_from_dict, config_to_dict
from slimdp.settings_file import differences, from_plain, to_plain
from slimdp.studies.inputs import file_digest, label_digests, picture_digests, pictures_digest
from slimdp.studies.study import EvaluationSettings
from slimdp.training.checkpoint import FREE_KEYS

#: Raised when the same weights come to other scores; 2: person or background by the odds of all parts.
SCORING = 2
RECORD, RESULT, FAILURE, LOG, LOCK = "sweep.json", "result.json", "failed.json", "output.log", ".lock"


@dataclass(frozen=True)
class Score:
    """Percent of points within a distance."""

    scores: Mapping[str, float]  # "localization only", which the papers report: {"5cm": ..., "10cm": ...}
    full: Mapping[str, float]  # where a pixel that the network calls background is wrong

    def __post_init__(self) -> None:
        if not self.scores or self.full.keys() != self.scores.keys():
            raise ConfigError(f"scores {dict(self.scores)} and full {dict(self.full)}: columns are missing")


@dataclass(frozen=True)
class RunResult:
    """The score of a row for a seed, a line of results.json; percent of points within a distance."""

    row: str
    seed: int
    scores: Mapping[str, float]  # "localization only", which the papers report: {"5cm": ..., "10cm": ...}
    full: Mapping[str, float]  # where a pixel that the network calls background is wrong
    seconds: float  # of its scoring
    shared_seconds: float  # of its stages' training, each shared with the rows of the study that have it too
    machine: str
    commit: str  # of the code that scored it
    others: Mapping[str, Score] = field(default_factory=dict)  # on the study's other sets, by their names
    clicks: int | None = None  # of annotators, behind the labels that it learned from
    annotator_seconds: float | None = None  # that these take, at the costs that are usual here
    trained_at: tuple[str, ...] = ()  # commits of the code that trained its stages; () where it was not noted

    def __post_init__(self) -> None:
        Score(self.scores, self.full)

    def on(self, name: str) -> Score:
        """The score on one of the sets; "" is the first."""
        return self.others[name] if name else Score(self.scores, self.full)


@dataclass(frozen=True)
class Evaluated:
    """Who was scored, and how."""

    annotations: str
    images: str
    sha256: str  # of the annotations
    pictures: str = ""  # digest of what they are known by; "" where that is not known
    others: Mapping[str, Evaluated] = field(default_factory=dict, hash=False)  # more sets, by their names
    scoring: int = 1  # by which version of the code

    def matches(self, wanted: Evaluated) -> bool:
        """Whether they are the people that are wanted, as far as both are known."""
        pairs = [(self.sha256, wanted.sha256), (self.pictures, wanted.pictures)]
        return (
            (self.annotations, self.images, self.scoring)
            == (wanted.annotations, wanted.images, wanted.scoring)
            and all(there == now for there, now in pairs if there and now)
            and self.others.keys() >= wanted.others.keys()
            and all(self.others[name].matches(each) for name, each in wanted.others.items())
        )


@dataclass(frozen=True)
class RunRecord:
    """What a run is trained with."""

    settings: Mapping[str, Any]
    labels: Mapping[str, str]  # annotation file -> SHA-256
    pictures: Mapping[str, str] = field(default_factory=dict)  # what is seen -> digest of what it is known by
    seconds: float = 0.0  # of all attempts that have ended
    started: float | None = None  # when the attempt under way began, or was killed in; seconds since 1970
    commits: Sequence[str] = ()  # of the code that trained it, one or, if it was stopped, several


@dataclass(frozen=True)
class _ResultFile:
    """What result.json holds."""

    result: RunResult
    evaluated: Evaluated


@dataclass(frozen=True)
class Failure:
    """Why a run ended."""

    error: str
    log: str  # file


def describe_evaluation(
    evaluate: EvaluationSettings, others: Mapping[str, EvaluationSettings] | None = None
) -> Evaluated:
    """Who is to be scored; without digests where the files are not there."""
    file, images = Path(evaluate.annotations), Path(evaluate.images)
    return Evaluated(
        evaluate.annotations,
        evaluate.images,
        file_digest(file) or "",
        pictures_digest(file, images) or "",
        {name: describe_evaluation(each) for name, each in (others or {}).items()},
        SCORING,
    )


def describe_run(config: TrainConfig) -> RunRecord:
    """A run's settings and its files as they are now."""
    return RunRecord(config_to_dict(config), label_digests(config), picture_digests(config))


def changes(there: RunRecord, now: RunRecord) -> list[str]:
    """What differs, as `key: there, now` lines; files that are gone do not count."""
    try:
        saved = config_to_dict(config_from_dict(to_plain(there.settings), "its settings", saved=True))
    except ConfigError as error:
        return [str(error)]
    wanted = dict(now.settings)
    for key in FREE_KEYS:
        del saved[key], wanted[key]
    found = list(differences(saved, wanted))
    for name, digest in now.labels.items():
        if name in there.labels and there.labels[name] != digest:
            found.append(f"labels in {name}: {there.labels[name][:8]}, {digest[:8]} (SHA-256)")
    for name, digest in now.pictures.items():
        if name in there.pictures and there.pictures[name] != digest:
            found.append(f"{name}: {there.pictures[name][:8]}, {digest[:8]} (digest)")
    return found


def begin_run(folder: Path, now: RunRecord) -> None:
    """Take note of what a run is made with, unless that is known, and that it is tried again if it failed."""
    (folder / FAILURE).unlink(missing_ok=True)
    if read_record(folder) is None:
        _write(folder / RECORD, now)


def begin_training(folder: Path, time: float, commit: str) -> None:
    """Take note that training begins, or goes on, at a time in seconds since 1970, by the code of a commit.

    Of an attempt that was killed, what counts is the time until its last checkpoint.
    """
    there = read_record(folder)
    assert there is not None, "a run that did not begin"
    seconds, last = there.seconds, folder / "last.pt"
    if there.started is not None and last.exists():
        seconds += max(last.stat().st_mtime - there.started, 0.0)
    commits = tuple(dict.fromkeys([*there.commits, commit]))
    _write(folder / RECORD, replace(there, seconds=seconds, started=time, commits=commits))


def end_training(folder: Path, seconds: float) -> None:
    """Take note that training has ended, after so many seconds more."""
    there = read_record(folder)
    assert there is not None, "a run that did not begin"
    _write(folder / RECORD, replace(there, seconds=there.seconds + seconds, started=None))


def read_record(folder: Path) -> RunRecord | None:
    """A run's record, if there is one; raises ConfigError where it is damaged."""
    values = _read(folder / RECORD)
    if values is None:
        return None
    known = [each.name for each in fields(RunRecord)]
    needed = [
        each.name for each in fields(RunRecord) if each.default is MISSING and each.default_factory is MISSING
    ]
    if not isinstance(values, dict) or not set(needed) <= values.keys() <= set(known):
        raise ConfigError(f"{folder / RECORD}: wanted {', '.join(known)}; remove {folder}")
    return RunRecord(**values)


def write_result(folder: Path, result: RunResult, evaluated: Evaluated) -> None:
    """Keep a score; with the end of this call the run is done."""
    _write(folder / RESULT, _ResultFile(result, evaluated))


def read_result(folder: Path, wanted: Evaluated) -> RunResult | None:
    """A run's score on the people that are wanted, if there is one; ConfigError where it is damaged."""
    values = _read(folder / RESULT)
    if values is None:
        return None
    try:
        file: _ResultFile = from_plain(_ResultFile, values)
    except ConfigError as error:
        raise ConfigError(f"{folder / RESULT}: {error}; remove it") from error
    return file.result if file.evaluated.matches(wanted) else None


def describe_failure(folder: Path, error: Exception) -> Failure:
    """Why a run ended."""
    return Failure(f"{type(error).__name__}: {error}", str(folder / LOG))


def write_failure(folder: Path, error: Exception) -> Failure:
    """Keep why a run ended."""
    failure = describe_failure(folder, error)
    _write(folder / FAILURE, failure)
    return failure


def read_failure(folder: Path) -> Failure | None:
    """Why a run ended, if it failed and was not tried again."""
    values = _read(folder / FAILURE)
    return None if values is None else from_plain(Failure, values)


def _read(file: Path) -> Any:
    if not file.is_file():
        return None
    try:
        return read_json(file)
    except JsonFileError as error:
        raise ConfigError(f"{error}; the file is damaged: remove it") from error


def _write(file: Path, values: object) -> None:
    write_json(file, to_plain(values))
