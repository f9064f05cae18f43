"""Which pictures of videos are labelled: by number, or evenly spread. Nothing here depends on chance."""

from __future__ import annotations

from collections.abc import Container, Iterable

from slimdp.structures import ImageRecord


def between(images: Iterable[ImageRecord], first: int, last: int) -> set[int]:
    """Ids of the frames of videos with the numbers `first` to `last`, and of all stills.

    A frame whose file name has no number is none of them.
    """
    numbers = range(first, last + 1)
    return {image.id for image in images if image.video is None or image.frame in numbers}


def spread_frames(images: Iterable[ImageRecord], labelled: Container[int], count: int) -> set[int]:
    """Ids of at most `count` frames of each video, evenly spread over its labelled ones, and of all stills.

    One frame is the middle one of them.

    Args:
        images: pictures.
        labelled: ids of those with labels.
        count: 1 or more.
    """
    by_video: dict[str, list[tuple[int, int]]] = {}
    kept = set()
    for image in images:
        if image.video is None:
            kept.add(image.id)
        elif image.id in labelled:
            by_video.setdefault(image.video, []).append((image.frame or 0, image.id))
    for frames in by_video.values():
        ordered = sorted(frames)
        kept.update(ordered[place][1] for place in _spread(len(ordered), count))
    return kept


def spread_videos(images: Iterable[ImageRecord], labelled: Container[int], count: int) -> set[int]:
    """Ids of the frames of at most `count` videos, evenly spread over the sorted names, and of stills.

    Args:
        images: pictures.
        labelled: ids of those with labels; videos without any are none of the `count`.
        count: 1 or more.
    """
    images = tuple(images)
    videos = sorted({image.video for image in images if image.video is not None and image.id in labelled})
    chosen = {videos[place] for place in _spread(len(videos), count)}
    return {image.id for image in images if image.video is None or image.video in chosen}


def _spread(size: int, count: int) -> list[int]:
    """At most `count` different places in a row of `size`, each in the middle of its share."""
    count = min(size, count)
    return [int((place + 0.5) * size / count) for place in range(count)]
