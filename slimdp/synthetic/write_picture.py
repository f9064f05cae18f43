"""Writing pictures so that a full disk is an error: OpenCV may say nothing of a file that it cut short."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def write_picture(path: Path, picture: np.ndarray, options: Sequence[int] = ()) -> None:
    """Write a picture in the format that the name ends with; makes the folder where it is missing.

    Args:
        path: the file, written over where there is one.
        picture: (H, W, 3) uint8 RGB or (H, W) uint8.
        options: OpenCV's for the format, such as IMWRITE_JPEG_QUALITY, 90.

    Raises:
        OSError: naming the file that cannot be written.
    """
    stored = picture[..., ::-1] if picture.ndim == 3 else picture
    encoded, content = cv2.imencode(path.suffix, stored, list(options))
    if not encoded:
        raise ValueError(f"{path}: OpenCV cannot write {path.suffix} files here")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.tobytes())
