from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from flow_cache.runtime.words import counted, is_plain_name, one_file_name, quoted


def test_one_is_counted_as_one() -> None:
    assert [counted(number, "field") for number in (0, 1, 2)] == ["0 fields", "1 field", "2 fields"]
    assert [counted(number, "person", "people") for number in (1, 3)] == ["1 person", "3 people"]


@pytest.mark.parametrize("name", ["clips", "a.b-c_1", "0", "é b.png"])
def test_names_of_one_part_stay(name: str) -> None:
    assert one_file_name(name) == name
    assert is_plain_name(name) == name.isascii()


@pytest.mark.parametrize(
    "name",
    [
        "x/../../ESCAPED.csv",
        "..",
        ".",
        "",
        "/etc/passwd",
        ".hidden",
        "a\0b",
        "a\nb",
        "C:\\x",
        "\udcff",
        "a" * 300,
    ],
)
def test_other_names_become_one_part_of_a_path(tmp_path: Path, name: str) -> None:
    made = one_file_name(name)
    assert not is_plain_name(name)
    assert is_plain_name(made)
    assert (tmp_path / made).resolve().parent == tmp_path.resolve()
    assert made.endswith(".csv") == name.endswith(".csv")
    assert one_file_name(name + "/") != made


NAMES = ["plain", "a b;c'd", "$(touch x)", "`id`", "new\nline", "bell\x07 '\\n", "byte \udcff", "-x", ""]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_shell_reads_the_word_that_was_meant() -> None:
    words = " ".join(map(quoted, NAMES))
    assert "\n" not in words
    got = subprocess.run(["bash", "-c", f"printf '%s\\0' {words}"], capture_output=True, check=True).stdout
    assert got.split(b"\0")[:-1] == [name.encode("utf-8", "surrogateescape") for name in NAMES]


def test_a_path_is_quoted() -> None:
    assert quoted(Path("a b")) == "'a b'"
