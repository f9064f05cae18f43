from __future__ import annotations

import errno
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from flow_cache.runtime.hdf5_file import new_hdf5


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
