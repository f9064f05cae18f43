"""Stores that no writer of ours made: sound HDF5, but not what the layout says."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from flow_cache.__main__ import main
from flow_cache.errors import DamagedStoreError, FlowCacheError
from flow_cache.inspection import inspect_store, verify_store
from flow_cache.schema import VideoRecord
from flow_cache.store import FlowStore
from flow_cache.writer import FlowWriter

RECORD = VideoRecord("a", 20, 10, ("0.png", "1.png", "2.png"), "videos/a", "1234", "imported", "{}", "5678")
Change = Callable[[h5py.File], None]


def fill(path: Path) -> None:
    with FlowWriter(path) as writer:
        writer.add_video(RECORD, (1,))
        writer.write("a", 0, 1, np.ones((2, 10, 20), np.float32))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "flow.h5"
    fill(path)
    return path.read_bytes()


@pytest.fixture
def path(sound: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    (tmp_path / "flow.h5").write_bytes(sound)
    return tmp_path / "flow.h5"


def attribute(owner: str, name: str, value: object) -> Change:
    def change(file: h5py.File) -> None:
        del file[owner].attrs[name]
        if value is not None:
            file[owner].attrs[name] = value

    return change


def instead(name: str, **settings: object) -> Change:
    """Another data set in the place of one, with its attributes."""

    def change(file: h5py.File) -> None:
        attributes = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, **settings).attrs.update(attributes)

    return change


def link(name: str, to: object) -> Change:
    def change(file: h5py.File) -> None:
        file.move(name, "moved" if name == "a" else "a/moved")
        file[name] = to

    return change


def virtual(file: h5py.File) -> None:
    del file["a/flow/+1"]
    layout = h5py.VirtualLayout((3, 2, 10, 20), np.int16)
    layout[:] = h5py.VirtualSource("missing.h5", "x", (3, 2, 10, 20))
    file.create_virtual_dataset("a/flow/+1", layout, fillvalue=0).attrs["row_differences"] = True


FIELDS = {"shape": (3, 2, 10, 20), "chunks": (1, 2, 10, 20), "fillvalue": 0}
BROKEN: dict[str, tuple[Change, str]] = {
    "no width": (attribute("a", "width", None), "/a@width is missing"),
    "width NaN": (attribute("a", "width", np.nan), "/a@width is float64"),
    "width negative": (attribute("a", "width", -20), "/a@width is -20"),
    "width text": (attribute("a", "width", "20"), "/a@width is .*wanted a whole number"),
    "a picture of terabytes": (attribute("a", "height", 2**40), "/a@height is 1099511627776"),
    "another width": (attribute("a", "width", 21), r"/a/flow/\+1 is int16 \(3, 2, 10, 20\)"),
    "other units": (attribute("a", "units_per_px", 16), "flow in 1/16 px; wanted 1/32 px"),
    "no units": (attribute("a", "units_per_px", None), "/a@units_per_px is missing"),
    "source not text": (attribute("a", "source", 3), "/a@source is int64"),
    "settings no JSON": (attribute("a", "settings", "{"), "/a@settings is"),
    "settings a list": (attribute("a", "settings", "[]"), "/a@settings is"),
    "around no region": (attribute("a", "around", '{"margin": NaN}'), "/a@around is"),
    "no around": (attribute("a", "around", None), "/a@around is missing"),
    "rows as plain values": (attribute("a/flow/+1", "row_differences", None), "differences is 0 or miss"),
    "no schema": (attribute("/", "schema", None), "but no flow store"),
    "schema a float": (attribute("/", "schema", 2.0), "/@schema is float64"),
    "an older schema": (attribute("/", "schema", 1), "/@schema is 1, but"),
    "no names": (lambda file: file.pop("a/frame_names"), "/a/frame_names is missing"),
    "names not UTF-8": (
        instead("a/frame_names", data=[b"\xff", b"b", b"c"], dtype=h5py.string_dtype("utf-8", 2)),
        r"/a/frame_names\[0\] is not UTF-8",
    ),
    "names are numbers": (instead("a/frame_names", data=[1, 2, 3]), "/a/frame_names is no text"),
    "names without end": (
        instead("a/frame_names", shape=(2**21,), dtype="S4000", chunks=(64,)), "/a/frame_names announces"
    ),
    "fields of floats": (instead("a/flow/+1", dtype="f4", **FIELDS), r"/a/flow/\+1 is float32"),
    "fields of another order": (instead("a/flow/+1", dtype=">i2", **FIELDS), r"/a/flow/\+1 is >i2"),
    "fields in one piece": (
        instead("a/flow/+1", shape=(3, 2, 10, 20), dtype="i2"), r"/a/flow/\+1 is in tiles None"
    ),
    "no fields": (lambda file: file.pop("a/flow/+1"), r"/a/flow/\+1 is missing"),
    "no flags": (lambda file: file.pop("a/finished/+1"), r"/a/finished/\+1 is missing"),
    "flags of 7": (instead("a/finished/+1", data=np.full(3, 7, "u1")), r"\[0\] is 7; wanted 0 or 1"),
    "flags without end": (
        instead("a/finished/+1", shape=(2**40,), dtype="u1", chunks=(64,)), r"/a/finished/\+1 is uint8"
    ),
    "no step": (lambda file: file["a/flow"].create_group("next"), "/a/flow/next is no step"),
    "a name not UTF-8": (lambda file: h5py.h5g.create(file.id, b"\xff"), "not UTF-8"),
    "a video out of the folder": (lambda file: file.move("a", "..%2F..%2Fb"), "as another place than below"),
    "a video elsewhere": (link("a", h5py.ExternalLink("other.h5", "/a")), "/a is a link to another file"),
    "a soft link": (link("a/flow", h5py.SoftLink("/a/moved")), "/a/flow is a soft link"),
    "fields elsewhere": (link("a/flow/+1", h5py.ExternalLink("b.h5", "/x")), r"/a/flow/\+1 is a link to an"),
    "virtual fields": (virtual, r"/a/flow/\+1 is virtual"),
    "raw fields elsewhere": (
        instead("a/flow/+1", shape=(3, 2, 10, 20), dtype="i2", external=[("raw", 0, h5py.h5f.UNLIMITED)]),
        r"the numbers of /a/flow/\+1 lie in another file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_what_the_layout_does_not_have_is_named_and_is_damage(path: Path, kind: str) -> None:
    change, told = BROKEN[kind]
    with h5py.File(path, "r+", libver="v110") as file:
        change(file)
    with FlowStore(path) as store, pytest.raises(DamagedStoreError, match=told) as caught:
        inspect_store(store)
    assert str(path) in str(caught.value)
    with FlowStore(path) as store:
        found = verify_store(store, speaks=False)
    assert len(found.damaged) == 1
    with contextlib.suppress(FlowCacheError):  # a run that goes on says the same, or does not need it
        fill(path)


def test_one_broken_video_hides_no_other(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.copy("a", "b")
        del file["b"].attrs["width"]
    with FlowStore(path) as store:
        assert store.read("a", 0, 1).displacement[0, 0, 0] == 1
        found = verify_store(store, speaks=False)
    assert found.read == 1
    assert found.damaged == (f"{path}: /b@width is missing",)


def test_a_folder_is_verified_beyond_a_broken_file(path: Path) -> None:
    (path.parent / "b.h5").write_bytes(b"not HDF5")
    with FlowStore(path.parent) as store:
        found = verify_store(store, speaks=False)
    assert found.read == 1
    assert len(found.damaged) == 1
    assert found.damaged[0].startswith(f"{path.parent / 'b.h5'}: ")


def test_tiles_that_an_estimator_wrote_and_that_are_gone_are_damage(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["a"].attrs["estimator"] = "dis"
        file["a/finished/+1"][1] = 1
    with FlowStore(path) as store:
        found = verify_store(store, speaks=False)
    assert found.damaged == ("a, step +1: no tile of frames 1",)
    assert found.damaged_fields == (("a", 1, 1),)


def test_forgetting_names_what_it_cannot_mend(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(path, "r+", libver="v110") as file:
        for broken in ("b", "c"):
            file.copy("a", broken)
        del file["b"].attrs["width"]
        del file["c/flow/+1"]
        file["a"].attrs["estimator"] = "dis"
        file["a/finished/+1"][:] = 1
    assert main(["verify", str(path), "--sample", "0", "--forget"]) == 2
    out, err = capsys.readouterr()
    assert f"{path}: 2 fields forgotten" in out  # of one line: no tile of frames 1, 2
    (said,) = err.splitlines()
    assert "which verify --forget cannot mend; write the video anew" in said
    assert f"{path}: /b@width is missing; " in said
    assert "/c/flow/+1 is missing" in said
    with FlowStore(path) as store:
        assert store.finished("a", 1).tolist() == [True, False, False]
    assert main(["verify", str(path), "--sample", "0", "--forget"]) == 2
    out, err = capsys.readouterr()
    assert "forgotten" not in out
    assert f"{path}: /b@width is missing; " in err


def test_fields_without_tiles_cost_nothing_to_verify(path: Path) -> None:
    """Of 16,384 x 16,384 px, each field would take 3 GB to read."""
    with h5py.File(path, "r+", libver="v110") as file:
        del file["a"]
    record = VideoRecord("a", 2**14, 2**14, RECORD.frame_names, "", "", "imported", "{}", "")
    with FlowWriter(path) as writer:
        writer.add_video(record, (1,))
    with h5py.File(path, "r+", libver="v110") as file:
        file["a/finished/+1"][:2] = 1
        file["a/flow/+1"][1, :, :64, :64] = 5
    with FlowStore(path) as store:
        found = verify_store(store, speaks=False)
    assert (found.read, found.damaged) == (2, ())


def test_commands_end_with_one_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with h5py.File(path, "r+") as file:
        del file["a"].attrs["width"]
    out = path.parent / "out"
    for command in (
        ["inspect", str(path)],
        ["inspect", "--json", str(path)],
        ["show", str(path), "a", "0", "1", "--out", f"{out}.png"],
        ["export", str(path), "--out", str(out)],
        ["chain", str(path), "--steps", "2", "--out", f"{out}.h5"],
    ):
        assert main(command) == 2
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1
        assert f"{path}: /a@width is missing" in said[0]
    assert main(["verify", "--sample", "0", str(path)]) == 2
    assert f"{path}: /a@width is missing" in capsys.readouterr().out
