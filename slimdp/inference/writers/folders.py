"""Outputs of many files: a folder that appears whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flow_cache.runtime.atomic import temporary_folder


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that takes the name `path` at the end, in the place of what an earlier join left.

    Raises:
        OSError: `path` is a file, or something cannot be written; nothing is left then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path) as (temporary, _):
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)


def share_file(source: Path, target: Path) -> None:
    """Let a file be found in a second place: its content is there once, where the disk can do that."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
