"""Pictures of annotation files: read as everywhere (`flow_cache.images`), and kept for a while."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flow_cache.images import ImageError, ImageHeader, check_image
from flow_cache.images import read_image as load_image
from flow_cache.runtime.lru_cache import LruCache

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
        self._images: LruCache[Path] = LruCache(int(megabytes * 2**20))

    def load(self, path: Path) -> np.ndarray:
        """`load_image`, remembered. The array is shared: do not write to it."""

        def read() -> np.ndarray:
            image = load_image(path)
            image.setflags(write=False)
            return image

        return self._images.get(path, read)
