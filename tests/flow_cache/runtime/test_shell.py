from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from flow_cache.runtime.shell import quoted

NAMES = ["plain", "a b;c'd", "$(touch x)", "`id`", "new\nline", "bell\x07 '\\n", "byte \udcff", "-x", ""]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_shell_reads_the_word_that_was_meant() -> None:
    words = " ".join(map(quoted, NAMES))
    assert "\n" not in words
    got = subprocess.run(["bash", "-c", f"printf '%s\\0' {words}"], capture_output=True, check=True).stdout
    assert got.split(b"\0")[:-1] == [name.encode("utf-8", "surrogateescape") for name in NAMES]


def test_a_path_is_quoted() -> None:
    assert quoted(Path("a b")) == "'a b'"
