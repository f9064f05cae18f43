"""Names in messages, in commands that messages suggest, and in files."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that is most like a word, whatever its case; None where none is like it."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """The end of an error: "; did you mean tiny?", or "" where no known name is like the word."""
    near = nearest(word, known) if isinstance(word, str) else None
    return "" if near is None else f"; did you mean {near}?"


def listed(known: Iterable[str], word: object) -> str:
    """What there is instead of a word, for the end of an error: "smoke, tiny; did you mean tiny?"."""
    names = list(known)
    return ", ".join(names) + did_you_mean(word, names)


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number and what it counts: "1 field", "12 fields"; `many` where an s does not do."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


_CONTROL = re.compile(r"[\x00-\x1f\x7f\udc80-\udcff]")


def quoted(word: str | os.PathLike[str]) -> str:
    """A word as a shell reads it, in one line; what does not show (a newline, no UTF-8) as bash writes it."""
    text = os.fspath(word)
    if not _CONTROL.search(text):
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + _CONTROL.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", escaped) + "'"


_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
PLAIN_NAME_WORDS = "letters, digits, '_', '.' and '-', the first one a letter or digit"
_LONGEST = 120
#: One part of a path: no folders, no control characters, nothing that is no UTF-8, not hidden.
_ONE_PART = re.compile(r"(?!\.)[^/\\\x00-\x1f\ud800-\udfff]+")


def is_plain_name(name: str) -> bool:
    """Whether a name of settings can be that of a file or folder: `PLAIN_NAME_WORDS`, at most 120."""
    return _PLAIN.fullmatch(name) is not None and len(name) <= _LONGEST


def one_file_name(name: str) -> str:
    """A file's name as it is where it stays in its folder, else one made of it: another for every name."""
    encoded = name.encode("utf-8", "surrogatepass")
    if len(encoded) <= _LONGEST and _ONE_PART.fullmatch(name):
        return name
    stem, dot, suffix = name.rpartition(".")
    if not (dot and suffix.isalnum() and suffix.isascii() and len(suffix) < 6):
        stem, suffix = name, ""
    kept = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_")[: _LONGEST - 20] or "name"
    mark = hashlib.sha256(encoded).hexdigest()[:8]
    return f"{kept}_{mark}" + (f".{suffix}" if suffix else "")


def tell_apart(files: Sequence[Path]) -> list[str]:
    """A name for every file, no two of them alike: the shortest end of its path that none of the others has.

    The suffix is left out where it tells nothing: "anna/labels", "ben/labels", "carl". A file that is there
    again has a number: "carl (2)".
    """
    paths = [Path(os.path.abspath(file)) for file in files]
    ends = {path: _ends(path) for path in paths}
    names = []
    for path in paths:
        others = [ends[other] for other in ends if other != path]
        known = [{end[place] for end in others if place < len(end)} for place in range(len(ends[path]))]
        names.append(next(end for end, theirs in zip(ends[path], known) if end not in theirs))
    given: list[str] = []
    for name in names:
        number, unlike = 1, name
        while unlike in given or (number > 1 and unlike in names):
            number += 1
            unlike = f"{name} ({number})"
        given.append(unlike)
    return given


def _ends(path: Path) -> list[str]:
    """The ends of a path, the shortest first, each without and with the suffix."""
    starts = range(len(path.parts) - 1, -1, -1)
    whole = [Path(*path.parts[start:]) for start in starts]
    return [str(end) for each in whole for end in (each.with_suffix("") if each.name else each, each)]
