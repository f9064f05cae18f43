"""The pictures of a folder that are the frames of a video, in order, and what is odd about them."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flow_cache.errors import FlowCacheError
from flow_cache.runtime.workers import usable_cores

#: Pictures of 8 bits that OpenCV and Pillow both read, the one list of both packages; in any case of letters.
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp",
    ".ppm", ".pgm", ".pbm", ".pnm", ".ras", ".sr", ".jp2", ".j2k", ".avif",
)  # fmt: skip
_LOG = logging.getLogger(__name__)
_NUMBER = re.compile(r"\d+")
_FILES_A_TASK = 16


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their numbers.

    Hidden files and those with other suffixes are no frames. Numbers that jump, and pictures that are named
    in several ways, are said in the log: they may be meant, and are taken as they come.

    Raises:
        FlowCacheError: fewer than two pictures, two of one name but for the suffix, a name that is no UTF-8,
            or something else than a file under a picture's name.
    """
    files = [Path(entry) for entry in _entries(folder)]
    if len(files) < 2:
        raise FlowCacheError(
            f"{folder} holds {len(files)} pictures ({' '.join(IMAGE_SUFFIXES)}); flow needs at least 2"
        )
    files.sort(key=lambda file: _in_number_order(file.name))
    for first, second in itertools.pairwise(files):
        if first.stem == second.stem:
            raise FlowCacheError(
                f"{folder} holds both {first.name} and {second.name}; keep the frames of a video alone in a "
                "folder"
            )
    _say_what_is_odd(folder, [file.name for file in files])
    return files


def hash_of_all(files: list[Path], hash_of: Callable[[Path], bytes]) -> str:
    """SHA-256 over names and hashes of files, which are taken in several threads."""
    with ThreadPoolExecutor(usable_cores()) as threads:
        tasks = [files[start : start + _FILES_A_TASK] for start in range(0, len(files), _FILES_A_TASK)]
        hashes = threads.map(lambda task: [hash_of(file) for file in task], tasks)
        digest = hashlib.sha256()
        for file, content_hash in zip(files, itertools.chain.from_iterable(hashes), strict=True):
            digest.update(file.name.encode() + b"\0" + content_hash)
    return digest.hexdigest()


def hash_of_file(path: Path) -> bytes:
    """SHA-256 of a file's content.

    Raises:
        FlowCacheError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise FlowCacheError(f"{path} cannot be read: {error.strerror}") from error
    return digest.digest()


def check_utf8(path: Path) -> None:
    """Raise FlowCacheError for a path that a store cannot keep as text."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise FlowCacheError(f"the name {os.fsencode(path)!r} is not UTF-8; rename it") from None


def _entries(folder: Path) -> Iterator[os.DirEntry]:
    with os.scandir(folder) as entries:
        for entry in entries:
            suffix = os.path.splitext(entry.name)[1].lower()
            if suffix not in IMAGE_SUFFIXES or entry.name.startswith("."):
                continue
            check_utf8(Path(entry))
            try:
                is_file = entry.is_file()
            except OSError:  # links that lead to one another
                is_file = False
            if not is_file:
                raise FlowCacheError(f"{entry.path} is no file, or a link to none; remove or mend it")
            yield entry


def _say_what_is_odd(folder: Path, names: list[str]) -> None:
    patterns = {_NUMBER.sub("#", os.path.splitext(name)[0]): name for name in reversed(names)}
    if len(patterns) > 1:
        some = ", ".join(sorted(patterns.values())[:3])
        _LOG.warning("%s: pictures named in %d ways (%s); all are frames", folder, len(patterns), some)
        return
    columns = [set(column) for column in zip(*(_NUMBER.findall(name) for name in names))]
    changing = [place for place, column in enumerate(columns) if len(column) > 1]
    if len(changing) != 1:
        return
    numbers = [int(_NUMBER.findall(name)[changing[0]]) for name in names]
    jumps = Counter(after - before for before, after in itertools.pairwise(numbers))
    usual = jumps.most_common(1)[0][0]
    odd = [i for i, (before, after) in enumerate(itertools.pairwise(numbers)) if after - before != usual]
    if odd:
        _LOG.warning(
            "%s: numbers jump at %d places, the first from %s to %s; step +1 goes to the next picture",
            folder, len(odd), names[odd[0]], names[odd[0] + 1],
        )  # fmt: skip


def _in_number_order(name: str) -> list[tuple[int, int, str]]:
    """A sorting key under which frame2 comes before frame10."""
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), part) if part.isdigit() else (1, 0, part) for part in parts]
