"""Standard output and error as commands meet them: closed (daemons), full, or too narrow for a name."""

from __future__ import annotations

import io
import os
import select
import sys

#: The exit code of a program that a closed pipe ended, as a shell counts it.
READER_LEFT = 141
_STDOUT, _STDERR = 1, 2


def open_standard_streams() -> None:
    """Let closed standard streams lead nowhere, and those that cannot encode a character write its number.

    Else the next file to be opened would take the number of a closed one, and get what is printed.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)  # as processes expect it that this one starts
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(_STDOUT, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(_STDERR, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def in_a_line(error: BaseException) -> str:
    """What a command says of an error that ends it; a failing standard output goes nowhere from then on."""
    if (fault := _output_fault()) is not None:
        return f"standard output: {fault.strerror}"
    if isinstance(error, MemoryError):
        said = f" ({error})" if str(error) else ""
        return f"not enough memory{said}; close other programs, or give it smaller or fewer inputs"
    if isinstance(error, UnicodeEncodeError):
        return f"{error.object!r} is no UTF-8, as names of files and folders must be here; rename it"
    return str(error)


def _output_fault() -> OSError | None:
    """What keeps from being written what was printed; then it goes nowhere."""
    try:
        sys.stdout.flush()
    except OSError as fault:
        _lead_nowhere()
        return fault
    return None


def reader_left() -> bool:
    """Whether it was the standard output that broke, and no pipe to another process; then it goes nowhere."""
    there = select.poll()
    there.register(_STDOUT, 0)  # errors are told unasked
    if not there.poll(0):
        return False
    _lead_nowhere()
    return True


def _lead_nowhere() -> None:
    """Python would complain, as it ends, of what is still to be printed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDOUT)
    os.close(nowhere)
