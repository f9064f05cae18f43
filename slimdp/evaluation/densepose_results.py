"""Detections in DensePose's result format, the file that any system can write and any evaluator reads.

A JSON list with an object for each detection:

| field | meaning |
|---|---|
| image_id, category_id | as in the annotation file |
| bbox | x, y, width, height, image px |
| score | confidence, 0 or more |
| uv_shape | [3, H, W]: the size of the map, that of the box in whole px |
| uv_data | base64 of a PNG of that size: part 0..P, 255 u, 255 v as red, green, blue |
| track_id | of a video alone: who it is; readers that do not know it pass over it |
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from flow_cache.runtime.atomic import atomic_write
from flow_cache.runtime.json_file import JsonFileError, json_decoder, open_json_text
from slimdp.surface.layout import PartLayout
from slimdp.surface.people import PEOPLE

#: Boxes that reach farther are mistakes, px.
FARTHEST_PX = 1e9
#: Box and map may differ by what rounding to whole px makes of it.
_ROUNDING_PX = 1 + 1e-6
#: Maps are decoded ahead of the one that is asked for up to about as many px: 50 MB.
_AHEAD_PX = 2**24
_ONCE_AN_ENTRY = b'"uv_data"'
#: Largest map that is decoded, px: a frame of 8K. A PNG of a few kilobytes can promise gigabytes.
MOST_PIXELS = 2**25
#: libpng reads no longer one.
LONGEST_SIDE = 1_000_000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BITS, _RGB = 8, 2
_CHUNK = 1 << 22  # characters read at once
_THREADS = 2  # that decode maps
#: Longest entry that is read, characters: base64 of the largest map that is decoded, uncompressed.
MOST_CHARACTERS = 1 << 27
_NO_SPACE = re.compile(r"[^ \t\n\r]")


@dataclass(frozen=True)
class Detection:
    """One detected person: what is at each pixel of the box, in the scale of the image.

    Pixel (row j, column i) of the map answers for places x0 + i <= x < x0 + i + 1, y0 + j <= y < y0 + j + 1.
    """

    image_id: int
    box: np.ndarray  # (4,) float64 x0, y0, width, height, image px
    score: float
    iuv: np.ndarray  # (3, H, W) uint8: part 0..P (0 background), 255 u, 255 v
    category_id: int = 1  # of people in the annotation file; COCO's person


class ResultFileError(ValueError):
    """A file of results that cannot be scored, and which entry of it is at fault."""


def write_results(path: str | Path, detections: Iterable[Detection]) -> None:
    """Write detections as DensePose results, one a line; the whole file or nothing."""
    write_result_lines(path, map(result_line, detections))


def result_line(detection: Detection, track_id: int | None = None) -> str:
    """A detection's object in a file of results, as JSON in one line, with who it is in a video if known."""
    entry = {
        "image_id": detection.image_id,
        "category_id": detection.category_id,
        "bbox": [float(value) for value in detection.box],
        "score": float(detection.score),
        "uv_shape": list(detection.iuv.shape),
        "uv_data": encode_iuv(detection.iuv),
    }
    return json.dumps(entry if track_id is None else {**entry, "track_id": track_id}, allow_nan=False)


def write_result_lines(path: str | Path, lines: Iterable[str]) -> None:
    """Write a file of results from the lines of its detections; the whole file or nothing."""
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write("[")
        for index, line in enumerate(lines):
            file.write(line if index == 0 else ",\n" + line)
        file.write("]\n")


