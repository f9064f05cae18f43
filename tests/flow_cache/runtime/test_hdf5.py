from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from flow_cache.runtime.hdf5 import (
    Hdf5ContentError,
    integer,
    member_names,
    new_hdf5,
    open_hdf5,
    require_array,
    require_plain,
    text,
)

Change = Callable[[h5py.File], None]


def linked(link: object) -> Change:
    def change(file: h5py.File) -> None:
        file.move("x", "moved")
        file["x"] = link

    return change


def replaced(**settings: object) -> Change:
    def change(file: h5py.File) -> None:
        del file["x"]
        file.create_dataset("x", **settings)

    return change


def virtual(file: h5py.File) -> None:
    del file["x"]
    layout = h5py.VirtualLayout((4,), np.int16)
    layout[:] = h5py.VirtualSource("missing.h5", "x", (4,))
    file.create_virtual_dataset("x", layout)


def filtered(file: h5py.File) -> None:
    del file["x"]
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_chunk((4,))
    layout.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, ())
    h5py.h5d.create(file["/"].id, b"x", h5py.h5t.NATIVE_INT16, h5py.h5s.create_simple((4,)), layout)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(4, dtype=np.int16)
    return tmp_path / "a.h5"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (linked(h5py.SoftLink("/moved")), "/x is a soft link, which is not followed"),
        (linked(h5py.ExternalLink("other.h5", "/x")), "/x is a link to another file, which is not followed"),
        (lambda file: file.move("x", "y"), "/x is missing"),
        (virtual, "/x is virtual: its numbers lie in other data sets"),
        (
            replaced(shape=(4,), dtype="i2", external=[("/etc/hostname", 0, 8)]),
            "the numbers of /x lie in another file",
        ),
        (filtered, "/x goes through filter 32099, which is not loaded"),
        (replaced(data=5), "/x is no array"),
        (replaced(shape=(2**40,), dtype="i2", chunks=(64,)), "/x announces 2199023255552 bytes"),
        (replaced(shape=(2**30,), dtype="i2", chunks=(2**30,)), "/x is in chunks of 2147483648 bytes"),
        (
            replaced(data=np.zeros(2**22, np.int16), chunks=(2**20,), compression="gzip", compression_opts=9),
            "/x announces 8388608 bytes, and the file holds",
        ),
    ],
)
def test_what_is_not_plain_is_refused(path: Path, change: Change, told: str) -> None:
    with open_hdf5(path) as file:
        require_plain(file, ["x"])
    with h5py.File(path, "r+") as file:
        change(file)
    with open_hdf5(path) as file, pytest.raises(Hdf5ContentError, match=told):
        require_plain(file, ["x"])


def test_shapes_and_types_are_compared(path: Path) -> None:
    with open_hdf5(path) as file:
        require_array(file["x"], (None,), np.int16)
        for shape, dtype in (((5,), np.int16), ((4, 1), np.int16), ((4,), np.uint16)):
            with pytest.raises(Hdf5ContentError, match=r"/x is int16 \(4,\); wanted"):
                require_array(file["x"], shape, dtype)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (np.nan, r"/@a is float64 \(\); wanted a whole number"),
        (-1, "/@a is -1; wanted 0 to 9"),
        (np.arange(3), r"/@a is int64 \(3,\); wanted a whole number"),
        ("3", "wanted a whole number"),
        (h5py.Empty("i8"), "wanted a whole number"),
    ],
)
def test_a_whole_number_is_one_within_limits(path: Path, value: object, told: str) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["a"] = value
        with pytest.raises(Hdf5ContentError, match=told):
            integer(file["/"], "a", 0, 9)


def test_text_is_utf8_of_either_kind(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        root = file["/"]
        for kind in (h5py.string_dtype("utf-8"), h5py.string_dtype("utf-8", 8)):
            root.attrs.create("a", "wälk".encode(), dtype=kind)
            assert text(root, "a") == "wälk"
            root.attrs.create("a", b"w\xe4lk", dtype=kind)
            with pytest.raises(Hdf5ContentError, match="/@a is not UTF-8"):
                text(root, "a")
        with pytest.raises(Hdf5ContentError, match="/@b is missing"):
            text(root, "b")


def test_names_are_utf8_and_lead_nowhere_else(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        assert member_names(file["/"]) == ["x"]
        h5py.h5g.create(file["/"].id, b"\xff")
        with pytest.raises(Hdf5ContentError, match=r"'\\xff', which is not UTF-8"):
            member_names(file["/"])
        file["y"] = h5py.SoftLink("/nowhere")
        with pytest.raises(Hdf5ContentError, match="/y is a soft link"):
            member_names(file["/"])


def test_the_system_refuses_by_its_own_name(path: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        open_hdf5(tmp_path / "none.h5")
    assert caught.value.filename is not None
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(Hdf5ContentError, match="a pipe; wanted a file"):
        open_hdf5(tmp_path / "pipe.h5")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = os.open(path, os.O_RDONLY)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (taken + 1, limits[1]))
        with pytest.raises(OSError, match=r"Too many open files: '.*a\.h5'") as refused:
            open_hdf5(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        os.close(taken)
    assert refused.value.errno == errno.EMFILE


@pytest.mark.parametrize("room", [0, 3000, 20_000, 60_000])
def test_a_full_disk_is_one_error_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    left, write = room, os.pwrite

    def full(descriptor: int, data: memoryview, offset: int) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = min(left, len(data))
        left -= count
        return write(descriptor, data[:count], offset)

    monkeypatch.setattr(os, "pwrite", full)
    rows = np.random.default_rng(0).integers(0, 255, (100, 1000), dtype=np.uint8)
    with (  # noqa: PT012
        pytest.raises(OSError, match=r"No space left on device: '.*a\.h5'"),
        new_hdf5(tmp_path / "a.h5") as (file, _),
    ):
        data = file.create_dataset("a", (0, 1000), "u1", maxshape=(None, 1000), chunks=(1, 1000))
        for number, row in enumerate(rows):
            data.resize(number + 1, axis=0)
            data[number] = row


def test_what_is_written_is_read_back_by_plain_hdf5(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((50, 300))
    with new_hdf5(tmp_path / "a.h5") as (file, disk):
        file["a"] = rows
        file.attrs["of"] = "all"
        np.testing.assert_array_equal(file["a"][7:9], rows[7:9])
        del file["a"]
        file["b"] = rows
        disk.check()
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["b"][:], rows)
        assert file.attrs["of"] == "all"
