"""The one reader of images: stored pixels as 8-bit RGB, decoded only where a file is whole; and the writer.

What a file may say beside its pixels is treated alike everywhere, whichever decoder reads it:

- An orientation tag is not applied, in no format: labels, boxes and flow are of the stored pixels.
- 16 bits a channel are scaled to 8; grey, palettes and CMYK become RGB; transparency is dropped and leaves
  the colour that is stored there; colour profiles are not applied.
- Of several pictures in a file (GIF, animated PNG, WebP and AVIF, TIFF, MPO) the first one is read.
- More than `MAX_PIXELS` are refused before anything is decoded: a file of 1 kB can announce gigabytes.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from flow_cache.errors import FlowCacheError
from flow_cache.runtime.atomic import write_bytes

#: The largest picture that is read, px: 400 MB as RGB. Pillow warns from 89 and refuses from 179 million on.
MAX_PIXELS = 2**27
#: Pictures of 8 bits that OpenCV and Pillow both read, the one list of both packages; in any case of letters.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp",
    ".ppm", ".pgm", ".pbm", ".pnm", ".ras", ".sr", ".jp2", ".j2k", ".avif",
)  # fmt: skip
#: The EXIF orientation tag; 1 is upright, 2, 4, 5 and 7 are mirrored, 5 to 8 exchange width and height.
_ORIENTATION = 274
UPRIGHT = 1
# A JPEG marker in entropy-coded data: FF, but neither a stuffed FF 00, a restart FF D0..D7 nor a fill FF FF.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_TIFF, _BIG_TIFF = (b"II*\0", b"MM\0*"), (b"II+\0", b"MM\0+")
#: Bytes that are read of a file to know what it is, and whether it ends as it should.
_HEAD, _TAIL = 1 << 16, 64
_OF_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, KeyError, TypeError, OverflowError)


class ImageError(FlowCacheError):
    """A picture that is missing, damaged, too large or of the wrong size."""


class ImageTooLargeError(ImageError):
    """A picture of more than `MAX_PIXELS`."""


class ImageHeader(NamedTuple):
    """What a picture file says of itself."""

    width: int  # of the stored pixels
    height: int
    orientation: int = UPRIGHT  # the tag, 1..8

    @property
    def turned_size(self) -> tuple[int, int]:
        """Width and height as a reader that applies the orientation tag has them."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_image(path: Path) -> np.ndarray:
    """An image as (H, W, 3) uint8 RGB; ImageError where it is missing, cut off, too large or not readable."""
    return decode_image(path, content_of(path))


def encode_image(image: np.ndarray, suffix: str = ".png", options: Sequence[int] = ()) -> bytes:
    """The bytes of a file of an image (H, W, 3) uint8 RGB, or (H, W); options as of OpenCV, by its suffix."""
    done, content = cv2.imencode(suffix, image[..., ::-1] if image.ndim == 3 else image, list(options))
    if not done:
        raise ValueError(f"OpenCV cannot write {suffix} files of images of shape {image.shape} here")
    return content.tobytes()


def save_png(path: str | Path, image: np.ndarray) -> None:
    """Write an image as PNG, whole or not at all."""
    write_bytes(path, encode_image(image))


def content_of(path: Path) -> bytes:
    """The bytes of a file; ImageError where it cannot be read."""
    with _reading(path):
        return Path(path).read_bytes()


def decode_image(path: Path, content: bytes) -> np.ndarray:
    """The picture (H, W, 3) uint8 RGB that a file's bytes are; it raises what `read_image` raises."""
    content = _whole(path, content)
    if content.startswith((*_TIFF, *_BIG_TIFF)):  # of which OpenCV multiplies colours by their alpha
        with _opened(content) as image:
            if image.mode in ("RGBA", "LA"):
                return np.array(image.convert("RGB"))
    bgr = _decoded(path, content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, bgr)


def decode_unchanged(path: Path, content: bytes) -> np.ndarray:
    """The values of a file's bytes, (H, W) or (H, W, C), BGR, for masks and measurements kept as images."""
    return _decoded(path, _whole(path, content), cv2.IMREAD_UNCHANGED)


