"""Find a vector in a pickled dict of NumPy arrays, without unpickling anything.

A pickle is a program. The few instructions that the pickle of a plain dict of arrays consists of, as Python 2
or 3 writes them in any protocol (the standard library's pickletools), are followed with notes in place of
objects: nothing is imported or called, and long strings are skipped. Any other instruction is refused.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from pickletools import opcodes, read_int4, read_uint1, read_uint4, read_uint8
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


class Called(str):
    """A name that the pickle asks for: noted, never imported."""


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
            code = self.read(1)
            opcode: Any = _OPCODES.get(code)
            name = repr(code) if opcode is None else opcode.name
            if name == "STOP":
                (content,) = self._stack
                if not isinstance(content, dict):
                    raise ValueError("it is no dict")
                return content
            if name not in _INSTRUCTIONS:
                raise ValueError(f"instruction {name} is not one of a plain dict")
            method, *arguments = _INSTRUCTIONS[name]
            if opcode.arg is not None and name not in _STRINGS:
                arguments.append(opcode.arg.reader(self))
            method(self, *arguments)
        raise ValueError(f"it has more than {_MOST_INSTRUCTIONS:,} instructions")

    def read(self, length: int) -> bytes:
        """Bytes of the file, as pickletools' readers of arguments ask for them."""
        data = self._file.read(length)
        if len(data) < length:
            raise ValueError("cut off")
        return data

    def readline(self) -> bytes:
        """A line of the file, with its end, for the same."""
        line = self._file.readline(SHORT + 1)
        if not line.endswith(b"\n"):
            raise ValueError("a line is cut off or too long")
        return line

    def pass_over(self, argument: int) -> None:
        """The protocol and the frames of protocol 4: nothing to note."""

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def push_word(self, read_length: Callable[[Any], int], form: Form) -> None:
        """A string whose length comes before it; its bytes are skipped."""
        length = read_length(self)
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
            first = self.read(1)
            self._file.seek(start + length - 1)
            if length < 2 or self.read(1) != first or first not in b"'\"":
                raise ValueError("a string without its quotes")
        self.push(Word(self._path, start + quotes, length - 2 * quotes, form))
        self._file.seek(start + length + 1)

    def push_called(self, module_and_name: str) -> None:
        known = module_and_name.replace(" ", ".", 1)
        if known not in KNOWN:
            raise ValueError(f"it asks for {known}, which no array needs")
        self.push(Called(known))

    def push_called_by_stack(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self.push_called(f"{text_of(module)} {text_of(name)}")

    def remember(self, place: int | None) -> None:
        self._memo[len(self._memo) if place is None else place] = self._stack[-1]

    def recall(self, place: int) -> None:
        self.push(self._memo[place])

    def _since_mark(self) -> list[Any]:
        at = max((i for i, value in enumerate(self._stack) if value is _MARK), default=None)
        if at is None:
            raise ValueError("a tuple or dict ends that never began")
        values = self._stack[at + 1 :]
        del self._stack[at:]
        return values

    def _popped(self, length: int) -> list[Any]:
        return [self._stack.pop() for _ in range(length)][::-1]

    def push_tuple(self, length: int | None) -> None:
        self.push(tuple(self._popped(length) if length else self._since_mark()))

    def push_dict(self, filled: bool) -> None:
        values = self._since_mark() if filled else []
        self.push({})
        self._set(values)

    def set_items(self, many: bool) -> None:
        self._set(self._since_mark() if many else self._popped(2))

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
        self.push(note_of_call(called, arguments))

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
_OPCODES: dict[bytes, Any] = {known.code.encode("latin-1"): known for known in opcodes}
#: Strings of Python 2, text, and bytes, by the names of their instructions: the arguments are read by hand.
_STRINGS: dict[str, tuple[Any, ...]] = {
    "STRING": (_M.push_line_word, "string-escape"), "UNICODE": (_M.push_line_word, "raw-unicode-escape"),
    "BINSTRING": (_M.push_word, read_int4, "plain"), "SHORT_BINSTRING": (_M.push_word, read_uint1, "plain"),
    "BINUNICODE": (_M.push_word, read_uint4, "utf-8"), "BINUNICODE8": (_M.push_word, read_uint8, "utf-8"),
    "SHORT_BINUNICODE": (_M.push_word, read_uint1, "utf-8"), "BINBYTES": (_M.push_word, read_uint4, "plain"),
    "SHORT_BINBYTES": (_M.push_word, read_uint1, "plain"), "BINBYTES8": (_M.push_word, read_uint8, "plain"),
    "BYTEARRAY8": (_M.push_word, read_uint8, "plain"),
}  # fmt: skip
#: All instructions: the method that follows each, and its first arguments; the file's come behind them.
_INSTRUCTIONS: dict[str, tuple[Any, ...]] = _STRINGS | {
    "PROTO": (_M.pass_over,), "FRAME": (_M.pass_over,),
    "NONE": (_M.push, None), "NEWTRUE": (_M.push, True), "NEWFALSE": (_M.push, False),
    "INT": (_M.push,), "BININT": (_M.push,), "BININT1": (_M.push,), "BININT2": (_M.push,),
    "LONG": (_M.push,), "LONG1": (_M.push,), "MARK": (_M.push, _MARK), "EMPTY_TUPLE": (_M.push, ()),
    "TUPLE": (_M.push_tuple, None), "TUPLE1": (_M.push_tuple, 1), "TUPLE2": (_M.push_tuple, 2),
    "TUPLE3": (_M.push_tuple, 3), "EMPTY_DICT": (_M.push_dict, False), "DICT": (_M.push_dict, True),
    "SETITEM": (_M.set_items, False), "SETITEMS": (_M.set_items, True),
    "PUT": (_M.remember,), "BINPUT": (_M.remember,), "LONG_BINPUT": (_M.remember,),
    "MEMOIZE": (_M.remember, None), "GET": (_M.recall,), "BINGET": (_M.recall,), "LONG_BINGET": (_M.recall,),
    "GLOBAL": (_M.push_called,), "STACK_GLOBAL": (_M.push_called_by_stack,), "REDUCE": (_M.reduce,),
    "BUILD": (_M.build,),
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
        except (IndexError, KeyError, TypeError, ValueError) as error:
            wanted = "a pickle of a plain dict of NumPy arrays is wanted, as DensePose publishes it"
            raise ValueError(f"{path}: not read: {error}, near byte {file.tell():,}; {wanted}") from error
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
