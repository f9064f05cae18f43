from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from flow_cache.runtime.words import counted, is_plain_name, one_file_name, quoted, tell_apart


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


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.json", "b.json"], ["a", "b"]),
        (["anna/labels.json", "ben/labels.json"], ["anna/labels", "ben/labels"]),
        (["anna/labels.json", "ben/labels.json", "carl.json"], ["anna/labels", "ben/labels", "carl"]),
        (["x/1/l.json", "x/2/l.json", "y/2/l.json"], ["1/l", "x/2/l", "y/2/l"]),
        (["/data/labels.json", "/data/ben/labels.json"], ["data/labels", "ben/labels"]),
        (["/labels.json", "/ben/labels.json"], ["/labels", "ben/labels"]),
        (["a.json", "a.txt"], ["a.json", "a.txt"]),
        (["x/a.json", "x/a.txt", "y/a.json"], ["x/a.json", "a.txt", "y/a"]),
        (["a.json", "a.json", "a (2).json", "./a.json"], ["a", "a (3)", "a (2)", "a (4)"]),
    ],
)
def test_files_have_names_that_differ(paths: list[str], names: list[str]) -> None:
    assert tell_apart(list(map(Path, paths))) == names


def test_files_named_alone_are_told_by_the_folder_they_are_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = tell_apart([Path("labels.json"), Path("ben/labels.json")])
    assert names == [f"{tmp_path.name}/labels", "ben/labels"]
