"""The one reader of pictures, beside Pillow and plain OpenCV."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from flow_cache.images import (
    MAX_PIXELS,
    ImageError,
    check_image,
    decode_image,
    orientation_of,
    orientation_of_opened,
    picture_count,
    read_image,
)

FORMATS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 95},
}


def pixels() -> np.ndarray:
    """(24, 40, 3) RGB, another one turned or mirrored in any way."""
    y, x = np.mgrid[:24, :40]
    return np.stack([x * 6, y * 10, 255 - x * 4], axis=-1).astype(np.uint8)


def coded(image: Image.Image, form: str, orientation: int = 1, **more: Any) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    tags = {"tiffinfo": {274: orientation}} if form == "TIFF" else {"exif": exif}
    file = io.BytesIO()
    image.save(file, form, **({} if orientation == 1 else tags), **more)
    return file.getvalue()


def save(folder: Path, content: bytes) -> Path:
    path = folder / "a.img"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", FORMATS)
def test_pixels_are_as_they_are_stored_whatever_the_tag_says(
    form: str, orientation: int, tmp_path: Path
) -> None:
    if form == "AVIF" and not _knows_avif():
        pytest.skip("this OpenCV or this Pillow does not read AVIF")
    path = save(tmp_path, coded(Image.fromarray(pixels()), form, orientation, **FORMATS[form]))
    assert np.abs(read_image(path).astype(int) - pixels()).max() < 16
    header = check_image(path)
    assert (header.width, header.height, header.orientation) == (40, 24, orientation)
    assert header.turned_size == ((24, 40) if orientation > 4 else (40, 24))
    assert orientation_of(path.read_bytes()) == orientation
    if form in ("JPEG", "PNG", "WEBP") and orientation > 1:  # what it would be otherwise
        with Image.open(path) as image:
            turned = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        assert turned.shape != pixels().shape or np.abs(turned.astype(int) - pixels()).mean() > 16


def _knows_avif() -> bool:
    try:
        return cv2.imdecode(np.frombuffer(coded(Image.fromarray(pixels()), "AVIF"), np.uint8), 1) is not None
    except (KeyError, cv2.error):
        return False


def test_a_tag_behind_the_pixels_of_a_png_is_found(tmp_path: Path) -> None:
    content = coded(Image.fromarray(pixels()), "PNG")
    tag = b"eXIf" + b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 274, 3, 1, 6, 0, 0)
    chunk = struct.pack(">I", len(tag) - 4) + tag + struct.pack(">I", zlib.crc32(tag))
    path = save(tmp_path, content[:-12] + chunk + content[-12:])
    assert check_image(path).orientation == 6
    np.testing.assert_array_equal(read_image(path), pixels())


@pytest.mark.parametrize("orientation", [2, 6])
def test_big_tiff_and_long_tags(orientation: int) -> None:
    values = pixels()[..., 0].tobytes()
    entries = [(256, 4, 40), (257, 4, 24), (258, 4, 8), (259, 4, 1), (262, 4, 1), (273, 4, 16),
               (274, 4, orientation), (277, 4, 1), (278, 4, 24), (279, 4, len(values))]  # fmt: skip
    directory = struct.pack("<Q", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHQII", tag, kind, 1, value, 0)
    content = b"II+\0" + struct.pack("<HHQ", 8, 0, 16 + len(values)) + values + directory + bytes(8)
    assert orientation_of(content) == orientation
    np.testing.assert_array_equal(decode_image(Path("a.tif"), content)[..., 0], pixels()[..., 0])


def alpha(form: str, **more: Any) -> bytes:
    return coded(Image.fromarray(np.dstack([pixels(), pixels()[..., 0] // 2])), form, **more)


def sixteen_bits(suffix: str, values: np.ndarray) -> bytes:
    return cv2.imencode(suffix, values.astype(np.uint16) * 257)[1].tobytes()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "content", "within"),
    [
        ("alpha in PNG", lambda: alpha("PNG"), 0),
        ("alpha in WebP", lambda: alpha("WEBP", lossless=True, exact=True), 0),
        ("alpha in TIFF", lambda: alpha("TIFF"), 0),
        ("CMYK JPEG", lambda: coded(Image.fromarray(pixels()).convert("CMYK"), "JPEG", quality=98), 8),
        ("16 bits in PNG", lambda: sixteen_bits(".png", pixels()[..., ::-1]), 0),
        ("16 bits in TIFF", lambda: sixteen_bits(".tif", pixels()[..., ::-1]), 1),
        ("16 bits in PPM", lambda: sixteen_bits(".ppm", pixels()[..., ::-1]), 0),
        ("palette", lambda: coded(Image.fromarray(pixels()).quantize(256), "PNG"), 40),
        ("profile", lambda: coded(Image.fromarray(pixels()), "PNG", icc_profile=b"a profile"), 0),
        ("several", lambda: several("TIFF"), 0),
        ("several", lambda: several("WEBP", lossless=True), 0),
        ("several", lambda: several("PNG"), 0),
        ("several", lambda: several("MPO", quality=95), 20),
        ("several", lambda: several("GIF"), 40),
    ],
)
def test_one_rule_for_all_kinds(name: str, content: Any, within: int) -> None:
    found = decode_image(Path(name), content())
    assert (found.shape, found.dtype) == ((24, 40, 3), np.uint8)
    assert np.abs(found.astype(int) - pixels()).max() <= within


def several(form: str, **more: Any) -> bytes:
    first, second = Image.fromarray(pixels()), Image.fromarray(255 - pixels())
    return coded(first, form, save_all=True, append_images=[second], **more)


def test_grey_is_the_same_in_all_channels() -> None:
    for values, form in ((pixels()[..., 0], "PNG"), (pixels()[..., 0] > 90, "PNG")):
        found = decode_image(Path("a"), coded(Image.fromarray(values), form))
        np.testing.assert_array_equal(
            found, np.dstack([values * np.uint8(255 if values.dtype == bool else 1)] * 3)
        )


def bomb(form: str, side: int = 60000) -> bytes:
    """A file of about 1 kB that announces a picture of side x side px."""
    if form == "PNG":
        header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
        data = b"IDAT" + zlib.compress(bytes(100))
        chunks = [header, data, b"IEND"]
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks
        )
    if form == "PPM":
        return b"P6 %d %d 255\n" % (side, side) + bytes(1000)
    content = bytearray(coded(Image.fromarray(pixels()), form))
    if form == "JPEG":
        place = content.index(b"\xff\xc0") + 5
        content[place : place + 4] = struct.pack(">HH", side, side)
    elif form == "BMP":
        content[18:26] = struct.pack("<ii", side, side)
    else:
        for tag in (256, 257):
            place = content.index(struct.pack("<H", tag), 8)
            content[place : place + 12] = struct.pack("<HHII", tag, 4, 1, side)
    return bytes(content)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "PPM", "TIFF"])
def test_a_bomb_is_refused_before_anything_is_made_of_it(form: str, tmp_path: Path) -> None:
    path = save(tmp_path, bomb(form))
    assert path.stat().st_size < 10_000
    tracemalloc.start()
    begin = time.process_time()
    for read in (read_image, check_image):
        with pytest.raises(ImageError, match=r"a\.img .*134,217,728 px"):
            read(path)
    assert time.process_time() - begin < 2
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()


def test_the_limit_itself_is_read() -> None:
    """From the header alone: two pictures about the limit, of which neither is decoded."""
    from flow_cache.images import _known_header, _whole

    below, above = bomb("PNG", 11585), bomb("PNG", 11586)
    assert 11585**2 <= MAX_PIXELS < 11586**2
    assert _whole(Path("a"), below) is below
    assert _known_header(above) is not None
    with pytest.raises(ImageError, match="11586 x 11586 px, more than"):
        _whole(Path("a"), above)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "BMP", "PPM", "WEBP", "GIF"])
def test_damage_is_always_an_image_error(form: str) -> None:
    """No exception of a decoder leaves the reader, whatever the bytes are."""
    content, rng = coded(Image.fromarray(pixels()), form), np.random.default_rng(0)
    refused = 0
    for trial in range(60):
        spoilt = bytearray(content)
        if trial % 2:
            del spoilt[int(rng.integers(len(spoilt))) :]
        for place in rng.integers(0, min(len(spoilt), 300) or 1, 6 * (trial % 2 == 0)):
            spoilt[place] = int(rng.integers(256))
        try:
            decode_image(Path("a.img"), bytes(spoilt))
        except ImageError:
            refused += 1
    assert refused > 20


def test_missing_and_unreadable(tmp_path: Path) -> None:
    for read in (read_image, check_image):
        with pytest.raises(ImageError, match=r"b\.png: no such image file"):
            read(tmp_path / "b.png")
        with pytest.raises(ImageError, match="cannot be read: Is a directory"):
            read(tmp_path)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "GIF", "AVIF", "MPO"])
def test_the_pictures_of_a_file_are_counted(form: str) -> None:
    several = [Image.fromarray(np.roll(pixels(), 3 * number, axis=1)) for number in range(3)]
    single = coded(several[0], "JPEG" if form == "MPO" else form)
    content = coded(several[0], form, save_all=True, append_images=several[1:])
    assert picture_count(single) == 1
    assert picture_count(content) == (1 if form == "MPO" else 3)  # a telephone's photo is one picture
    assert picture_count(content[:30]) == picture_count(b"no picture") == 1


def test_a_damaged_tag_is_none() -> None:
    image = Image.new("RGB", (4, 4))
    image.info["exif"] = b"Exif\0\0damaged"
    assert orientation_of_opened(image) == 1
