"""What lies in a MATLAB level-5 file (.mat of versions 5 to 7): matrices, found, or read and checked.

SciPy's reader loads whole variables, believes the lengths that a file states (a damaged one ends the process)
and makes objects. This one reads the beginnings of all variables (MAT-File Format, MathWorks), and loads
matrices of numbers and cells of them, up to a size.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from slimdp.surface.densepose.numbers import BLOCK, StoredNumbers, vector_length

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_KINDS = dict(enumerate((
    "cell", "struct", "object", "char", "sparse", "double", "single", "int8", "uint8", "int16", "uint16",
    "int32", "uint32", "int64", "uint64", "function", "opaque",
), start=1))  # fmt: skip
_NUMBERS = range(6, 16)  # of those kinds
_COMPLEX = 0x800
#: Types of numbers in the format's numbering.
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
#: MATLAB's names have 63 letters at most.
_LONGEST_NAME = 63
#: Bytes up to the numbers of a variable: flags, some dimensions, the name.
_LONGEST_BEGINNING = 4096
#: The largest of the published small files unpacks to 25 MB.
_MOST_BYTES = 256 << 20


@dataclass(frozen=True)
class MatVariable:
    """A variable of a .mat, not loaded."""

    name: str
    kind: str
    shape: tuple[int, ...]
    is_real: bool  # a matrix of real numbers
    start: int  # where its element's content begins, bytes from the start of the file
    length: int  # of that content
    compressed: bool
    begin: int  # where its numbers, or its first cell, begin in the content, unpacked
    order: str  # of the bytes of a number, "<" or ">"


def read_contents(path: Path) -> dict[str, MatVariable]:
    """The variables of a .mat by name, not loaded; ValueError for no level-5 file, or a damaged one."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        header = file.read(_HEADER)
        if header.startswith((b"\x89HDF", b"MATLAB 7.3")):
            raise ValueError(f"{path}: saved by MATLAB as version 7.3; save it again with '-v7'")
        order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
        if not header.startswith(b"MATLAB 5.0") or order is None:
            raise ValueError(f"{path}: no MATLAB file: it begins with {header[:12]!r}; fetch it again")
        variables: dict[str, MatVariable] = {}
        position = _HEADER
        while position < size:
            file.seek(position)
            tag = file.read(8)
            if len(tag) < 8:
                raise ValueError(f"{path}: cut off at byte {position:,}; fetch it again")
            kind, length = np.frombuffer(tag, order + "u4").tolist()
            start, position = position + 8, position + 8 + length
            if position > size:
                ends = f"an element ends at byte {position:,}, the file at {size:,}"
                raise ValueError(f"{path}: cut off: {ends}; fetch it again")
            if kind in (_MATRIX, _COMPRESSED):
                variable = _variable(path, start, length, kind == _COMPRESSED, order)
                if variable.name in variables:
                    raise ValueError(f"{path}: two variables {variable.name!r}")
                variables[variable.name] = variable
    return variables


def find_in_matlab5(path: Path, key: str) -> StoredNumbers:
    """The vector of floats that is a variable; errors as for `read_contents`, or where it is none."""
    variables = read_contents(path)
    if key not in variables:
        raise ValueError(f"{path}: no variable {key}; there are: {', '.join(variables) or 'none'}")
    variable = variables[key]
    beginning = b"".join(_from_to(path, variable, 0, variable.begin + 8))
    form, at, length = _tag(beginning, variable.begin, variable.order)
    if not variable.is_real or _TYPES.get(form) not in ("f4", "f8"):
        raise ValueError(f"{path}: {key} holds {variable.kind}, but floats are wanted")
    dtype = np.dtype(variable.order + _TYPES[form])
    count = vector_length(path, key, variable.shape, dtype)
    if length != count * dtype.itemsize:
        raise ValueError(f"{path}: {key} has {length:,} bytes for {count:,} numbers of {dtype}")
    if not variable.compressed:
        return StoredNumbers(path, key, dtype, count, offset=variable.start + at)
    return StoredNumbers(path, key, dtype, count, stream=lambda: _from_to(path, variable, at, at + length))