def read_results(
    path: str | Path,
    image_ids: Collection[int] | None = None,
    category_ids: Collection[int] | None = None,
    layout: PartLayout = PEOPLE,
) -> Iterator[Detection]:
    """The detections of a file of DensePose results, one by one: those of `ResultReader`."""
    return ResultReader(path, layout).detections(image_ids, category_ids)


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

    Decoding begins at once, so that other files can be read meanwhile. Raises as `detections`, of the first
    entries.
    """

    def __init__(self, path: str | Path, layout: PartLayout = PEOPLE) -> None:
        self._path, self._parts = Path(path), len(layout.parts)
        self._entries = enumerate(json_entries(path))
        self._waiting: deque[tuple[_Entry, Future[tuple[Detection, bytes]]]] = deque()
        self._waiting_px = 0
        self._seen: dict[bytes, int] = {}  # hash of an entry -> where it is
        self._pool = ThreadPoolExecutor(_THREADS)
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
        """The detections in the order of the file, once, of images and categories that there are; None: any.

        Raises:
            FileNotFoundError: no such file. JsonListError: not a whole JSON list.
            ResultFileError: naming the file, the entry (from 0), its image and the field: something missing,
                not finite, negative or of another type; a map that is damaged or of another size than said;
                a box that the map does not fill; an image or a category that is not there; an entry twice.
        """
        try:
            while self._waiting:
                entry, decoded = self._waiting.popleft()
                self._waiting_px -= entry.pixels
                if image_ids is not None and entry.image_id not in image_ids:
                    raise entry.error("image_id", "no such image in the annotation file")
                if category_ids is not None and entry.category_id not in category_ids:
                    known = ", ".join(map(str, sorted(category_ids)))
                    raise entry.error(
                        "category_id", f"{entry.category_id}, but people are of category {known}"
                    )
                detection, digest = decoded.result()
                first = self._seen.setdefault(digest, entry.index)
                if first != entry.index:
                    raise entry.error("uv_data", f"the same detection as entry {first}; each is wanted once")
                self._look_ahead()
                yield detection
        finally:
            self.close()

    def _look_ahead(self) -> None:
        while self._waiting_px < _AHEAD_PX or not self._waiting:
            found = next(self._entries, None)
            if found is None:
                return
            entry = _Entry(self._path, *found)
            self._waiting.append((entry, self._pool.submit(entry.detection, self._parts)))
            self._waiting_px += entry.pixels

    def close(self) -> None:
        """End the threads; what is left is not read."""
        self._pool.shutdown(cancel_futures=True)


class _Entry:
    """An entry of a file, its fields checked; its map is decoded later."""

    def __init__(self, path: Path, index: int, content: Any) -> None:
        if not isinstance(content, dict):
            raise ResultFileError(f"{path}: entry {index}: no object, but {type(content).__name__}")
        self._path, self.index, self._content = path, index, content
        self.image_id, self.category_id = self._whole("image_id"), self._whole("category_id")
        self.box = np.array(self._numbers("bbox", content.get("bbox"), 4))
        if (self.box[2:] <= 0).any():
            raise self.error("bbox", f"{self.box.tolist()}, but width and height must be positive")
        (self.score,) = self._numbers("score", [content.get("score")], 1)
        if self.score < 0:
            raise self.error("score", f"{self.score:g}, but 0 or more is wanted")
        self.height, self.width = self._shape()
        self.pixels = self.height * self.width
        text = content.get("uv_data")
        if not isinstance(text, str) or not text:
            raise self.error("uv_data", "missing or no text, but base64 of a PNG is wanted")
        self._text = text
        self._content = {"image_id": self.image_id}  # the rest is let go

    def detection(self, parts: int) -> tuple[Detection, bytes]:
        """Decode the map; also a hash of the entry. In a thread: both leave the others the interpreter."""
        told = f"{self.image_id} {self.box.tolist()} {self.score!r} {self._text}"
        digest = hashlib.blake2b(told.encode(), digest_size=16).digest()
        try:
            iuv = decode_iuv(self._text, self.height, self.width, parts)
        except ValueError as error:
            raise self.error("uv_data", str(error)) from None
        return Detection(self.image_id, self.box, self.score, iuv, self.category_id), digest

    def error(self, field: str, problem: str) -> ResultFileError:
        """An error that says where; raise it."""
        image = _short(self._content.get("image_id"))
        return ResultFileError(f"{self._path}: entry {self.index} (image {image}): {field}: {problem}")

    def _shape(self) -> tuple[int, int]:
        """Height and width of the map, px; those of the box but for rounding."""
        told = self._content.get("uv_shape")
        shape = self._numbers("uv_shape", told, 3)
        if shape[0] != 3 or any(side < 1 or side != int(side) for side in shape):
            raise self.error("uv_shape", f"{told}, but [3, H, W] is wanted")
        height, width = int(shape[1]), int(shape[2])
        if abs(width - self.box[2]) > _ROUNDING_PX or abs(height - self.box[3]) > _ROUNDING_PX:
            found = f"a map of {width} x {height} px, but a box of {self.box[2]:g} x {self.box[3]:g} px"
            raise self.error("uv_shape", f"{found}: a map in the scale of the image is wanted")
        return height, width

    def _whole(self, field: str) -> int:
        value = self._content.get(field)
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(field, f"{_short(value)}, but a whole number is wanted")
        return value

    def _numbers(self, field: str, values: Any, count: int) -> list[float]:
        single = "a number is" if count == 1 else f"a list of {count} numbers is"
        if not isinstance(values, list) or len(values) != count:
            raise self.error(field, f"{_short(values)}, but {single} wanted")
        for value in values:
            # A bool is an int, and NaN is not below anything.
            if type(value) not in (int, float) or not abs(value) <= FARTHEST_PX:
                raise self.error(field, f"{_short(value)}, but {single} wanted, finite")
        return [float(value) for value in values]


def _short(value: object) -> str:
    told = repr(value)
    return told if len(told) <= 60 else told[:57] + "..."


def encode_iuv(iuv: np.ndarray) -> str:
    """A map (3, H, W) uint8 of part, 255 u, 255 v to base64 of an RGB PNG."""
    done, data = cv2.imencode(".png", np.ascontiguousarray(iuv[::-1].transpose(1, 2, 0)))
    assert done, f"OpenCV cannot encode a map of shape {iuv.shape}"
    return base64.b64encode(data.tobytes()).decode("ascii")


def decode_iuv(text: str, height: int, width: int, parts: int) -> np.ndarray:
    """The inverse of `encode_iuv`: (3, height, width) uint8; its header is read before anything is decoded.

    Raises ValueError where the text is not base64, not a whole RGB PNG of 8 bits and of the size wanted, or
    has a part beyond the number of them.
    """
    if height * width > MOST_PIXELS or max(height, width) > LONGEST_SIDE:
        limits = f"at most {MOST_PIXELS} px, {LONGEST_SIDE} a side, are read"
        raise ValueError(f"a map of {width} x {height} px, but {limits}")
    try:
        data = base64.b64decode("".join(text.split()), validate=True)  # some encoders break lines
    except ValueError as error:
        raise ValueError(f"not base64: {error}") from None
    if not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        raise ValueError(f"{len(data)} bytes that do not begin as a PNG does")
    found_width, found_height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if (found_width, found_height) != (width, height):
        raise ValueError(f"a PNG of {found_width} x {found_height} px, but {width} x {height} is wanted")
    if (depth, colour) != (_EIGHT_BITS, _RGB):
        found = f"a PNG of {depth} bits and colour type {colour}"
        raise ValueError(f"{found}, but 8 bits and colour type 2 (RGB) are wanted")
    try:
        bgr = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(f"a PNG that OpenCV does not read: {error.err}") from None
    if bgr is None or bgr.shape != (height, width, 3) or bgr.dtype != np.uint8:
        raise ValueError("a PNG that is damaged or cut short")
    iuv = bgr[:, :, ::-1].transpose(2, 0, 1)
    if iuv[0].max() > parts:
        raise ValueError(f"part {iuv[0].max()}, but parts run from 0 to {parts}")
    return iuv


class JsonListError(ValueError):
    """A file that is not a whole JSON list, and where it stops being one."""


def json_entries(path: str | Path) -> Iterator[Any]:
    """The entries of the list that a JSON file holds.

    Raises FileNotFoundError, or JsonListError naming the file and the entry (from 0) where it is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no results at {path}")
    with open_json_text(path) as file:
        text = _Text(file, path)
        text.expect("[", "a JSON list at the top")
        if text.next_character() != "]":
            yield text.take()
        while text.expect(",]", "a comma, or the end of the list,") == ",":
            yield text.take()
        if text.next_character():
            raise text.error("more text after the end of the list")


