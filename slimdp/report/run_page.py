"""One page about one run: words, tables, pictures and films; it needs nothing but itself."""

from __future__ import annotations

import base64
import os
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import jinja2
import numpy as np

from flow_cache.images import encode_image
from flow_cache.runtime.atomic import write_text

#: A film of more bytes stays beside the page, which then links to it: browsers are slow with long addresses.
MOST_FILM_BYTES = 24 * 2**20
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 88]


@dataclass(frozen=True)
class Picture:
    """A picture of the page."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    caption: str

    @property
    def uri(self) -> str:
        """The picture itself as an address."""
        return _uri("image/jpeg", encode_image(self.image, ".jpg", _JPEG))


@dataclass(frozen=True)
class Film:
    """A video of the page."""

    file: Path  # an MP4 that browsers play
    caption: str


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows."""

    columns: Sequence[str]  # the first one's too
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page, in this order: words, tables, films, pictures, commands."""

    title: str
    words: Sequence[str] = ()  # a paragraph each
    tables: Sequence[Table] = ()
    films: Sequence[Film] = ()
    pictures: Sequence[Picture] = ()
    commands: Sequence[str] = ()


def write_run_page(out: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write the page, replacing one that is there; returns its path.

    Films of up to `MOST_FILM_BYTES` are within it, others are linked by their place relative to the page.

    Raises:
        OSError: a film cannot be read, or the page not be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("slimdp.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["film_uri"] = lambda film: _film_uri(film, out)
    page = environment.get_template("run_page.html.jinja")
    write_text(out, page.render(title=title, sections=sections))
    return out


def _film_uri(film: Film, page: Path) -> str:
    if film.file.stat().st_size <= MOST_FILM_BYTES:
        return _uri("video/mp4", film.file.read_bytes())
    there = Path(os.path.relpath(film.file, page.parent)).as_posix()
    return urllib.parse.quote(there)


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
