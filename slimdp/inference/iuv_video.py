"""Dense pose of a video, read again from `iuv.h5` (`slimdp/inference/writers/iuv_file.py` has the layout)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from flow_cache.runtime import hdf5
from slimdp.inference.writers.iuv_file import FORMAT, MAPS, ROWS, VERSION
from slimdp.surface.layout import PartLayout, layout_from_json

#: Frames without people take a thousandth of their size, which is the most that gzip can do.
_LARGEST_RATIO = 1100
_LARGEST_SIDE = 2**15  # px


class IuvFileError(ValueError):
    """A file of a video's dense pose that is damaged, or of another kind."""


@dataclass(frozen=True)
class IuvFrame:
    """The dense pose of everyone in one frame."""

    number: int  # of the frame in the source, from 0
    time_s: float  # when it is shown
    iuv: np.ndarray  # (H, W, 3) uint8: part 0..P, 255 u, 255 v
    track: np.ndarray  # (H, W) int32: whose pixel it is; 0 where nobody is
    boxes: dict[int, np.ndarray]  # by track: (4,) float64 x, y, width, height, px
    scores: dict[int, float]  # by track: of the detection


class IuvVideo:
    """A file of a video's dense pose, read frame by frame; use it as a context manager.

    Raises FileNotFoundError for none, IuvFileError for a damaged file or one of another kind.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            remedy = "slimdp video IN --out OUT --write iuv-h5 makes OUT/iuv.h5"
            raise FileNotFoundError(f"no dense pose of a video at {self.path}; {remedy}")
        try:
            self._file = hdf5.open_hdf5(self.path)
        except (OSError, hdf5.Hdf5ContentError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the system refused it, and the error names the file
            raise IuvFileError(f"{self.path} is not a whole HDF5 file: {error}") from error
        try:
            self._read_header()
        except (IuvFileError, hdf5.Hdf5ContentError, OSError, RuntimeError, KeyError) as error:
            self._file.close()
            raise self._damaged(str(error)) from error

    def __enter__(self) -> IuvVideo:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self.time_s)

    def __iter__(self) -> Iterator[IuvFrame]:
        return map(self.read, range(len(self)))

    def read(self, row: int) -> IuvFrame:
        """One frame by its place in the file; IuvFileError where it is damaged or says what cannot be."""
        try:
            iuv, track = self._file["iuv"][row], self._file["track"][row]
        except (OSError, RuntimeError) as error:
            raise self._damaged(f"frame {row} cannot be read: {error}") from error
        number = self.first_frame + row
        if (most := int(iuv[..., 0].max(initial=0))) > len(self.layout.parts):
            found = f"frame {number} holds part {most}, but the layout has {len(self.layout.parts)}"
            raise self._damaged(found)
        if not np.array_equal(iuv[..., 0] > 0, track > 0):
            raise self._damaged(f"frame {number} has parts where nobody is, or people without parts")
        people = slice(*np.searchsorted(self._row_of_person, [row, row + 1]))
        tracks = self._tracks[people].tolist()
        boxes = dict(zip(tracks, self._box[people], strict=True))
        scores = dict(zip(tracks, self._score[people].tolist(), strict=True))
        return IuvFrame(number, float(self.time_s[row]), iuv, track, boxes, scores)

    def _read_header(self) -> None:
        """Read all but the maps, once attributes and shapes are as they should be."""
        root = self._file["/"]
        told = {name: hdf5.has_attribute(root, name) for name in ("format", "version")}
        found = (
            hdf5.text(root, "format") if told["format"] else None,
            hdf5.integer(root, "version", 0, 2**31) if told["version"] else None,
        )
        if found != (FORMAT, VERSION):
            wanted = f"{FORMAT!r}, version {VERSION} is wanted, as slimdp video --write iuv-h5 makes it"
            raise IuvFileError(f"the format is {found[0]!r}, version {found[1]}, but {wanted}")
        self.name = hdf5.text(root, "video")
        self.width, self.height = (hdf5.integer(root, side, 1, _LARGEST_SIDE) for side in ("width", "height"))
        self.rate = _rate(self._file)
        self.layout = _layout(hdf5.text(root, "layout"))
        rows = {name: self._rows(name) for name in ROWS}
        self.time_s: np.ndarray = rows["time_s"]  # (T,) float64
        self._row_of_person, self._tracks = rows["people/frame"], rows["people/track"]
        self._box, self._score = rows["people/box"], rows["people/score"]
        self.first_frame = int(rows["frame"][0]) if len(rows["frame"]) else 0
        for name, channels in MAPS.items():
            maps = hdf5.dataset(root, name)
            shape = (len(self), self.height, self.width, *channels)
            hdf5.require_array(maps, shape, np.uint8 if name == "iuv" else np.int32)
            hdf5.require_all_held(maps, _LARGEST_RATIO)
        self._check_rows(rows)

    def _rows(self, name: str) -> np.ndarray:
        """All of a data set of some numbers a frame or person."""
        group, _, member = name.rpartition("/")
        data = hdf5.dataset(hdf5.subgroup(self._file["/"], group) if group else self._file["/"], member)
        shape, dtype = ROWS[name]
        hdf5.require_array(data, (None, *shape), dtype)
        hdf5.require_all_held(data)
        values: np.ndarray = data[:]
        return values

    def _check_rows(self, rows: dict[str, np.ndarray]) -> None:
        def require(fine: Any, problem: str) -> None:
            if not fine:
                raise IuvFileError(problem)

        people = {len(values) for name, values in rows.items() if name.startswith("people/")}
        require(len(people) == 1, "people's data sets are not of one length")
        require(len(rows["frame"]) == len(self), "frame and time_s are not of one length")
        require((np.diff(rows["frame"]) == 1).all(), "the frames' numbers do not rise by 1")
        frame, track, box = self._row_of_person, self._tracks, self._box
        fine = not len(frame) or (frame[0] >= 0 and frame[-1] < len(self) and (np.diff(frame) >= 0).all())
        require(fine, "people are in frames that the file lacks, or out of order")
        require((track > 0).all(), "people have tracks below 1")
        pairs = np.unique(np.stack([frame, track]), axis=1)
        require(pairs.shape[1] == len(frame), "somebody is twice in a frame")
        require(np.isfinite(box).all() and (box[:, 2:] > 0).all(), "people have boxes without a size")

    def _damaged(self, problem: str) -> IuvFileError:
        return IuvFileError(f"{self.path}: {problem}")


def _layout(text: str) -> PartLayout:
    try:
        return layout_from_json(json.loads(text))
    except ValueError as error:
        raise IuvFileError(f"layout: {error}") from error


def _rate(file: h5py.File) -> float:
    """Frames a second."""
    rate = file.attrs.get("rate")
    if not isinstance(rate, (float, np.floating)) or not 0 < rate < np.inf:
        raise IuvFileError(f"@rate is {rate!r}; wanted frames a second")
    return float(rate)
