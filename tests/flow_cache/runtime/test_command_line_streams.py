from __future__ import annotations

import errno
import io
import os
import subprocess
import sys

import pytest

from flow_cache.runtime.command_line import in_a_line

_SAYS = (
    "import os, sys\nfrom flow_cache.runtime.command_line import open_standard_streams\n"
    "open_standard_streams()\n"
    "opened = os.open(os.devnull, os.O_RDONLY)\n"
    "print('gr\\u00fc\\u00df', '\\udcff')\nprint('said', file=sys.stderr)\nsys.stderr.isatty()\n"
    "subprocess = __import__('subprocess')\n"
    "subprocess.run(['sh', '-c', 'echo out; echo err >&2'], check=True)\n"
    "sys.exit(0 if opened > 2 else 1)\n"
)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", ""])
def test_closed_streams_lead_nowhere(closed: str) -> None:
    command = ["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, _SAYS]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0
    lines = sorted(done.stdout.splitlines())
    assert lines == ([] if ">&-" in closed.split() else [b"gr\xc3\xbc\xc3\x9f \\udcff", b"out"])


def test_a_narrow_encoding_writes_numbers() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", _SAYS], capture_output=True, check=True, env=environment)
    assert b"gr\\xfc\\xdf \\udcff" in done.stdout


def test_a_full_standard_output_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sys, "stdout", Full())
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert in_a_line(ValueError("other")) == "standard output: No space left on device"


def test_errors_without_words_get_some() -> None:
    assert in_a_line(MemoryError()).startswith("not enough memory; ")
    assert "(Unable to allocate 3 TiB)" in in_a_line(MemoryError("Unable to allocate 3 TiB"))
    with pytest.raises(UnicodeEncodeError) as caught:
        "videos/\udcff".encode()
    assert "'videos/\\udcff' is no UTF-8" in in_a_line(caught.value)
    assert in_a_line(ValueError("as it is")) == "as it is"
    assert in_a_line(FileNotFoundError(2, "No such file", "a.mp4")) == "a.mp4: No such file"
    assert in_a_line(OSError(18, "Invalid link", "a", None, "b")) == "a and b: Invalid link"
    assert in_a_line(OSError("in our words")) == "in our words"
