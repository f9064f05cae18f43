"""The name that a mistyped one was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
