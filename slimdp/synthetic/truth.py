"""The truth at every pixel of the pictures of a rendered set (docs/rendered_sets.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flow_cache.images import read_image
from slimdp.structures import ImageRecord


def truth_file(folder: Path, image: ImageRecord) -> Path:
    """Where the truth of a picture lies in the folder of a rendered set."""
    below = image.file_name.startswith("images/")
    inside = Path(image.file_name).relative_to("images") if below else image.file
    return (folder / "iuv" / inside).with_suffix(".png")


def read_truth(folder: Path, image: ImageRecord) -> np.ndarray:
    """Part, 255 u, 255 v at every pixel of a picture, (H, W, 3) uint8; part 0 where nobody is.

    Raises ValueError where the folder is of no rendered set, or the truth has another size; ImageError where
    it does not decode.
    """
    path = truth_file(folder, image)
    if not path.is_file():
        raise ValueError(f"no {path}: {folder} is not the folder of a rendered set (slimdp synthesize)")
    iuv = read_image(path)
    if iuv.shape[:2] != (image.height, image.width):
        found = f"{iuv.shape[1]} x {iuv.shape[0]} px"
        raise ValueError(f"{path} has {found}, but its picture {image.width} x {image.height}")
    return iuv
