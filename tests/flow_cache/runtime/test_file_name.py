from __future__ import annotations

from pathlib import Path

import pytest

from flow_cache.runtime.file_name import is_plain_name, one_file_name


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
