"""Opening pictures: as RGB arrays, or only far enough to know that they are whole."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

#: Last bytes of a whole file, by the format that its header names.
END_MARKS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_TAIL = 64  # bytes read from the end of a file


class ImageError(ValueError):
    """A picture that is missing, damaged or of the wrong size."""


def load_image(path: Path) -> np.ndarray:
    """Read a picture as (H, W, 3) uint8 RGB, its stored pixels: an orientation tag is not applied.

    Raises ImageError naming the file where it is missing, cut short or no picture.
    """
    check_whole(path)
    bgr = cv2.imread(os.fspath(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None:
        raise ImageError(f"{path}: not a picture that OpenCV can read")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def check_whole(path: Path) -> tuple[int, int]:
    """Check that a picture is there and not cut short, and return its (width, height) px.

    Reads the header and the last bytes only; a file that does not end as its format should (bytes after
    the end are common) is decoded in full before it is refused. Raises ImageError naming the file.
    """
    try:
        with Image.open(path) as picture:
            mark = END_MARKS.get(picture.format or "")
            if mark is None or not _tail(path).rstrip(b"\0").endswith(mark):
                picture.load()
            return picture.size
    except FileNotFoundError:
        raise ImageError(f"{path}: no such image file") from None
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged pictures
        raise ImageError(f"{path}: damaged or cut short ({error}); fetch the file again") from error


class ImageCache:
    """The most recently used pictures, decoded, up to a number of megabytes."""

    def __init__(self, megabytes: float) -> None:
        if megabytes < 0:
            raise ValueError(f"an image cache of {megabytes} MB, but 0 or more is wanted")
        self._limit = int(megabytes * 2**20)
        self._held = 0
        self._images: OrderedDict[Path, np.ndarray] = OrderedDict()

    def load(self, path: Path) -> np.ndarray:
        """`load_image`, remembered. The array is shared: do not write to it."""
        image = self._images.get(path)
        if image is not None:
            self._images.move_to_end(path)
            return image
        image = load_image(path)
        image.setflags(write=False)
        self._images[path] = image
        self._held += image.nbytes
        while self._held > self._limit:
            self._held -= self._images.popitem(last=False)[1].nbytes
        return image


def _tail(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(-min(file.tell(), _TAIL), os.SEEK_END)
        return file.read()
