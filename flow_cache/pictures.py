"""Pictures of one frame each, decoded only where they are whole."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from flow_cache.errors import FlowCacheError

# A JPEG marker in entropy-coded data: FF, but neither a stuffed FF 00, a restart FF D0..D7 nor a fill FF FF.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def read_image(path: Path) -> np.ndarray:
    """A picture as (H, W, 3) uint8 RGB.

    Raises:
        FlowCacheError: the file is missing, cut off, or no picture that OpenCV reads.
    """
    return decode_image(path, content_of(path))


def content_of(path: Path) -> bytes:
    """The bytes of a file; FlowCacheError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise FlowCacheError(f"{path} cannot be read: {error.strerror}") from error


def jpeg_is_complete(content: bytes) -> bool:
    """Whether a JPEG holds its end-of-image marker (FF D9) where its own segments say it must be.

    A search for FF D9 alone is not enough: an EXIF thumbnail has one too. Decoders fill what is missing with
    grey, some without a word.
    """
    position = 2  # after FF D8
    while position + 4 <= len(content):
        if content[position] != 0xFF:  # stray bytes between segments; decoders skip them as well
            position = content.find(b"\xff", position)
            if position < 0:
                return False
            continue
        marker = content[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        if marker == 0xDA:  # start of scan: entropy-coded data follows, up to the next marker
            found = _JPEG_MARKER.search(content, position)
            if found is None:
                return False
            position = found.start()
            if content[position + 1] == 0xD9:
                return True
    return False


def decode_image(path: Path, content: bytes) -> np.ndarray:
    """The picture (H, W, 3) uint8 RGB that a file's bytes are; it raises what `read_image` raises."""
    cut_off = (content.startswith(b"\xff\xd8") and not jpeg_is_complete(content)) or (
        content.startswith(b"\x89PNG") and b"IEND" not in content
    )
    if cut_off or not content:
        raise FlowCacheError(
            f"{path} is cut off: its {len(content)} bytes end before the picture does; fetch it again"
        )
    try:
        frame = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # it announces more pixels than OpenCV allows
        raise FlowCacheError(f"{path} is no picture that OpenCV can decode: {error}") from error
    if frame is None:
        raise FlowCacheError(f"{path} is no picture that OpenCV can decode")
    return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
