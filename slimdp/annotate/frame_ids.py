"""The numbers that images of a file give to the frames of a video file: from 0 on, or from 1 as by ffmpeg.

`slimdp fit`, `frames` and `suggest` find the number of the first frame from the pictures beside the labels.
The page must show labels on the frames that those take them for, and number new images alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flow_cache.runtime.progress import tracked
from slimdp.annotate.changes import Entry
from slimdp.annotate.document import Document, DocumentError
from slimdp.annotate.media import Media
from slimdp.annotate.people import whole_number
from slimdp.data.frame_match import FrameMatch, NumberedPicture, describe_misplaced
from slimdp.data.frame_numbers import FrameName, number_frames

#: What the first frame of a video may be called.
FIRSTS = (0, 1)


def numbers_of(entries: Sequence[Entry]) -> dict[int, int]:
    """The frames' numbers of a file's images, by place, as every reader has them; none of stills."""
    videos: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        if entry.get("vid_id") is not None:
            videos.setdefault(str(entry["vid_id"]), []).append(place)
    found: dict[int, int] = {}
    for places in videos.values():
        numbers, _ = number_frames([_named(entries[place]) for place in places])
        found |= {place: number for place, number in zip(places, numbers) if number is not None}
    return found


def _named(entry: Entry) -> FrameName:
    return FrameName(str(entry.get("file_name")), int(entry["id"]), whole_number(entry.get("frame_id")))


def first_number(document: Document, media: Media) -> int:
    """The number that a file's images give to the first frame of a video file.

    The names of pictures that this tool wrote say it, and others that lie beside the labels show it. Where
    none does, it is the one of 0 and 1 under which the video has all frames of the file; else 0.

    Raises:
        DocumentError: pictures show other frames than these under either, or contradict one another.
    """
    entries: list[Entry] = document.content["images"]
    numbers, name = numbers_of(entries), media.source.info.name
    index_of = {picture.file_name: index for index, picture in enumerate(media.pictures)}
    own = {
        str(entries[place]["file_name"]): number - index_of[entries[place]["file_name"]]
        for place, number in numbers.items()
        if entries[place].get("file_name") in index_of
    }
    others = {
        place: number
        for place, number in numbers.items()
        if str(entries[place]["vid_id"]) == name and entries[place].get("file_name") not in index_of
    }
    shown = dict(_shown_beside(document, media, others))
    if shown:
        own |= {str(next(iter(shown))): _first_shown(document, media, shown)}
    firsts = {first: file_name for file_name, first in own.items()}
    if len(firsts) > 1:
        said = " and ".join(f"{first} in that of {file_name}" for first, file_name in sorted(firsts.items()))
        raise DocumentError(
            f"{document.path}: the first frame of {name!r} has the number {said}; give all its images a "
            "frame_id that counts from the same first frame"
        )
    return next(iter(firsts), _first_within(list(others.values()), len(media)))


def _shown_beside(document: Document, media: Media, numbers: Mapping[int, int]) -> Iterator[tuple[Path, int]]:
    """The pictures that lie beside the labels, and their numbers: of labelled images, if there are any."""
    entries: list[Entry] = document.content["images"]
    labelled: set[Any] = {
        entry.get("image_id")
        for entry in document.content["annotations"]
        if entry.get("dp_x") or any(entry.get("dp_masks") or ())
    }
    for chosen in (
        {place: number for place, number in numbers.items() if entries[place]["id"] in labelled},
        numbers,
    ):
        files = {media.root / str(entries[place]["file_name"]): number for place, number in chosen.items()}
        there = {file: number for file, number in files.items() if file.is_file()}
        if there:
            yield from there.items()
            return


def _first_shown(document: Document, media: Media, shown: Mapping[Path, int]) -> int:
    """The number of the first frame under which pictures show the frames of their numbers."""
    pictures = [NumberedPicture.read(file, number) for file, number in shown.items()]
    match, name = FrameMatch(pictures, FIRSTS), media.source.info.name
    last, title = max(match.near, default=-1), f"compare the labelled pictures with the frames of {name}"
    for index, image in enumerate(tracked(media.in_order(), title, "frames", last + 1)):
        if index in match.near:
            match.see(index, image)
        if index >= last:
            break
    first = match.first()
    title = f"search {name} for the labelled pictures"
    wrong = match.misplaced(first, tracked(media.in_order(), title, "frames", len(media)))
    if any(each.found is None for each in wrong):
        raise DocumentError(
            f"{document.path}: the pictures of {name!r} beside it, such as {next(iter(shown))}, show "
            f"something else than the frames of {media.source.info.path} with their numbers, be the first of "
            f"these {' or '.join(map(str, FIRSTS))}; correct their frame_id, or name another file by --out"
        )
    if wrong:
        raise DocumentError(f"{document.path}: {describe_misplaced(wrong, pictures, first)}")
    return first


def _first_within(numbers: Sequence[int], count: int) -> int:
    fits = (first for first in FIRSTS if all(0 <= number - first < count for number in numbers))
    return next(fits, FIRSTS[0])
