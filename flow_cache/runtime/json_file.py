"""The one reader of JSON files that users give: what cannot be read is one error that says where.

Files in UTF-8, with or without a byte order mark, UTF-16 and UTF-32 are read. `NaN` and `Infinity`, which
others write though JSON has no such words, are numbers: who wants a finite one refuses them by field.
"""

from __future__ import annotations

import json
import os
import re
import reprlib
import sys
from pathlib import Path
from typing import Any, TextIO

_STRING = r'"(?:[^"\\]|\\.)*"'
#: Byte order marks, and how Python calls the encoding that each stands for; UTF-32 begins like UTF-16.
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"),
)  # fmt: skip


class JsonFileError(ValueError):
    """A file that holds no JSON, and where it stops being some."""


def read_json(
    path: str | os.PathLike[str], kind: str = "JSON file", error: type[ValueError] = JsonFileError
) -> Any:
    """Read a JSON file; `kind` is what messages call it: "annotation file".

    Raises FileNotFoundError where there is no such file, OSError where it cannot be opened, and `error`, of
    which each package has its own, for a folder, an empty file, no text, no JSON, an object with a key twice,
    a number or a nesting beyond what can be read; naming the file, the line and the column, or the key.
    """
    return parse_json(read_json_bytes(path, kind, error), str(path), error)


def read_json_bytes(
    path: str | os.PathLike[str], kind: str = "JSON file", error: type[ValueError] = JsonFileError
) -> bytes:
    """The bytes of a file that is to be parsed; raises as `read_json` where there are none."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such {kind}") from None
    except NotADirectoryError:
        raise FileNotFoundError(f"{path}: no such {kind}; a part of its path is a file") from None
    except IsADirectoryError:
        raise error(f"{path}: a folder, but a file is wanted ({kind})") from None
    except ValueError as fault:  # a NUL in the name, a name that no file system has
        raise error(f"{os.fspath(path)!r}: no name of a {kind}: {fault}") from None


def parse_json(content: bytes | str, place: str, error: type[ValueError] = JsonFileError) -> Any:
    """The value of JSON text, or its bytes; raises as `read_json`, naming the place it comes from."""
    try:
        text = _decode(content) if isinstance(content, bytes) else content
        del content  # hundreds of megabytes of an annotation file
        try:
            return json.loads(text, object_pairs_hook=_object)
        except (ValueError, RecursionError) as fault:
            raise JsonFileError(fault_of(fault, text)) from None
    except JsonFileError as fault:
        raise error(f"{place}: {fault}") from None


def open_json_text(path: str | os.PathLike[str]) -> TextIO:
    """A file opened as text in the encoding that its first bytes tell, to be read piece by piece."""
    with open(path, "rb") as file:
        encoding = encoding_of(file.read(4))
    return open(path, encoding=encoding)


def encoding_of(first: bytes) -> str:
    """The encoding of JSON text by its first four bytes: by a byte order mark, or by where zeros are."""
    for mark, encoding in _MARKS:
        if first.startswith(mark):
            return encoding
    # JSON begins with two ASCII characters, or with one alone (RFC 4627, section 3).
    zeros = "".join("0" if byte == 0 else "x" for byte in first)
    unmarked = {"000x": "utf-32-be", "x000": "utf-32-le", "0x0x": "utf-16-be", "x0x0": "utf-16-le"}
    return unmarked.get(zeros, "utf-8")


def json_decoder() -> json.JSONDecoder:
    """The decoder behind `parse_json`, to take a text value by value; `fault_of` words what it raises."""
    return json.JSONDecoder(object_pairs_hook=_object)


def fault_of(fault: ValueError | RecursionError, text: str) -> str:
    """What a failure of `json_decoder` on a text was, and where."""
    if isinstance(fault, JsonFileError):  # a key twice
        return str(fault)
    if isinstance(fault, RecursionError):
        return f"{_place(text, _deepest(text))}: lists or objects nested too deep to read"
    if isinstance(fault, json.JSONDecodeError):
        ends = fault.msg.startswith("Unterminated string") or not text[fault.pos :].strip()
        cut = "; the file ends here: is it cut short?" if ends else ""
        return f"{_place(text, fault.pos)}: malformed JSON: {fault.msg}{cut}"
    # Python converts no longer ones, for it takes time with the square of their length.
    most = getattr(sys, "get_int_max_str_digits", lambda: 4300)()
    numbers = re.finditer(rf"{_STRING}|(\d{{{most + 1},}})", text, re.DOTALL)
    found = next((number for number in numbers if number[1]), None)
    where = "" if found is None else f"{_place(text, found.start(1))}: "
    return f"{where}a number of more than {most} digits"


def short(value: object) -> str:
    """A value for a message: whatever a file holds, some characters of one line."""
    told = reprlib.repr(value)  # looks a few levels and entries deep
    return told if len(told) <= 80 else told[:77] + "..."


def _decode(content: bytes) -> str:
    if not content or content.isspace():
        raise JsonFileError("line 1, column 1: malformed JSON: an empty file")
    if content[0] == 0 and not content.strip(b"\0"):
        raise JsonFileError(f"{len(content)} zero bytes and nothing else, as a crash leaves; restore it")
    encoding = encoding_of(content[:4])
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        name = encoding.upper().removesuffix("-SIG").removesuffix("-LE").removesuffix("-BE")
        raise JsonFileError(f"line {line}: not a text file in {name} (byte {fault.start})") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a key twice would hide one of its values without a word."""
    built = dict(pairs)
    if len(built) == len(pairs):
        return built
    seen: set[str] = set()
    twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    known = [key for key in ("id", "name") if isinstance(built.get(key), int | str)]
    which = f' ("{known[0]}": {built[known[0]]!r:.40})' if known else ""
    raise JsonFileError(f'the key "{twice:.80}" is there twice in one object{which}; leave one out')


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    return f"line {line}, column {position - text.rfind(chr(10), 0, position)}"


def _deepest(text: str) -> int:
    """Where the nesting of a text is deepest."""
    depth, most, place = 0, 0, 0
    for found in re.finditer(rf"{_STRING}|([\[{{])|([\]}}])", text, re.DOTALL):
        depth += bool(found[1]) - bool(found[2])
        if depth > most:
            most, place = depth, found.start()
    return place
