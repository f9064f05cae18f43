"""Result files: round trips, real ones, and those that are not what they seem."""

from __future__ import annotations

import base64
import json
import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from slimdp.evaluation import Detection, JsonListError, ResultFileError, read_results, write_results
from slimdp.evaluation.densepose_results import decode_iuv, encode_iuv, json_entries

H, W = 12, 7
Change = Callable[[dict[str, Any]], Any]


def detection(seed: int = 0, image_id: int = 5) -> Detection:
    rng = np.random.default_rng(seed)
    iuv = rng.integers(0, 256, (3, H, W)).astype(np.uint8)
    iuv[0] %= 25
    return Detection(image_id, np.array([3.25, -1.5, W, H]), float(rng.random()), iuv)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes | None = None) -> str:
    """A PNG whose header says one thing and whose rows hold another, with right checksums."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    rows = bytes(height * (3 * width + 1)) if rows is None else rows
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


def image(array: np.ndarray) -> str:
    return base64.b64encode(cv2.imencode(".png", array)[1].tobytes()).decode()


@given(arrays(np.uint8, st.tuples(st.just(3), st.integers(1, 20), st.integers(1, 20))))
def test_maps_come_back_as_they_went(iuv: np.ndarray) -> None:
    iuv[0] %= 25
    np.testing.assert_array_equal(decode_iuv(encode_iuv(iuv), *iuv.shape[1:], 24), iuv)


def test_files_come_back_as_they_went(tmp_path: Path) -> None:
    before = [detection(seed, image_id=seed // 3) for seed in range(100)]
    write_results(tmp_path / "r.json", before)
    after = list(read_results(tmp_path / "r.json", set(range(40)), {1}))
    assert len(after) == 100
    for a, b in zip(before, after):
        assert (a.image_id, a.score) == (b.image_id, b.score)
        np.testing.assert_array_equal(a.box, b.box)
        np.testing.assert_array_equal(a.iuv, b.iuv)
    write_results(tmp_path / "none.json", [])
    assert list(read_results(tmp_path / "none.json")) == []
    assert json.loads((tmp_path / "none.json").read_text()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["none.json", "r.json"]


def test_red_is_the_part_and_green_is_u(tmp_path: Path) -> None:
    iuv = np.zeros((3, H, W), dtype=np.uint8)
    iuv[:, 2, 3] = 7, 100, 200
    write_results(tmp_path / "r.json", [Detection(1, np.array([0, 0, W, H]), 1.0, iuv)])
    (entry,) = json.loads((tmp_path / "r.json").read_text())
    assert entry["uv_shape"] == [3, H, W]
    bgr = cv2.imdecode(np.frombuffer(base64.b64decode(entry["uv_data"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert bgr[2, 3].tolist() == [200, 100, 7]


def test_a_real_file(samples: Path) -> None:
    (found,) = read_results(samples / "densepose" / "results_785.json", {785}, {1})
    assert found.iuv.shape == (3, 342, 215)
    assert found.box.tolist() == [278.7, 42.6, 215, 342]
    assert found.score == pytest.approx(0.999954)
    # Of 24 parts all but the soles and one side are seen; the rest is background.
    assert len(np.unique(found.iuv[0])) == 23
    assert 0.3 < (found.iuv[0] > 0).mean() < 0.6


NOT_PNG = base64.b64encode(b"this is no picture" * 9).decode()
GOOD = encode_iuv(detection().iuv)
HOSTILE: list[tuple[dict[str, Any], str]] = [
    ({"image_id": None}, "image_id: None"),
    ({"image_id": "5"}, "image_id: '5'"),
    ({"image_id": True}, "image_id: True"),
    ({"image_id": 5.5}, "image_id: 5.5, but a whole number"),
    ({"image_id": math.inf}, "image_id: inf"),
    ({"image_id": 6}, r"entry 1 \(image 6\): image_id: no such image"),
    ({"category_id": 3}, "category_id: 3, but people are of category 1"),
    ({"category_id": None}, "category_id: None"),
    ({"score": None}, "score: None, but a number"),
    ({"score": math.nan}, "score: nan"),
    ({"score": math.inf}, "score: inf"),
    ({"score": -0.5}, "score: -0.5, but 0 or more"),
    ({"score": "0.5"}, "score: '0.5'"),
    ({"score": [0.5]}, r"score: \[0.5\]"),
    ({"score": True}, "score: True"),
    ({"bbox": None}, "bbox: None"),
    ({"bbox": [0, 0, W]}, "bbox: .*a list of 4 numbers"),
    ({"bbox": [0, math.nan, W, H]}, "bbox: nan"),
    ({"bbox": [0, 1e300, W, H]}, "bbox: 1e\\+300"),
    ({"bbox": [0, 10**400, W, H]}, "bbox: 1000"),
    ({"bbox": [0, 0, -W, H]}, "bbox: .*must be positive"),
    ({"bbox": [0, 0, W, 0]}, "bbox: .*must be positive"),
    ({"bbox": [0, 0, 2 * W, H]}, "uv_shape: a map of 7 x 12 px, but a box of 14 x 12"),
    ({"uv_shape": None}, "uv_shape: None"),
    ({"uv_shape": [3, H]}, "uv_shape: "),
    ({"uv_shape": [2, H, W]}, r"uv_shape: \[2, 12, 7\], but \[3, H, W\]"),
    ({"uv_shape": [3, H, 0]}, "uv_shape"),
    ({"uv_shape": [3, H, W + 0.5]}, "uv_shape"),
    ({"uv_shape": [3, H, W + 1]}, "uv_data: a PNG of 7 x 12 px, but 8 x 12 is wanted"),
    ({"uv_shape": [3, W, H]}, "uv_shape: a map of 12 x 7"),
    ({"uv_data": None}, "uv_data: missing"),
    ({"uv_data": ""}, "uv_data: missing"),
    ({"uv_data": 7}, "uv_data: missing or no text"),
    ({"uv_data": "@@@@"}, "uv_data: not base64"),
    ({"uv_data": "ümlaut"}, "uv_data: not base64"),
    ({"uv_data": GOOD[:-3]}, "uv_data: not base64"),
    ({"uv_data": NOT_PNG}, "uv_data: 162 bytes that do not begin as a PNG"),
    ({"uv_data": GOOD[: len(GOOD) // 8 * 4]}, "uv_data: a PNG that is damaged or cut short"),
    ({"uv_data": png(60000, 60000, rows=b"")}, "uv_data: a PNG of 60000 x 60000 px"),
    ({"uv_data": png(W, H, rows=bytes(10))}, "uv_data: a PNG that is damaged"),
    ({"uv_data": png(W, H, rows=b"\x09" + bytes(H * (3 * W + 1) - 1))}, "uv_data: a PNG that is damaged"),
    ({"uv_data": png(W, H, depth=16)}, "uv_data: a PNG of 16 bits and colour type 2"),
    ({"uv_data": image(np.zeros((H, W), np.uint8))}, "colour type 0"),
    ({"uv_data": image(np.zeros((H, W, 4), np.uint8))}, "colour type 6"),
    ({"uv_data": image(np.full((H, W, 3), 25, np.uint8))}, "uv_data: part 25"),
    (
        {"uv_shape": [3, 1, 2_000_000], "bbox": [0, 0, 2e6, 1], "uv_data": png(2_000_000, 1)},
        "uv_data: a map of 2000000 x 1 px, but at most",
    ),
    ({"uv_shape": [3, 1, 10**9], "bbox": [0, 0, 1e9, 1]}, "uv_data: a map of 1000000000 x 1 px, but at most"),
    ({"uv_shape": [3, math.inf, math.nan]}, "uv_shape: inf, but a list of 3 numbers is wanted, finite"),
    ({"uv_shape": [3, 10**400, 1]}, "uv_shape: 1000"),
    ({"image_id": 10**30}, "image_id: no such image"),
    ({"uv_shape": [3, 8000, 8000], "bbox": [0, 0, 8000, 8000]}, "uv_data: a map of 8000 x 8000 px, but at"),
]


@pytest.mark.parametrize(("change", "message"), HOSTILE)
def test_a_bad_entry_is_named(
    tmp_path: Path, change: dict[str, Any], message: str, capfd: pytest.CaptureFixture
) -> None:
    write_results(tmp_path / "r.json", [detection(seed) for seed in range(3)])
    entries = json.loads((tmp_path / "r.json").read_text())
    entries[1] |= change
    (tmp_path / "r.json").write_text(json.dumps(entries))
    with pytest.raises(ResultFileError, match=message) as error:
        list(read_results(tmp_path / "r.json", {5}, {1}))
    assert "r.json: entry 1 (image " in str(error.value)
    capfd.readouterr()  # libpng tells of damage by itself


def test_whole_numbers_may_have_a_point(tmp_path: Path) -> None:
    """As tables of other languages write them, and as annotation files are read."""
    write_results(tmp_path / "r.json", [detection()])
    (entry,) = json.loads((tmp_path / "r.json").read_text())
    (tmp_path / "r.json").write_text(json.dumps([{**entry, "image_id": 5.0, "category_id": 1.0}]))
    (found,) = read_results(tmp_path / "r.json", {5}, {1})
    assert (found.image_id, type(found.image_id)) == (5, int)


def test_fields_that_are_missing(tmp_path: Path) -> None:
    for field in ("image_id", "category_id", "bbox", "score", "uv_shape", "uv_data"):
        write_results(tmp_path / "r.json", [detection()])
        (entry,) = json.loads((tmp_path / "r.json").read_text())
        del entry[field]
        (tmp_path / "r.json").write_text(json.dumps([entry]))
        with pytest.raises(ResultFileError, match=rf"entry 0 \(image .*\): {field}"):
            list(read_results(tmp_path / "r.json"))


def test_the_same_entry_twice(tmp_path: Path) -> None:
    write_results(tmp_path / "r.json", [detection(0), detection(1), detection(0)])
    with pytest.raises(ResultFileError, match=r"entry 2 \(image 5\).* the same detection as entry 0"):
        list(read_results(tmp_path / "r.json"))


def test_lines_of_base64_are_read(tmp_path: Path) -> None:
    broken = "\n".join(GOOD[i : i + 20] for i in range(0, len(GOOD), 20))
    np.testing.assert_array_equal(decode_iuv(broken, H, W, 24), detection().iuv)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no results at"):
        list(read_results(tmp_path / "r.json"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "entry 0: the file ends, but a JSON list at the top"),
        ("{}", "entry 0: '{', but a JSON list"),
        ('[{"a": 1}, {"b"', "entry 1: malformed JSON, or the file is cut short"),
        ('[{"a": 1} {"b": 1}]', "entry 1: '{', but a comma"),
        ('[{"a": 1},', "entry 1: malformed JSON"),
        ('[{"a": 1}', "entry 1: the file ends, but a comma"),
        ("[1, 2] 3", "entry 2: more text after"),
        ("[" * 100000, "too deep"),
        ("[1, 2e", "entry 1|entry 2"),
    ],
)
def test_a_damaged_list(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(JsonListError, match=f"r.json: .*({message})"):
        list(json_entries(tmp_path / "r.json"))


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(b'[{"a": "\xff\xfe"}]')
    with pytest.raises(JsonListError, match="UTF-8"):
        list(json_entries(tmp_path / "r.json"))


@given(st.lists(st.one_of(st.integers(), st.text(), st.dictionaries(st.text(), st.floats(0, 1)))), st.data())
def test_entries_are_those_of_the_whole_list(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Any], data: st.DataObject
) -> None:
    # Windows of a few characters end anywhere, within numbers and escapes too.
    path = tmp_path_factory.mktemp("json") / "r.json"
    path.write_text(json.dumps(entries, indent=data.draw(st.sampled_from([None, 2]))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slimdp.evaluation.densepose_results._CHUNK", data.draw(st.integers(1, 40)))
        assert list(json_entries(path)) == entries


def test_an_entry_without_an_end_is_not_read_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slimdp.evaluation.densepose_results._CHUNK", 100)
    monkeypatch.setattr("slimdp.evaluation.densepose_results.MOST_CHARACTERS", 1000)
    (tmp_path / "r.json").write_text('["' + "a" * 5000)
    with pytest.raises(JsonListError, match="entry 0: longer than 1000 characters"):
        list(json_entries(tmp_path / "r.json"))
