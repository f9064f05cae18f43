"""Checks of video files: that each can be decoded to its end here, in frames of one size."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flow_cache import FlowCacheError
from flow_cache.runtime.progress import tracked
from flow_cache.video import open_video, probe_video
from slimdp.doctor.findings import Findings

VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".flv", ".wmv", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts",
    ".3gp", ".ogv", ".mxf",
)  # fmt: skip
#: What a transport stream begins with, where TypeScript, which shares the suffix, does not.
_SYNC = b"G"


def is_video_file(path: Path) -> bool:
    """Whether a file is to be checked as a video, by its name."""
    suffix = path.suffix.lower()
    if suffix != ".ts" or not path.is_file():
        return suffix in VIDEO_SUFFIXES
    try:
        with open(path, "rb") as file:
            return file.read(1) == _SYNC
    except OSError:  # whoever checks it says why
        return True


def check_video_files(
    videos: Sequence[Path], folder: Path, findings: Findings, quick: bool, quiet: bool = False
) -> None:
    """Decode video files as `flow_cache precompute` does before it starts.

    Args:
        videos: the files.
        folder: what findings name them relative to.
        findings: where faults go.
        quick: decode the first frame alone, and compare the file with its own index.
        quiet: show no progress.
    """
    for path in tracked(videos, "videos", "files", speaks=not quiet):
        file = path.relative_to(folder).as_posix()
        with _warnings() as said:
            try:
                if quick:
                    probe_video(path)
                else:
                    open_video(path)
            except (FlowCacheError, OSError) as error:
                findings.add("video-broken", file, "", str(error))
        for warning in said:
            findings.add("video-odd", file, "", warning)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Gathers what looking through a video says in the log."""
    said: list[str] = []

    class Gather(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, handler = logging.getLogger("flow_cache.video_file"), Gather()
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
