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

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from flow_cache import FlowCacheError, FlowStore
from flow_cache.runtime.atomic import write_json
from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.json_file import JsonFileError, read_json
from slimdp.config import ConfigError, MotionSettings, TrainConfig, config_from_dict, config_to_dict
from slimdp.config.base import Many, Settings, Wanted
from slimdp.inference.multi_scale import ONE_SCALE
from slimdp.settings_file import differences
from slimdp.studies.study import Study
from slimdp.training.checkpoint import FREE_KEYS

#: Raised when the same weights come to other scores; 2: person or background by the odds of all parts.
SCORING = 2
RECORD, RESULT, FAILURE, LOG, LOCK = "sweep.json", "result.json", "failed.json", "output.log", ".lock"


class RunResult(Settings):
    """The scores of a row for a seed, a line of scores.jsonl."""

    row: str
    seed: int
    # Set -> name of a score -> its value; the study's first set first.
    scores: Annotated[Mapping[str, Mapping[str, float]], Wanted("those of one set or more", bool)]
    seconds: float  # of its scoring
    shared_seconds: float  # of its stages' training, each shared with the rows of the study that have it too
    machine: str
    commit: str  # of the code that scored it
    clicks: int | None = None  # of annotators, behind the labels that it learned from
    annotator_seconds: float | None = None  # that these take, at the costs that are usual here
    trained_at: Many[str] = ()  # commits of the code that trained its stages; () where it was not noted
    pretrained: str | None = None  # weights of others that it began with, and their SHA-256; None: none

    def on(self, name: str) -> Mapping[str, float]:
        """Its scores on one of the sets, "" is the first; none where it was not scored there."""
        return self.scores.get(name or next(iter(self.scores)), {})

    def on_sets(self, names: Iterable[str]) -> RunResult | None:
        """The same with the sets of a study, in its order: its first set is now what `on("")` means.

        Sets that the study lacks are left out, and one that nobody scored here has no scores. None: there
        are no others.
        """
        scores = {name: self.scores.get(name, {}) for name in names}
        return self.replace(scores=scores) if any(scores.values()) else None


class ScoredSet(Settings):
    """Whom somebody was scored on."""

    annotations: str
    images: str
    sha256: str  # of the annotations
    pictures: str = ""  # digest of what they are known by; "" where that is not known

    def matches(self, wanted: ScoredSet) -> bool:
        """Whether they are the people that are wanted, as far as both are known."""
        pairs = [(self.sha256, wanted.sha256), (self.pictures, wanted.pictures)]
        return (self.annotations, self.images) == (wanted.annotations, wanted.images) and all(
            there == now for there, now in pairs if there and now
        )


class Evaluated(Settings):
    """Who was scored, and how."""

    sets: Mapping[str, ScoredSet]  # by name, "" of a single one; the first is what the study is about
    scores: Many[str]  # their names
    scoring: int = 1  # by which version of the code
    imports: Many[str] = ()  # modules that register their metrics

    def matches(self, wanted: Evaluated) -> bool:
        """Whether all is there that is wanted."""
        return (
            self.scoring == wanted.scoring
            and set(self.scores) >= set(wanted.scores)
            and self.sets.keys() >= wanted.sets.keys()
            and all(self.sets[name].matches(each) for name, each in wanted.sets.items())
        )


class RunRecord(Settings):
    """What a run is trained with."""

    settings: Mapping[str, Any]
    labels: Mapping[str, str]  # annotation file -> SHA-256
    pictures: Mapping[str, str] = {}  # what is seen -> digest of what it is known by
    # Weights that it begins with or is taught by, and what a network said before -> SHA-256.
    files: Mapping[str, str] = {}
    finder: str = ""  # the folder, as the plan has it, of whose boxes are looked at; "": no other's
    scales: Many[float] = ONE_SCALE  # at which a row is scored
    seconds: float = 0.0  # of all attempts that have ended
    started: float | None = None  # when the attempt under way began, or was killed in; seconds since 1970
    commits: Many[str] = ()  # of the code that trained it, one or, if it was stopped, several


class _ResultFile(Settings):
    """What result.json holds."""

    result: RunResult
    evaluated: Evaluated


class Failure(Settings):
    """Why a run ended."""

    error: str
    log: str  # file


