"""Find a vector in a pickled dict of NumPy arrays, without unpickling anything.

A pickle is a program. The few instructions that the pickle of a plain dict of arrays consists of, as Python 2
or 3 writes them in any protocol (the standard library's pickletools), are followed with notes in place of
objects: nothing is imported or called, and long strings are skipped. Any other instruction is refused.
"""

from __future__ import annotations

import codecs
import pickletools
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from slimdp.surface.densepose.numbers import BLOCK, StoredNumbers, vector_length

#: No name or number in a pickle of arrays is longer than this, bytes.
SHORT = 256
#: How a string's bytes are written down: as they are, as text, or (protocol 0) with escapes.
Form = Literal["plain", "utf-8", "string-escape", "raw-unicode-escape"]
#: Bytes that an escape can have: \uXXXX, \xXX.
_LONGEST_ESCAPE = 6


@dataclass(frozen=True)
class Word:
    """A string of a pickle, not read yet."""

    path: Path
    offset: int  # bytes from the start of the file
    length: int  # bytes in the file
    form: Form
    encoded: bool = False  # text that the pickle itself turns into bytes, by Latin-1

    @property
    def is_bytes(self) -> bool:
        """Whether it stands for bytes; Python 2 made no difference in its own strings."""
        return self.encoded or self.form in ("plain", "string-escape")

    def blocks(self) -> Iterator[bytes]:
        """The bytes that the string stands for, a few megabytes at a time; text as Latin-1.

        Raises ValueError for a broken escape or encoding, or text that is not Latin-1.
        """
        if self.form == "plain":
            yield from self._pieces()
        elif self.form == "utf-8":
            decoder = codecs.getincrementaldecoder("utf-8")()
            for piece in self._pieces():
                yield decoder.decode(piece).encode("latin-1")
            decoder.decode(b"", final=True)
        elif self.form == "string-escape":
            for piece in _between_escapes(self._pieces()):
                yield codecs.escape_decode(piece)[0]  # type: ignore[attr-defined]  # what pickle itself uses
        else:
            for piece in _between_escapes(self._pieces()):
                yield piece.decode("raw-unicode-escape").encode("latin-1")

    def _pieces(self) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            left = self.length
            while left:
                piece = file.read(min(left, BLOCK))
                if not piece:
                    place = f"a string at byte {file.tell():,}"
                    raise ValueError(f"{self.path}: cut off in {place}; fetch it again")
                yield piece
                left -= len(piece)


