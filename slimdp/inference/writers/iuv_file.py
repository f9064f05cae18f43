"""The dense pose of a video in one HDF5 file: `iuv.h5`, of T frames of H x W px with N people in all.

| data set | shape | type | meaning |
|---|---|---|---|
| iuv | (T, H, W, 3) | uint8 | part 0..P (0 where nobody is), 255 u, 255 v |
| track | (T, H, W) | int32 | whose pixel it is; 0 where nobody is |
| frame | (T,) | int64 | the frame's number in the source, from 0 |
| time_s | (T,) | float64 | when it is shown |
| people/frame | (N,) | int64 | row in `iuv` of the frame that the person is in |
| people/track | (N,) | int64 | who it is |
| people/score | (N,) | float64 | of the detection |
| people/box | (N, 4) | float64 | x, y, width, height, px |

Attributes: `format`, `version`, `video` (the name), `width`, `height`, `rate` (frames a second on average),
`layout` (the parts, as JSON). Frames are in chunks of their own, packed by gzip, with checksums, so any HDF5
reader opens the file and reads one frame without the others:

    with h5py.File("iuv.h5") as file:
        part, u, v = file["iuv"][100].transpose(2, 0, 1)
        somebody = file["track"][100] == 3
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from flow_cache.runtime.atomic import atomic_write
from flow_cache.runtime.hdf5 import DiskFile, new_hdf5, open_hdf5
from slimdp.inference.video_records import FramePose, VideoInfo
from slimdp.surface.layout import PartLayout

FORMAT, VERSION = "slimdp dense pose of a video", 1
_PIECE = "piece.h5"
#: Data sets that hold a map a frame, and those that hold some numbers a frame or person.
MAPS = {"iuv": (3,), "track": ()}
ROWS: dict[str, tuple[tuple[int, ...], type]] = {
    "frame": ((), np.int64),
    "time_s": ((), np.float64),
    "people/frame": ((), np.int64),
    "people/track": ((), np.int64),
    "people/score": ((), np.float64),
    "people/box": ((4,), np.float64),
}
_CHUNK_PX = 1 << 20  # of a frame at most; larger frames are several chunks
_CHUNK_ROWS = 1024


class IuvFile:
    """Writes everything in one file; an `OutputWriter`."""

    name = "iuv-h5"

    @contextmanager
    def piece(
        self, folder: Path, info: VideoInfo, layout: PartLayout
    ) -> Iterator[Callable[[FramePose], None]]:
        """As `OutputWriter`."""
        with new_hdf5(folder / _PIECE) as (file, disk):
            _make_datasets(file, info, layout)
            yield lambda pose: _append(file, disk, pose)

    def join(self, pieces: Sequence[Path], out: Path, info: VideoInfo, layout: PartLayout) -> Path:
        """As `OutputWriter`."""
        path = out / "iuv.h5"
        with atomic_write(path) as temporary, new_hdf5(temporary) as (file, disk):
            _make_datasets(file, info, layout)
            for folder in pieces:
                with open_hdf5(folder / _PIECE) as piece:
                    _append_piece(file, piece)
                disk.check()
        return path


def _make_datasets(file: h5py.File, info: VideoInfo, layout: PartLayout) -> None:
    file.attrs.update(
        {
            "format": FORMAT,
            "version": VERSION,
            "video": info.name,
            "width": info.width,
            "height": info.height,
            "rate": float(info.rate),
            "layout": json.dumps(layout.as_json()),
        }
    )
    rows = max(1, min(info.height, _CHUNK_PX // info.width))
    for name, channels in MAPS.items():
        file.create_dataset(
            name,
            (0, info.height, info.width, *channels),
            np.uint8 if name == "iuv" else np.int32,
            maxshape=(None, info.height, info.width, *channels),
            chunks=(1, rows, info.width, *channels),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
            fletcher32=True,
        )
    for name, (row, dtype) in ROWS.items():
        file.create_dataset(
            name, (0, *row), dtype, maxshape=(None, *row), chunks=(_CHUNK_ROWS, *row), fletcher32=True
        )


def _append(file: h5py.File, disk: DiskFile, pose: FramePose) -> None:
    index, people = len(file["iuv"]), pose.people
    _extend(file["iuv"], pose.painted.iuv.transpose(1, 2, 0)[None])
    _extend(file["track"], pose.painted.track[None])
    _extend(file["frame"], np.array([pose.frame.index]))
    _extend(file["time_s"], np.array([float(pose.frame.time_s)]))
    _extend(file["people/frame"], np.full(len(people), index))
    _extend(file["people/track"], np.array([person.annotation_id for person in people], np.int64))
    _extend(file["people/score"], np.array([person.score for person in people], np.float64))
    _extend(file["people/box"], np.array([person.box for person in people], np.float64).reshape(-1, 4))
    disk.check()


def _extend(data: h5py.Dataset, rows: np.ndarray) -> None:
    if len(rows):
        data.resize(len(data) + len(rows), axis=0)
        data[-len(rows) :] = rows


def _append_piece(file: h5py.File, piece: h5py.File) -> None:
    """Append a piece's frames; maps are copied as they are packed."""
    before = len(file["iuv"])
    for name in MAPS:
        whole, part = file[name], piece[name]
        whole.resize(before + len(part), axis=0)
        for number in range(part.id.get_num_chunks()):
            chunk = part.id.get_chunk_info(number)
            filters, content = part.id.read_direct_chunk(chunk.chunk_offset)
            frame, *within = chunk.chunk_offset
            whole.id.write_direct_chunk((before + frame, *within), content, filters)
    for name in ROWS:
        rows = piece[name][:]
        _extend(file[name], rows + before if name == "people/frame" else rows)
