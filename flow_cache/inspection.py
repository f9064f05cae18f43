"""What a store holds, as a record and as text."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flow_cache.schema import region_in_words, step_name
from flow_cache.store import FlowStore


@dataclass(frozen=True)
class VideoReport:
    """The state of one video in a store."""

    video: str
    file: str
    frames: int
    width: int  # px
    height: int  # px
    estimator: str
    settings: str  # JSON
    source: str
    around: str  # JSON of the margin, and of how many boxes; "" for whole frames
    finished: dict[str, int]  # fields by step
    missing: dict[str, int]  # fields by step that were asked for and are not finished
    tiles_stored: float | None  # share of the tiles of the finished fields; None without fields
    bytes_stored: int  # of the fields, without the index
    bytes_float32: int  # what the finished fields would take as float32, whole frames

    @property
    def ratio(self) -> float | None:
        """How many times smaller the fields are than as float32; None without fields."""
        return self.bytes_float32 / self.bytes_stored if self.bytes_stored else None


def count_finished(store: FlowStore, videos: Iterable[str] | None = None) -> int:
    """How many fields a store holds, of some of its videos or of all."""
    chosen = store.videos() if videos is None else videos
    return sum(int(store.finished(video, step).sum()) for video in chosen for step in store.steps(video))


def inspect_store(store: FlowStore) -> list[VideoReport]:
    """The state of every video in a store, by name."""
    return [inspect_video(store, video) for video in store.videos()]


def report_as_json(reports: list[VideoReport]) -> dict[str, Any]:
    """The same as plain values for json.dumps, with the sizes of the files."""
    files = {report.file: os.path.getsize(report.file) for report in reports}
    videos = [{**vars(report), "ratio": report.ratio} for report in reports]
    return {"videos": videos, "bytes_on_disk": files}


def report_as_text(reports: list[VideoReport]) -> str:
    """The same for reading."""
    lines = []
    for report in reports:
        lines.append(
            f"{report.video}: {report.frames} frames of {report.width} x {report.height} px, by "
            f"{report.estimator} {report.settings}, from {report.source}"
        )
        for step, finished in report.finished.items():
            missing = report.missing[step]
            lines.append(f"  step {step}: {finished} fields" + (f", {missing} missing" if missing else ""))
        ratio = f", {report.ratio:.1f} times smaller" if report.ratio else ""
        lines.append(
            f"  {_megabytes(report.bytes_stored)}; as float32 {_megabytes(report.bytes_float32)}{ratio}"
        )
        if report.around:
            share = f": {100 * report.tiles_stored:.1f} % of the tiles stored" if report.tiles_stored else ""
            lines.append(f"  {region_in_words(report.around)}{share}")
    for file in sorted({report.file for report in reports}):
        lines.append(f"{file}: {_megabytes(os.path.getsize(file))} on disk")
    return "\n".join(lines) or "no videos"


def inspect_video(store: FlowStore, video: str) -> VideoReport:
    """The state of one video."""
    record = store.record(video)
    frames = len(record.frame_names)
    finished = {step_name(step): int(store.finished(video, step).sum()) for step in store.steps(video)}
    missing = {
        step_name(step): int((store.planned(video, step) & ~store.finished(video, step)).sum())
        for step in store.steps(video)
    }
    tiles, possible = store.tiles_stored(video)
    return VideoReport(
        video=video,
        file=str(store.file(video)),
        frames=frames,
        width=record.width,
        height=record.height,
        estimator=record.estimator,
        settings=record.settings,
        source=record.source,
        around=record.around,
        finished=finished,
        missing=missing,
        tiles_stored=tiles / possible if possible else None,
        bytes_stored=store.bytes_stored(video),
        bytes_float32=sum(finished.values()) * 2 * record.height * record.width * 4,
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
