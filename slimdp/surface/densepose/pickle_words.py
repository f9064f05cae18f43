"""Strings inside a pickle: where they lie, and their bytes as a stream, so that a long one is never held."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slimdp.surface.densepose.numbers import BLOCK

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

    def text(self) -> str:
        """A short string; ValueError for a long one, or where it is no text."""
        if self.length > SHORT:
            raise ValueError(f"a string of {self.length:,} bytes where a name is wanted")
        return b"".join(self.blocks()).decode("latin-1")

    def blocks(self) -> Iterator[bytes]:
        """The bytes that the string stands for, a few megabytes at a time; text as Latin-1.

        Raises:
            ValueError: a broken escape or encoding, or text that is not Latin-1.
        """
        pieces = self._pieces()
        if self.form == "plain":
            yield from pieces
        elif self.form == "utf-8":
            decoder = codecs.getincrementaldecoder("utf-8")()
            for piece in pieces:
                yield decoder.decode(piece).encode("latin-1")
            decoder.decode(b"", final=True)
        else:
            yield from (_unescaped(piece, self.form) for piece in _between_escapes(pieces))

    def _pieces(self) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            left = self.length
            while left:
                piece = file.read(min(left, BLOCK))
                if not piece:
                    raise ValueError(
                        f"{self.path}: cut off in a string at byte {file.tell():,}; fetch it again"
                    )
                yield piece
                left -= len(piece)


def _unescaped(piece: bytes, form: Form) -> bytes:
    if form == "string-escape":
        return codecs.escape_decode(piece)[0]  # type: ignore[attr-defined]  # what pickle itself uses
    return piece.decode("raw-unicode-escape").encode("latin-1")


def _between_escapes(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, cut where no escape is cut."""
    rest = b""
    for piece in pieces:
        rest += piece
        cut = _safe_cut(rest)
        yield rest[:cut]
        rest = rest[cut:]
    yield rest


def _safe_cut(piece: bytes) -> int:
    """How many of the bytes can be unescaped without those that follow."""
    last = piece.rfind(b"\\")
    if last < max(len(piece) - _LONGEST_ESCAPE, 0):
        return len(piece)
    run = len(piece[: last + 1]) - len(piece[: last + 1].rstrip(b"\\"))
    # Of an even run of backslashes each pair is one; an odd one's last begins an escape that may go on.
    return last if run % 2 else len(piece)
