"""What lies in a MATLAB level-5 file (.mat of versions 5 to 7), looked at before anything of it is loaded.

A few bytes of a .mat can unpack to gigabytes, and can hold objects and functions. Here only the beginnings of
the variables are read (MAT-File Format, MathWorks): name, kind, shape and where the numbers are.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from slimdp.surface.densepose.numbers import BLOCK, StoredNumbers, vector_length

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_KINDS = dict(enumerate((
    "cell", "struct", "object", "char", "sparse", "double", "single", "int8", "uint8", "int16", "uint16",
    "int32", "uint32", "int64", "uint64", "function", "opaque",
), start=1))  # fmt: skip
#: Kinds of variables that hold numbers.
NUMBERS = frozenset(_KINDS[code] for code in range(6, 16))
_OPAQUE, _COMPLEX = 17, 0x800
_FLOATS = {7: "f4", 9: "f8"}
#: MATLAB's names have 63 letters at most.
_LONGEST_NAME = 63


@dataclass(frozen=True)
class MatVariable:
    """A variable of a .mat, not loaded."""

    name: str
    kind: str
    shape: tuple[int, ...]
    is_complex: bool
    start: int  # where its element's content begins, bytes from the start of the file
    length: int  # of that content
    compressed: bool
    #: Where its numbers begin in the content, unpacked; their type in the format's numbering, and bytes.
    numbers: tuple[int, int, int]
    order: str  # of the bytes of a number, "<" or ">"


def read_contents(path: Path) -> dict[str, MatVariable]:
    """The variables of a .mat by name, none of them loaded.

    Raises:
        ValueError: no level-5 file, or a damaged one.
    """
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
            kind, length = _element(path, file, position, size, order)
            position += 8
            if kind in (_MATRIX, _COMPRESSED):
                variable = _variable(path, position, length, kind == _COMPRESSED, order)
                if variable.name in variables:
                    raise ValueError(f"{path}: two variables {variable.name!r}")
                variables[variable.name] = variable
            position += length
    return variables


def find_in_matlab5(path: Path, key: str) -> StoredNumbers:
    """The vector of floats that is a variable; errors as for `read_contents`, or where it is none."""
    variables = read_contents(path)
    if key not in variables:
        raise ValueError(f"{path}: no variable {key}; there are: {', '.join(variables) or 'none'}")
    variable = variables[key]
    begin, form, length = variable.numbers
    if variable.kind not in NUMBERS or variable.is_complex or form not in _FLOATS:
        raise ValueError(f"{path}: {key} is a {variable.kind} matrix, but floats are wanted")
    dtype, count = np.dtype(variable.order + _FLOATS[form]), vector_length(path, key, variable.shape)
    if length != count * dtype.itemsize:
        raise ValueError(f"{path}: {key} has {length:,} bytes for {count:,} numbers of {dtype}")
    if not variable.compressed:
        return StoredNumbers(path, key, dtype, count, offset=variable.start + begin)
    return StoredNumbers(
        path, key, dtype, count, stream=lambda: _from_to(path, variable, begin, begin + length)
    )


def unpacked_size(path: Path, variable: MatVariable, limit: int) -> int:
    """Bytes of a variable's content once unpacked, counted without keeping any; stops once past the limit."""
    total = 0
    for block in _content(path, variable.start, variable.length, variable.compressed):
        total += len(block)
        if total > limit:
            break
    return total


def _element(path: Path, file: BinaryIO, position: int, size: int, order: str) -> tuple[int, int]:
    """Kind and length of the element that begins at a position of the file."""
    tag = file.read(0) if position + 8 > size else _read_at(file, position, 8)
    if len(tag) < 8:
        raise ValueError(f"{path}: cut off at byte {position:,}; fetch it again")
    kind, length = np.frombuffer(tag, order + "u4").tolist()
    if position + 8 + length > size:
        raise ValueError(
            f"{path}: cut off: an element ends at byte {position + 8 + length:,}, the file at {size:,}; "
            "fetch it again"
        )
    return kind, length


def _read_at(file: BinaryIO, position: int, length: int) -> bytes:
    file.seek(position)
    return file.read(length)


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
    """Read a variable's beginning: flags, dimensions, name, and the tag of its numbers."""
    blocks = _content(path, start, length, compressed)
    beginning = next(blocks, b"")[:4096]
    try:
        at = 8 if compressed else 0  # the tag of the matrix itself, which the caller has read if it is plain
        if compressed and np.frombuffer(beginning, order + "u4", 1)[0] != _MATRIX:
            raise ValueError("no matrix in a compressed element")
        flags, at = _part(beginning, at, order)
        word = int(np.frombuffer(flags, order + "u4")[0])
        dimensions, at = (b"", at) if word & 0xFF == _OPAQUE else _part(beginning, at, order)
        name, at = _part(beginning, at, order)
        shape = tuple(np.frombuffer(dimensions, order + "i4").tolist())
        if len(name) > _LONGEST_NAME or any(size < 0 for size in shape):
            raise ValueError("a name or a shape that cannot be")
        numbers = _tag(beginning, at, order) if math.prod(shape) and len(beginning) >= at + 8 else (at, 0, 0)
    except (ValueError, IndexError) as error:
        raise ValueError(
            f"{path}: damaged: the variable at byte {start:,}: {error}; fetch it again"
        ) from error
    kind = _KINDS.get(word & 0xFF, "unknown")
    return MatVariable(
        name.decode("latin-1"), kind, shape, bool(word & _COMPLEX), start, length, compressed, numbers, order
    )


def _tag(data: bytes, at: int, order: str) -> tuple[int, int, int]:
    """Where the data of the part at a position begins, its type, and how long it is, bytes."""
    first, second = np.frombuffer(data, order + "u4", 2, at).tolist()
    if first >> 16:  # small: length and type share a word, and the data follows at once
        return at + 4, first & 0xFFFF, first >> 16
    return at + 8, first, second


def _part(data: bytes, at: int, order: str) -> tuple[bytes, int]:
    """The data of the short part at a position, and where the next one begins."""
    begin, _, length = _tag(data, at, order)
    if begin + length > len(data):
        raise ValueError("cut off, or longer than it can be")
    end = at + 8 if begin == at + 4 else begin + -(-length // 8) * 8
    return data[begin : begin + length], end
