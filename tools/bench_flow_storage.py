"""What flow takes on disk, and how long it takes to write and to read: the store against other formats.

    python tools/bench_flow_storage.py vtest.avi juggle.mp4 --weights raft-small.pth > storage.json
    python tools/bench_flow_storage.py vtest.avi --quick
    python tools/bench_flow_storage.py vtest.avi juggle.mp4 --weights raft-small.pth --layouts

The flow is that of videos to three frames on either side, by DIS and, with --weights, by RAFT-small. Bytes
are those of whole files, index included. Reading is timed field by field and crop by crop, each in every
format, in random order, before the next, so that a busy machine slows all of them; the figures are medians.
A second round drops the files from the page cache before every read, where the system lets it; crop_cpu_ms is
processor time, all threads together, and crops_a_cpu_second the store against other tiles. The store's writer
waits for the disk at the end, the others do not. --layouts compares tiles and filters of the store's
own kind of file instead. Prints one JSON line last, and the tables on stderr.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
from measuring import make_parser, tell

from flow_cache import ESTIMATORS, FlowEstimator, FlowStore, FlowWriter, VideoRecord, open_video
from flow_cache.codec import decode, encode, from_row_differences, to_row_differences
from flow_cache.exchange import read_flo, read_kitti, write_flo, write_kitti
from flow_cache.schema import FILTERS, LIBVER

CROP = 256  # px
PAIRS = ((0, 1), (1, 0), (0, 2), (2, 0), (0, 3), (3, 0))  # of four frames: steps -3 to 3
Box = tuple[int, int, int, int]  # x, y, width, height px


class Storage:
    """Fields on disk: `write` them, then `read` the whole of one or a box in it, (2, H, W) px."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def write(self, flows: np.ndarray) -> None:
        raise NotImplementedError

    def read(self, index: int, box: Box | None) -> np.ndarray:
        raise NotImplementedError

    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())

    def file_of(self, index: int) -> Path:
        return self.files()[0]


class Stored(Storage):
    """The store, with one of its filters."""

    def __init__(self, folder: Path, filter: str) -> None:
        super().__init__(folder)
        self._filter = filter

    def write(self, flows: np.ndarray) -> None:
        height, width = flows.shape[2:]
        names = tuple(f"{index:06d}" for index in range(len(flows) + 1))
        record = VideoRecord("video", width, height, names, "", "", "", "{}", "")
        with FlowWriter(self.folder / "flow.h5", self._filter) as writer:
            writer.add_video(record, (1,))
            for index, flow in enumerate(flows):
                writer.write("video", index, 1, flow)
        self._store = FlowStore(self.folder / "flow.h5")
        self._store.read("video", 0, 1, (0, 0, 1, 1))  # opened, as in a training that goes on for days

    def read(self, index: int, box: Box | None) -> np.ndarray:
        return self._store.read("video", index, 1, box).displacement


class Layout(Storage):
    """One HDF5 file like the store's, of any tile and filter, with plain values or differences of rows."""

    def __init__(self, folder: Path, tile: int, filter: dict[str, Any], by_rows: bool) -> None:
        super().__init__(folder)
        self._tile, self._filter, self._by_rows = tile, filter, by_rows

    def write(self, flows: np.ndarray) -> None:
        chunks = (1, 2, self._tile, self._tile)
        index = {"maxshape": (None, 2, None, None), "fletcher32": True}  # as `schema.make_step` asks for it
        with h5py.File(self.folder / "flow.h5", "w", libver=(LIBVER, LIBVER)) as file:
            fields = file.create_dataset(
                "flow", flows.shape, np.int16, chunks=chunks, **index, **self._filter
            )
            for index, stored in enumerate(map(encode, flows)):
                fields[index] = to_row_differences(stored, self._tile) if self._by_rows else stored
        self._fields = h5py.File(self.folder / "flow.h5", "r", rdcc_nbytes=0)["flow"]

    def read(self, index: int, box: Box | None) -> np.ndarray:
        _, rows, columns = _inside(box)
        if not self._by_rows:
            return decode(self._fields[index, :, rows, columns])
        above = (rows.start or 0) % self._tile
        rows = slice((rows.start or 0) - above, rows.stop)
        return decode(from_row_differences(self._fields[index, :, rows, columns], self._tile)[:, above:])


