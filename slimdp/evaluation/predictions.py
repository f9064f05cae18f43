"""What a network says of people: saved in predictions.h5, and read in the images that they are in.

One file holds N people in arrays of N rows, the maps in one gzip chunk a person, so that any HDF5 reader
opens it and one person is read without the others. Evaluation knows nothing but this file: whatever writes
it can be scored, by the path of DensePose results (`as_detection`).

| dataset | shape | type | meaning |
|---|---|---|---|
| image_id, annotation_id | (N,) | int64 | the person; annotation ids alone repeat in real files |
| box | (N, 4) | float64 | x, y, width, height, image px |
| score | (N,) | float64 | confidence of the detection; 1 for a box of the ground truth |
| crop_from_image | (N, 2, 3) | float64 | crop px = A @ (x, y, 1) of image px |
| part | (N, S, S) | uint8 | the best of the parts 1..P |
| uv | (N, 2, S, S) | float16 | u and v in [0, 1] on that part |
| foreground | (N, S, S) | bool | whether the pixel is the person |
| error_cm | (N, S, S) | float16 | optional: what 90 % of the errors lie under, cm along the body |

Attributes: `format`, `version`, `crop_size` (S, px), `layout` (the parts, as JSON; people's where there is
none) and the origin's fields, of which files of earlier versions lack `category_id`: 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from flow_cache.runtime import hdf5
from flow_cache.runtime.atomic import atomic_write
from flow_cache.runtime.words import quoted
from slimdp.evaluation.densepose_results import FARTHEST_PX, MOST_PIXELS, Detection
from slimdp.geometry import apply_affine, invert_affine
from slimdp.structures import DensePoseInstance
from slimdp.surface.layout import PartLayout, layout_from_json
from slimdp.surface.people import PEOPLE

FORMAT = "slimdp predictions"
VERSION = 1
#: The datasets that hold a map a person.
MAPS = ("part", "uv", "foreground", "error_cm")
#: Of these the one that a file may lack: its network has no error bars.
OPTIONAL = "error_cm"
#: The one field of an origin that is a number.
_CATEGORY = "category_id"
#: Maps of one value take a thousandth of their size, which is the most that gzip can do.
_LARGEST_RATIO = 1100
_LARGEST_CROP = 8192  # px


class PredictionFileError(ValueError):
    """A predictions file that is damaged, of another kind, or without the person asked for."""


@dataclass(frozen=True)
class PredictionOrigin:
    """Where predictions come from."""

    checkpoint: str = ""  # file of the network's weights
    checkpoint_sha256: str = ""
    annotations: str = ""  # file whose boxes were predicted
    category_id: int = 1  # what that file calls people; DensePose results name it


def _schema(size: int) -> dict[str, tuple[tuple[int, ...], type]]:
    """Dataset -> shape of a row and type, for crops of `size` px."""
    return {
        "image_id": ((), np.int64),
        "annotation_id": ((), np.int64),
        "box": ((4,), np.float64),
        "score": ((), np.float64),
        "crop_from_image": ((2, 3), np.float64),
        "part": ((size, size), np.uint8),
        "uv": ((2, size, size), np.float16),
        "foreground": ((size, size), np.bool_),
        OPTIONAL: ((size, size), np.float16),
    }


class PredictionWriter:
    """Writes predictions one by one; the file takes its name when the `with` block ends without an error.

    An older file of that name is replaced at the end. `crop_size` is S, the side of the maps, px; `layout`
    the parts that they speak of.
    """

    def __init__(
        self,
        path: str | Path,
        crop_size: int,
        origin: PredictionOrigin | None = None,
        layout: PartLayout = PEOPLE,
    ) -> None:
        if crop_size < 1:
            raise ValueError(f"crop_size = {crop_size}, but a positive number of px is wanted")
        self.path, self.crop_size, self.layout = Path(path), crop_size, layout
        self._origin = origin or PredictionOrigin()
        self._keys: set[tuple[int, int]] = set()
        self._exit = ExitStack()
        self._file: h5py.File | None = None
        self._disk: hdf5.DiskFile | None = None

    def __enter__(self) -> PredictionWriter:
        temporary = self._exit.enter_context(atomic_write(self.path))
        self._file, self._disk = self._exit.enter_context(hdf5.new_hdf5(temporary))
        header = {"format": FORMAT, "version": VERSION, "crop_size": self.crop_size}
        self._file.attrs.update(header | {"layout": json.dumps(self.layout.as_json())} | asdict(self._origin))
        for name in _schema(self.crop_size):
            if name != OPTIONAL:
                self._create(name)
        return self

    def _create(self, name: str) -> None:
        assert self._file is not None
        row, dtype = _schema(self.crop_size)[name]
        if name in MAPS:  # one chunk a person
            storage = {"chunks": (1, *row), "compression": "gzip", "compression_opts": 1, "shuffle": True}
        else:
            storage = {"chunks": (1024, *row)}
        self._file.create_dataset(name, (0, *row), dtype, maxshape=(None, *row), fletcher32=True, **storage)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file = self._disk = None
        self._exit.__exit__(kind, error, trace)

    def write(self, prediction: DensePoseInstance) -> None:
        """Append one person; raises ValueError if its maps are not as the file needs them, or it is there."""
        if self._file is None or self._disk is None:
            use = "use `with PredictionWriter(...) as writer`"
            raise ValueError(f"{self.path} is not open for writing: {use}")
        key = (prediction.image_id, prediction.annotation_id)
        if key in self._keys:
            raise ValueError(f"image {key[0]}, annotation {key[1]} was already written to {self.path}")
        check_prediction(prediction, self.crop_size, str(self.path), self.layout)
        row, has_bars = len(self._keys), prediction.error_cm is not None
        if has_bars and not row:
            self._create(OPTIONAL)
        if has_bars != (OPTIONAL in self._file):
            raise ValueError(f"{self.path}: some of the people have error bars; wanted of all or of none")
        for name in _schema(self.crop_size):
            if name not in self._file:
                continue
            self._file[name].resize(row + 1, axis=0)
            self._file[name][row] = getattr(prediction, name)
        self._disk.check()
        self._keys.add(key)


class PredictionFile:
    """A predictions file to read: `for prediction in file`, or `file.read(image_id, annotation_id)`.

    Every byte of it has a checksum, in files that were written before this the maps alone. Use it as a
    context manager. Raises PredictionFileError for a damaged file or one of another kind, FileNotFoundError
    for none.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        try:
            self.crop_size, self.layout, self.origin = _read_header(self._file, self.path)
            ids = [_read(self._file, name, slice(None), self.path) for name in ("image_id", "annotation_id")]
            keys = np.stack(ids, axis=1).tolist()
            self._row = {(image, annotation): row for row, (image, annotation) in enumerate(keys)}
            if len(self._row) < len(keys):
                twice = len(keys) - len(self._row)
                raise PredictionFileError(f"{self.path} holds {twice} people more than once")
        except (PredictionFileError, hdf5.Hdf5ContentError, OSError, RuntimeError, KeyError) as error:
            self._file.close()
            if isinstance(error, PredictionFileError):
                raise
            if isinstance(error, hdf5.Hdf5ContentError):
                raise PredictionFileError(f"{self.path}: {error}; run slimdp predict again") from error
            raise PredictionFileError(f"{self.path} is damaged: {error}; predict it again") from error

    @property
    def has_error_bars(self) -> bool:
        """Whether it says of every pixel how far off it may be."""
        return OPTIONAL in self._file

    def keys(self) -> tuple[tuple[int, int], ...]:
        """(image id, annotation id) of everyone in the file, in its order."""
        return tuple(self._row)

    def read(self, image_id: int, annotation_id: int) -> DensePoseInstance:
        """One person; raises PredictionFileError if the file lacks it or its maps are damaged."""
        row = self._row.get((image_id, annotation_id))
        if row is None:
            absent = f"{self.path} has no prediction for image {image_id}, annotation {annotation_id}"
            held = f"(it holds {len(self)} people); was it made from the same annotation file?"
            raise PredictionFileError(f"{absent} {held}")
        kept = [f.name for f in fields(DensePoseInstance) if f.name != OPTIONAL or OPTIONAL in self._file]
        values = {name: _read(self._file, name, row, self.path) for name in kept}
        for name in ("annotation_id", "image_id", "score"):
            values[name] = values[name].item()
        prediction = DensePoseInstance(**values)
        check_prediction(prediction, self.crop_size, str(self.path), self.layout)
        return prediction

    def __contains__(self, key: object) -> bool:
        return key in self._row

    def __iter__(self) -> Iterator[DensePoseInstance]:
        return (self.read(*key) for key in self._row)

    def __len__(self) -> int:
        return len(self._row)

    def __enter__(self) -> PredictionFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def check_prediction(
    prediction: DensePoseInstance, crop_size: int, where: str, layout: PartLayout = PEOPLE
) -> None:
    """Raise PredictionFileError, naming the person and the field, unless all values are possible."""

    def require(fine: Any, problem: str) -> None:
        if not fine:
            person = f"image {prediction.image_id}, annotation {prediction.annotation_id}"
            raise PredictionFileError(f"{where}: {person}: {problem}")

    absent = () if prediction.error_cm is not None else (OPTIONAL,)
    for name, (row, _) in _schema(crop_size).items():
        if name in absent:
            continue
        shape = np.shape(getattr(prediction, name))
        require(shape == row, f"{name} has shape {shape}, but {row} is wanted")
    for name in ("box", "score", "crop_from_image", "uv"):
        require(np.isfinite(getattr(prediction, name)).all(), f"{name} holds values that are not finite")
    box, crop = np.asarray(prediction.box), np.asarray(prediction.crop_from_image)
    wanted = f"but a width and height above 0 are wanted, and no more than {FARTHEST_PX:g} px"
    require((box[2:] > 0).all() and np.abs(box).max() <= FARTHEST_PX, f"box = {box.tolist()}, {wanted}")
    require(prediction.score >= 0, f"score = {prediction.score:g}, but 0 or more is wanted")
    wanted = "but a map that can be turned back is wanted"
    turns = crop[0, 0] * crop[1, 1] != crop[0, 1] * crop[1, 0]
    require(turns, f"crop_from_image = {crop.tolist()}, {wanted}")
    least, most, parts = prediction.part.min(), prediction.part.max(), len(layout.parts)
    require(least >= 1 and most <= parts, f"part runs from {least} to {most}, but 1..{parts} is wanted")
    least, most = prediction.uv.min(), prediction.uv.max()
    require(least >= 0 and most <= 1, f"uv runs from {least} to {most}, but 0..1 is wanted")
    if prediction.error_cm is not None:
        fine = np.isfinite(prediction.error_cm).all() and prediction.error_cm.min() >= 0
        require(fine, "error_cm holds values that are no centimetres of at least 0")


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise FileNotFoundError(f"no predictions at {path}; run: slimdp predict --out {quoted(path)}")
    try:
        return hdf5.open_hdf5(path)
    except (OSError, hdf5.Hdf5ContentError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system refused it, and the error names the file
        raise PredictionFileError(f"{path} is not a whole HDF5 file: {error}") from error


def _read(file: h5py.File, name: str, row: int | slice, path: Path) -> Any:
    try:
        return file[name][row]
    except (OSError, RuntimeError, KeyError) as error:
        where = f"{name}, row {row}" if isinstance(row, int) else name
        problem = f"{where} cannot be read: {error}; the file is damaged, predict it again"
        raise PredictionFileError(f"{path}: {problem}") from error


def _read_header(file: h5py.File, path: Path) -> tuple[int, PartLayout, PredictionOrigin]:
    """Crop size, px, parts and origin, once attributes and shapes of datasets are as they should be."""
    root = file["/"]

    found = (
        hdf5.text(root, "format") if hdf5.has_attribute(root, "format") else None,
        hdf5.integer(root, "version", 0, 2**31) if hdf5.has_attribute(root, "version") else None,
    )
    if found != (FORMAT, VERSION):
        wanted = f"but {FORMAT!r}, version {VERSION} is wanted"
        raise PredictionFileError(f"{path} is of format {found[0]!r}, version {found[1]}, {wanted}")
    size = hdf5.integer(root, "crop_size", 1, _LARGEST_CROP)
    hdf5.require_plain(file, [name for name in _schema(size) if name not in MAPS])
    held = [name for name in _schema(size) if name != OPTIONAL or OPTIONAL in file]
    hdf5.require_plain(file, [name for name in MAPS if name in held], _LARGEST_RATIO)
    for name in held:
        row, dtype = _schema(size)[name]
        data = file.get(name)
        if not isinstance(data, h5py.Dataset) or data.dtype != dtype or data.shape[1:] != row:
            found_text = f"{data.dtype} {data.shape}" if isinstance(data, h5py.Dataset) else "nothing"
            wanted = f"but {np.dtype(dtype)} (N, ...{row}) is wanted"
            raise PredictionFileError(f"{path}: {name} is {found_text}, {wanted}")
        if len(data) != len(file["image_id"]):
            rows = f"{len(data)} rows, but image_id has {len(file['image_id'])}"
            raise PredictionFileError(f"{path}: {name} has {rows}")
    return size, _read_layout(root, path), _read_origin(root)


def _read_origin(root: h5py.Group) -> PredictionOrigin:
    kept = [f.name for f in fields(PredictionOrigin) if hdf5.has_attribute(root, f.name)]
    origin: dict[str, Any] = {name: hdf5.text(root, name) for name in kept if name != _CATEGORY}
    if _CATEGORY in kept:
        origin[_CATEGORY] = hdf5.integer(root, _CATEGORY, -(2**63), 2**63 - 1)
    return PredictionOrigin(**origin)


def _read_layout(root: h5py.Group, path: Path) -> PartLayout:
    if not hdf5.has_attribute(root, "layout"):
        return PEOPLE  # written before surfaces said which parts they have
    try:
        return layout_from_json(json.loads(hdf5.text(root, "layout")))
    except ValueError as error:
        raise PredictionFileError(f"{path}: layout: {error}; run slimdp predict again") from error


def nearest_pixels(prediction: DensePoseInstance, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The crop's pixel nearest to each of places (N, 2) x, y, px of the image.

    Returns (N, 2) int64 column and row, 0 where the place is outside the crop; (N,) bool, whether it is
    inside.
    """
    crop_points = apply_affine(prediction.crop_from_image, points)
    # A half goes up: numpy's rint would send 0.5 and 1.5 to even numbers.
    pixels = np.floor(crop_points + 0.5)
    inside = ((pixels >= 0) & (pixels < prediction.part.shape[0])).all(axis=1)
    return np.where(inside[:, None], pixels, 0).astype(np.int64), inside


def paste_prediction(prediction: DensePoseInstance, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A prediction in the frame of its image, width x height px; returns as `prediction_in_window`."""
    edge = prediction.part.shape[0] - 0.5
    corners = np.array([[-0.5, -0.5], [edge, -0.5], [-0.5, edge], [edge, edge]])
    corners = apply_affine(invert_affine(prediction.crop_from_image), corners)
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)) + 1, [width, height]).astype(int)
    part = np.zeros((height, width), dtype=np.uint8)
    uv = np.zeros((2, height, width), dtype=np.float32)
    if x0 < x1 and y0 < y1:
        part[y0:y1, x0:x1], uv[:, y0:y1, x0:x1] = prediction_in_window(prediction, x0, y0, x1 - x0, y1 - y0)
    return part, uv


