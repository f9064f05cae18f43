"""Opening one file of a store, and saying what is wrong with it."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import time
from pathlib import Path

import h5py

from flow_cache.errors import DamagedStoreError, FlowCacheError
from flow_cache.journal import JournaledFile
from flow_cache.recovery import journal_of, recover
from flow_cache.runtime.hdf5_content import Hdf5ContentError, open_hdf5
from flow_cache.runtime.shell import quoted
from flow_cache.runtime.temporaries import temporary_file
from flow_cache.schema import LIBVER, SCHEMA, check_schema

#: What h5py raises for a file with other bytes than HDF5 wrote.
OF_DAMAGE = (OSError, RuntimeError, KeyError)
#: What file systems without hard links answer, such as exFAT.
_WITHOUT_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
#: Another reader that finishes a killed writer's commit has the file to itself for a moment.
_TRIES, _SECONDS_BETWEEN_TRIES = 5, 0.05


def damaged(path: Path, why: str | Exception) -> DamagedStoreError:
    """What to raise where a file cannot be read, or holds what no writer of ours put there."""
    if isinstance(why, Hdf5ContentError):
        return DamagedStoreError(f"{path}: {why}; python -m flow_cache verify lists all that is wrong")
    why = str(why)
    if "plugin" in why:  # HDF5 looks for a filter that it has not
        return DamagedStoreError(
            f"{path} is compressed by a filter that this HDF5 lacks: pip install --upgrade hdf5plugin ({why})"
        )
    return DamagedStoreError(
        f"{path} is damaged, or its disk fails: {why}; "
        f"python -m flow_cache verify {quoted(path)} lists all that is"
    )


def open_file(path: Path) -> h5py.File:
    """Open a store's file as of its writer's last commit, locked against writers.

    Raises:
        FlowCacheError: a writer has it, it is no store of this layout, or it is damaged.
        OSError: the system refuses it: no permission, too many open files, a failing disk.
    """
    file = _open_committed(path)
    try:
        check_schema(file, path)
    except FlowCacheError:
        file.close()
        raise
    except (*OF_DAMAGE, Hdf5ContentError) as error:
        file.close()
        raise damaged(path, error) from error
    return file


def _open_committed(path: Path) -> h5py.File:
    for tries_left in reversed(range(_TRIES)):
        recover(path)
        try:
            # Crops seldom share tiles, and every data set would have a cache of its own.
            file = open_hdf5(path, rdcc_nbytes=0)
        except BlockingIOError as error:
            if not tries_left:
                raise FlowCacheError(
                    f"{path} is being written by another process; wait for it to finish"
                ) from error
            time.sleep(_SECONDS_BETWEEN_TRIES)
            continue
        except (OSError, Hdf5ContentError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DamagedStoreError(f"{path} is no HDF5 file, or a damaged one: {error}") from error
        if not journal_of(path).exists():
            return file
        file.close()  # its writer was killed just now
    raise FlowCacheError(f"{path} is being written by another process; wait for it to finish")


def make_if_missing(path: Path) -> None:
    """Make an empty store where there is no file.

    Raises:
        FlowCacheError: the path is a folder.
    """
    if path.is_dir():
        raise FlowCacheError(f"{path} is a folder; name the file to write, such as {path / 'flow.h5'}")
    if path.exists():
        return
    journal_of(path).unlink(missing_ok=True)  # of a file that was removed
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()  # HDF5 may crash where it cannot write as it closes
    with h5py.File(content, "w", libver=LIBVER) as file:
        file.attrs["schema"] = SCHEMA
    try:
        with temporary_file(path) as (unfinished, _), contextlib.suppress(FileExistsError):
            unfinished.write_bytes(content.getvalue())
            _put_in_place(unfinished, path)  # where another writer was first, its file stays
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def open_for_writing(content: JournaledFile, path: Path) -> h5py.File:
    """Open a store's file that was locked for a writer.

    Raises:
        FlowCacheError: it is no store of this layout, or it is damaged.
    """
    if content.seek(0, os.SEEK_END) == 0:  # h5py would begin a new file in it
        raise FlowCacheError(f"{path} is no HDF5 file, or a damaged one: it is empty; remove it")
    try:
        file = h5py.File(content, "r+", libver=LIBVER)
    except OSError as error:
        raise FlowCacheError(f"{path} is no HDF5 file, or a damaged one: {error}") from error
    check_schema(file, path)
    return file


def _put_in_place(unfinished: Path, path: Path) -> None:
    """Give a file its name; unlike a rename, this never replaces what another writer has just made."""
    try:
        os.link(unfinished, path)
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        with open(path, "xb") as file:
            file.write(unfinished.read_bytes())