class Tiled(Storage):
    """One HDF5 file of tiles as a user would write it: half floats, or fixed point without differences."""

    def __init__(self, folder: Path, dtype: type, filter: dict[str, Any]) -> None:
        super().__init__(folder)
        self._dtype, self._filter = dtype, filter

    def write(self, flows: np.ndarray) -> None:
        stored = flows.astype(np.float16) if self._dtype is np.float16 else encode(flows)
        with h5py.File(self.folder / "flow.h5", "w") as file:
            file.create_dataset("flow", data=stored, chunks=(1, 2, 64, 64), **self._filter)
        self._fields = h5py.File(self.folder / "flow.h5", "r", rdcc_nbytes=0)["flow"]

    def read(self, index: int, box: Box | None) -> np.ndarray:
        stored = self._fields[(index, *_inside(box))]
        return stored.astype(np.float32) if self._dtype is np.float16 else decode(stored)


class HalfFloats(Storage):
    """HDF5 as many make it: half floats and gzip, a chunk a field."""

    def write(self, flows: np.ndarray) -> None:
        with h5py.File(self.folder / "flow.h5", "w") as file:
            file.create_dataset(
                "flow", data=flows.astype(np.float16), chunks=(1, *flows.shape[1:]), compression="gzip"
            )
        # No cache of chunks, which would hold a good part of the few fields that are measured.
        self._fields = h5py.File(self.folder / "flow.h5", "r", rdcc_nbytes=0)["flow"]

    def read(self, index: int, box: Box | None) -> np.ndarray:
        return self._fields[(index, *_inside(box))].astype(np.float32)


class FileEach(Storage):
    """A file a field."""

    def __init__(
        self,
        folder: Path,
        suffix: str,
        write: Callable[[Path, np.ndarray], None],
        read: Callable[[Path], np.ndarray],
    ) -> None:
        super().__init__(folder)
        self._suffix, self._write, self._read = suffix, write, read

    def write(self, flows: np.ndarray) -> None:
        for index, flow in enumerate(flows):
            self._write(self.file_of(index), flow)

    def read(self, index: int, box: Box | None) -> np.ndarray:
        return np.ascontiguousarray(self._read(self.file_of(index))[_inside(box)])

    def file_of(self, index: int) -> Path:
        return self.folder / f"{index:06d}{self._suffix}"


def storages(folder: Path) -> dict[str, Storage]:
    """Every format by name, each in a folder of its own."""
    found: dict[str, Storage] = {f"store, {name}": Stored(folder / name, name) for name in FILTERS}
    found["flo"] = FileEach(folder / "flo", ".flo", write_flo, read_flo)
    found["flo, mapped"] = FileEach(folder / "mapped", ".flo", write_flo, _map_flo)
    found["npz"] = FileEach(folder / "npz", ".npz", lambda path, flow: np.savez(path, flow=flow), _read_npz)
    found["npz, compressed"] = FileEach(
        folder / "npzc", ".npz", lambda path, flow: np.savez_compressed(path, flow=flow), _read_npz
    )
    found["KITTI PNG"] = FileEach(folder / "kitti", ".png", write_kitti, read_kitti)
    found["HDF5, float16, gzip"] = HalfFloats(folder / "half")
    bits = hdf5plugin.Bitshuffle(nelems=2 * 64 * 64, cname="zstd", clevel=3)
    blosc = hdf5plugin.Blosc2(cname="zstd", clevel=5, filters=hdf5plugin.Blosc2.BITSHUFFLE)
    found["tiles, float16, bits, zstd"] = Tiled(folder / "tiles16", np.float16, dict(bits))
    found["tiles, int16, bits, zstd"] = Tiled(folder / "tiles", np.int16, dict(bits))
    found["tiles, int16, blosc2"] = Tiled(folder / "blosc", np.int16, dict(blosc))
    return found


