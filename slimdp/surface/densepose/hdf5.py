"""Find a vector in an HDF5 file, which is what MATLAB's version 7.3 writes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from slimdp.surface.densepose.numbers import BLOCK, StoredNumbers, require_floats, vector_length

#: A compressed chunk is unpacked whole.
_LARGEST_CHUNK = 128 << 20
#: Numbers that are read in both ways, to be sure of where they begin.
_COMPARED = 64


def find_in_hdf5(path: Path, key: str) -> StoredNumbers:
    """The vector that is a dataset at the file's root; MATLAB's order of axes does not matter to it.

    Raises:
        ValueError: no HDF5 file, a damaged one, or one whose numbers lie in other files; no such dataset, or
            no vector of floats.
    """
    try:
        with h5py.File(path, "r") as file:
            dataset = _dataset(path, file, key)
            count = vector_length(path, key, dataset.shape)
            require_floats(path, key, dataset.dtype)
            offset = dataset.id.get_offset()
            if dataset.chunks is None and offset is not None:
                return _plain(path, key, dataset, count, offset)
            if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > _LARGEST_CHUNK:
                raise ValueError(
                    f"{path}: {key} is stored in chunks {dataset.chunks}, more than "
                    f"{_LARGEST_CHUNK >> 20} MB each: not read; save it without compression"
                )
            return StoredNumbers(path, key, dataset.dtype, count, stream=lambda: _blocks(path, key))
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path}: no HDF5 file, or a damaged one: {error}; fetch it again") from error


def _dataset(path: Path, file: h5py.File, key: str) -> h5py.Dataset:
    link = file.get(key, getlink=True)
    if link is None:
        raise ValueError(f"{path}: no dataset {key}; there are: {', '.join(file) or 'none'}")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{path}: {key} is a link to another place, which is not followed")
    dataset = file[key]
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise ValueError(f"{path}: {key} is no dataset of numbers")
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{path}: the numbers of {key} lie in other files, which are not read")
    return dataset


def _plain(path: Path, key: str, dataset: h5py.Dataset, count: int, offset: int) -> StoredNumbers:
    """Numbers in one run that can be mapped as they are."""
    compared = min(count, _COMPARED)
    with open(path, "rb") as file:
        file.seek(offset)
        mapped = file.read(compared * dataset.dtype.itemsize)
    first = tuple(slice(0, compared) if size == count else 0 for size in dataset.shape)
    if mapped != np.ascontiguousarray(dataset[first]).tobytes():
        raise ValueError(f"{path}: {key} does not begin at byte {offset:,}, as the file says; fetch it again")
    return StoredNumbers(path, key, dataset.dtype, count, offset=offset)


def _blocks(path: Path, key: str) -> Iterator[bytes]:
    with h5py.File(path, "r") as file:
        dataset = file[key]
        axis = int(np.argmax(dataset.shape))
        chunk = dataset.chunks[axis] if dataset.chunks else 1
        step = max(BLOCK // dataset.dtype.itemsize // chunk, 1) * chunk
        for start in range(0, dataset.shape[axis], step):
            where = tuple(slice(start, start + step) if i == axis else 0 for i in range(dataset.ndim))
            try:
                yield np.ascontiguousarray(dataset[where]).tobytes()
            except OSError as error:
                raise ValueError(f"{path}: {key} is damaged from entry {start:,} on: {error}") from error
