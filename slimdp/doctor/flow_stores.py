"""Checks of flow stores: every field finished, readable, and of the very frames of its video."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from flow_cache import FlowCacheError, FlowStore, MissingFlowError
from flow_cache.exchange import flo_size, read_flo
from flow_cache.inspection import inspect_video, verify_store
from flow_cache.journal import journal_of
from flow_cache.runtime.atomic import left_in
from flow_cache.runtime.hdf5 import Hdf5ContentError, has_attribute, open_hdf5
from flow_cache.runtime.progress import tracked
from flow_cache.video import folder_names
from slimdp.data import AnnotationError
from slimdp.doctor.findings import FileFindings, Findings
from slimdp.motion import FramePlaces
from slimdp.motion.folder_match import FolderImages
from slimdp.structures import ImageRecord


class VideoShape(NamedTuple):
    """Frames and size of a video, which its flow must have too."""

    frames: int
    width: int  # px
    height: int  # px

    def __str__(self) -> str:
        return f"{self.frames} frames of {self.width} x {self.height} px"


def is_flow_store(path: Path) -> bool:
    """Whether an HDF5 file is a flow store, or too damaged to tell; predictions are HDF5 files too."""
    if journal_of(path).exists():
        return True
    try:
        with open_hdf5(path) as file:
            return has_attribute(file, "schema")
    except (OSError, Hdf5ContentError):
        return True


def find_leftovers(folders: Iterable[Path]) -> list[Path]:
    """Leftovers of killed runs: files and folders that nobody finishes, and journals without their store."""
    found = []
    for folder in folders:
        found += left_in(folder)
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries}
        alone = (name for name in names if name.endswith(".h5.journal"))
        found += sorted(folder / name for name in alone if name.removesuffix(".journal") not in names)
    return found


def check_flow_stores(
    stores: list[Path],
    folder: Path,
    videos: dict[str, VideoShape],
    findings: Findings,
    quick: bool,
    quiet: bool = False,
) -> int:
    """Check flow stores and return how many finished fields they hold; a quick check reads none of them.

    `videos` are those of the annotation files, by name (flow of other videos is not compared); findings name
    files relative to `folder`.
    """
    fields = 0
    held_by: dict[tuple[Path, str], Path] = {}  # folder and video -> the first of its stores
    for path in tracked(stores, "flow", "stores", speaks=not quiet):
        of_store = findings.of(str(path.relative_to(folder)))
        if (journal := journal_of(path)).exists():
            of_store.add("flow-interrupted", "", f"{journal.name} beside it: a writer was cut off")
            continue
        try:
            with FlowStore(path) as store:
                for video in store.videos():
                    first = held_by.setdefault((path.parent, video), path)
                    if first != path:
                        of_store.add("flow-twice", f"video {video}", f"also in {first.name} beside it")
                    fields += _check_video(store, video, videos.get(video), of_store, quick)
                for fault in () if quick else verify_store(store, speaks=not quiet).damaged:
                    of_store.add("flow-damaged", "", fault)
        except (FlowCacheError, OSError) as error:
            of_store.add("flow-damaged", "", str(error))
    return fields


def _check_video(
    store: FlowStore, video: str, shape: VideoShape | None, findings: FileFindings, quick: bool
) -> int:
    """Check what a store says of a video, and return how many finished fields of it there are."""
    place = f"video {video}"
    try:
        report = inspect_video(store, video)
    except FlowCacheError as error:
        if quick:  # else it is among what reading all fields finds
            findings.add("flow-damaged", place, str(error))
        return 0
    for step, missing in report.missing.items():
        if missing:
            found = f"{missing} of {missing + report.finished[step]} fields are not finished"
            findings.add("flow-unfinished", f"{place}: step {step}", found)
    stored = VideoShape(report.frames, report.width, report.height)
    # An annotation file may list some frames of a video alone.
    if shape is not None and not (stored.frames >= shape.frames and stored[1:] == shape[1:]):
        findings.add("flow-size", place, f"{stored}, but the video has {shape}")
    return sum(report.finished.values())


def check_flow_frames(
    stores: Sequence[Path],
    images: Iterable[ImageRecord],
    listed: Iterable[ImageRecord],
    folder: Path,
    findings: FileFindings,
) -> None:
    """Check the frames of one annotation file as propagation and training would look them up.

    Of all frames that the file lists, `images` are annotated; their file names start at `folder`. Videos that
    no store has are not looked at.
    """
    clips: dict[tuple[Path, str], list[ImageRecord]] = {}
    for image in _placed(images, folder):
        if image.video is not None:
            clips.setdefault((image.file.parent, image.video), []).append(image)
    beside: dict[Path, list[ImageRecord]] = {}  # the frames of all videos of a folder
    for image in _placed(listed, folder):
        beside.setdefault(image.file.parent, []).append(image)
    folders: dict[Path, FolderImages] = {}
    known_as: dict[str, list[tuple[Path, str]]] = {}  # what a store may call a video -> whose pictures
    for clip in clips:
        for name in {*folder_names(clip[0]), clip[1]}:
            known_as.setdefault(name, []).append(clip)
    for store in stores:
        try:
            with FlowStore(store) as opened:
                known = {clip: video for video in opened.videos() for clip in known_as.get(video, ())}
                for clip, video in known.items():
                    image = clips[clip][0]
                    if video == clip[1] and opened.size(video) != (image.width, image.height):
                        continue  # flow-size says so
                    try:
                        FramePlaces(opened, clips[clip], beside[clip[0]], speaks=False, folders=folders)
                    except MissingFlowError:
                        continue
                    except AnnotationError as error:
                        findings.add("flow-frames", f"video {clip[1]}", f"{store.name}: {error}")
        except (FlowCacheError, OSError):  # a store or a picture that has its own finding
            continue


def _placed(images: Iterable[ImageRecord], folder: Path) -> Iterator[ImageRecord]:
    return (replace(image, file=folder / image.file_name) for image in images)


def check_flow_file(path: Path, findings: FileFindings, quick: bool) -> None:
    """Check a .flo file, which `python -m flow_cache import` reads; with `quick`, its head alone."""
    try:
        flo_size(path) if quick else read_flo(path)
    except (FlowCacheError, OSError) as error:
        findings.add("flow-damaged", "", str(error))