def _between_escapes(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, cut where no escape is cut."""
    rest = b""
    for piece in pieces:
        rest += piece
        last = rest.rfind(b"\\")
        run = last + 1 - len(rest[: last + 1].rstrip(b"\\"))
        # Of an even run of backslashes each pair is one; an odd one's last begins an escape that may go on.
        may_go_on = run % 2 and last >= len(rest) - _LONGEST_ESCAPE
        cut = last if may_go_on else len(rest)
        yield rest[:cut]
        rest = rest[cut:]
    yield rest


_ARRAY, _DTYPE, _ENCODE = "numpy.ndarray", "numpy.dtype", "_codecs.encode"
_REBUILD = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
_FROM_BUFFER = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
KNOWN = (_ARRAY, _DTYPE, _ENCODE, *_REBUILD, *_FROM_BUFFER)


@dataclass(frozen=True)
class Called:
    """A name that the pickle asks for: noted, never imported."""

    name: str


@dataclass
class DtypeNote:
    """A type of numbers."""

    text: str
    order: str = "="  # of the bytes of a number, as NumPy names it


@dataclass
class ArrayNote:
    """An array; without a type and bytes until the pickle fills it."""

    shape: tuple[int, ...] = ()
    dtype: DtypeNote | None = None
    data: Word | None = None


def note_of_call(name: str, arguments: tuple[Any, ...]) -> ArrayNote | DtypeNote | Word:
    """A note of what a call would make; ValueError for a call that no plain array needs."""
    if name == _DTYPE:
        text = text_of(arguments[0])
        if not re.fullmatch(r"[biufc]\d{1,2}", text):
            raise ValueError(f"an array of {text[:20]!r}")
        return DtypeNote(text)
    if name == _ENCODE:
        word, encoding = arguments
        if not isinstance(word, Word) or word.is_bytes or text_of(encoding) not in ("latin1", "latin-1"):
            raise ValueError("it encodes what is no text, or not by Latin-1")
        return replace(word, encoded=True)
    if name in _REBUILD:
        kind, shape, _ = arguments
        if kind != Called(_ARRAY) or shape != (0,):
            raise ValueError("it makes an array in an odd way")
        return ArrayNote()
    if name in _FROM_BUFFER:
        data, dtype, shape, _order = arguments
        return ArrayNote(*array_note(shape, dtype, data))
    raise ValueError(f"it calls {name}")


def array_note(shape: Any, dtype: Any, data: Any) -> tuple[tuple[int, ...], DtypeNote, Word]:
    """The same, checked to be what an array is made of."""
    whole = isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
    if not whole or not isinstance(dtype, DtypeNote) or not isinstance(data, Word) or not data.is_bytes:
        raise ValueError("an array without a proper shape, type or bytes")
    return shape, dtype, data


def text_of(word: Any) -> str:
    """A short string; ValueError for a long one, for anything else, or where it is no text."""
    if not isinstance(word, Word):
        raise ValueError("something else where a name is wanted")
    if word.length > SHORT:
        raise ValueError(f"a string of {word.length:,} bytes where a name is wanted")
    return b"".join(word.blocks()).decode("latin-1")


#: A dict of a few arrays has some fifty instructions.
_MOST_INSTRUCTIONS = 10_000
#: Where a tuple or a dict begins on the stack.
_MARK = object()


class PickleMachine:
    """Follows a pickle's instructions with notes in place of objects."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file, self._size = path, file, path.stat().st_size
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> dict[str, Any]:
        """The dict that the pickle would make, with a note for each array."""
        for _ in range(_MOST_INSTRUCTIONS):
            code = self._read(1)
            if code == b".":
                (content,) = self._stack
                if not isinstance(content, dict):
                    raise ValueError("it is no dict")
                return content
            if code not in _INSTRUCTIONS:
                names = {known.code.encode("latin-1"): known.name for known in pickletools.opcodes}
                raise ValueError(f"instruction {names.get(code, code)} is not one of a plain dict")
            method, *arguments = _INSTRUCTIONS[code]
            method(self, *arguments)
        raise ValueError(f"it has more than {_MOST_INSTRUCTIONS:,} instructions")

    def _read(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) < length:
            raise ValueError("cut off")
        return data

    def _line(self) -> str:
        line = self._file.readline(SHORT + 1)
        if not line.endswith(b"\n"):
            raise ValueError("a line is cut off or too long")
        return line[:-1].decode("ascii")

    def number(self, code: str) -> int:
        """A number by its struct code, or "line" for one that is written out."""
        if code == "line":
            return int(self._line())
        return struct.unpack(code, self._read(struct.calcsize(code)))[0]

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def push_number(self, code: str) -> None:
        self.push(self.number(code))

    def push_long(self) -> None:
        self.push(int.from_bytes(self._read(self.number("<B")), "little", signed=True))

    def push_line_number(self) -> None:
        line = self._line().removesuffix("L")
        self.push({"00": False, "01": True}[line] if line in ("00", "01") else int(line))

    def push_word(self, length_code: str, form: Form) -> None:
        """A string whose length comes before it; its bytes are skipped."""
        length = self.number(length_code)
        if length < 0 or self._file.tell() + length > self._size:
            raise ValueError(f"cut off in a string of {length:,} bytes")
        self.push(Word(self._path, self._file.tell(), length, form))
        self._file.seek(length, 1)

    def push_line_word(self, form: Form) -> None:
        """A string up to the end of its line (protocol 0), which may be gigabytes away."""
        start, length, at = self._file.tell(), 0, -1
        while at < 0:
            block = self._file.read(BLOCK)
            if not block:
                raise ValueError("cut off in a string")
            at = block.find(b"\n")
            length += len(block) if at < 0 else at
        quotes = 0
        if form == "string-escape":
            quotes = 1
            self._file.seek(start)
            first = self._read(1)
            self._file.seek(start + length - 1)
            if length < 2 or self._read(1) != first or first not in b"'\"":
                raise ValueError("a string without its quotes")
        self.push(Word(self._path, start + quotes, length - 2 * quotes, form))
        self._file.seek(start + length + 1)

    def push_global(self) -> None:
        self._push_called(self._line(), self._line())

    def push_stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._push_called(text_of(module), text_of(name))

    def _push_called(self, module: str, name: str) -> None:
        known = f"{module}.{name}"
        if known not in KNOWN:
            raise ValueError(f"it asks for {known}, which no array needs")
        self.push(Called(known))

    def remember(self, code: str | None) -> None:
        place = len(self._memo) if code is None else self.number(code)
        self._memo[place] = self._stack[-1]

    def recall(self, code: str) -> None:
        self.push(self._memo[self.number(code)])

    def _since_mark(self) -> list[Any]:
        at = max((i for i, value in enumerate(self._stack) if value is _MARK), default=None)
        if at is None:
            raise ValueError("a tuple or dict ends that never began")
        values = self._stack[at + 1 :]
        del self._stack[at:]
        return values

    def push_tuple(self, length: int | None) -> None:
        if length is None:
            self.push(tuple(self._since_mark()))
        else:
            values = [self._stack.pop() for _ in range(length)]
            self.push(tuple(values[::-1]))

    def push_dict(self, filled: bool) -> None:
        values = self._since_mark() if filled else []
        self.push({})
        self._set(values)

    def set_items(self, many: bool) -> None:
        self._set(self._since_mark() if many else [self._stack.pop(), self._stack.pop()][::-1])

    def _set(self, values: list[Any]) -> None:
        content = self._stack[-1]
        if not isinstance(content, dict) or len(values) % 2:
            raise ValueError("items are set on what is no dict")
        for name, value in zip(values[::2], values[1::2]):
            if text_of(name) in content:
                raise ValueError(f"{text_of(name)!r} is set twice")
            content[text_of(name)] = value

    def reduce(self) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        if not isinstance(called, Called) or not isinstance(arguments, tuple):
            raise ValueError("it calls what is no function of an array")
        self.push(note_of_call(called.name, arguments))

    def build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, DtypeNote) and target.order == "=":
            version, order, *rest = state
            if version not in (3, 4) or rest[:3] != [None] * 3:
                raise ValueError("a type of numbers that no plain array has")
            target.order = text_of(order)
            if target.order not in ("<", ">", "=", "|"):
                raise ValueError(f"numbers with bytes in the order {target.order[:20]!r}")
        elif isinstance(target, ArrayNote) and target.data is None and target.dtype is None:
            _version, shape, dtype, _fortran, data = state
            target.shape, target.dtype, target.data = array_note(shape, dtype, data)
        else:
            raise ValueError("it fills what is no array, or one twice")


