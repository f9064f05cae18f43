from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from flow_cache.runtime.checksums import DamagedZipError, check_zip


def test_no_flipped_bit_passes_with_other_content(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, a=np.arange(40, dtype=np.uint8), name=np.array("x"))
    whole = file.read_bytes()

    def content(data: bytes) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            return {name: opened.read(name) for name in opened.namelist()}

    wanted, refused = content(whole), 0
    check_zip(file)
    for bit in range(0, len(whole) * 8, 3):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            check_zip(io.BytesIO(flipped))
        except DamagedZipError:
            refused += 1
            continue
        if zipfile.is_zipfile(io.BytesIO(flipped)):  # else its readers refuse it
            there = content(flipped)
            assert sorted(there.values()) == sorted(wanted.values())
    assert refused > len(wanted) * 300


def test_other_files_pass(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"no zip")
    check_zip(tmp_path / "a")
    check_zip(tmp_path / "missing")
