"""Opening pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache.images import ImageError, check_image, read_image
from slimdp.data import ImageCache


@pytest.fixture
def image() -> np.ndarray:
    smooth = cv2.resize(np.random.default_rng(0).random((4, 5, 3)), (60, 40))
    return (smooth.clip(0, 1) * 255).astype(np.uint8)


def save(path: Path, rgb: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return path


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp"])
def test_size_and_colour_order(tmp_path: Path, image: np.ndarray, name: str) -> None:
    path = save(tmp_path / name, image)
    header = check_image(path)
    assert (header.width, header.height) == (60, 40)
    assert np.abs(read_image(path).astype(int) - image).mean() < 4


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp"])
@pytest.mark.parametrize("keep", [0, 10, 0.6, 0.99])
def test_cut_short(tmp_path: Path, image: np.ndarray, name: str, keep: float) -> None:
    path = save(tmp_path / name, image)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    for read in (check_image, read_image):
        with pytest.raises(ImageError, match=name):
            read(path)


def test_bytes_after_the_end_are_no_fault(tmp_path: Path, image: np.ndarray) -> None:
    path = save(tmp_path / "a.jpg", image)
    path.write_bytes(path.read_bytes() + b"camera notes" * 20)
    header = check_image(path)
    assert (header.width, header.height) == (60, 40)


def test_missing(tmp_path: Path) -> None:
    for read in (check_image, read_image):
        with pytest.raises(ImageError, match=r"b\.jpg: no such image"):
            read(tmp_path / "b.jpg")


def test_cache_gives_the_same_and_stays_in_its_limit(tmp_path: Path, image: np.ndarray) -> None:
    paths = [save(tmp_path / f"{i}.png", image + i) for i in range(4)]
    cache = ImageCache(2.5 * image.nbytes / 2**20)
    first = cache.load(paths[0])
    np.testing.assert_array_equal(first, image)
    assert cache.load(paths[0]) is first
    for path in paths[1:]:
        cache.load(path)
    assert cache.load(paths[3]) is cache.load(paths[3])
    assert cache.load(paths[0]) is not first  # the least recently used went first
    with pytest.raises(ValueError, match="read-only"):
        first[:] = 0


def test_cache_of_nothing_still_reads(tmp_path: Path, image: np.ndarray) -> None:
    path = save(tmp_path / "a.png", image)
    cache = ImageCache(0)
    np.testing.assert_array_equal(cache.load(path), image)
    assert cache.load(path) is not cache.load(path)
