"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; the file written there takes the name `path` at the end.

    If the block raises, the temporary file goes and a file that `path` named before stays as it was. The
    folder is made where it is missing. The temporary name ends as `path` does, for writers that read the
    format from it.

    Raises:
        IsADirectoryError: a folder has the name `path`; before the block.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, but the name of a file to write is wanted")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes on other machines, or in other containers, may have the same number.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{secrets.token_hex(4)}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`, which takes the name `path` at the end.

    If the block raises, the temporary folder goes. What a killed process left of an earlier try is removed.

    Raises:
        FileExistsError: something has the name `path` already, before the block or at its end.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists; remove it, or choose another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*.part"):
        owner = re.fullmatch(rf"\.{re.escape(path.name)}\.(\d+)\.part", left.name)
        if owner and not Path("/proc", owner[1]).exists() and Path("/proc/self").exists():
            shutil.rmtree(left, ignore_errors=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.mkdir()
    try:
        yield temporary
        try:
            if path.exists():  # an empty folder would give way
                raise FileExistsError
            temporary.rename(path)
        except OSError as error:
            if error.errno not in (None, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            raise FileExistsError(f"{path} was made by someone else meanwhile") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
