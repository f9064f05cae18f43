"""Commands that messages suggest: a user copies them into a shell."""

from __future__ import annotations

import os
import re
import shlex

_CONTROL = re.compile(r"[\x00-\x1f\x7f\udc80-\udcff]")


def quoted(word: str | os.PathLike[str]) -> str:
    """A word of a command line as a shell reads it, in one line.

    What is no character that shows, such as a newline or a byte that is no UTF-8, is written as bash has it.
    """
    text = os.fspath(word)
    if not _CONTROL.search(text):
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + _CONTROL.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", escaped) + "'"
