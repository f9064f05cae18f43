"""Stores to and from folders of one file a field: VIDEO/000003+1.flo is the flow from frame 3 to frame 4."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from flow_cache.errors import FlowCacheError
from flow_cache.formats import FORMATS, FlowFormat
from flow_cache.inspection import count_finished
from flow_cache.naming import VideoSource, is_name, name_source
from flow_cache.numbering import number_files
from flow_cache.runtime.nearest import listed
from flow_cache.runtime.progress import Tracker, tracked
from flow_cache.schema import VideoRecord, step_name
from flow_cache.store import FlowStore
from flow_cache.tiles import encode_known
from flow_cache.video import open_video
from flow_cache.writer import FlowWriter


def export_flow(store: FlowStore, out: Path, format: str, videos: Iterable[str] | None = None) -> int:
    """Write every finished field of a store to a file of its own; what is not stored, as unknown.

    Args:
        store: what to write.
        out: the folder; each video gets one in it, of several folders where its name has several.
        format: a key of `formats.FORMATS`.
        videos: their names; None for all.

    Returns:
        how many files were written.

    Raises:
        FlowCacheError: no such format or video, a video whose name would lead out of the folder, or a
            displacement that the format cannot hold.
    """
    kind, chosen = _format(format), store.videos() if videos is None else tuple(videos)
    for video in chosen:
        _check_folder(out, video)
    count = count_finished(store, chosen)
    with Tracker("export", "fields", count) as tracker:
        for video in chosen:
            for step in store.steps(video):
                for frame in np.flatnonzero(store.finished(video, step)).tolist():
                    flow = store.read(video, frame, step).displacement
                    kind.write(out / video / f"{frame:06d}{step_name(step)}{kind.suffix}", flow)
                    tracker.advance()
    return count


def import_flow(
    folder: Path,
    source: Path | str | VideoSource,
    out: Path,
    format: str,
    filter: str = "zstd",
    *,
    step: int | None = None,
    first: int | None = None,
    say: Callable[[str], None] | None = None,
) -> int:
    """Add flow that another program made to a store.

    Args:
        folder: of files named by frame and step, as `export_flow` names them, or numbered (`numbering`).
        source: the video or folder of pictures that the flow is of, or NAME=PATH.
        out: the .h5 file to write.
        format: a key of `formats.FORMATS`.
        filter: a key of `schema.FILTERS`.
        step: from frame to frame, of all files; None: what their names say, else +1.
        first: the number that the first frame has in names; None: it is found out, where only one fits.
        say: is told for which frames files are taken.

    Returns:
        how many fields were added; what is unknown in a file reads as NaN.

    Raises:
        FlowCacheError: no such files, a name, size or frame that does not fit the video, or a damaged file;
            names and sizes of all are checked before the first is stored.
    """
    kind, video = _format(format), open_video(name_source(source))
    files = [path for path in folder.glob(f"*{kind.suffix}") if not path.name.startswith(".")]
    if not files:
        raise FlowCacheError(f"{folder} holds no *{kind.suffix}, such as 000003+1{kind.suffix}")
    numbered = number_files(files, video.frame_names, step, first)
    for path in numbered.fields.values():
        if (found := kind.size(path)) != (video.width, video.height):
            raise FlowCacheError(
                f"{path} is of {found[0]} x {found[1]} px, the frames of {video.path} of "
                f"{video.width} x {video.height} px"
            )
    if say is not None:
        say(numbered.said)
    record = VideoRecord(
        video.name, video.width, video.height, video.frame_names, str(video.path), video.source_hash,
        estimator="imported", settings=json.dumps({"format": format}), settings_hash=f"imported {format}",
    )  # fmt: skip
    with FlowWriter(out, filter) as writer:
        writer.add_video(record, tuple(sorted({step for _, step in numbered.fields})), numbered.fields)
        for (frame, by), path in tracked(numbered.fields.items(), "import", "fields"):
            writer.write(video.name, frame, by, _encode(kind.read(path), path))
    return len(numbered.fields)


def _encode(flow: np.ndarray, path: Path) -> np.ndarray:
    try:
        return encode_known(flow, np.isfinite(flow).all(axis=0))
    except FlowCacheError as error:
        raise FlowCacheError(f"{path}: {error}") from error


def _check_folder(out: Path, video: str) -> None:
    """Raise FlowCacheError where the name of a video, which a file says, would lead out of the folder."""
    if not is_name(video):
        raise FlowCacheError(
            f"video {video!r} cannot be a folder of {out}: a store that says so was made by something else, "
            "or changed"
        )


def _format(name: str) -> FlowFormat:
    if name not in FORMATS:
        raise FlowCacheError(f"format {name!r}; choices: {listed(FORMATS, name)}")
    return FORMATS[name]
