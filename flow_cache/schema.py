"""How a store is laid out in HDF5, and the words for it.

    /                       attribute schema: version of this layout, 2; 1 is read, and gone on with, as well
    /<video>                a group; attributes width, height (px), source, source_hash, estimator, settings
                            (JSON), settings_hash, units_per_px, software
    /<video>/frame_names    (F,) text: file names of the frames, or six digits each for a video file
    /<video>/flow/+2        (F, 2, H, W) int16, 1/32 px, x first: from frame i to frame i + 2, at index i;
                            as differences of rows (`codec.to_row_differences`), in version 1 plainly
    /<video>/finished/+2    (F,) uint8: 1 where the field is complete; only this counts

A flow is chunked in tiles of 64 x 64 px, both axes together, so that reading a crop decodes its tiles alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin

from flow_cache.errors import FlowCacheError

SCHEMA = 2
#: The first version that keeps differences of rows.
_ROWS_SINCE = 2
#: Side of a tile, px.
TILE = 64
#: Steps of Slim DensePose: labels move to three frames on either side.
STEPS = (-3, -2, -1, 1, 2, 3)

# Measured on flow of vtest.avi (768 x 576 px) and juggle.mp4 (1280 x 720), steps -3 to 3, by DIS and by
# RAFT-small; sizes are those of files, against float32. `tools/bench_flow_storage.py` measures them again.
# - Differences of rows with shuffled bits and zstd over whole tiles: 32 and 48 times smaller (DIS, the two
#   videos), 35 and 34 (RAFT). Plain values with shuffled bytes and zstd, as in layout 1: 23, 36, 25, 23.
#   Differences of columns, or of both, save a third of that; higher levels of zstd 4 % for twice the time.
# - Blosc2 with the same codec: 26 where zstd has 34, because of 0.2 kB of its own in each tile, of which many
#   hold no more; and twice the time to write, ten times with threads, which tiles this small do not repay (set
#   BLOSC_NTHREADS=1). gzip: 24, and twice the time to read, but every HDF5 reads it without a plugin.
# - Tiles of 96 px save 10 % on whole frames and tiles of 128 px 14 %, mostly of the index (70 bytes a tile),
#   but with only the tiles that people touch 64 px need the least: 11 to 17 % less than 96 on vtest.avi, and
#   3 % more on juggle.mp4. A crop of 256 px takes as long with each. HDF5's newer index is a third as large,
#   but has room for all tiles at once, 3.6 kB a field of 1280 x 720 px, written or not.
# - 1/16 px instead of 1/32 would save 30 %, and 1/8 px a half, for errors of up to 1/32 and 1/16 px.
FILTERS: dict[str, dict[str, Any]] = {
    "zstd": dict(hdf5plugin.Bitshuffle(nelems=2 * TILE * TILE, cname="zstd", clevel=3)),
    "blosc2": dict(hdf5plugin.Blosc2(cname="zstd", clevel=5, filters=hdf5plugin.Blosc2.BITSHUFFLE)),
    "gzip": {"shuffle": True, "compression": "gzip", "compression_opts": 4},
}


@dataclass(frozen=True)
class VideoRecord:
    """What a store keeps of a video and of how its flow was made."""

    name: str
    width: int  # px
    height: int  # px
    frame_names: tuple[str, ...]  # in order
    source: str  # where it was read from, as the user named it
    source_hash: str  # of the content of the file or of all frames
    estimator: str
    settings: str  # JSON
    settings_hash: str


def step_name(step: int) -> str:
    """+2, -1: a step as the name of a dataset."""
    return f"{step:+d}"


def parse_step(name: str) -> int:
    """The step that a dataset's name stands for."""
    return int(name)


def writer_command(source: str, out: Path) -> str:
    """What a user runs to fill a store."""
    return f"python -m flow_cache precompute {source} --out {out}"


def check_schema(file: h5py.File, path: Path) -> None:
    """Raises FlowCacheError (and closes the file) unless this code knows the layout of an open file."""
    found = file.attrs.get("schema")
    if found not in range(1, SCHEMA + 1):
        file.close()
        what = "is an HDF5 file, but no flow store" if found is None else f"has layout version {found}"
        raise FlowCacheError(f"{path} {what}; wanted a flow store of layout version 1 to {SCHEMA}")


def keeps_row_differences(file: h5py.File) -> bool:
    """Whether a file that `check_schema` let pass keeps differences of rows, or plain fixed point."""
    return bool(file.attrs["schema"] >= _ROWS_SINCE)
