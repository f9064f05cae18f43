"""YAML texts that are meant well, and those that are not: each an error with its line and key."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from slimdp.settings_file import (
    ConfigError,
    apply_override,
    dump_yaml,
    parse_yaml,
    read_mapping,
    read_settings,
)

WORDS = st.text(max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | WORDS | st.floats(allow_nan=False)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_plain_values_come_back(value: Any) -> None:
    assert parse_yaml(dump_yaml(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: [2, 3.5, x, 'y', \"z\"]\nc: {d: true, e: null, f: ~}\n",
        "# a comment\n---\nlong: >\n  one\n  two\nkept: |\n  three\n  four\n...\n",
        "a: &one {x: 1}\nb: *one\nc:\n  <<: *one\n  y: 2\n",
        "a: &one {x: 1, z: 1}\nb: &two {x: 2}\nc: {<<: [*one, *two], z: 3}\n",
        "0x1F: 0b11\nyes: no\n1_000: .5\n",
        "a: .inf\nb: -.inf\nc: +1\nd: -0\ne: 08\nf: 1.5e3\n",
        "? a\n: b\n",
        "[]",
        "",
        "# nothing\n",
        "a: !!str 010\nb: !!float 1\nc: ! 5\nd: !!seq [1]\n",
        "\ufeffa: 1\n",
    ],
)
def test_what_is_meant_well_is_read_as_pyyaml_reads_it(text: str) -> None:
    assert parse_yaml(text) == yaml.safe_load(text.replace("1.5e3", "1500.0"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stages: &a [*a]", r"line 1, column \d+: stages\.0: \*a stands for a value that it is part of"),
        ("a: &a {b: {c: *a}}", r"line 1, .*a\.b\.c: \*a stands for a value that it is part of"),
        ("a: *nobody", r"a: \*nobody stands for nothing"),
        ("flip: !!bool x", r"line 1, column 7: flip: 'x' is no bool"),
        ("steps: !!int 1x", r"steps: '1x' is no int"),
        ("x: !!float y", r"x: 'y' is no float"),
        ("x: !!int ''", r"x: '' is no int"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]", r"line 2, column 4: b: the tag !!python/object"),
        ("b: !!binary aGVsbG8=", r"b: the tag !!binary is not read"),
        ("b: !!set {a, b}", r"b: the tag !!set is not read"),
        ("b: !!timestamp 2020-01-01", r"the tag !!timestamp is not read"),
        ("b: !mine 3", r"b: the tag !mine is not read"),
        ("day: 2020-01-31", r"line 1, column 6: day: 2020-01-31 is a date to YAML; write \"2020-01-31\""),
        ("day: 2020-13-99", r"day: 2020-13-99 is a date"),
        ("when: 2001-12-14t21:59:43.10-05:00", r"when: .* is a date"),
        ("seed: 010", r"seed: 010 is a number of base 8"),
        ("time: 1:30", r"time: 1:30 is a number of base 60"),
        ("time: 190:20:30.15", r"time: .* of base 60"),
        ("seed: " + "9" * 5000, r"seed: 9+ is a number beyond 64 bits"),
        ("seed: 9223372036854775808", r"beyond 64 bits"),
        ("seed: 0x" + "f" * 17, r"beyond 64 bits"),
        ("a:\n\tb: 1", r"not valid YAML: line 2, .*a tab|not valid YAML: line 2.*with a tab"),
        ("a: 1\n---\nb: 2", r"line 2, column 1: a second document begins"),
        ("a: 1\nb: 2\na: 3", r"line 3, column 1: a: 'a' twice"),
        ("a: {b: 1, b: 2}", r"a\.b: 'b' twice"),
        ("a: {1: x, true: y}", r"a\.True: True twice"),
        ("? [1, 2]\n: 3", r"a list or a mapping as a key"),
        ("a: {<<: 3}", r"a\.<<: 3, but mappings are wanted"),
        ("a: b\x00", r"line 1: .*#x0000"),
        ("a: 1\nb: \x07", r"line 2: .*#x0007"),
        ("a: [1\nb: 2", r"not valid YAML: line 2, column 2"),
        ("a: {b: 'x", r"not valid YAML: line 1, .*after a"),
        ("[" * 100 + "]" * 100, r"nested more than 64 deep"),
        ("a: " * 3, r"not valid YAML: line 1"),
        ("%YAML 9.9\n---\na", r"not valid YAML"),
        ("a: !<tag:yaml.org,2002:python/none> x", r"a: the tag !!python/none is not read"),
    ],
)  # fmt: skip
def test_each_trap_is_an_error_with_its_line_and_key(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_yaml(text)


def bomb(levels: int) -> str:
    """Nine aliases a level: 9 to the power of `levels` values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb(9),
        bomb(60),
        "b0: &b0 {k: v}\n" + "\n".join(f"b{n}: &b{n} {{<<: [*b{n - 1}, *b{n - 1}]}}" for n in range(1, 40)),
        "a: " + "x" * (1 << 23),
        "[" * 100_000,
        "{a: " * 100_000,
        "- " * 100_000,
    ],
)
def test_bombs_end_soon(text: str) -> None:
    started = time.process_time()
    with pytest.raises(ConfigError):
        parse_yaml(text)
    assert time.process_time() - started < 20  # a bomb of 60 levels would never end


def test_more_values_than_any_settings_have_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slimdp.settings_file.MOST_VALUES", 100)
    assert len(parse_yaml("[" + "1," * 99 + "]")) == 99
    with pytest.raises(ConfigError, match="99: more than 100 values"):
        parse_yaml("[" + "1," * 100 + "]")


def test_many_keys_take_time_with_their_number() -> None:
    def seconds(keys: int) -> float:
        text = "\n".join(f"k{n}: {n}" for n in range(keys))
        started = time.process_time()
        assert len(parse_yaml(text)) == keys
        return time.process_time() - started

    few, many = min(seconds(200) for _ in range(3)), seconds(2000)
    assert many < 40 * few  # with the square it would be 100 times


def test_aliases_are_copies() -> None:
    values = parse_yaml("a: &one {x: [1]}\nb: *one")
    values["a"]["x"].append(2)
    assert values["b"] == {"x": [1]}


def test_files_are_named(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    for content, said in (
        (b"a: 1\nb: \xff\xfe\n", r"settings\.yaml: line 2: not a text file in utf-8 \(byte 8\)"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", r"settings\.yaml: line 1: not a text file"),
        (b"a: &a [*a]", r"settings\.yaml: line 1, column 8: a\.0: "),
        (b"just words", r"settings\.yaml: wanted `key: value` lines"),
        (b"x" * 500, r"settings\.yaml: .{0,300}$"),
    ):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=said):
            read_mapping(file)
    for path in (tmp_path, tmp_path / "none.yaml", file / "below.yaml"):
        with pytest.raises(ConfigError, match=r"a folder, but|no such settings file"):
            read_mapping(path)
    file.write_text("base: .")
    with pytest.raises(ConfigError, match="a folder, but a settings file"):
        read_settings(file)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_files_of_every_unicode_encoding_are_read(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes("name: Größe\n".encode(encoding))
    assert read_mapping(file) == {"name": "Größe"}


def test_overrides_are_named_with_what_is_wrong() -> None:
    with pytest.raises(
        ConfigError, match=r"override 'seed=010': line 1, column 1: 010 is a number of base 8"
    ):
        apply_override({}, "seed=010")
    with pytest.raises(ConfigError, match=r"a has items 0\.\.1, not"):
        apply_override({"a": [1, 2]}, "a." + "1" * 5000 + "=3")