_M = PickleMachine
#: The code of an instruction -> the method that follows it, and its arguments.
_INSTRUCTIONS: dict[bytes, tuple[Any, ...]] = {
    # The protocol and the frames of protocol 4: nothing to note.
    b"\x80": (_M.number, "<B"), b"\x95": (_M.number, "<Q"),
    b"N": (_M.push, None), b"\x88": (_M.push, True), b"\x89": (_M.push, False),
    b"J": (_M.push_number, "<i"), b"K": (_M.push_number, "<B"), b"M": (_M.push_number, "<H"),
    b"I": (_M.push_line_number,), b"L": (_M.push_line_number,), b"\x8a": (_M.push_long,),
    # Strings of Python 2, text, and bytes.
    b"S": (_M.push_line_word, "string-escape"), b"V": (_M.push_line_word, "raw-unicode-escape"),
    b"T": (_M.push_word, "<i", "plain"), b"U": (_M.push_word, "<B", "plain"),
    b"X": (_M.push_word, "<I", "utf-8"), b"\x8c": (_M.push_word, "<B", "utf-8"),
    b"\x8d": (_M.push_word, "<Q", "utf-8"),
    b"B": (_M.push_word, "<I", "plain"), b"C": (_M.push_word, "<B", "plain"),
    b"\x8e": (_M.push_word, "<Q", "plain"), b"\x96": (_M.push_word, "<Q", "plain"),
    b"(": (_M.push, _MARK), b")": (_M.push, ()), b"t": (_M.push_tuple, None),
    b"\x85": (_M.push_tuple, 1), b"\x86": (_M.push_tuple, 2), b"\x87": (_M.push_tuple, 3),
    b"}": (_M.push_dict, False), b"d": (_M.push_dict, True),
    b"s": (_M.set_items, False), b"u": (_M.set_items, True),
    b"p": (_M.remember, "line"), b"q": (_M.remember, "<B"), b"r": (_M.remember, "<I"),
    b"\x94": (_M.remember, None),
    b"g": (_M.recall, "line"), b"h": (_M.recall, "<B"), b"j": (_M.recall, "<I"),
    b"c": (_M.push_global,), b"\x93": (_M.push_stack_global,), b"R": (_M.reduce,), b"b": (_M.build,),
}  # fmt: skip


def find_in_pickle(path: Path, key: str) -> StoredNumbers:
    """The vector under a key of a pickled dict of arrays.

    Raises ValueError where it holds anything but a plain dict of arrays, is damaged, lacks the key, or holds
    no vector of floats there.
    """
    with open(path, "rb") as file:
        machine = PickleMachine(path, file)
        try:
            content = machine.run()
        except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
            raise ValueError(
                f"{path}: not read: {error}, near byte {file.tell():,}; a pickle of a plain dict of NumPy "
                "arrays is wanted, as DensePose publishes it"
            ) from error
    array = content.get(key)
    if not isinstance(array, ArrayNote) or array.dtype is None or array.data is None:
        raise ValueError(f"{path}: no array {key!r}; there are: {', '.join(map(repr, content)) or 'none'}")
    dtype = np.dtype(array.dtype.order + array.dtype.text)
    count = vector_length(path, key, array.shape, dtype)
    if array.data.form != "plain":
        return StoredNumbers(path, key, dtype, count, stream=array.data.blocks)
    if array.data.length != count * dtype.itemsize:
        raise ValueError(f"{path}: {key} has {array.data.length:,} bytes for {count:,} numbers of {dtype}")
    return StoredNumbers(path, key, dtype, count, offset=array.data.offset)
