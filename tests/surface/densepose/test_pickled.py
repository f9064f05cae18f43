from __future__ import annotations

import os
import pickle
import struct
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slimdp.surface.densepose.pickled import Word, _between_escapes, find_in_pickle
from tests.surface.densepose_files import python_2_pickle, python_2_text_pickle

KEY = "Pdist_matrix"
_ARRAY = np.arange(1, 191, dtype=np.float32)[:, None] / 100


class Runs:
    """Unpickled by the real thing, it would call a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def refused(path: Path, content: bytes, error: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=error) as raised:
        find_in_pickle(path, KEY)
    assert str(raised.value).startswith(str(path))


def numbers_of(path: Path, content: bytes) -> np.ndarray:
    path.write_bytes(content)
    stored = find_in_pickle(path, KEY)
    if stored.offset is not None:
        return np.fromfile(path, stored.dtype, stored.count, offset=stored.offset)
    assert stored.stream is not None
    return np.frombuffer(b"".join(stored.stream()), stored.dtype)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
def test_it_finds_what_unpickling_finds(tmp_path: Path, protocol: int, dtype: str) -> None:
    # Every byte value occurs, so that all escapes do.
    array = np.frombuffer(np.random.default_rng(0).bytes(80_000), dtype)[:, None]
    content = pickle.dumps({"other": np.arange(6).reshape(2, 3), KEY: array, "n": 27554}, protocol)
    np.testing.assert_array_equal(numbers_of(tmp_path / "a.pkl", content), array[:, 0])


@pytest.mark.parametrize("write", [python_2_pickle, python_2_text_pickle])
def test_python_2_s_forms_are_those_that_unpickling_reads(tmp_path: Path, write: Any) -> None:
    array = np.frombuffer(np.random.default_rng(1).bytes(80_000), np.float32)[:, None]
    content = write(array)
    np.testing.assert_array_equal(pickle.loads(content, encoding="latin1")[KEY], array)
    np.testing.assert_array_equal(numbers_of(tmp_path / "a.pkl", content), array[:, 0])


@pytest.mark.parametrize("form", ["string-escape", "raw-unicode-escape", "utf-8"])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 64])
def test_strings_are_the_same_however_they_are_cut(
    tmp_path: Path, form: Any, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = bytes(range(256)) + b"\\\\\\\\n\\x41\\" + b"\\" * 9 + b"'\"\n"
    written = {
        "string-escape": repr(plain + b"\"'")[2:-4].encode(),
        "raw-unicode-escape": pickle.dumps(plain.decode("latin-1"), 0)[1:-1].split(b"\np0")[0],
        "utf-8": plain.decode("latin-1").encode(),
    }[form]
    (tmp_path / "a").write_bytes(b"12345" + written)
    monkeypatch.setattr("slimdp.surface.densepose.pickled.BLOCK", step)
    word = Word(tmp_path / "a", 5, len(written), form)
    assert b"".join(word.blocks()) == plain
    cut = _between_escapes(written[i : i + step] for i in range(0, len(written), step))
    assert b"".join(cut) == written


def test_what_would_run_is_refused_and_does_not(tmp_path: Path) -> None:
    ran, path = tmp_path / "ran", tmp_path / "a.pkl"
    command = f"touch {ran}"
    for protocol in range(6):
        for runs in (
            Runs(os.system, command),
            Runs(subprocess.check_output, ["touch", str(ran)]),
            Runs(eval, f"open({str(ran)!r}, 'w')"),
            Runs(exec, f"open({str(ran)!r}, 'w')"),
            Runs(np.save, str(ran), 1),
        ):
            content = {KEY: _ARRAY, "other": runs}
            refused(path, pickle.dumps(content, protocol), "it asks for .*, which no array needs")
            refused(path, pickle.dumps(runs, protocol), "it asks for .*, which no array needs")
    assert not ran.exists()
    pickle.loads(pickle.dumps(Runs(os.system, command)))  # the payload is a real one
    assert ran.exists()


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (b"(S'touch ran'\nios\nsystem\n.", "instruction INST is not one"),
        (b"(cos\nsystem\nS'ls'\no.", r"asks for os\.system"),
        (b"(cnumpy\ndtype\nS'f4'\no.", "instruction OBJ is not one"),
        (b"\x80\x02cnumpy\ndtype\nU\x02f4\x85\x81.", "instruction NEWOBJ is not one"),
        (b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93}\x92.", "instruction NEWOBJ_EX is not one"),
        (b"Pabc\n.", "instruction PERSID is not one"),
        (b"\x80\x02K\x01Q.", "instruction BINPERSID is not one"),
        (b"\x80\x02\x82\x01.", "instruction EXT1 is not one"),
        (b"\x80\x05\x97.", "instruction NEXT_BUFFER is not one"),
        (b"\xff.", r"instruction b'\\xff' is not one"),
        # Known names called in odd ways.
        (b"cnumpy\nndarray\n(I1000000000\ntR.", r"it calls numpy\.ndarray"),
        (b"c_codecs\nencode\n(V0\nVrot13\ntR.", "not by Latin-1"),
        (b"c_codecs\nencode\n(S'0'\nS'latin1'\ntR.", "encodes what is no text"),
        (b"c_codecs\nencode\n(I1\nS'latin1'\ntR.", "encodes what is no text"),
        (b"c_codecs\ndecode\n(S'0'\nS'zlib'\ntR.", r"asks for _codecs\.decode"),
        (b"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR.", "an array of 'O8'"),
        (b"cnumpy\ndtype\n(S'f4,f4'\nI0\nI1\ntR.", "an array of 'f4,f4'"),
        (b"cnumpy\ndtype\n(I1\ntR.", "something else where a name is wanted"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.", "in an odd way"),
        (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I9\ntS'b'\ntR.", "in an odd way"),
        (b"cnumpy.core.multiarray\nscalar\n.", r"asks for numpy\.core\.multiarray\.scalar"),
        (b"I1\n(tR.", "calls what is no function"),
        (b"cnumpy\ndtype\nI1\nR.", "calls what is no function"),
        (b"}(I1\nI2\nd.", "is no dict|unpack|something else"),
        (b"}I1\nb.", "it fills what is no array"),
        (b"}S'a'\nI1\nsS'a'\nI2\ns.", "'a' is set twice"),
        (b"I1\nS'a'\nI1\ns.", "set on what is no dict"),
        (b"(S'a'\nd.", "set on what is no dict"),
        (b"t.", "ends that never began"),
        (b"g5\n.", "not read"),
        (b"I1\n.", "it is no dict"),
        (b"I1\nI2\n.", "not read"),
        (b".", "not read"),
        (b"", "cut off"),
        (b"S'abc\n.", "a string without its quotes"),
        (b"I" + b"9" * 1000 + b"\n.", "too long"),
        (b"\x80\x02}X\xff\xff\xff\x7fab", "cut off in a string of 2,147,483,647 bytes"),
        (b"\x80\x02}T\xff\xff\xff\xffab", "cut off in a string of -1 bytes"),
        (b"\x80\x04\x96\xff\xff\xff\xff\xff\xff\xff\xffab", "cut off in a string"),
        (b"N" * 20_000 + b".", "more than 10,000 instructions"),
        (b"}" + b"U\xff" + b"a" * 255 + b"I1\ns.", "no array 'Pdist_matrix'; there are: 'aaa"),
        (b"}V" + b"a" * 300 + b"\nI1\ns.", "a string of 300 bytes where a name is wanted"),
        (b"}.", "no array 'Pdist_matrix'; there are: none"),
        (b"}S'Pdist_matrix'\nI1\ns.", "no array 'Pdist_matrix'"),
    ],
)  # fmt: skip
def test_odd_programs_are_refused(tmp_path: Path, program: bytes, error: str) -> None:
    refused(tmp_path / "a.pkl", program, error)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (b"J" + struct.pack("<i", 190), b"J" + struct.pack("<i", -190), "without a proper shape"),
        (b"J" + struct.pack("<i", 190), b"J" + struct.pack("<i", 2**30), "has 760 bytes for 1,073,741,824"),
        (b"J" + struct.pack("<i", 190), b"J" + struct.pack("<i", 95), "has 760 bytes for 95 numbers"),
        (b"J" + struct.pack("<i", 1), b"J" + struct.pack("<i", 2), r"shape \(190, 2\), but a vector"),
        (b"U\x02f4", b"U\x02i4", "holds int32, but floats"),
        (b"U\x01<NNN", b"U\x01?NNN", r"bytes in the order '\?'"),
        (b"U\x01<NNN", b"U\x01<NN}", "a type of numbers that no plain array has"),
        (b"tbs.", b"tb0.", "instruction POP is not one"),
        (b"tbs.", b"tbb.", "fills what is no array"),
    ],
)
def test_arrays_that_contradict_themselves_are_refused(
    tmp_path: Path, old: bytes, new: bytes, error: str
) -> None:
    content = python_2_pickle(_ARRAY)
    assert content.count(old) == 1
    refused(tmp_path / "a.pkl", content.replace(old, new), error)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_damaged_pickles_raise_nothing_but_value_errors(tmp_path: Path, protocol: int) -> None:
    path, rng = tmp_path / "a.pkl", np.random.default_rng(protocol)
    whole = pickle.dumps({KEY: _ARRAY}, protocol)
    for length in range(0, len(whole) - 1, 13):
        refused(path, whole[:length], "not read")
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(len(whole), size=3):
            damaged[place] = rng.integers(256)
        with suppress(ValueError):
            assert len(numbers_of(path, bytes(damaged))) > 0
