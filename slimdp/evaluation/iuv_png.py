"""Maps of part, u and v as base64 text of a PNG: the form in which DensePose results travel."""

from __future__ import annotations

import base64
import struct

import cv2
import numpy as np

#: Largest map that is decoded, px: a frame of 8K. A PNG of a few kilobytes can promise gigabytes.
MOST_PIXELS = 2**25
#: libpng reads no longer one.
LONGEST_SIDE = 1_000_000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EIGHT_BITS, _RGB = 8, 2


def encode_iuv(iuv: np.ndarray) -> str:
    """A map (3, H, W) uint8 of part, 255 u, 255 v to base64 of an RGB PNG."""
    done, data = cv2.imencode(".png", np.ascontiguousarray(iuv[::-1].transpose(1, 2, 0)))
    assert done, f"OpenCV cannot encode a map of shape {iuv.shape}"
    return base64.b64encode(data.tobytes()).decode("ascii")


def decode_iuv(text: str, height: int, width: int, parts: int) -> np.ndarray:
    """The inverse of `encode_iuv`: (3, height, width) uint8.

    The header is held against the size wanted before anything is decoded.

    Raises ValueError where the text is not base64, not a whole RGB PNG of 8 bits and of that size, or has a
    part beyond the number of them.
    """
    if height * width > MOST_PIXELS or max(height, width) > LONGEST_SIDE:
        limits = f"at most {MOST_PIXELS} px, {LONGEST_SIDE} a side, are read"
        raise ValueError(f"a map of {width} x {height} px, but {limits}")
    data = _bytes(text)
    if not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        raise ValueError(f"{len(data)} bytes that do not begin as a PNG does")
    found_width, found_height, depth, colour = struct.unpack(">IIBB", data[16:26])
    if (found_width, found_height) != (width, height):
        raise ValueError(f"a PNG of {found_width} x {found_height} px, but {width} x {height} is wanted")
    if (depth, colour) != (_EIGHT_BITS, _RGB):
        raise ValueError(
            f"a PNG of {depth} bits and colour type {colour}, but 8 bits and colour type 2 (RGB) are wanted"
        )
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


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        pass
    try:  # some encoders break lines
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise ValueError(f"not base64: {error}") from None