def describe_evaluation(study: Study) -> Evaluated:
    """Who is to be scored, and how; without digests where the files are not there."""
    sets = {}
    for name, each in study.evaluate.items():
        file, images = Path(each.annotations), Path(each.images)
        digests = file_digest(file) or "", pictures_digest(file, images) or ""
        sets[name] = ScoredSet(
            annotations=each.annotations, images=each.images, sha256=digests[0], pictures=digests[1]
        )
    return Evaluated(sets=sets, scores=study.score_names, scoring=SCORING, imports=study.imports)


def describe_run(
    config: TrainConfig, finder: str = "", scales: Sequence[float] = ONE_SCALE,
    digests: tuple[Mapping[str, str], Mapping[str, str]] | None = None,
) -> RunRecord:  # fmt: skip
    """A run's settings and files as they are now, the folder of whose boxes it looks at, and at what scales.

    `digests`: those of its labels and of its pictures, where they are known.
    """
    labels, pictures = digests or (label_digests(config), picture_digests(config))
    return RunRecord(
        settings=config_to_dict(config), labels=labels, pictures=pictures, files=other_digests(config),
        finder=finder, scales=tuple(scales),
    )  # fmt: skip


def changes(there: RunRecord, now: RunRecord) -> list[str]:
    """What differs, as `key: there, now` lines; files that are gone do not count."""
    try:
        saved = config_to_dict(config_from_dict(there.settings, "its settings", saved=True))
    except ConfigError as error:
        return [str(error)]
    wanted = dict(now.settings)
    for key in FREE_KEYS:
        del saved[key], wanted[key]
    found = list(differences(saved, wanted))
    if there.finder != now.finder:
        found.append(f"boxes_of: {there.finder or 'none'}, {now.finder or 'none'}")
    if there.scales != now.scales:
        found.append(f"scales: {list(there.scales)}, {list(now.scales)}")
    labels, pictures = (there.labels, now.labels), (there.pictures, now.pictures)
    files = there.files, now.files
    for what, (old, new), kind in (
        ("labels in ", labels, "SHA-256"), ("", pictures, "digest"), ("", files, "SHA-256"),
    ):  # fmt: skip
        for name, digest in new.items():
            if old.get(name, digest) != digest:
                found.append(f"{what}{name}: {old[name][:8]}, {digest[:8]} ({kind})")
    return found


def begin_run(folder: Path, now: RunRecord) -> None:
    """Take note of what a run is made with, unless that is known, and that it is tried again if it failed."""
    (folder / FAILURE).unlink(missing_ok=True)
    if read_record(folder) is None:
        write_json(folder / RECORD, now.plain())


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
    write_json(folder / RECORD, there.replace(seconds=seconds, started=time, commits=commits).plain())


def end_training(folder: Path, seconds: float) -> None:
    """Take note that training has ended, after so many seconds more."""
    there = read_record(folder)
    assert there is not None, "a run that did not begin"
    write_json(folder / RECORD, there.replace(seconds=there.seconds + seconds, started=None).plain())


def read_record(folder: Path) -> RunRecord | None:
    """A run's record, if there is one; raises ConfigError where it is damaged."""
    values = _read(folder / RECORD)
    try:
        return None if values is None else RunRecord.parse(values)
    except ConfigError as error:
        raise ConfigError(f"{folder / RECORD}: {error}; remove {folder}") from error


def write_result(folder: Path, result: RunResult, evaluated: Evaluated) -> None:
    """Keep a score; with the end of this call the run is done."""
    write_json(folder / RESULT, _ResultFile(result=result, evaluated=evaluated).plain())


def read_result(folder: Path, wanted: Evaluated) -> RunResult | None:
    """A run's score on the people that are wanted, in their order, if there is one; ConfigError where it is
    damaged."""
    values = _read(folder / RESULT)
    if values is None:
        return None
    try:
        if "others" in values["result"]:
            return None  # of an earlier version, which had other scores: it is scored again
        file = _ResultFile.parse(values)
    except (ConfigError, TypeError, KeyError) as error:
        raise ConfigError(f"{folder / RESULT}: {error}; remove it") from error
    return file.result.on_sets(wanted.sets) if file.evaluated.matches(wanted) else None


def describe_failure(folder: Path, error: Exception) -> Failure:
    """Why a run ended."""
    return Failure(error=f"{type(error).__name__}: {error}", log=str(folder / LOG))


def write_failure(folder: Path, error: Exception) -> Failure:
    """Keep why a run ended."""
    failure = describe_failure(folder, error)
    write_json(folder / FAILURE, failure.plain())
    return failure


def read_failure(folder: Path) -> Failure | None:
    """Why a run ended, if it failed and was not tried again."""
    values = _read(folder / FAILURE)
    return None if values is None else Failure.parse(values)