def _content(path: Path, start: int, length: int, compressed: bool) -> Iterator[bytes]:
    """An element's content, unpacked, a few megabytes at a time whatever it unpacks to."""
    unpack = zlib.decompressobj()
    with open(path, "rb") as file:
        file.seek(start)
        while length:
            block = file.read(min(length, BLOCK))
            length -= len(block)
            if not block:
                raise ValueError(f"{path}: cut off at byte {file.tell():,}; fetch it again")
            while block and compressed:
                try:
                    unpacked = unpack.decompress(block, BLOCK)
                except zlib.error as error:
                    raise ValueError(f"{path}: damaged near byte {file.tell():,}: {error}") from error
                block = unpack.unconsumed_tail
                yield unpacked
            if block:
                yield block
    if compressed:
        yield unpack.flush()  # of one match at most
        if not unpack.eof:
            raise ValueError(f"{path}: cut off: the element at byte {start:,} unpacks to no end")


def _from_to(path: Path, variable: MatVariable, begin: int, end: int) -> Iterator[bytes]:
    """Bytes begin..end of a variable's content, unpacked."""
    position = 0
    for block in _content(path, variable.start, variable.length, variable.compressed):
        yield block[max(begin - position, 0) : max(end - position, 0)]
        position += len(block)
        if position >= end:
            return


def _variable(path: Path, start: int, length: int, compressed: bool, order: str) -> MatVariable:
    """Read a variable's beginning."""
    beginning = next(_content(path, start, length, compressed), b"")[:_LONGEST_BEGINNING]
    try:
        # The tag of the matrix itself comes first, which the caller has read if it is not compressed.
        if compressed and _tag(beginning, 0, order)[0] != _MATRIX:
            raise ValueError("no matrix in a compressed element")
        found = _matrix_at(beginning, 8 if compressed else 0, order)
    except (ValueError, IndexError) as error:
        problem = f"the variable at byte {start:,}: {error}"
        raise ValueError(f"{path}: damaged: {problem}; fetch it again") from error
    return replace(found, start=start, length=length, compressed=compressed)


def _matrix_at(data: bytes | memoryview, at: int, order: str) -> MatVariable:
    """The matrix whose flags are at a position of a content, which lies anywhere."""
    flags, at = _part(data, at, order)
    word = int(np.frombuffer(flags, order + "u4")[0])
    code = word & 0xFF
    kind = _KINDS.get(code, "unknown")
    dimensions, at = (b"", at) if kind == "opaque" else _part(data, at, order)
    name, at = _part(data, at, order)
    shape = tuple(np.frombuffer(dimensions, order + "i4").tolist())
    if len(name) > _LONGEST_NAME or any(size < 0 for size in shape):
        raise ValueError("a name or a shape that cannot be")
    is_real = code in _NUMBERS and not word & _COMPLEX
    return MatVariable(name.decode("latin-1"), kind, shape, is_real, 0, len(data), False, at, order)


def _load(path: Path, variable: MatVariable) -> np.ndarray:
    """A matrix of real numbers, or an object array of those in cells; all with MATLAB's axes."""
    content = bytearray()
    for block in _content(path, variable.start, variable.length, variable.compressed):
        content += block
        if len(content) > _MOST_BYTES:
            most = f"{_MOST_BYTES / (1 << 20):g} MB"
            raise ValueError(f"{path}: {variable.name} unpacks to more than {most}: not loaded")
    try:
        return (_cells if variable.kind == "cell" else _numbers)(memoryview(content), variable)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path}: {variable.name}: {error}") from error


def _numbers(data: bytes | memoryview, variable: MatVariable) -> np.ndarray:
    if not variable.is_real:
        raise ValueError(f"{variable.kind} where a matrix of real numbers is wanted")
    count = math.prod(variable.shape)
    if count == 0:
        return np.zeros(variable.shape)
    form, begin, length = _tag(data, variable.begin, variable.order)
    if form not in _TYPES:
        raise ValueError(f"numbers of a type {form} that there is not")
    dtype = np.dtype(variable.order + _TYPES[form])
    if begin + length > len(data) or length != count * dtype.itemsize:
        raise ValueError(f"{length:,} bytes for numbers {variable.shape} of {dtype}: damaged, fetch it again")
    return np.frombuffer(data, dtype, count, begin).reshape(variable.shape, order="F")