def check_image(path: Path) -> ImageHeader:
    """Check that an image is there and not cut short; returns what it says of itself, raises as `read_image`.

    Reads the header and the last bytes only of a JPEG or PNG that ends as it should; others are decoded.
    """
    with _reading(path), open(path, "rb") as file:
        head = file.read(_HEAD)
        size = file.seek(0, os.SEEK_END)
        file.seek(-min(size, _TAIL), os.SEEK_END)
        tail = file.read()
        header = _known_header(head)
        if header is None or not _ends_well(head, tail):
            content = content_of(path)
            _whole(path, content)
            return _header(path, content)
        _check_size(path, header)
        return header._replace(orientation=_png_orientation(file)) if head.startswith(_PNG) else header


def orientation_of(content: bytes) -> int:
    """The orientation tag in a picture's bytes; 1 where there is none."""
    if content.startswith(_JPEG):
        header = _jpeg_header(content)
        return UPRIGHT if header is None else header.orientation
    if content.startswith(_PNG):
        return _png_orientation(io.BytesIO(content))
    if content.startswith((*_TIFF, *_BIG_TIFF)):
        return _tiff_orientation(content)
    try:
        with _opened(content) as image:
            return orientation_of_opened(image)
    except (Image.DecompressionBombError, *_OF_DAMAGE):
        return UPRIGHT


def orientation_of_opened(image: Image.Image) -> int:
    """The orientation tag of a picture that Pillow opened; 1 where there is none. Pillow itself turns a TIFF
    when its pixels are loaded, and takes the tag away."""
    try:
        return _plausible(image.getexif().get(_ORIENTATION, UPRIGHT))
    except _OF_DAMAGE:
        return UPRIGHT


def picture_count(content: bytes) -> int:
    """How many pictures a file's bytes hold, of which the first is read: an animation's, or a TIFF's pages.

    1 of a JPEG, whose further ones are previews and depths, and where Pillow cannot tell.
    """
    if content.startswith(_JPEG):
        return 1
    try:
        with _opened(content) as image:
            return int(getattr(image, "n_frames", 1))
    except (Image.DecompressionBombError, *_OF_DAMAGE):
        return 1


def jpeg_is_complete(content: bytes) -> bool:
    """Whether a JPEG holds its end-of-image marker (FF D9) where its own segments say it must be.

    An EXIF thumbnail has one too. Decoders fill what is missing with grey, some without a word.
    """
    # After a start of scan entropy-coded data follow, up to the next marker.
    ends = (_JPEG_MARKER.search(content, end) for kind, _, end in _jpeg_segments(content) if kind == 0xDA)
    return any(found is not None and found[0] == _JPEG_END for found in ends)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ImageError(f"{path}: no such image file") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}") from error