class _Text:
    """A text file as a window that grows while one entry needs it."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file, self._path = file, path
        self._window, self._at, self._taken = "", 0, 0
        self._decoder = json_decoder()

    def error(self, problem: str) -> JsonListError:
        return JsonListError(f"{self._path}: entry {self._taken}: {problem}")

    def next_character(self) -> str:
        """The next character that is no space, not consumed; "" at the end of the file."""
        while not (found := _NO_SPACE.search(self._window, self._at)):
            self._at = len(self._window)
            if not self._grow():
                return ""
        self._at = found.start()
        return found[0]

    def expect(self, characters: str, wanted: str) -> str:
        """Consume one of some characters."""
        found = self.next_character()
        if not found or found not in characters:
            told = f"{found!r}" if found else "the file ends"
            raise self.error(f"{told}, but {wanted} is wanted; is the file cut short?")
        self._at += 1
        return found

    def take(self) -> Any:
        """Consume one entry."""
        self.next_character()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._window, self._at)
            except RecursionError:
                raise self.error("lists in lists too deep to read") from None
            except JsonFileError as error:
                raise self.error(str(error)) from None
            except json.JSONDecodeError as error:
                # The entry may only end beyond the window.
                if self._grow():
                    continue
                raise self.error(f"malformed JSON, or the file is cut short: {error.msg}") from None
            except ValueError:  # Python converts no longer ones
                raise self.error("a number of more digits than can be read") from None
            length = end - self._at
            if end < len(self._window) or not self._grow():  # a number at the window's end may go on
                self._at, self._taken = self._at + length, self._taken + 1
                return value

    def _grow(self) -> bool:
        """Read on, dropping what is consumed; whether there was more."""
        rest = self._window[self._at :]
        if len(rest) > MOST_CHARACTERS:
            raise self.error(f"longer than {MOST_CHARACTERS} characters")
        try:
            more = self._file.read(max(_CHUNK, len(rest)))
        except UnicodeDecodeError as error:
            where = f"{self._file.encoding.upper()} (byte {error.start} of what was read)"
            raise self.error(f"not a text file in {where}") from None
        self._window, self._at = rest + more, 0
        return bool(more)