def _cells(data: bytes | memoryview, variable: MatVariable) -> np.ndarray:
    array, at = np.empty(math.prod(variable.shape), dtype=object), variable.begin
    for place in range(len(array)):
        form, begin, length = _tag(data, at, variable.order)
        at = begin + length
        if form != _MATRIX or at > len(data):
            raise ValueError("a cell that is damaged; fetch it again")
        array[place] = _numbers(data[:at], _matrix_at(data[:at], begin, variable.order))
    return array.reshape(variable.shape, order="F")


def _tag(data: bytes | memoryview, at: int, order: str) -> tuple[int, int, int]:
    """Type of the part at a position, where its data begins, and how long that is, bytes."""
    first, second = np.frombuffer(data, order + "u4", 2, at).tolist()
    if first >> 16:  # small: length and type share a word, and the data follows at once
        return first & 0xFFFF, at + 4, first >> 16
    return first, at + 8, second


def _part(data: bytes | memoryview, at: int, order: str) -> tuple[bytes, int]:
    """The data of the short part at a position, and where the next one begins."""
    _, begin, length = _tag(data, at, order)
    if begin + length > len(data):
        raise ValueError("cut off, or longer than it can be")
    end = at + 8 if begin == at + 4 else begin + -(-length // 8) * 8
    return bytes(data[begin : begin + length]), end


def load_arrays(path: Path, keys: Sequence[str]) -> list[np.ndarray]:
    """Matrices of real numbers, with the axes of length 1 that MATLAB adds.

    Raises ValueError naming file and key, for what is missing, damaged, no matrix of numbers, not finite, or
    would unpack to more than 256 MB.
    """
    variables = _wanted(path, keys)
    for variable in variables:
        if not variable.is_real:
            wanted = "a matrix of real numbers is wanted"
            raise ValueError(f"{path}: {variable.name} holds {variable.kind}, but {wanted}")
    arrays = [_load(path, variable) for variable in variables]
    for key, array in zip(keys, arrays, strict=True):
        _check_finite(array, f"{path}: {key}")
    return arrays


def load_cells(path: Path, keys: Sequence[str], count: int, shape: tuple[int, ...]) -> list[list[np.ndarray]]:
    """So many matrices of a shape in cells, for each key; errors as for `load_arrays`."""
    variables = _wanted(path, keys)
    for variable in variables:
        what, found = f"{path}: {variable.name}", math.prod(variable.shape)
        if variable.kind != "cell":
            raise ValueError(f"{what} holds {variable.kind}, but cells are wanted")
        if found != count:
            raise ValueError(f"{what} has {found:,} cells, but {count} of {shape} are wanted")
    loaded = [list(_load(path, variable).ravel()) for variable in variables]
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
    broken = numbers[numbers != np.round(numbers)]
    if broken.size:
        raise ValueError(f"{what} has {broken[0]:g}, but whole numbers are wanted")
    return _in_range(numbers, lowest, highest, what).astype(np.int64)


def coordinates(array: np.ndarray, what: str) -> np.ndarray:
    """The same as float64; ValueError for what is outside 0..1."""
    return _in_range(array, 0, 1, what).astype(np.float64)


def _in_range(array: np.ndarray, lowest: int, highest: int, what: str) -> np.ndarray:
    least, most = array.min(), array.max()
    if least < lowest or most > highest:
        raise ValueError(f"{what} runs from {least:g} to {most:g}, but {lowest}..{highest} is wanted")
    return array


def _wanted(path: Path, keys: Sequence[str]) -> list[MatVariable]:
    variables = read_contents(path)
    absent = [key for key in keys if key not in variables]
    if absent:
        raise ValueError(f"{path}: wanted {absent[0]}; there are: {', '.join(variables) or 'none'}")
    return [variables[key] for key in keys]


def _check_finite(array: np.ndarray, what: str) -> None:
    bad = np.count_nonzero(~np.isfinite(array))
    if bad:
        raise ValueError(f"{what} has {bad:,} values that are not finite")
