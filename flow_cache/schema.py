"""How a store is laid out in HDF5, and the words for it.

    /                       attribute schema: version of this layout
    /<video>                a group (`group_name`); attributes width, height (px), source, source_hash,
                            estimator, settings (JSON), settings_hash, units_per_px, software, around (JSON:
                            the margin around people's boxes, how many and their hash; "" for whole frames)
    /<video>/frame_names    (F,) text: file names of the frames, or six digits each for a video file
    /<video>/flow/+2        (F, 2, H, W) int16, 1/32 px, x first: from frame i to frame i + 2, at index i;
                            attribute row_differences: kept as `codec.to_row_differences`, not plainly
    /<video>/finished/+2    (F,) uint8: 1 where the field is complete; only this counts
    /<video>/planned/+2     (F,) uint8: 1 where a run was asked for the field

A flow is chunked in tiles of 64 x 64 px, both axes together, so that reading a crop decodes its tiles alone.
Pixels that are not stored, as far from people, read as -32768; tiles of nothing else are not in the file.

Version 1, which is still read and written on, had no `around` and no `planned`: whole frames, and every field
of a step. It kept values plainly, and steps that were begun so go on so.

Every byte is under a checksum that HDF5 compares when it reads: the layout is that of HDF5 1.10 (`LIBVER`),
whose index has checksums; all data sets have the fletcher32 filter; text is of a fixed length, since text of
variable length lies in a heap without checksums. Older stores lack some of these, and read all the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from flow_cache.codec import TILE, UNITS_PER_PX
from flow_cache.errors import DamagedStoreError, FlowCacheError
from flow_cache.runtime import hdf5
from flow_cache.runtime.hdf5 import Hdf5ContentError
from flow_cache.runtime.words import quoted

SCHEMA = 2
#: Versions that differ by what is absent alone.
READABLE = (1, SCHEMA)
#: The oldest layout of HDF5 with checksums on all of its index; HDF5 1.10 (2016) and later read it.
LIBVER = "v110"
_FLAGS_A_CHUNK = 4096
#: What a reader believes: a file announces in some bytes what would take all memory.
LARGEST_TILE, MOST_PIXELS, MOST_FRAMES = 128, 2**28, 2**22  # px, px of a frame, frames of a video
#: Steps of Slim DensePose: labels move to three frames on either side.
STEPS = (-3, -2, -1, 1, 2, 3)

#: Why these, and tiles of 64 px: docs/flow.md.
FILTERS: dict[str, dict[str, Any]] = {
    "zstd": dict(hdf5plugin.Bitshuffle(nelems=2 * TILE * TILE, cname="zstd", clevel=3)),
    "lz4": dict(hdf5plugin.Bitshuffle(nelems=2 * TILE * TILE, cname="lz4")),
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
    source: str  # where it was read from: the absolute path, but in older stores as the user named it
    source_hash: str  # of the content of the file or of all frames
    estimator: str
    settings: str  # JSON
    settings_hash: str
    around: str = ""  # `PeopleBoxes.identity` where only the pixels near people are stored
    store: Path | None = field(default=None, compare=False)  # the file that it was read from


def step_name(step: int) -> str:
    """+2, -1: a step as the name of a dataset; int reads it."""
    return f"{step:+d}"


def starts(frame_count: int, step: int) -> range:
    """The frames from which a step stays within a video."""
    return range(max(0, -step), min(frame_count, frame_count - step))


def every_field(frame_count: int, step: int) -> np.ndarray:
    """Flags (F,) uint8 of all fields of a step."""
    flags = np.zeros(frame_count, np.uint8)
    flags[starts(frame_count, step)] = 1
    return flags


def writer_command(source: str, out: Path, words: str = "") -> str:
    """What a user runs to fill a store; `words` are further ones of the command line."""
    parts = ["python -m flow_cache precompute", quoted(source), words, f"--out {quoted(out)}"]
    return " ".join(part for part in parts if part)


def region_words(around: str) -> str:
    """The words of the command line that keep this region; `around` as in `VideoRecord`."""
    return f"--around BOXES.json --margin {json.loads(around)['margin']:g}" if around else ""


def region_in_words(around: str) -> str:
    """What part of the frames a store holds; `around` as in `VideoRecord`."""
    if not around:
        return "of whole frames"
    region = json.loads(around)
    return f"around {region['boxes']} boxes ({region['boxes_hash'][:8]}) with margin {region['margin']:g}"


#: Stands for a slash in the name of a group. It is not escaped, and so in the name of no video: older stores
#: would read otherwise.
SLASH = "%2F"


def group_name(video: str) -> str:
    """The name of a video's group: HDF5 takes a slash, as in SEQ-02/img1, for a group within a group."""
    return video.replace("/", SLASH)


