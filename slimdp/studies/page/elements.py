"""A picture within the page, and the files that it also comes as."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import cv2
import numpy as np

from flow_cache.images import encode_image

_QUALITY = 88


class PageImage(NamedTuple):
    """A picture within the page, and the files that hold the same."""

    name: str  # of its files, without an ending
    title: str
    alt: str  # what it shows, for who does not see it
    kind: str  # image/svg+xml, image/jpeg
    data: bytes
    caption: str = ""
    files: Mapping[str, bytes] = MappingProxyType({})  # ending -> contents

    @property
    def uri(self) -> str:
        """The picture itself as an address."""
        return f"data:{self.kind};base64,{base64.b64encode(self.data).decode('ascii')}"


def photograph(name: str, title: str, alt: str, image: np.ndarray) -> PageImage:
    """A picture (H, W, 3) uint8 RGB, as JPEG in the page."""
    jpeg = encode_image(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return PageImage(name, title, alt, "image/jpeg", jpeg)
