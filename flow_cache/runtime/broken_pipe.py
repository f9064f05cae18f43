"""Output that nobody reads any more, as of `... | head`."""

from __future__ import annotations

import os
import select

#: The exit code of a program that a closed pipe ended, as a shell counts it.
READER_LEFT = 141
_STDOUT = 1


def reader_left() -> bool:
    """Whether it was the standard output that broke, and no pipe to another process; then it goes nowhere.

    Else Python would complain of what is still to be printed once more as it ends.
    """
    there = select.poll()
    there.register(_STDOUT, 0)  # errors are told unasked
    if not there.poll(0):
        return False
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDOUT)
    os.close(nowhere)
    return True
