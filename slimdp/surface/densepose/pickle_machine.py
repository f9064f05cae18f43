"""Follow a pickle's instructions with notes in place of objects: nothing is imported or called.

The instructions are described in the standard library's pickletools.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from slimdp.surface.densepose.numbers import BLOCK
from slimdp.surface.densepose.pickle_notes import (
    KNOWN,
    ArrayNote,
    Called,
    DtypeNote,
    array_note,
    note_of_call,
    text_of,
)
from slimdp.surface.densepose.pickle_words import SHORT, Form, Word

#: A dict of a few arrays has some fifty instructions.
_MOST_INSTRUCTIONS = 10_000


class _Mark:
    """Where a tuple or a dict begins on the stack."""


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
            _INSTRUCTIONS[code](self)
        raise ValueError(f"it has more than {_MOST_INSTRUCTIONS:,} instructions")

    def _read(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) < length:
            raise ValueError("cut off")
        return data

    def number(self, code: str) -> int:
        return struct.unpack(code, self._read(struct.calcsize(code)))[0]

    def line(self) -> str:
        line = self._file.readline(SHORT + 1)
        if not line.endswith(b"\n"):
            raise ValueError("a line is cut off or too long")
        return line[:-1].decode("ascii")

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def push_word(self, length_code: str, form: Form) -> None:
        """A string whose length comes before it; its bytes are skipped."""
        length = self.number(length_code)
        if length < 0 or self._file.tell() + length > self._size:
            raise ValueError(f"cut off in a string of {length:,} bytes")
        self.push(Word(self._path, self._file.tell(), length, form))
        self._file.seek(length, 1)

    def push_line_word(self, form: Form) -> None:
        """A string up to the end of its line (protocol 0), which may be gigabytes away."""
        start, length = self._file.tell(), 0
        while True:
            block = self._file.read(BLOCK)
            if not block:
                raise ValueError("cut off in a string")
            at = block.find(b"\n")
            length += len(block) if at < 0 else at
            if at >= 0:
                break
        if form == "string-escape":
            self._file.seek(start)
            first = self._read(1)
            self._file.seek(start + length - 1)
            if length < 2 or self._read(1) != first or first not in b"'\"":
                raise ValueError("a string without its quotes")
            self.push(Word(self._path, start + 1, length - 2, form))
        else:
            self.push(Word(self._path, start, length, form))
        self._file.seek(start + length + 1)

    def push_line_number(self) -> None:
        line = self.line().removesuffix("L")
        self.push({"00": False, "01": True}[line] if line in ("00", "01") else int(line))

    def push_long(self) -> None:
        length = self.number("<B")
        self.push(int.from_bytes(self._read(length), "little", signed=True))

    def push_global(self, module: str, name: str) -> None:
        known = f"{module}.{name}"
        if known not in KNOWN:
            raise ValueError(f"it asks for {known}, which no array needs")
        self.push(Called(known))

    def push_stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self.push_global(text_of(module), text_of(name))

    def remember(self, place: int | None) -> None:
        self._memo[len(self._memo) if place is None else place] = self._stack[-1]

    def recall(self, place: int) -> None:
        self.push(self._memo[place])

    def _since_mark(self) -> list[Any]:
        at = max((i for i, value in enumerate(self._stack) if isinstance(value, _Mark)), default=None)
        if at is None:
            raise ValueError("a tuple or dict ends that never began")
        values = self._stack[at + 1 :]
        del self._stack[at:]
        return values

    def tuple_of(self, length: int | None) -> None:
        if length is None:
            self.push(tuple(self._since_mark()))
        else:
            values = [self._stack.pop() for _ in range(length)]
            self.push(tuple(values[::-1]))

    def make_dict(self) -> None:
        values = self._since_mark()
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
            target.set_order(text_of(order))
        elif isinstance(target, ArrayNote) and target.data is None and target.dtype is None:
            _version, shape, dtype, _fortran, data = state
            target.shape, target.dtype, target.data = array_note(shape, dtype, data)
        else:
            raise ValueError("it fills what is no array, or one twice")


_Instruction = Callable[[PickleMachine], object]
_INSTRUCTIONS: dict[bytes, _Instruction] = {
    # The protocol and the frames of protocol 4: nothing to note.
    b"\x80": lambda m: m.number("<B"),
    b"\x95": lambda m: m.number("<Q"),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": lambda m: m.push_line_number(),
    b"L": lambda m: m.push_line_number(),
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"\x8a": lambda m: m.push_long(),
    # Strings of Python 2, text, and bytes.
    b"S": lambda m: m.push_line_word("string-escape"),
    b"T": lambda m: m.push_word("<i", "plain"),
    b"U": lambda m: m.push_word("<B", "plain"),
    b"V": lambda m: m.push_line_word("raw-unicode-escape"),
    b"X": lambda m: m.push_word("<I", "utf-8"),
    b"\x8c": lambda m: m.push_word("<B", "utf-8"),
    b"\x8d": lambda m: m.push_word("<Q", "utf-8"),
    b"B": lambda m: m.push_word("<I", "plain"),
    b"C": lambda m: m.push_word("<B", "plain"),
    b"\x8e": lambda m: m.push_word("<Q", "plain"),
    b"\x96": lambda m: m.push_word("<Q", "plain"),
    b"(": lambda m: m.push(_Mark()),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.tuple_of(None),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"}": lambda m: m.push({}),
    b"d": lambda m: m.make_dict(),
    b"s": lambda m: m.set_items(many=False),
    b"u": lambda m: m.set_items(many=True),
    b"p": lambda m: m.remember(int(m.line())),
    b"q": lambda m: m.remember(m.number("<B")),
    b"r": lambda m: m.remember(m.number("<I")),
    b"\x94": lambda m: m.remember(None),
    b"g": lambda m: m.recall(int(m.line())),
    b"h": lambda m: m.recall(m.number("<B")),
    b"j": lambda m: m.recall(m.number("<I")),
    b"c": lambda m: m.push_global(m.line(), m.line()),
    b"\x93": lambda m: m.push_stack_global(),
    b"R": lambda m: m.reduce(),
    b"b": lambda m: m.build(),
}
