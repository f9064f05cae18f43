"""Checks of flow stores against pictures: whether annotated frames are those that flow was computed from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from flow_cache import FlowCacheError, FlowStore, MissingFlowError
from flow_cache.naming import folder_names
from slimdp.data import AnnotationError
from slimdp.doctor.findings import Findings
from slimdp.motion import FramePlaces
from slimdp.motion.folder_match import FolderPictures
from slimdp.structures import ImageRecord


def check_flow_frames(
    stores: Sequence[Path],
    file: str,
    images: Iterable[ImageRecord],
    listed: Iterable[ImageRecord],
    folder: Path,
    findings: Findings,
) -> None:
    """Check the frames of one annotation file as propagation and training would look them up.

    Args:
        stores: flow; videos that none of them has are not looked at.
        file: the annotation file, as findings call it.
        images: its annotated frames.
        listed: all that it lists.
        folder: what their file names start at.
        findings: where faults go.
    """
    clips: dict[tuple[Path, str], list[ImageRecord]] = {}
    for image in images:
        if image.video is not None:
            found = replace(image, file=folder / image.file_name)
            clips.setdefault((found.file.parent, image.video), []).append(found)
    beside: dict[Path, list[ImageRecord]] = {}  # the frames of all videos of a folder
    for image in listed:
        found = replace(image, file=folder / image.file_name)
        beside.setdefault(found.file.parent, []).append(found)
    folders: dict[Path, FolderPictures] = {}
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
                        findings.add("flow-frames", file, f"video {clip[1]}", f"{store.name}: {error}")
        except (FlowCacheError, OSError):  # a store or a picture that has its own finding
            continue
