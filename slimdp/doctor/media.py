"""Checks of picture and video files: there, whole, and of the size that the annotation file says."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import TypeVar

from flow_cache import FlowCacheError
from flow_cache.images import (
    UPRIGHT,
    ImageError,
    ImageHeader,
    ImageTooLargeError,
    check_image,
    content_of,
    decode_image,
    orientation_of,
)
from flow_cache.runtime.progress import tracked
from flow_cache.runtime.workers import WorkerPool
from flow_cache.video import open_video, probe_video
from slimdp.doctor.findings import FileFindings, Findings
from slimdp.structures import ImageRecord

#: Pictures of a file whose headers a quick check reads.
QUICK_SAMPLE = 200
#: Names that a folder is tried with before it counts as the one that holds a file's pictures.
_TRIED_NAMES = 16
#: Starting a process takes as long as decoding about this many pictures.
_WORTH_A_PROCESS = 300
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".flv", ".wmv", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts",
    ".3gp", ".ogv", ".mxf",
)  # fmt: skip
#: What a transport stream begins with, where TypeScript, which shares the suffix, does not.
_SYNC = b"G"
T = TypeVar("T")
Fault = tuple[str, str]  # code, what was found


def find_folder(names: Sequence[str], candidates: Iterable[Path]) -> Path | None:
    """The folder that holds most of the pictures named, the first of equals; None where none holds any."""
    tried = names[:: max(1, len(names) // _TRIED_NAMES)]
    held = [(sum((folder / name).is_file() for name in tried), folder) for folder in candidates]
    most, folder = max(held, key=lambda entry: entry[0], default=(0, None))
    return folder if most else None


def check_images(
    images: Iterable[ImageRecord],
    folder: Path,
    findings: FileFindings,
    quick: bool,
    processes: int,
    quiet: bool = False,
) -> int:
    """Check the pictures of one annotation file, whose names start at `folder`; returns how many were opened.

    All are decoded, by at most so many processes (few pictures in this one); with `quick` the headers of
    `QUICK_SAMPLE` of them are read, evenly spread.
    """
    present = []
    named = {image.file_name: replace(image, file=folder / image.file_name) for image in images}
    for image in named.values():  # one that the file lists twice comes once
        if image.file.is_file():
            present.append(image)
        else:
            findings.add("picture-missing", f"image {image.id}", f"no {image.file}")
    opened = _sample(present, quick)
    faults = _mapped(_fault_of_header if quick else _fault_of_content, opened, processes)
    for image, fault in tracked(zip(opened, faults), "pictures", "pictures", len(opened), speaks=not quiet):
        if fault is not None:
            findings.add(fault[0], f"image {image.id}", fault[1])
    return len(opened)


def _sample(files: Sequence[T], quick: bool) -> Sequence[T]:
    """All of them, or for a quick look `QUICK_SAMPLE` of them, evenly spread."""
    return files[:: max(1, -(-len(files) // QUICK_SAMPLE))] if quick else files


def _fault_of_header(image: ImageRecord) -> Fault | None:
    """Code and text of what is wrong with a picture, from its header and last bytes."""
    try:
        return _compare(image, check_image(image.file))
    except ImageError as error:
        return _fault(error)


def _fault_of_content(image: ImageRecord) -> Fault | None:
    """Code and text of what is wrong with a picture, decoded."""
    with _stderr_lines() as complaints:
        try:
            content = content_of(image.file)
            height, width, _ = decode_image(image.file, content).shape
        except ImageError as error:
            return _fault(error)
    if complaints:
        return "picture-doubtful", f"{image.file}: the decoder says: {'; '.join(complaints)}"
    return _compare(image, ImageHeader(width, height, orientation_of(content)))


def _mapped(
    check: Callable[[ImageRecord], Fault | None], images: Sequence[ImageRecord], processes: int
) -> Iterator[Fault | None]:
    processes = min(processes, len(images) // _WORTH_A_PROCESS)
    if processes <= 1:
        yield from map(check, images)
    else:
        with WorkerPool(check, processes) as pool:
            yield from pool.map(images)


@contextmanager
def _stderr_lines() -> Iterator[list[str]]:
    """Gather what is printed to stderr in the block: libjpeg tells of damaged bytes there and nowhere else.

    It takes the file descriptor, so nothing else of the process may print meanwhile.
    """
    lines: list[str] = []
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            lines += file.read().decode(errors="replace").splitlines()


def _fault(error: ImageError) -> Fault:
    """The finding for a picture that cannot be opened."""
    return "picture-too-large" if isinstance(error, ImageTooLargeError) else "picture-damaged", str(error)


def _compare(image: ImageRecord, found: ImageHeader) -> Fault | None:
    stated = image.width, image.height
    if (found.width, found.height) == stated:
        turned = "picture-orientation", f"{image.file} has orientation tag {found.orientation}"
        return None if found.orientation == UPRIGHT else turned
    text = f"{image.file} has {found.width} x {found.height} px, but the file says {stated[0]} x {stated[1]}"
    if found.turned_size == stated:
        text += f", as with its orientation tag ({found.orientation}) applied"
    return "picture-size", text


def check_loose_images(
    images: Sequence[Path], known: Collection[str], folder: Path, findings: Findings, quick: bool
) -> None:
    """Read the headers of pictures that nothing has opened yet, such as frames of videos without labels.

    `known` are the normal paths of those that were opened; findings name files relative to `folder`; with
    `quick`, only `QUICK_SAMPLE` are read.
    """
    for path in _sample([path for path in images if os.path.normpath(path) not in known], quick):
        of_folder = findings.of(str(path.parent.relative_to(folder)))  # shown together
        try:
            header = check_image(path)
        except ImageError as error:
            code, found = _fault(error)
            of_folder.add(code, path.name, found)
            continue
        if header.orientation != UPRIGHT:
            of_folder.add("picture-orientation", path.name, f"orientation tag {header.orientation}")


def is_video_file(path: Path) -> bool:
    """Whether a file is to be checked as a video, by its name."""
    suffix = path.suffix.lower()
    if suffix != ".ts" or not path.is_file():
        return suffix in VIDEO_SUFFIXES
    try:
        with open(path, "rb") as file:
            return file.read(1) == _SYNC
    except OSError:  # whoever checks it says why
        return True


def check_video_file(path: Path, findings: FileFindings, quick: bool) -> None:
    """Decode a video file as `flow_cache precompute` does before it starts.

    With `quick`, decode the first frame alone, and compare the file with its own index.
    """
    with _warnings() as said:
        try:
            probe_video(path) if quick else open_video(path)
        except (FlowCacheError, OSError) as error:
            findings.add("video-broken", "", str(error))
    for record in said:
        findings.add("video-odd", "", record.getMessage())


@contextmanager
def _warnings() -> Iterator[list[logging.LogRecord]]:
    """Gathers what looking through a video says in the log."""
    logger, handler = logging.getLogger("flow_cache.video_file"), BufferingHandler(sys.maxsize)
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield handler.buffer
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