@contextlib.contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """A picture as Pillow opens it, without its warnings: what spoils pixels raises an error as well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(content)) as image:
            yield image


def _whole(path: Path, content: bytes) -> bytes:
    """The bytes of a whole picture of a permitted size, whose orientation no decoder applies."""
    head, is_jpeg = _known_header(content), content.startswith(_JPEG)
    if head is not None:
        _check_size(path, head)
        if _ends_well(content, content[-_TAIL:]):
            return content
        if jpeg_is_complete(content) if is_jpeg else _PNG_END in content:  # and something behind its end
            return content
    if not content or is_jpeg or content.startswith(_PNG):
        raise ImageError(
            f"{path} is cut off: its {len(content)} bytes end before the picture does; fetch it again"
        )
    content = _upright_tiff(content)
    _check_size(path, _header(path, content))
    # Other formats have no mark at their end: Pillow says whether they are whole.
    with _naming_damage(path), _opened(content) as image:
        image.load()
    return content


def _header(path: Path, content: bytes) -> ImageHeader:
    """What a file says of itself, in any format."""
    known = _known_header(content)
    if known is not None:
        return known._replace(orientation=orientation_of(content))
    try:
        with _naming_damage(path), _opened(_upright_tiff(content)) as image:
            return ImageHeader(*image.size, orientation_of(content))
    except Image.DecompressionBombError:
        raise ImageTooLargeError(f"{path} announces far more than {_LIMIT}") from None


@contextlib.contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    try:
        yield
    except UnidentifiedImageError:
        raise ImageError(f"{path} is no picture, or of a format that is not read") from None
    except (MemoryError, *_OF_DAMAGE) as error:
        raise ImageError(f"{path}: damaged or cut short ({error}); fetch the file again") from error


def _known_header(content: bytes) -> ImageHeader | None:
    """What the first bytes of a JPEG or PNG say; None for others, and where they do not reach that far."""
    if content.startswith(_PNG) and content[12:16] == b"IHDR" and len(content) >= 24:
        return ImageHeader(*struct.unpack(">II", content[16:24]))
    return _jpeg_header(content) if content.startswith(_JPEG) else None


_LIMIT = f"{MAX_PIXELS:,} px (2^27), the limit; scale it down, and its labels"


def _check_size(path: Path, header: ImageHeader) -> None:
    if header.width * header.height > MAX_PIXELS:
        raise ImageTooLargeError(f"{path} is {header.width} x {header.height} px, more than {_LIMIT}")


def _ends_well(head: bytes, tail: bytes) -> bool:
    return tail.rstrip(b"\0").endswith(_JPEG_END if head.startswith(_JPEG) else _PNG_END)


def _decoded(path: Path, content: bytes, flags: int) -> np.ndarray:
    try:
        values = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except (cv2.error, MemoryError) as error:
        raise ImageError(f"{path} is no picture that OpenCV can decode: {error}") from error
    if values is None:
        raise ImageError(f"{path} is no picture that OpenCV can decode")
    return values


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """The segments of a JPEG: marker, and where their data begin and end."""
    position = 2  # after FF D8
    while position + 4 <= len(content):
        if content[position] != 0xFF:  # entropy-coded data and stray bytes; decoders skip these as well
            position = content.find(b"\xff", position)
            if position < 0:
                return
            continue
        marker = content[position + 1]
        if marker in (0x00, 0xFF) or 0xD0 <= marker <= 0xD7:  # stuffed, a fill byte, a restart
            position += 1
            continue
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        yield marker, position + 4, end
        position = end


def _jpeg_header(content: bytes) -> ImageHeader | None:
    """Size and orientation; None where the bytes end before the first scan."""
    size, orientation = None, UPRIGHT
    for marker, begin, end in _jpeg_segments(content):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and end <= len(content):
            height, width = struct.unpack(">HH", content[begin + 1 : begin + 5])
            size = width, height
        elif marker == 0xE1 and content[begin : begin + 6] == b"Exif\0\0":
            orientation = _tiff_orientation(content[begin + 6 : end])
        elif marker == 0xDA:
            return None if size is None else ImageHeader(*size, orientation)
    return None


def _png_orientation(file: BinaryIO) -> int:
    """The tag in a PNG's eXIf chunk, which may come behind the pixels."""
    file.seek(len(_PNG))
    while len(start := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", start)
        if kind == b"eXIf":
            return _tiff_orientation(file.read(length))
        file.seek(length + 4, os.SEEK_CUR)
    return UPRIGHT


def _tiff_orientation(content: bytes) -> int:
    place = _orientation_place(content)
    if place is None:
        return UPRIGHT
    return _plausible(int.from_bytes(content[place : place + 2], _byte_order(content)))


def _upright_tiff(content: bytes) -> bytes:
    """The same bytes, but for a TIFF's orientation, which all decoders would apply: 1."""
    place = _orientation_place(content)
    if place is None:
        return content
    return content[:place] + UPRIGHT.to_bytes(2, _byte_order(content)) + content[place + 2 :]


def _orientation_place(content: bytes) -> int | None:
    """Where the orientation's value lies in the first directory of a TIFF, which EXIF is too."""
    if not content.startswith((*_TIFF, *_BIG_TIFF)):
        return None
    order = "<" if content.startswith(b"II") else ">"
    # Of the directory: the type of its place, where that stands, the type of its count; of an entry: its size
    # and where its value stands.
    large = content.startswith(_BIG_TIFF)
    place, at, counter, entry_size, value = ("Q", 8, "Q", 20, 12) if large else ("I", 4, "H", 12, 8)
    try:
        (directory,) = struct.unpack_from(order + place, content, at)
        (count,) = struct.unpack_from(order + counter, content, directory)
        first = directory + struct.calcsize(counter)
        for entry in range(first, first + entry_size * count, entry_size):
            tag, kind = struct.unpack_from(order + "HH", content, entry)
            if tag == _ORIENTATION and kind in (3, 4):  # a short, or a long, whose low bytes count
                return entry + value + (2 if kind == 4 and order == ">" else 0)
    except struct.error:  # it ends there
        pass
    return None


def _byte_order(content: bytes) -> Literal["little", "big"]:
    return "little" if content.startswith(b"II") else "big"


def _plausible(orientation: object) -> int:
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else UPRIGHT
