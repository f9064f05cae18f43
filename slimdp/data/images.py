"""Pictures of annotation files: read as everywhere (`flow_cache.images`), and kept for a while."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np

from flow_cache.images import ImageError, ImageHeader, check_image
from flow_cache.images import read_image as load_image

__all__ = ["ImageCache", "ImageError", "ImageHeader", "check_image", "load_image", "verify_image"]


def verify_image(path: Path) -> tuple[int, int]:
    """Width and height px of a picture that is there and not cut short; raises as `check_image`."""
    header = check_image(path)
    return header.width, header.height


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
