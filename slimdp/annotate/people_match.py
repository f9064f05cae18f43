"""Who somebody of a labelled frame is among the people of another frame.

A track that both frames name is believed. Everybody else is known by the box: that of the labelled frame,
moved along the flow, overlaps the one in the other frame. For a box that is drawn or found there begins a
track of its own, and a file may name no tracks at all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from slimdp.geometry import box_overlaps

#: Boxes that overlap more (IoU) are of one person.
SAME_PERSON = 0.5


@dataclass(frozen=True)
class Located:
    """Somebody's track, None where the file names none, and box (4,) x, y, width, height px."""

    track: int | None
    box: np.ndarray


def match_people(
    people_0: Sequence[Located], people_1: Sequence[Located], pictures: Sequence[Collection[int]]
) -> list[int | None]:
    """For each person of frame 0 the place of the same one in frame 1; None for nobody, and nobody twice.

    Args:
        people_0: everybody in frame 0, with boxes as the flow has moved them to frame 1.
        people_1: everybody in frame 1.
        pictures: the tracks in each picture of the video; two that one picture shows are two people.
    """
    boxes = [np.array([each.box for each in people]).reshape(-1, 4) for people in (people_0, people_1)]
    overlap = box_overlaps(*boxes)
    found: list[int | None] = [None] * len(people_0)
    for by_track in (True, False):
        for row, column in _most_overlapping_first(overlap):
            track_0, track_1 = people_0[row].track, people_1[column].track
            if found[row] is not None or column in found:
                continue
            if by_track:
                same = track_0 is not None and track_0 == track_1
            else:
                apart = any(track_0 in tracks and track_1 in tracks for tracks in pictures)
                same = bool(overlap[row, column] > SAME_PERSON) and not apart
            if same:
                found[row] = column
    return found


def _most_overlapping_first(overlap: np.ndarray) -> list[tuple[int, int]]:
    order = np.argsort(-overlap, axis=None, kind="stable")
    return [(int(place) // overlap.shape[1], int(place) % overlap.shape[1]) for place in order]
