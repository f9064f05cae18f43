"""Further outputs of a video whose dense pose is there: drawn from its `iuv.h5`, without a network.

The file holds one person a pixel, and u and v as whole numbers of 255ths. So pictures of parts are the same
as those that are written along with it, and lines of equal u and v lie where they do to a fraction of a
pixel; who stands behind somebody has no map there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache import FlowCacheError
from flow_cache.runtime.progress import tracked
from slimdp.inference.iuv_video import IuvFrame, IuvVideo
from slimdp.inference.pieces import OutputFolder, OutputFolderError, join_outputs, written
from slimdp.inference.video_frames import FrameSource
from slimdp.inference.video_records import FramePose, OutputWriter
from slimdp.structures import DensePoseInstance

#: The output that others are made from.
_STORED = "iuv.h5"
#: Outputs that it does not hold enough for, and what it lacks.
_NOT_STORED = {"error": "error bars", "people": "network's own crops"}


def write_further_outputs(
    folder: OutputFolder,
    record: dict[str, Any],
    writers: Sequence[OutputWriter],
    source: FrameSource,
    piece: int,
) -> list[Path]:
    """Write more outputs of a run that finished, into its folder; returns them.

    Pieces of `piece` frames are as long as the run's, which makes videos the same to the byte. A run that is
    killed here begins again with the first frame.

    Raises OutputFolderError where the run wrote no iuv.h5, or that does not hold what is wanted;
    FlowCacheError where the video is shorter.
    """
    names = ", ".join(writer.name for writer in writers)
    for writer in writers:
        if writer.name in _NOT_STORED:
            raise OutputFolderError(
                f"{folder.path} was made without {writer.name}, which cannot be drawn from {_STORED}: that "
                f"holds no {_NOT_STORED[writer.name]}; choose another --out, or remove it"
            )
    if _STORED not in record["outputs"]:
        raise OutputFolderError(
            f"{folder.path} was made without {names}, and without iuv-h5, from which that could be drawn; "
            "choose another --out, or remove it"
        )
    require_there(folder.path, [_STORED])
    folder.pieces_folder.mkdir(parents=True, exist_ok=True)
    places: list[Path] = []
    with IuvVideo(folder.path / _STORED) as video:
        stored = iter(tracked(stored_poses(video, source), names, "frames", len(video)))
        while (first := next(stored, None)) is not None:
            of_piece = itertools.chain([first], itertools.islice(stored, piece - 1))
            with folder.new_piece(len(places)) as place:
                for _ in written(of_piece, writers, place, source.info, video.layout):
                    pass
            places.append(folder.piece(len(places), 0, True).folder)
        outputs = join_outputs(writers, places, folder.path, source.info, video.layout)
    folder.add_outputs(record, [writer.name for writer in writers], outputs)
    return outputs


def require_there(out: Path, outputs: Sequence[str]) -> None:
    """Raise OutputFolderError for outputs of a run that finished, names in its folder, that are gone."""
    gone = [name for name in outputs if not (out / name).exists()]
    if gone:
        raise OutputFolderError(
            f"{out} is of a run that finished, but {', '.join(gone)} is gone from it: put it back, or remove "
            f"{out} to make all of it again"
        )


def stored_poses(video: IuvVideo, source: FrameSource) -> Iterator[FramePose]:
    """The frames of a source with what a file says of them; raises FlowCacheError where it is shorter."""
    frames = source.frames(video.first_frame)
    for stored in video:
        frame = next(frames, None)
        if frame is None:
            lacking = f"ends before frame {stored.number}, which {video.path} holds"
            raise FlowCacheError(f"{source.info.path} {lacking}")
        yield FramePose(frame, tuple(_instance(stored, track) for track in sorted(stored.boxes)))


def _instance(frame: IuvFrame, track: int) -> DensePoseInstance:
    """A person of a frame; the crop is the smallest window of the frame that holds all pixels of theirs."""
    mine = frame.track == track
    row, column = (np.flatnonzero(mine.any(axis=axis)) for axis in (1, 0))
    top, left = (int(ends[0]) if ends.size else 0 for ends in (row, column))
    bottom, right = (int(ends[-1]) + 1 if ends.size else 1 for ends in (row, column))
    window = np.s_[top:bottom, left:right]
    shown, iuv = mine[window], frame.iuv[window]
    return DensePoseInstance(
        annotation_id=track,
        image_id=frame.number,
        box=frame.boxes[track],
        score=frame.scores[track],
        crop_from_image=np.array([[1.0, 0, -left], [0, 1, -top]]),
        part=np.where(shown, iuv[..., 0], 1).astype(np.uint8),
        uv=(iuv[..., 1:].transpose(2, 0, 1) / np.float32(255)).astype(np.float16),
        foreground=shown,
    )
