"""Detections in DensePose's result format, the file that any system can write and any evaluator reads.

A JSON list with an object for each detection:

| field | meaning |
|---|---|
| image_id, category_id | as in the annotation file |
| bbox | x, y, width, height, image px |
| score | confidence, 0 or more |
| uv_shape | [3, H, W]: the size of the map, that of the box in whole px |
| uv_data | base64 of a PNG of that size: part 0..P, 255 u, 255 v as red, green, blue |
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.runtime.atomic import atomic_write
from slimdp.evaluation.instances import FARTHEST_PX, Detection
from slimdp.evaluation.iuv_png import decode_iuv, encode_iuv
from slimdp.evaluation.json_entries import json_entries
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE

#: Box and map may differ by what rounding to whole px makes of it.
_ROUNDING_PX = 1 + 1e-6
#: Maps are decoded ahead of the one that is asked for up to about as many px: 50 MB.
_AHEAD_PX = 2**24
_ONCE_AN_ENTRY = b'"uv_data"'


class ResultFileError(ValueError):
    """A file of results that cannot be scored, and which entry of it is at fault."""


def write_results(path: str | Path, detections: Iterable[Detection], category_id: int = 1) -> None:
    """Write detections as DensePose results, one a line; the whole file or nothing."""
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        separator = "["
        for detection in detections:
            entry = {
                "image_id": detection.image_id,
                "category_id": category_id,
                "bbox": [float(value) for value in detection.box],
                "score": float(detection.score),
                "uv_shape": list(detection.iuv.shape),
                "uv_data": encode_iuv(detection.iuv),
            }
            file.write(separator + json.dumps(entry, allow_nan=False))
            separator = ",\n"
        file.write("[]\n" if separator == "[" else "]\n")


def read_results(
    path: str | Path,
    image_ids: Collection[int] | None = None,
    category_ids: Collection[int] | None = None,
    layout: PartLayout = PEOPLE,
    threads: int = 2,
) -> Iterator[Detection]:
    """The detections of a file of DensePose results, one by one: those of `ResultReader`."""
    return ResultReader(path, layout, threads).detections(image_ids, category_ids)


def count_entries(path: str | Path) -> int:
    """How many entries a file of results has, by a look through its bytes: for progress alone."""
    count, end = 0, b""
    with open(path, "rb") as file:
        while block := file.read(1 << 24):
            count += (end + block).count(_ONCE_AN_ENTRY)
            end = block[1 - len(_ONCE_AN_ENTRY) :]
    return count


class ResultReader:
    """Reads a file of DensePose results; its maps are decoded in threads, some ahead of the one asked for.

    Decoding begins at once, so that other files can be read meanwhile.

    Args:
        path: the JSON file.
        layout: the parts that there are.
        threads: that decode.

    Raises:
        FileNotFoundError, JsonListError, ResultFileError: as `detections`, of the first entries.
    """

    def __init__(self, path: str | Path, layout: PartLayout = PEOPLE, threads: int = 2) -> None:
        self._check = _EntryCheck(Path(path), len(layout.parts))
        self._entries = enumerate(json_entries(path))
        self._waiting: deque[tuple[_Header, Future[tuple[Detection, bytes]]]] = deque()
        self._waiting_px = 0
        self._pool = ThreadPoolExecutor(threads)
        try:
            self._look_ahead()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ResultReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def detections(
        self, image_ids: Collection[int] | None = None, category_ids: Collection[int] | None = None
    ) -> Iterator[Detection]:
        """The detections in the order of the file, once.

        Args:
            image_ids: the images that there are; None: any.
            category_ids: the categories of people; None: any.

        Raises:
            FileNotFoundError: no such file.
            JsonListError: not a whole JSON list.
            ResultFileError: naming the file, the entry (from 0), its image and the field: something missing,
                not finite, negative or of another type; a map that is damaged or of another size than said;
                a box that the map does not fill; an image or a category that is not there; an entry twice.
        """
        try:
            while self._waiting:
                header, decoded = self._waiting.popleft()
                self._waiting_px -= header.pixels
                self._check.known(header, image_ids, category_ids)
                detection, digest = decoded.result()
                self._check.refuse_twice(header, digest)
                self._look_ahead()
                yield detection
        finally:
            self.close()

    def _look_ahead(self) -> None:
        while self._waiting_px < _AHEAD_PX or not self._waiting:
            entry = next(self._entries, None)
            if entry is None:
                return
            header = self._check.header(*entry)
            self._waiting.append((header, self._pool.submit(self._check.detection, header)))
            self._waiting_px += header.pixels

    def close(self) -> None:
        """End the threads; what is left is not read."""
        self._pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Header:
    """An entry whose fields are checked and whose map is not decoded yet."""

    index: int
    image_id: int
    category_id: int
    box: np.ndarray
    score: float
    height: int
    width: int
    text: str

    @property
    def pixels(self) -> int:
        return self.height * self.width


class _EntryCheck:
    """Turns entries of one file into detections, or says what is wrong with them."""

    def __init__(self, path: Path, parts: int) -> None:
        self._path, self._parts = path, parts
        self._seen: dict[bytes, int] = {}

    def header(self, index: int, entry: Any) -> _Header:
        """Check all but the map, and what other files know."""
        if not isinstance(entry, dict):
            raise ResultFileError(f"{self._path}: entry {index}: no object, but {type(entry).__name__}")
        image_id = self._whole(index, entry, "image_id")
        category = self._whole(index, entry, "category_id")
        box = np.array(self._numbers(index, entry, "bbox", 4))
        if (box[2:] <= 0).any():
            raise self._error(index, entry, "bbox", f"{box.tolist()}, but width and height must be positive")
        (score,) = self._numbers(index, {**entry, "score": [entry.get("score")]}, "score", 1)
        if score < 0:
            raise self._error(index, entry, "score", f"{score:g}, but 0 or more is wanted")
        height, width = self._shape(index, entry, box)
        text = entry.get("uv_data")
        if not isinstance(text, str) or not text:
            raise self._error(index, entry, "uv_data", "missing or no text, but base64 of a PNG is wanted")
        return _Header(index, image_id, category, box, score, height, width, text)

    def known(
        self, header: _Header, image_ids: Collection[int] | None, category_ids: Collection[int] | None
    ) -> None:
        """Refuse images and categories that are not there."""
        entry = {"image_id": header.image_id}
        if image_ids is not None and header.image_id not in image_ids:
            raise self._error(header.index, entry, "image_id", "no such image in the annotation file")
        if category_ids is not None and header.category_id not in category_ids:
            known = ", ".join(map(str, sorted(category_ids)))
            problem = f"{header.category_id}, but people are of category {known}"
            raise self._error(header.index, entry, "category_id", problem)

    def detection(self, header: _Header) -> tuple[Detection, bytes]:
        """Decode the map; also a hash of the entry. In a thread: both leave the others the interpreter."""
        told = f"{header.image_id} {header.box.tolist()} {header.score!r} {header.text}"
        digest = hashlib.blake2b(told.encode(), digest_size=16).digest()
        try:
            iuv = decode_iuv(header.text, header.height, header.width, self._parts)
        except ValueError as error:
            entry = {"image_id": header.image_id}
            raise self._error(header.index, entry, "uv_data", str(error)) from None
        return Detection(header.image_id, header.box, header.score, iuv), digest

    def refuse_twice(self, header: _Header, digest: bytes) -> None:
        """Refuse an entry that came before."""
        first = self._seen.setdefault(digest, header.index)
        if first != header.index:
            problem = f"the same detection as entry {first}; each is wanted once"
            raise self._error(header.index, {"image_id": header.image_id}, "uv_data", problem)

    def _shape(self, index: int, entry: dict[str, Any], box: np.ndarray) -> tuple[int, int]:
        """Height and width of the map, px; those of the box but for rounding."""
        shape = self._numbers(index, entry, "uv_shape", 3)
        if shape[0] != 3 or any(side < 1 or side != int(side) for side in shape):
            raise self._error(index, entry, "uv_shape", f"{entry['uv_shape']}, but [3, H, W] is wanted")
        height, width = int(shape[1]), int(shape[2])
        if abs(width - box[2]) > _ROUNDING_PX or abs(height - box[3]) > _ROUNDING_PX:
            raise self._error(
                index,
                entry,
                "uv_shape",
                f"a map of {width} x {height} px, but a box of {box[2]:g} x {box[3]:g} px: a map in the "
                "scale of the image is wanted",
            )
        return height, width

    def _whole(self, index: int, entry: dict[str, Any], field: str) -> int:
        value = entry.get(field)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._error(index, entry, field, f"{value!r}, but a whole number is wanted")
        return value

    def _numbers(self, index: int, entry: dict[str, Any], field: str, count: int) -> list[float]:
        values = entry.get(field)
        single = "a number is" if count == 1 else f"a list of {count} numbers is"
        if not isinstance(values, list) or len(values) != count:
            raise self._error(index, entry, field, f"{_short(values)}, but {single} wanted")
        for value in values:
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not abs(value) <= FARTHEST_PX:  # NaN is not below anything
                raise self._error(index, entry, field, f"{_short(value)}, but {single} wanted, finite")
        return [float(value) for value in values]

    def _error(self, index: int, entry: dict[str, Any], field: str, problem: str) -> ResultFileError:
        image = _short(entry.get("image_id"))
        return ResultFileError(f"{self._path}: entry {index} (image {image}): {field}: {problem}")


def _short(value: object) -> str:
    told = repr(value)
    return told if len(told) <= 60 else told[:57] + "..."