def layouts(folder: Path) -> dict[str, Storage]:
    """Tiles and filters of the store, by name."""
    found: dict[str, Storage] = {}
    bits = hdf5plugin.Blosc2.BITSHUFFLE
    for tile in (64, 96, 128):
        filters: dict[str, dict[str, Any]] = {
            "bits, zstd 3": dict(hdf5plugin.Bitshuffle(nelems=2 * tile * tile, cname="zstd", clevel=3)),
            "bits, zstd 6": dict(hdf5plugin.Bitshuffle(nelems=2 * tile * tile, cname="zstd", clevel=6)),
            "bits, lz4": dict(hdf5plugin.Bitshuffle(nelems=2 * tile * tile, cname="lz4")),
            "bytes, zstd 3": {"shuffle": True, **hdf5plugin.Zstd(clevel=3)},
            "blosc2, bits, zstd 5": dict(hdf5plugin.Blosc2(cname="zstd", clevel=5, filters=bits)),
            "bytes, gzip 4": FILTERS["gzip"],
        }
        for name, filter in filters.items():
            for by_rows in (False, True):
                key = f"{tile}, {name}, {'rows' if by_rows else 'plain'}"
                found[key] = Layout(folder / str(len(found)), tile, filter, by_rows)
    return found


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--weights", help="of raft_small: measure its flow too")
    parser.add_argument("--fields", type=int, default=36, help="of a video by DIS; RAFT a third of them")
    parser.add_argument("--crops", type=int, default=100, help="of 256 px, at random (default: 100)")
    parser.add_argument("--folder", type=Path, help="where to write; its disk is what is measured")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="6 fields a video by DIS, and 20 crops")
    parser.add_argument("--layouts", action="store_true", help="compare tiles and filters instead")
    options = parser.parse_args()
    if options.quick:
        options.fields, options.crops, options.weights = 6, 20, None
    kinds = layouts if options.layouts else storages
    sets = []
    for video, estimator, flows in _flows(options):
        rng = np.random.default_rng(options.seed)
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found = measure(flows, kinds(Path(folder)), options.crops, rng)
        height, width = flows.shape[2:]
        about = {"video": video, "estimator": estimator, "width": width, "height": height}
        sets.append({**about, "fields": len(flows), "float32_bytes": flows[0].nbytes, **found})
        _print(sets[-1])
    tell({"cores": os.cpu_count(), "seed": options.seed, "sets": sets})
    return 0


def measure(
    flows: np.ndarray, kept: dict[str, Storage], crops: int, rng: np.random.Generator
) -> dict[str, dict[str, Any]]:
    """Bytes a field, ms and px of every format; and our time for a crop as a share of others'."""
    formats: dict[str, dict[str, Any]] = {}
    for name, storage in kept.items():
        start = time.perf_counter()
        storage.write(flows)
        formats[name] = {"write_ms": 1000 * (time.perf_counter() - start) / len(flows)}
        size = sum(path.stat().st_size for path in storage.files()) / len(flows)
        formats[name] |= {"bytes": round(size), "times_smaller": round(flows[0].nbytes / size, 2)}
        worst = max(float(np.abs(storage.read(i, None) - flow).max()) for i, flow in enumerate(flows))
        formats[name]["max_error_px"] = worst
    for path in (path for storage in kept.values() for path in storage.files()):
        with open(path, "rb") as file:
            os.fsync(file)  # what is not on disk yet cannot be dropped from memory
    whole = [(int(i), None) for i in rng.permutation(len(flows))]
    boxes = [(int(rng.integers(len(flows))), _random_box(rng, *flows.shape[2:])) for _ in range(crops)]
    for key, places in (("read", whole), ("crop", boxes)):
        for cold in (False, True):
            for name, milliseconds in _read_all(kept, places, cold, rng).items():
                formats[name][f"{key}{'_cold' if cold else ''}_ms"] = milliseconds
    for name, storage in kept.items():
        began = time.process_time()
        for index, box in boxes:
            storage.read(index, box)
        formats[name]["crop_cpu_ms"] = 1000 * (time.process_time() - began) / len(boxes)
    if "store, zstd" not in formats:
        return {"formats": formats}
    speed = {name: round(1000 / row["crop_cpu_ms"]) for name, row in formats.items() if row["crop_cpu_ms"]}
    tiled = {name: speed[name] for name in speed if name.startswith(("store", "tiles"))}
    return {"formats": formats, "crop_as_share_of": _crop_shares(formats), "crops_a_cpu_second": tiled}


