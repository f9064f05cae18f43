"""Names that come from files and settings, and become parts of file names."""

from __future__ import annotations

import hashlib
import re

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
PLAIN_NAME_WORDS = "letters, digits, '_', '.' and '-', the first one a letter or digit"
_LONGEST = 120
#: One part of a path: no folders, no control characters, not hidden.
_ONE_PART = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*")


def is_plain_name(name: str) -> bool:
    """Whether a name of settings can be that of a file or folder: `PLAIN_NAME_WORDS`, at most 120."""
    return _PLAIN.fullmatch(name) is not None and len(name) <= _LONGEST


def one_file_name(name: str) -> str:
    """A file's name as it is where it stays in its folder, else one made of it: another for every name."""
    try:
        short = len(name.encode()) <= _LONGEST
    except UnicodeEncodeError:
        short = False
    if short and _ONE_PART.fullmatch(name):
        return name
    stem, dot, suffix = name.rpartition(".")
    if not (dot and suffix.isalnum() and suffix.isascii() and len(suffix) < 6):
        stem, suffix = name, ""
    kept = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_")[: _LONGEST - 20] or "name"
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kept}_{mark}" + (f".{suffix}" if suffix else "")
