"""What DensePose's table of distances costs in memory and time, on a made-up one of its full size.

    python tools/distance_table_memory.py --form pkl

27,554 vertices have 379,597,681 distances: 1.5 GB of float32. A folder of surface files with such a table is
written to --folder (a temporary one if not given), in one of these forms: pkl (bytes as they are), pkl-text
(escaped, as Python 2 pickles by default), h5, h5-chunks (compressed, as MATLAB 7.3 does) or npy. Two other
processes, which start with nothing, load the surface one after the other (the first may have to write the
table out) and look up pairs of points, all at once and person by person; every answer is compared with what
was written. Prints one JSON line last; peak memory is that of the process, imports and mapped pages included.
"""

from __future__ import annotations

import argparse
import codecs
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from measuring import make_parser, peak_mb, tell, told_by

VERTICES = 27554
ENTRIES = VERTICES * (VERTICES - 1) // 2
_BLOCK = 1 << 22
#: Of the validation set of DensePose-COCO, as evaluated: people, and points of each.
_PEOPLE, _POINTS = 2243, 100
FORMS = ("pkl", "pkl-text", "h5", "h5-chunks", "npy")


def main() -> int:
    """Parse, run, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--form", choices=FORMS, default="pkl", help="of the table (default pkl)")
    parser.add_argument("--folder", type=Path, default=None, help="where to write 1.5 to 6 GB for a while")
    parser.add_argument("--child", type=Path, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        tell(look_up(options.child))
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        write_surface(Path(folder), options.form)
        environment = os.environ | {"SLIMDP_CACHE": str(Path(folder, "cache"))}
        command = [sys.executable, __file__, "--child", folder]
        runs = [told_by(command, environment) for _ in range(2)]
    tell({"form": options.form, "first": runs[0], "later": runs[1]})
    return 0


def made_up(entry: np.ndarray) -> np.ndarray:
    """The distance in metres that stands at an entry."""
    return (1 + entry % 1999).astype(np.float32) / 1000


def write_surface(folder: Path, form: str) -> None:
    """SMPL_subdiv.mat, SMPL_SUBDIV_TRANSFORM.mat and Pdist_matrix of made-up values."""
    rng = np.random.default_rng(0)
    part = 1 + np.arange(VERTICES) % 24
    uv = rng.random((VERTICES, 2))
    scipy.io.savemat(
        folder / "SMPL_subdiv.mat", {"U_subdiv": uv[:, 0], "V_subdiv": uv[:, 1], "Part_ID_subdiv": part}
    )
    scipy.io.savemat(folder / "SMPL_SUBDIV_TRANSFORM.mat", {"index": 1 + rng.permutation(VERTICES)})
    path = folder / f"Pdist_matrix{'.pkl' if form.startswith('pkl') else '.' + form.split('-')[0]}"
    if form.startswith("h5"):
        chunks = {"chunks": (1 << 18,), "compression": "gzip", "compression_opts": 1} if "-" in form else {}
        with h5py.File(path, "w") as file:
            table = file.create_dataset("Pdist_matrix", (ENTRIES,), np.float32, **chunks)
            for start, block in _blocks():
                table[start : start + len(block)] = block
        return
    with open(path, "wb") as file:
        head, tail = _around(form)
        file.write(head)
        for _, block in _blocks():
            data = block.tobytes()
            file.write(codecs.escape_encode(data)[0] if form == "pkl-text" else data)
        file.write(tail)


def _blocks() -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, ENTRIES, _BLOCK):
        yield start, made_up(np.arange(start, min(start + _BLOCK, ENTRIES)))


def _around(form: str) -> tuple[bytes, bytes]:
    """What stands before and behind the numbers in a .npy, or in the pickle of a dict with their array."""
    if form == "npy":
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({ENTRIES},), }}".ljust(117) + "\n"
        return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode(), b""
    array = (
        "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n"
        f"(I{ENTRIES}\nI1\ntcnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
    )
    if form == "pkl-text":
        return f"(dS'Pdist_matrix'\n{array}S\"".encode(), b'"\ntbs.'
    return f"(dS'Pdist_matrix'\n{array}T".encode() + (4 * ENTRIES).to_bytes(4, "little"), b"tbs."


def look_up(folder: Path) -> dict[str, float]:
    """Load the surface and measure distances; MB and seconds."""
    from slimdp.surface import load_surface

    before_mb = peak_mb()
    started = time.perf_counter()
    surface = load_surface(folder)
    loaded = time.perf_counter()
    pairs = np.random.default_rng(1).integers(VERTICES, size=(2, _PEOPLE, _POINTS))
    high, low = pairs.max(axis=0), pairs.min(axis=0)
    expected = np.where(high == low, 0, made_up(high * (high - 1) // 2 + low))
    started_again = time.perf_counter()
    found = surface.vertex_distance(*pairs)
    at_once = time.perf_counter()
    singly = np.stack([surface.vertex_distance(a, b) for a, b in zip(*pairs)])
    ended = time.perf_counter()
    if not (found == expected).all() or not (singly == expected).all():
        raise SystemExit("distances differ from those that were written")
    return {
        "load_s": round(loaded - started, 2),
        "all_at_once_s": round(at_once - started_again, 3),
        "by_person_s": round(ended - at_once, 3),
        "imports_mb": round(before_mb),
        "peak_mb": round(peak_mb()),
    }


if __name__ == "__main__":
    sys.exit(main())