def _crop_shares(formats: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Our time for a crop as a share of that of other formats, the page cache warm and cold."""
    return {
        f"{ours}{' from disk' if 'cold' in key else ''}": {
            name: round(formats[ours][key] / formats[name][key], 3)
            for name in ("flo", "flo, mapped", "npz", "npz, compressed")
        }
        for key in ("crop_ms", "crop_cold_ms")
        for ours in ("store, zstd", "store, lz4")
        if formats[ours].get(key) is not None
    }


def _read_all(
    kept: dict[str, Storage],
    places: list[tuple[int, Box | None]],
    cold: bool,
    rng: np.random.Generator,
) -> dict[str, float | None]:
    """The median ms of a read by format; None where most files could not be dropped from memory before."""
    seconds: dict[str, list[float]] = {name: [] for name in kept}
    for index, box in places:
        for name in rng.permutation(list(kept)).tolist():  # what was read before has emptied the caches
            storage = kept[name]
            if cold and not _drop_from_memory(storage.file_of(index)):
                continue
            start = time.perf_counter()
            storage.read(index, box)
            seconds[name].append(time.perf_counter() - start)
    return {
        name: 1000 * statistics.median(found) if 2 * len(found) > len(places) else None
        for name, found in seconds.items()
    }


def _drop_from_memory(path: Path) -> bool:
    """Ask the system to forget a file's pages; False where it does not."""
    if not hasattr(os, "posix_fadvise") or not hasattr(os, "RWF_NOWAIT"):
        return False
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            os.preadv(file.fileno(), [bytearray(1)], path.stat().st_size // 2, os.RWF_NOWAIT)
        except BlockingIOError:
            return True  # it would have to be read from disk
        except OSError:
            return False  # the file system cannot tell
    return False


def _flows(options: argparse.Namespace) -> Iterator[tuple[str, str, np.ndarray]]:
    """The name of a video and of an estimator, and its flow (fields, 2, H, W) float32 px."""
    wanted: list[tuple[FlowEstimator, int]] = [(ESTIMATORS["dis"](), options.fields)]
    if options.weights:
        wanted.append((ESTIMATORS["raft_small"](weights=options.weights), max(options.fields // 3, 1)))
    for path in options.videos:
        video = open_video(path)
        for estimator, fields in wanted:
            groups = -(-fields // len(PAIRS))
            starts = np.linspace(0, len(video.frame_names) - 4, groups + 2)[1:-1].astype(int).tolist()
            flows = []
            for start in starts:
                frames = dict(video.read(range(start, start + 4)))
                flows.append(estimator.estimate(np.stack(list(frames.values())), PAIRS))
            yield video.name, estimator.name, np.concatenate(flows)[:fields].astype(np.float32)


def _inside(box: Box | None) -> tuple[slice, slice, slice]:
    if box is None:
        return np.s_[:, :, :]
    x, y, width, height = box
    return np.s_[:, y : y + height, x : x + width]


def _random_box(rng: np.random.Generator, height: int, width: int) -> Box:
    x, y = (int(rng.integers(side - CROP + 1)) for side in (width, height))
    return x, y, CROP, CROP


def _map_flo(path: Path) -> np.ndarray:
    width, height = (int(side) for side in np.fromfile(path, "<i4", 2, offset=4))
    return np.memmap(path, "<f4", "r", 12, (height, width, 2)).transpose(2, 0, 1)


def _read_npz(path: Path) -> np.ndarray:
    with np.load(path) as file:
        return file["flow"]


def _print(found: dict[str, Any]) -> None:
    keys = ("bytes", "times_smaller", "max_error_px", "write_ms", "read_ms", "crop_ms")
    keys += ("read_cold_ms", "crop_cold_ms", "crop_cpu_ms")
    size = f"{found['width']} x {found['height']} px, {found['fields']} fields"
    lines = [f"{found['video']}, {found['estimator']}, {size}"]
    lines.append(f"{'':34s}" + "".join(f"{key:>14s}" for key in keys))
    for name, row in found["formats"].items():
        cells = (f"{row[key]:.4g}" if row.get(key) is not None else "" for key in keys)
        row |= {key: round(value, 4) for key, value in row.items() if isinstance(value, float)}
        lines.append(f"{name:34s}" + "".join(f"{cell:>14s}" for cell in cells))
    print("\n".join(lines), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
