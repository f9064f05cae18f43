"""What tells whether files that a run reads are those that it was begun with.

Labels count to the last bit. Pictures are too many to read at every start of a sweep: they are known by their
names and sizes, a flow store by what it says of its fields. Times of change count for nothing, so that a copy
on another machine is the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np

from flow_cache import FlowCacheError, FlowStore
from flow_cache.runtime.file_hash import file_sha256
from flow_cache.runtime.json_file import read_json
from slimdp.config import MotionSettings, TrainConfig


def label_digests(config: TrainConfig) -> dict[str, str]:
    """Annotation file -> SHA-256, of those that a run learns from and that are there."""
    files = {source.annotations for stage in config.stages for source in stage.data}
    digests = {name: file_digest(Path(name)) for name in sorted(files)}
    return {name: digest for name, digest in digests.items() if digest is not None}


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
