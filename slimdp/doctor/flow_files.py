"""Checks of flow stores: every field finished, readable, and of the size of its video."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flow_cache import FlowCacheError, FlowStore
from flow_cache.formats import flo_size, read_flo
from flow_cache.inspection import VideoReport, inspect_video, verify_store
from flow_cache.journal import journal_of
from flow_cache.runtime.atomic import left_in
from flow_cache.runtime.hdf5_content import Hdf5ContentError, has_attribute, open_hdf5
from flow_cache.runtime.progress import tracked
from slimdp.doctor.findings import Findings


@dataclass(frozen=True)
class VideoShape:
    """What a store must agree with."""

    frames: int
    width: int  # px
    height: int  # px


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
    """What killed runs left: files and folders that nobody finishes, and journals without their store."""
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
    """Check flow stores and return how many finished fields they hold.

    Args:
        stores: their files.
        folder: what findings name them relative to.
        videos: the videos of the annotation files, by name; flow of other videos is not compared.
        findings: where faults go.
        quick: do not read the fields themselves.
        quiet: show no progress.
    """
    fields = 0
    for path in tracked(stores, "flow", "stores", speaks=not quiet):
        file = str(path.relative_to(folder))
        if journal_of(path).exists():
            findings.add(
                "flow-interrupted", file, "", f"{journal_of(path).name} beside it: a writer was cut off"
            )
            continue
        try:
            with FlowStore(path) as store:
                for video in store.videos():
                    try:
                        report = inspect_video(store, video)
                    except FlowCacheError as error:
                        if quick:  # else it is among what is found below
                            findings.add("flow-damaged", file, f"video {video}", str(error))
                    else:
                        fields += sum(report.finished.values())
                        _check_video(report, file, videos.get(video), findings)
                damaged = () if quick else verify_store(store, speaks=not quiet).damaged
                for fault in damaged:
                    findings.add("flow-damaged", file, "", fault)
        except (FlowCacheError, OSError) as error:
            findings.add("flow-damaged", file, "", str(error))
    return fields


def check_flow_files(files: Iterable[Path], folder: Path, findings: Findings, quick: bool) -> None:
    """Check .flo files, which `python -m flow_cache import` reads; with `quick`, their heads alone."""
    for path in files:
        try:
            flo_size(path) if quick else read_flo(path)
        except (FlowCacheError, OSError) as error:
            findings.add("flow-damaged", str(path.relative_to(folder)), "", str(error))


def _check_video(report: VideoReport, file: str, shape: VideoShape | None, findings: Findings) -> None:
    for step, missing in report.missing.items():
        if missing:
            total = missing + report.finished[step]
            place = f"video {report.video}: step {step}"
            findings.add("flow-unfinished", file, place, f"{missing} of {total} fields are not finished")
    found = VideoShape(report.frames, report.width, report.height)
    if shape is None:
        return
    # An annotation file may list some frames of a video alone.
    fits = found.frames >= shape.frames and (found.width, found.height) == (shape.width, shape.height)
    if not fits:
        findings.add(
            "flow-size",
            file,
            f"video {report.video}",
            f"{_in_words(found)}, but the video has {_in_words(shape)}",
        )


def _in_words(shape: VideoShape) -> str:
    return f"{shape.frames} frames of {shape.width} x {shape.height} px"