def _read(file: Path) -> Any:
    if not file.is_file():
        return None
    try:
        return read_json(file)
    except JsonFileError as error:
        raise ConfigError(f"{error}; the file is damaged: remove it") from error


# What tells whether files that a run reads are those that it was begun with. Labels count to the last bit.
# Pictures are too many to read at every start of a sweep: they are known by their names and sizes, a flow
# store by what it says of its fields. Times of change count for nothing, so that a copy is the same.


def label_digests(config: TrainConfig) -> dict[str, str]:
    """Annotation file -> SHA-256, of those that a run learns from and that are there."""
    files = sorted({source.annotations for stage in config.stages for source in stage.data})
    return {name: digest for name in files if (digest := file_digest(Path(name))) is not None}


def picture_digests(config: TrainConfig) -> dict[str, str]:
    """What a run sees beside its labels -> SHA-256 of what it is known by: pictures, and stores of flow."""
    sources = {(source.annotations, source.images) for stage in config.stages for source in stage.data}
    digests = {
        f"pictures of {annotations} in {images}": pictures_digest(Path(annotations), Path(images))
        for annotations, images in sorted(sources)
    }
    for motion in {config.motion_of(stage) for stage in config.stages}:
        if motion.store:
            digests[f"flow in {motion.store}"] = _motion_digest(motion)
    return {name: digest for name, digest in digests.items() if digest is not None}


def other_digests(config: TrainConfig) -> dict[str, str]:
    """What networks know that a run begins with, is taught by, or what they said before -> SHA-256.

    A name that is no file has none: of published weights, or of the stage that teaches in a plan.
    """
    names = {f"model.weights {name}": name for name in (getattr(config.model, "weights", None),) if name}
    for stage in config.stages:
        if stage.teacher is not None:
            names[f"teacher {stage.teacher.weights}"] = stage.teacher.weights
        for source in stage.data:
            if source.taught is not None:
                names[f"predictions {source.taught.predictions}"] = source.taught.predictions
    found = {what: file_digest(Path(name)) for what, name in sorted(names.items())}
    return {what: digest for what, digest in found.items() if digest is not None}


def file_digest(file: Path) -> str | None:
    """SHA-256 of a file; None where there is none."""
    return _file_digest(file, _version(file)) if file.is_file() else None


def pictures_digest(annotations: Path, images: Path) -> str | None:
    """Of the names and sizes of the pictures that an annotation file names; None where it cannot be read."""
    if not annotations.is_file():
        return None
    names = _picture_names(annotations, _version(annotations))
    return None if names is None else _sizes_digest(images, names)


def _motion_digest(motion: MotionSettings) -> str | None:
    place = Path(motion.store)
    files = [place] if place.is_file() else sorted(place.rglob("*.h5"))
    if not files:
        return None
    if motion.kind == "exact":
        return _sizes_digest(place, [str(file.relative_to(place)) for file in files])
    return _flow_digest(place, tuple(_version(file) for file in files))


def _version(file: Path) -> tuple[int, int]:
    """While this is the same, a process need not read a file again."""
    about = file.stat()
    return about.st_mtime_ns, about.st_size


@lru_cache
def _file_digest(file: Path, version: tuple[int, int]) -> str:
    return file_sha256(file).hex()


@lru_cache
def _picture_names(annotations: Path, version: tuple[int, int]) -> tuple[str, ...] | None:
    try:
        images = read_json(annotations)["images"]
        return tuple(sorted({str(image["file_name"]) for image in images}))
    except (ValueError, KeyError, TypeError):
        return None  # reading the labels says what is wrong


def _sizes_digest(folder: Path, names: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name in names:
        file = folder / name
        digest.update(f"{name} {file.stat().st_size if file.is_file() else 'missing'}\n".encode())
    return digest.hexdigest()


@lru_cache
def _flow_digest(place: Path, versions: tuple[tuple[int, int], ...]) -> str | None:
    """Of whose flow a store holds, by what it was estimated, and which fields are complete."""
    digest = hashlib.sha256()
    try:
        with FlowStore(place) as store:
            for video in sorted(store.videos()):
                record = store.record(video)
                known = [video, record.source_hash, record.settings_hash, record.around]
                digest.update(json.dumps([*known, record.width, record.height]).encode())
                for step in store.steps(video):
                    digest.update(f"{step} {np.flatnonzero(store.finished(video, step)).tolist()}".encode())
    except (FlowCacheError, OSError):
        return None  # the check of the settings says what is wrong
    return digest.hexdigest()
