"""Checks of flow stores: every field finished, readable, and of the size of its video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py

from flow_cache import FlowCacheError, FlowStore
from flow_cache.inspection import VideoReport, inspect_store
from flow_cache.recovery import journal_of
from flow_cache.runtime.progress import Tracker, tracked
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
        with h5py.File(path, "r") as file:
            return "schema" in file.attrs
    except OSError:
        return True


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
                reports = inspect_store(store)
                held = sum(sum(report.finished.values()) for report in reports)
                with Tracker(file, "fields", held, speaks=not (quick or quiet)) as tracker:
                    for report in reports:
                        fields += sum(report.finished.values())
                        _check_video(report, file, videos.get(report.video), findings)
                        if not quick:
                            _read_fields(store, report, file, findings, tracker)
        except (FlowCacheError, OSError, KeyError) as error:
            findings.add("flow-damaged", file, "", str(error))
    return fields


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


def _read_fields(
    store: FlowStore, report: VideoReport, file: str, findings: Findings, tracker: Tracker
) -> None:
    for step in store.steps(report.video):
        for frame in store.finished(report.video, step).nonzero()[0]:
            try:
                store.read(report.video, int(frame), step)
            except (OSError, ValueError) as error:
                place = f"video {report.video}: frame {frame}, step {step:+d}"
                findings.add("flow-damaged", file, place, str(error))
            tracker.advance()


def _in_words(shape: VideoShape) -> str:
    return f"{shape.frames} frames of {shape.width} x {shape.height} px"
