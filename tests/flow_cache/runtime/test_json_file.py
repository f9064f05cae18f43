"""The one JSON reader: what it reads, and that anything else is an error with file and place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flow_cache.errors import FlowCacheError
from flow_cache.runtime.json_file import JsonFileError, open_json_text, parse_json, read_json

TEXT = '{"name": "ä", "numbers": [1, 2.5, null]}'
ENCODINGS = [
    "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be",
]  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_gives_the_same(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(TEXT.encode(encoding))
    assert read_json(path) == json.loads(TEXT)
    with open_json_text(path) as file:
        assert file.read() == TEXT


def test_big_endian_mark(tmp_path: Path) -> None:
    for mark, encoding in ((b"\xfe\xff", "utf-16-be"), (b"\x00\x00\xfe\xff", "utf-32-be")):
        assert parse_json(mark + TEXT.encode(encoding), "a.json") == json.loads(TEXT)


def test_words_that_are_no_json_are_numbers() -> None:
    assert repr(parse_json("[NaN, Infinity, -Infinity]", "a.json")) == "[nan, inf, -inf]"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1, column 1: malformed JSON: an empty file"),
        (b" \n ", "line 1, column 1: .*an empty file"),
        (b"\0" * 9, "9 zero bytes"),
        (b'{"a": 1,\n "b": }', "line 2, column 7: malformed JSON: Expecting value"),
        (b'{"a": [1,\n 2', r"line 2, column 3: .*the file ends here: is it cut short\?"),
        (b"[1] [2]", "line 1, column 5: malformed JSON: Extra data"),
        (b'["a\0b"]', "line 1, column 4: malformed JSON: Invalid control character"),
        (b'["a",\n "\xff"]', r"line 2: not a text file in UTF-8 \(byte 8\)"),
        (b"\x1f\x8b\x08\x00gzip", "line 1: not a text file in UTF-8"),
        (b"\xff\xfe\x00", "line 1: not a text file in UTF-16"),
        (b'{"a":\n ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "line 2, column 100001: .*nested too deep"),
        (b'{"a": ["[[[' + b'"]}' + b"[" * 100_000, "line 1, column 15: malformed JSON"),
        (b'["' + b"1" * 5000 + b'",\n ' + b"2" * 5000 + b"]", "line 2, column 2: a number of more than"),
        (b'{"people": [{"id": 7, "bbox": 1, "bbox": 2}]}', r'the key "bbox" is there twice .*\("id": 7\)'),
    ],
)
def test_what_cannot_be_read_is_one_error_with_its_place(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(JsonFileError, match=r"a\.json: " + message) as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    for missing in (tmp_path / "a.json", Path(__file__) / "a.json"):
        with pytest.raises(FileNotFoundError, match=r"a\.json: no such file of boxes"):
            read_json(missing, "file of boxes")
    with pytest.raises(FlowCacheError, match=f"{tmp_path.name}: a folder, but a file is wanted"):
        read_json(tmp_path, "file of boxes", FlowCacheError)
    with pytest.raises(JsonFileError, match=r"no name of a JSON file"):
        read_json(tmp_path / "a\0.json")


def test_the_error_is_that_of_the_package() -> None:
    with pytest.raises(FlowCacheError, match=r"b\.json: line 1, column 2"):
        parse_json("[", "b.json", FlowCacheError)