def video_of_group(name: str) -> str:
    """The video whose group has a name."""
    return name.replace(SLASH, "/")


def check_video_name(video: str, source: Path | str) -> None:
    """Raise FlowCacheError for a name that a store would read as another; `source` is where the video is."""
    if SLASH in video:
        raise FlowCacheError(
            f"video {video!r} ({source}): a flow store reads {SLASH} in a name as a slash, and would list it "
            f"as {video_of_group(video)!r}; give it another name, {quoted(f'NAME={source}')}, or that one to "
            "go on with an older store"
        )


def make_group(file: h5py.File, record: VideoRecord) -> None:
    """Make the group of a video, without steps."""
    import cv2  # not needed to read a store

    group = file.create_group(group_name(record.name))
    group.attrs.update(width=record.width, height=record.height, units_per_px=UNITS_PER_PX)
    for key in ("source", "source_hash", "estimator", "settings", "settings_hash", "around"):
        put_text(group.attrs, key, getattr(record, key))
    put_text(group.attrs, "software", f"opencv {cv2.__version__}")
    # A data set, not an attribute: attributes end at 64 KB, about 4000 names.
    names = [name.encode() for name in record.frame_names]
    kind, chunks = h5py.string_dtype("utf-8", max(map(len, names))), (min(len(names), _FLAGS_A_CHUNK),)
    group.create_dataset(
        "frame_names", data=names, dtype=kind, chunks=chunks, compression="gzip", fletcher32=True
    )
    for name in ("flow", "finished", "planned"):
        group.create_group(name)


def make_step(group: h5py.Group, name: str, filter: Mapping[str, Any]) -> None:
    """Make room for the fields of a step in the group of a video."""
    count, width, height = len(group["frame_names"]), group.attrs["width"], group.attrs["height"]
    fields = group["flow"].create_dataset(
        name,
        shape=(count, 2, height, width),
        dtype=np.int16,
        chunks=(1, 2, min(TILE, height), min(TILE, width)),
        # It never grows: more than one open axis asks HDF5 for its B-tree of version 2, which has checksums
        # and, unlike its array, takes room only for tiles that are there.
        maxshape=(None, 2, None, None),
        fillvalue=0,  # as a difference: what was never written reads as NOT_STORED
        fletcher32=True,
        **filter,
    )
    fields.attrs["row_differences"] = True
    for flags in ("finished", "planned"):
        _make_flags(group[flags], name, np.zeros(count, np.uint8))


def upgrade(file: h5py.File) -> None:
    """Bring an open file of an older version to this one."""
    if file.attrs["schema"] == SCHEMA:
        return
    for video in hdf5.member_names(file["/"]):
        group = hdf5.subgroup(file["/"], video)
        if hdf5.has_member(group, "planned"):
            raise Hdf5ContentError(f"/@schema is 1, but {group.name}/planned is there, of layout 2")
        put_text(group.attrs, "around", "")
        flags = group.create_group("planned")
        for name in hdf5.member_names(hdf5.subgroup(group, "finished")):
            _make_flags(flags, name, every_field(len(group["frame_names"]), int(name)))
    file.attrs["schema"] = SCHEMA


def _make_flags(group: h5py.Group, name: str, flags: np.ndarray) -> None:
    group.create_dataset(name, data=flags, chunks=(min(len(flags), _FLAGS_A_CHUNK),), fletcher32=True)


def put_text(attributes: h5py.AttributeManager, key: str, text: str) -> None:
    """Set an attribute to text of a fixed length."""
    content = text.encode()
    attributes.create(key, content, dtype=h5py.string_dtype("utf-8", max(len(content), 1)))


def check_schema(file: h5py.File, path: Path) -> None:
    """Raise FlowCacheError (and close the file) unless this code reads the layout of an open file."""
    found = hdf5.integer(file["/"], "schema", 0, 2**31) if hdf5.has_attribute(file, "schema") else None
    if found not in READABLE:
        file.close()
        wanted = f"a flow store of layout version {' or '.join(map(str, READABLE))}"
        if found is None:
            raise DamagedStoreError(f"{path} is an HDF5 file, but no flow store; wanted {wanted}")
        raise FlowCacheError(f"{path} has layout version {found}; wanted {wanted}")
