"""Checks of picture files: there, whole, of the size that the annotation file says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from slimdp.data import ImageError, check_whole, load_image
from slimdp.doctor.findings import Findings
from slimdp.structures import ImageRecord

#: Pictures of a file whose headers a quick check reads.
QUICK_SAMPLE = 200
#: Names that a folder is tried with before it counts as the one that holds a file's pictures.
_TRIED_NAMES = 16


@dataclass(frozen=True)
class Picture:
    """A picture file, and who says so."""

    path: Path
    file: str  # the annotation file, as findings call it
    image_id: int
    width: int  # px
    height: int  # px


def find_folder(names: Sequence[str], candidates: Iterable[Path]) -> Path | None:
    """The folder that holds most of the pictures named, the first of equals; None where none holds any."""
    tried = names[:: max(1, len(names) // _TRIED_NAMES)]
    held = [(sum((folder / name).is_file() for name in tried), folder) for folder in candidates]
    most, folder = max(held, key=lambda entry: entry[0], default=(0, None))
    return folder if most else None


def pictures_of(file: str, images: Iterable[ImageRecord], folder: Path) -> list[Picture]:
    """The pictures of an annotation file; one that it lists twice comes once."""
    pictures = {
        image.file_name: Picture(folder / image.file_name, file, image.id, image.width, image.height)
        for image in images
    }
    return list(pictures.values())


def check_pictures(
    pictures: Sequence[Picture], findings: Findings, quick: bool, threads: int, quiet: bool = False
) -> int:
    """Check the pictures of one annotation file and return how many were opened.

    Args:
        pictures: which.
        findings: where faults go, in the order of the pictures.
        quick: only look whether each is there, and read the headers of `QUICK_SAMPLE` of them, evenly
            spread; else all are decoded.
        threads: that decode side by side (OpenCV and Pillow let other threads run meanwhile).
        quiet: no progress bar.
    """
    if not pictures:
        return 0
    present = []
    for picture in pictures:
        if picture.path.is_file():
            present.append(picture)
        else:
            findings.add("picture-missing", picture.file, _place(picture), f"no {picture.path}")
    opened = _sample(present) if quick else present
    look = _look_at_header if quick else _look_at_all
    pool = ThreadPoolExecutor(threads)
    try:
        results = tqdm(
            pool.map(look, opened), total=len(opened), desc="pictures", unit="", disable=quiet or None
        )
        for picture, fault in zip(opened, results):
            if fault is not None:
                findings.add(fault[0], picture.file, _place(picture), fault[1])
    finally:
        pool.shutdown(cancel_futures=True)
    return len(opened)


def _place(picture: Picture) -> str:
    return f"image {picture.image_id}"


def _sample(pictures: Sequence[Picture]) -> Sequence[Picture]:
    return pictures[:: max(1, -(-len(pictures) // QUICK_SAMPLE))]


def _look_at_header(picture: Picture) -> tuple[str, str] | None:
    """Code and text of what is wrong with a picture, from its header and last bytes."""
    try:
        return _compare(picture, *check_whole(picture.path))
    except ImageError as error:
        return "picture-damaged", str(error)


def _look_at_all(picture: Picture) -> tuple[str, str] | None:
    """Code and text of what is wrong with a picture, decoded."""
    try:
        height, width, _ = load_image(picture.path).shape
    except ImageError as error:
        return "picture-damaged", str(error)
    return _compare(picture, width, height)


def _compare(picture: Picture, width: int, height: int) -> tuple[str, str] | None:
    if (width, height) == (picture.width, picture.height):
        return None
    stated = f"{picture.width} x {picture.height}"
    return "picture-size", f"{picture.path} has {width} x {height} px, but the file says {stated}"
