"""What the page is made of: tables, pictures, and the files that they also come as."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from flow_cache.images import encode_image

_QUALITY = 88


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str = "\u2013"
    best: bool = False  # of its column


@dataclass(frozen=True)
class TableBody:
    """Rows of a table that stand together: name and cells of each."""

    heading: str  # above them, over all columns; "" for none
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True)
class PageTable:
    """A table: the first column names the rows."""

    title: str
    caption: str
    spans: tuple[tuple[str, int], ...]  # titles over some columns each, the first column left out
    columns: tuple[str, ...]  # the first one's too; a second line stands smaller below, of rows' names too
    bodies: tuple[TableBody, ...]


@dataclass(frozen=True)
class PagePicture:
    """A picture within the page, and the files that hold the same."""

    name: str  # of its files, without an ending
    title: str
    alt: str  # what it shows, for who does not see it
    kind: str  # image/svg+xml, image/jpeg
    data: bytes
    caption: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)  # ending -> contents

    @property
    def uri(self) -> str:
        """The picture itself as an address."""
        return f"data:{self.kind};base64,{base64.b64encode(self.data).decode('ascii')}"


def photograph(name: str, title: str, alt: str, image: np.ndarray) -> PagePicture:
    """A picture (H, W, 3) uint8 RGB, as JPEG in the page."""
    return PagePicture(
        name, title, alt, "image/jpeg", encode_image(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    )


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Rows of a table as CSV; None is empty, and numbers have six digits."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row])
    return text.getvalue().encode("utf-8")
