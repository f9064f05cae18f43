"""Entries of a JSON list one at a time: a file of results does not fit into memory as Python objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from flow_cache.runtime.json_file import JsonFileError, json_decoder, open_json_text

_CHUNK = 1 << 22  # characters read at once
#: Longest entry that is read, characters: base64 of the largest map that is decoded, uncompressed.
MOST_CHARACTERS = 1 << 27
_SPACE = " \t\n\r"


class JsonListError(ValueError):
    """A file that is not a whole JSON list, and where it stops being one."""


def json_entries(path: str | Path) -> Iterator[Any]:
    """The entries of the list that a JSON file holds.

    Raises FileNotFoundError, or JsonListError naming the file and the entry (from 0) where it is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no results at {path}")
    with open_json_text(path) as file:
        text = _Text(file, path)
        text.expect("[", "a JSON list at the top")
        if text.next_character() == "]":
            text.skip()
        else:
            yield text.take()
            while text.expect(",]", "a comma, or the end of the list,") == ",":
                yield text.take()
        if text.next_character():
            raise text.error("more text after the end of the list")


class _Text:
    """A text file as a window that grows while one entry needs it."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file, self._path = file, path
        self._window, self._at, self._ended = "", 0, False
        self._decoder = json_decoder()
        self._taken = 0

    def error(self, problem: str) -> JsonListError:
        return JsonListError(f"{self._path}: entry {self._taken}: {problem}")

    def next_character(self) -> str:
        """The next character that is no space, not consumed; "" at the end of the file."""
        while True:
            while self._at < len(self._window) and self._window[self._at] in _SPACE:
                self._at += 1
            if self._at < len(self._window):
                return self._window[self._at]
            if not self._grow():
                return ""

    def skip(self) -> None:
        self._at += 1

    def expect(self, characters: str, wanted: str) -> str:
        """Consume one of some characters."""
        found = self.next_character()
        if not found or found not in characters:
            told = f"{found!r}" if found else "the file ends"
            raise self.error(f"{told}, but {wanted} is wanted; is the file cut short?")
        self.skip()
        return found

    def take(self) -> Any:
        """Consume one entry."""
        self.next_character()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._window, self._at)
            except RecursionError:
                raise self.error("lists in lists too deep to read") from None
            except JsonFileError as error:
                raise self.error(str(error)) from None
            except json.JSONDecodeError as error:
                # The entry may only end beyond the window.
                if self._grow():
                    continue
                raise self.error(f"malformed JSON, or the file is cut short: {error.msg}") from None
            except ValueError:  # Python converts no longer ones
                raise self.error("a number of more digits than can be read") from None
            length = end - self._at
            if end < len(self._window) or not self._grow():  # a number at the window's end may go on
                self._at, self._taken = self._at + length, self._taken + 1
                return value

    def _grow(self) -> bool:
        """Read on, dropping what is consumed; whether there was more."""
        rest = self._window[self._at :]
        if len(rest) > MOST_CHARACTERS:
            raise self.error(f"longer than {MOST_CHARACTERS} characters")
        try:
            more = self._file.read(max(_CHUNK, len(rest)))
        except UnicodeDecodeError as error:
            raise self.error(
                f"not a text file in {self._file.encoding.upper()} (byte {error.start} of what was read)"
            ) from None
        self._window, self._at = rest + more, 0
        return bool(more)
