"""Checks of picture and video files: there, whole, and of the size that the annotation file says."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flow_cache import FlowCacheError
from flow_cache.images import (
    UPRIGHT,
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
from slimdp.data import ImageError
from slimdp.doctor.findings import Findings
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
Fault = tuple[str, str]  # code, what was found


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
    pictures: Sequence[Picture], findings: Findings, quick: bool, processes: int, quiet: bool = False
) -> int:
    """Check the pictures of one annotation file and return how many were opened.

    Args:
        pictures: which.
        findings: where faults go, in the order of the pictures.
        quick: only look whether each is there, and read the headers of `QUICK_SAMPLE` of them, evenly
            spread; else all are decoded.
        processes: that decode side by side, at most; few pictures are decoded in this one.
        quiet: show no progress.
    """
    present = []
    for picture in pictures:
        if picture.path.is_file():
            present.append(picture)
        else:
            findings.add("picture-missing", picture.file, _place(picture), f"no {picture.path}")
    opened = present[:: max(1, -(-len(present) // QUICK_SAMPLE))] if quick else present
    faults = _mapped(_fault_of_header if quick else _fault_of_content, opened, processes)
    looked_at = tracked(zip(opened, faults), "pictures", "pictures", len(opened), speaks=not quiet)
    for picture, fault in looked_at:
        if fault is not None:
            findings.add(fault[0], picture.file, _place(picture), fault[1])
    return len(opened)


def _fault_of_header(picture: Picture) -> Fault | None:
    """Code and text of what is wrong with a picture, from its header and last bytes."""
    try:
        return _compare(picture, check_image(picture.path))
    except ImageError as error:
        return _code_of(error), str(error)


def _fault_of_content(picture: Picture) -> Fault | None:
    """Code and text of what is wrong with a picture, decoded."""
    with _stderr_lines() as complaints:
        try:
            content = content_of(picture.path)
            height, width, _ = decode_image(picture.path, content).shape
        except ImageError as error:
            return _code_of(error), str(error)
    if complaints:
        return "picture-doubtful", f"{picture.path}: the decoder says: {'; '.join(complaints)}"
    return _compare(picture, ImageHeader(width, height, orientation_of(content)))


def _mapped(
    look: Callable[[Picture], Fault | None], pictures: Sequence[Picture], processes: int
) -> Iterator[Fault | None]:
    processes = min(processes, len(pictures) // _WORTH_A_PROCESS)
    if processes <= 1:
        yield from map(look, pictures)
        return
    with WorkerPool(look, processes) as pool:
        yield from pool.map(pictures)


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


def _place(picture: Picture) -> str:
    return f"image {picture.image_id}"


def _code_of(error: ImageError) -> str:
    """What kind of finding a picture that cannot be opened is."""
    return "picture-too-large" if isinstance(error, ImageTooLargeError) else "picture-damaged"


def _compare(picture: Picture, found: ImageHeader) -> Fault | None:
    stated = picture.width, picture.height
    if (found.width, found.height) == stated:
        if found.orientation == UPRIGHT:
            return None
        return "picture-orientation", f"{picture.path} has orientation tag {found.orientation}"
    text = (
        f"{picture.path} has {found.width} x {found.height} px, but the file says {stated[0]} x {stated[1]}"
    )
    if found.turned_size == stated:
        text += f", as with its orientation tag ({found.orientation}) applied"
    return "picture-size", text


def check_loose_pictures(
    pictures: Sequence[Path], known: Collection[str], folder: Path, findings: Findings, quick: bool
) -> None:
    """Read the headers of pictures that nothing has opened yet, such as frames of videos without labels.

    Args:
        pictures: all that lie in the folder.
        known: normal paths of those that were opened.
        folder: what findings name them relative to.
        findings: where faults go.
        quick: only `QUICK_SAMPLE` of them, evenly spread.
    """
    loose = [path for path in pictures if os.path.normpath(path) not in known]
    step = -(-len(loose) // QUICK_SAMPLE) if quick and loose else 1
    for path in loose[::step]:
        # Findings of a folder are shown together.
        where, name = str(path.parent.relative_to(folder)), path.name
        try:
            header = check_image(path)
        except ImageError as error:
            findings.add(_code_of(error), where, name, str(error))
            continue
        if header.orientation != UPRIGHT:
            findings.add("picture-orientation", where, name, f"orientation tag {header.orientation}")


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


def check_video_files(
    videos: Sequence[Path], folder: Path, findings: Findings, quick: bool, quiet: bool = False
) -> None:
    """Decode video files as `flow_cache precompute` does before it starts.

    Args:
        videos: the files.
        folder: what findings name them relative to.
        findings: where faults go.
        quick: decode the first frame alone, and compare the file with its own index.
        quiet: show no progress.
    """
    for path in tracked(videos, "videos", "files", speaks=not quiet):
        file = path.relative_to(folder).as_posix()
        with _warnings() as said:
            try:
                if quick:
                    probe_video(path)
                else:
                    open_video(path)
            except (FlowCacheError, OSError) as error:
                findings.add("video-broken", file, "", str(error))
        for warning in said:
            findings.add("video-odd", file, "", warning)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Gathers what looking through a video says in the log."""
    said: list[str] = []

    class Gather(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, handler = logging.getLogger("flow_cache.video_file"), Gather()
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
