"""What the pickle of an array says of it, noted without making it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from slimdp.surface.densepose.pickle_words import Word

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
    order: str = "="

    def set_order(self, order: str) -> None:
        """Of the bytes of a number, as NumPy names it."""
        if order not in ("<", ">", "=", "|"):
            raise ValueError(f"numbers with bytes in the order {order[:20]!r}")
        self.order = order

    def dtype(self) -> np.dtype:
        """As NumPy knows it."""
        return np.dtype(self.order + self.text)


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
    """A short string; ValueError for anything else."""
    if not isinstance(word, Word):
        raise ValueError("something else where a name is wanted")
    return word.text()
