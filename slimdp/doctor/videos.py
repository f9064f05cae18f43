"""Checks over the frames of videos: tracks, and the flags that say which frames carry labels."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from slimdp.data.json_record import Record
from slimdp.doctor.findings import Findings
from slimdp.structures import ImageRecord, PersonAnnotation

#: Boxes of a track are compared between frames this near to each other.
NEAR_FRAMES = 4
#: A box moves farther than this many times its longer side: two people, most likely.
_FARTHEST = 2.0


@dataclass(frozen=True)
class _Seen:
    """A person of a track in a frame."""

    frame: int
    box: np.ndarray  # (4,) x, y, width, height, image px
    place: str


class VideoCheck:
    """Gathers the people of an annotation file, and checks their tracks at the end."""

    def __init__(self, file: str, findings: Findings) -> None:
        self._file = file
        self._findings = findings
        self._tracks: dict[tuple[str, int], list[_Seen]] = {}
        self._trackless: dict[str, list[str]] = {}  # places by video
        self._people_in: set[int] = set()
        self._masks_in: set[int] = set()
        self._flagged: dict[int, tuple[str, int]] = {}  # frame without labels -> its name, people with points

    @property
    def tracks(self) -> int:
        """People in videos, each counted once."""
        return len(self._tracks)

    def add(self, record: Record, person: PersonAnnotation) -> None:
        """Take note of a person; those in stills have no track."""
        image = person.image
        self._people_in.add(image.id)
        if person.has_coarse:
            self._masks_in.add(image.id)
        if not image.labelled and len(person.points):
            name, count = self._flagged.get(image.id, (image.file_name, 0))
            self._flagged[image.id] = name, count + 1
        if image.video is None:
            return
        if person.track is None:
            self._trackless.setdefault(image.video, []).append(record.place)
            return
        frame = image.frame if image.frame is not None else image.id
        seen = _Seen(frame, person.box, record.place)
        self._tracks.setdefault((image.video, person.track), []).append(seen)

    def finish(self, images: Iterable[ImageRecord], dense_images: set[int]) -> None:
        """Check what only shows when all people are known."""
        frames: dict[str, set[int]] = {}
        for image in images:
            empty = image.id not in (dense_images | self._masks_in if dense_images else self._people_in)
            if image.video is None:
                continue
            if image.labelled and empty and self._people_in:
                place = f"image {image.id}: has_no_densepose, is_labeled"
                self._findings.add(
                    "frame-empty", self._file, place, f"nobody is labelled in {image.file_name}"
                )
            elif image.labelled and image.frame is not None:
                frames.setdefault(image.video, set()).add(image.frame)
        for identity, (name, count) in self._flagged.items():
            place = f"image {identity}: has_no_densepose, is_labeled"
            found = f"{name} counts as unlabelled, but {count} of its people have points"
            self._findings.add("flag-differs", self._file, place, found)
        with_tracks = {video for video, _ in self._tracks}
        for video, places in self._trackless.items():
            for place in places if video in with_tracks else ():
                self._findings.add(
                    "track-missing", self._file, f"{place}: track_id", f"none, in video {video}"
                )
        for (video, track), seen in self._tracks.items():
            self._check_track(f"video {video}, track {track}", seen, frames.get(video, set()))

    def _check_track(self, track: str, seen: list[_Seen], frames: set[int]) -> None:
        seen = sorted(seen, key=lambda one: one.frame)
        for before, after in itertools.pairwise(seen):
            step = after.frame - before.frame
            place = f"{after.place}: track_id"
            if step == 0:
                self._findings.add("track-twice", self._file, place, f"{track} is also {before.place}")
            elif step <= NEAR_FRAMES and (moved := _moved(before.box, after.box)) > _FARTHEST:
                found = f"{track} moved {moved:.1f} times its size from frame {before.frame} to {after.frame}"
                self._findings.add("track-jump", self._file, place, found)
        present = {one.frame for one in seen}
        gap = sorted(frame for frame in frames - present if seen[0].frame < frame < seen[-1].frame)
        if gap:
            between = f"between {seen[0].frame} and {seen[-1].frame}"
            found = f"absent in {len(gap)} labelled frames {between}: {_some(gap)}"
            self._findings.add("track-gap", self._file, track, found)


def _moved(box_0: np.ndarray, box_1: np.ndarray) -> float:
    """How far a box moved, in times its longer side."""
    centres = box_0[:2] + box_0[2:] / 2, box_1[:2] + box_1[2:] / 2
    return float(np.hypot(*(centres[1] - centres[0])) / max(*box_0[2:], *box_1[2:]))


def _some(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
