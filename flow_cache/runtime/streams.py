"""Outputs that are no files: terminals, pipes, /dev/null. Bytes go into them, and nothing replaces them."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from pathlib import Path

_OWN_DESCRIPTOR = re.compile(r"(?:/dev/fd|/proc/(?:self|thread-self|(?P<process>\d+))/fd)/(?P<number>\d+)")
_LONGEST_CHAIN = 40  # of links, as Linux has it


def is_stream(path: Path) -> bool:
    """Whether writing to `path` means writing into what is there: a character device, a pipe, an open
    descriptor such as /dev/stdout, even where that is a file."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode) or own_descriptor(path) is not None


def own_descriptor(path: Path) -> int | None:
    """The number of the open descriptor that a path such as /dev/stdout stands for; None if it does not."""
    step = os.path.abspath(path)
    for _ in range(_LONGEST_CHAIN):
        found = _OWN_DESCRIPTOR.fullmatch(step)
        if found and found["process"] in (None, str(os.getpid())):
            return int(found["number"])
        if not os.path.islink(step):
            return None
        step = os.path.normpath(os.path.join(os.path.dirname(step), os.readlink(step)))
    return None


def copy_into(source: Path, stream: Path) -> None:
    """Write the bytes of a file into a stream; raises OSError, naming the stream."""
    descriptor = own_descriptor(stream)
    if descriptor is not None:
        for own in (sys.stdout, sys.stderr):  # what was said before comes before
            if own is not None:
                own.flush()
    try:
        # A descriptor's own position counts: opened anew, a file behind it would be cut to nothing.
        target = stream if descriptor is None else os.dup(descriptor)
        with open(source, "rb") as content, open(target, "wb") as into:
            shutil.copyfileobj(content, into)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(stream)) from error
