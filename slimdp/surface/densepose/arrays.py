"""The small arrays of a .mat, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slimdp.surface.densepose.matlab5 import NUMBERS, MatVariable, load_variable, read_contents

#: The largest of the published small files unpacks to 25 MB.
_MOST_BYTES = 256 << 20


def load_arrays(path: Path, keys: Sequence[str]) -> list[np.ndarray]:
    """Matrices of real numbers, with the axes of length 1 that MATLAB adds.

    Raises:
        ValueError: naming file and key, for what is missing, damaged, no matrix of numbers, not finite, or
            would unpack to more than 256 MB.
    """
    variables = _wanted(path, keys)
    for key in keys:
        kind = variables[key].kind
        if kind not in NUMBERS or variables[key].is_complex:
            raise ValueError(f"{path}: {key} holds {kind}, but a matrix of real numbers is wanted")
    arrays = [load_variable(path, variables[key], _MOST_BYTES) for key in keys]
    for key, array in zip(keys, arrays, strict=True):
        _check_finite(array, f"{path}: {key}")
    return arrays


def load_cells(path: Path, keys: Sequence[str], count: int, shape: tuple[int, ...]) -> list[list[np.ndarray]]:
    """For each key so many matrices of a shape in cells; errors as for `load_arrays`."""
    variables = _wanted(path, keys)
    for key in keys:
        kind, found = variables[key].kind, math.prod(variables[key].shape)
        if kind != "cell":
            raise ValueError(f"{path}: {key} holds {kind}, but cells are wanted")
        if found != count:
            raise ValueError(f"{path}: {key} has {found:,} cells, but {count} of {shape} are wanted")
    loaded = [list(load_variable(path, variables[key], _MOST_BYTES).ravel()) for key in keys]
    for key, cells in zip(keys, loaded, strict=True):
        for number, cell in enumerate(cells, start=1):
            what = f"{path}: {key}, cell {number}"
            if cell.shape != shape:
                raise ValueError(f"{what} has shape {cell.shape}, but {shape} is wanted")
            _check_finite(cell, what)
    return loaded


def vector(array: np.ndarray, what: str, length: int | None = None) -> np.ndarray:
    """A matrix of one row or column as a vector (N,); ValueError for another shape or length."""
    if max(array.shape, default=0) != array.size or array.size == 0:
        raise ValueError(f"{what} has shape {array.shape}, but a vector is wanted")
    if length is not None and array.size != length:
        raise ValueError(f"{what} has {array.size:,} entries, but {length:,} are wanted")
    return array.ravel()


def whole_numbers(array: np.ndarray, lowest: int, highest: int, what: str) -> np.ndarray:
    """The same as int64; ValueError for what is not whole, or outside lowest..highest."""
    numbers = array.astype(np.float64)
    if (numbers != np.round(numbers)).any():
        raise ValueError(
            f"{what} has {numbers[numbers != np.round(numbers)][0]:g}, but whole numbers are wanted"
        )
    if numbers.min() < lowest or numbers.max() > highest:
        raise ValueError(
            f"{what} runs from {numbers.min():g} to {numbers.max():g}, but {lowest}..{highest} is wanted"
        )
    return numbers.astype(np.int64)


def coordinates(array: np.ndarray, what: str) -> np.ndarray:
    """The same as float64; ValueError for what is outside 0..1."""
    if array.min() < 0 or array.max() > 1:
        raise ValueError(f"{what} runs from {array.min():g} to {array.max():g}, but 0..1 is wanted")
    return array.astype(np.float64)


def _wanted(path: Path, keys: Sequence[str]) -> dict[str, MatVariable]:
    variables = read_contents(path)
    absent = [key for key in keys if key not in variables]
    if absent:
        raise ValueError(f"{path}: wanted {absent[0]}; there are: {', '.join(variables) or 'none'}")
    return variables


def _check_finite(array: np.ndarray, what: str) -> None:
    bad = np.count_nonzero(~np.isfinite(array))
    if bad:
        raise ValueError(f"{what} has {bad:,} values that are not finite")
