"""Opening one file of a store for reading, and saying what is wrong with it."""

from __future__ import annotations

import time
from pathlib import Path

import h5py

from flow_cache.codec import UNITS_PER_PX
from flow_cache.errors import DamagedStoreError, FlowCacheError
from flow_cache.recovery import journal_of, recover
from flow_cache.schema import check_schema

#: What h5py raises for a file with other bytes than HDF5 wrote.
OF_DAMAGE = (OSError, RuntimeError, KeyError)
#: Another reader that finishes a killed writer's commit has the file to itself for a moment.
_TRIES, _SECONDS_BETWEEN_TRIES = 5, 0.05


def damaged(path: Path, why: str) -> DamagedStoreError:
    """What to raise where a file cannot be read."""
    if "plugin" in why:  # HDF5 looks for a filter that it has not
        return DamagedStoreError(
            f"{path} is compressed by a filter that this HDF5 lacks: pip install --upgrade hdf5plugin ({why})"
        )
    return DamagedStoreError(
        f"{path} is damaged, or its disk fails: {why}; python -m flow_cache verify lists all that is"
    )


def open_file(path: Path) -> h5py.File:
    """Open a store's file as of its writer's last commit, locked against writers.

    Raises:
        FlowCacheError: a writer has it, it is no store of this layout, or it is damaged.
    """
    file = _open_committed(path)
    try:
        check_schema(file, path)
        for name in file:
            units = file[name].attrs["units_per_px"]
            if units != UNITS_PER_PX:
                raise FlowCacheError(f"{path}: flow of {name!r} in 1/{units} px; wanted 1/{UNITS_PER_PX} px")
    except FlowCacheError:
        file.close()
        raise
    except OF_DAMAGE as error:
        file.close()
        raise damaged(path, str(error)) from error
    return file


def _open_committed(path: Path) -> h5py.File:
    for tries_left in reversed(range(_TRIES)):
        recover(path)
        try:
            # Crops seldom share tiles, and every data set would have a cache of its own.
            file = h5py.File(path, "r", rdcc_nbytes=0)
        except BlockingIOError as error:
            if not tries_left:
                raise FlowCacheError(
                    f"{path} is being written by another process; wait for it to finish"
                ) from error
            time.sleep(_SECONDS_BETWEEN_TRIES)
            continue
        except OSError as error:
            raise FlowCacheError(f"{path} is no HDF5 file, or a damaged one: {error}") from error
        if not journal_of(path).exists():
            return file
        file.close()  # its writer was killed just now
    raise FlowCacheError(f"{path} is being written by another process; wait for it to finish")
