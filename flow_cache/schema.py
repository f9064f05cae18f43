"""How a store is laid out in HDF5, and the words for it.

    /                       attribute schema: version of this layout
    /<video>                a group; attributes width, height (px), source, source_hash, estimator, settings
                            (JSON), settings_hash, units_per_px, software
    /<video>/frame_names    (F,) text: file names of the frames, or six digits each for a video file
    /<video>/flow/+2        (F, 2, H, W) int16, 1/32 px, x first: from frame i to frame i + 2, at index i
    /<video>/finished/+2    (F,) uint8: 1 where the field is complete; only this counts

A flow is chunked in tiles of 64 x 64 px, both axes together, so that reading a crop decodes its tiles alone.

Every byte is under a checksum that HDF5 compares when it reads: the layout is that of HDF5 1.10 (`LIBVER`),
whose index has checksums; all data sets have the fletcher32 filter; text is of a fixed length, since text of
variable length lies in a heap without checksums. Older stores lack some of these, and read all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin

from flow_cache.errors import FlowCacheError

SCHEMA = 1
#: The oldest layout of HDF5 with checksums on all of its index; HDF5 1.10 (2016) and later read it.
LIBVER = "v110"
#: Side of a tile, px.
TILE = 64
#: Steps of Slim DensePose: labels move to three frames on either side.
STEPS = (-3, -2, -1, 1, 2, 3)

# Measured on DIS flow of two videos (768 x 576 and 1280 x 720 px, steps 1 to 3): zstd writes and reads a
# field in about half the time of gzip, at the same size. Blosc2 with the same codec takes twice as long to
# write as zstd (ten times with its own threads, which tiles this small do not repay: set BLOSC_NTHREADS=1)
# and 9 to 19 % more space. gzip alone is readable by every HDF5 without a plugin.
FILTERS: dict[str, dict[str, Any]] = {
    "zstd": {"shuffle": True, **hdf5plugin.Zstd(clevel=3)},
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


def put_text(attributes: h5py.AttributeManager, key: str, text: str) -> None:
    """Set an attribute to text of a fixed length."""
    content = text.encode()
    attributes.create(key, content, dtype=h5py.string_dtype("utf-8", max(len(content), 1)))


def get_text(attributes: h5py.AttributeManager, key: str) -> str:
    """The text of an attribute, of a fixed length or not."""
    value = attributes[key]
    return value.decode() if isinstance(value, bytes) else str(value)


def check_schema(file: h5py.File, path: Path) -> None:
    """Raises FlowCacheError (and closes the file) unless this code wrote the layout of an open file."""
    found = file.attrs.get("schema")
    if found != SCHEMA:
        file.close()
        what = "is an HDF5 file, but no flow store" if found is None else f"has layout version {found}"
        raise FlowCacheError(f"{path} {what}; wanted a flow store of layout version {SCHEMA}")