def prediction_in_window(
    prediction: DensePoseInstance, x0: int, y0: int, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """A prediction at the image's pixels from column x0, row y0 on, each read from the nearest of the crop.

    Returns part (height, width) uint8, 0 where it is not the person; uv (2, height, width) float32, 0 there.
    """
    part = np.zeros((height, width), dtype=np.uint8)
    uv = np.zeros((2, height, width), dtype=np.float32)
    y, x = np.mgrid[y0 : y0 + height, x0 : x0 + width]
    pixels, inside = nearest_pixels(prediction, np.stack([x.ravel(), y.ravel()], axis=1))
    column, row = pixels.T
    person = (inside & prediction.foreground[row, column]).reshape(x.shape)
    column, row = column.reshape(x.shape)[person], row.reshape(x.shape)[person]
    part[person] = prediction.part[row, column]
    uv[:, person] = prediction.uv[:, row, column]
    return part, uv


#: How a prediction is read at the pixels of a window of its image, as `prediction_in_window` does.
ReadWindow = Callable[[DensePoseInstance, int, int, int, int], tuple[np.ndarray, np.ndarray]]


def as_detection(
    prediction: DensePoseInstance, read_window: ReadWindow = prediction_in_window, category_id: int = 1
) -> Detection:
    """A prediction as a DensePose result would hold it, of somebody of a category.

    The crop is read at the image's pixels inside the box, which is widened to whole px: pixel (j, i) of the
    map is row floor(y0) + j, column floor(x0) + i of the image. Foreground outside the box is left out, as a
    result's map ends with its box.

    Raises ValueError for a box that no picture could hold.
    """
    x0, y0 = np.floor(prediction.box[:2])
    x1, y1 = np.maximum(np.ceil(prediction.box[:2] + prediction.box[2:]), [x0 + 1, y0 + 1])
    if not (x1 - x0) * (y1 - y0) <= MOST_PIXELS:
        whose = f"image {prediction.image_id}, annotation {prediction.annotation_id}"
        found = f"a box of {prediction.box.tolist()} px"
        raise ValueError(f"{whose}: {found}, but at most {MOST_PIXELS} px are read")
    width, height = int(x1 - x0), int(y1 - y0)
    part, uv = read_window(prediction, int(x0), int(y0), width, height)
    box = np.array([x0, y0, width, height], dtype=np.float64)
    iuv = np.concatenate([part[None], np.rint(255 * uv).astype(np.uint8)])
    return Detection(prediction.image_id, box, prediction.score, iuv, category_id)
