"""Hashes by which the files of a video are known again, taken in several threads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from flow_cache.errors import FlowCacheError
from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.machine import usable_cores

_FILES_A_TASK = 16
T = TypeVar("T")


def hash_of_all(files: list[Path], hash_of: Callable[[Path], bytes]) -> str:
    """SHA-256 over names and hashes of files, which are taken in several threads."""
    digest = hashlib.sha256()
    for file, content_hash in zip(files, in_threads(hash_of, files), strict=True):
        digest.update(file.name.encode() + b"\0" + content_hash)
    return digest.hexdigest()


def hash_of_file(path: Path) -> bytes:
    """SHA-256 of a file's content; raises FlowCacheError where it cannot be read."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise FlowCacheError(f"{path} cannot be read: {error.strerror}") from error


def in_threads(look: Callable[[Path], T], files: Sequence[Path]) -> Iterator[T]:
    """What is seen in files, in their order."""
    tasks = [files[start : start + _FILES_A_TASK] for start in range(0, len(files), _FILES_A_TASK)]
    with ThreadPoolExecutor(usable_cores()) as threads:
        for seen in threads.map(lambda task: [look(file) for file in task], tasks):
            yield from seen
