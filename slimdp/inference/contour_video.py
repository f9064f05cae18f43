"""Dense pose of a video drawn as lines of equal u and v: how alike neighbouring pictures are, and a film.

Direct Dense Pose (6.3 and table 4) measures ITF and ISI of videos of iso-contours, and shows people two of
them side by side. That paper draws over the frames, so what moves in the video counts too. Here the pictures
that are measured hold the lines alone, on black: the figures are of the lines, and higher.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from flow_cache import FlowCacheError
from flow_cache.runtime.progress import tracked
from slimdp.evaluation.stability import psnr, ssim
from slimdp.inference.iuv_video import IuvFrame, IuvVideo
from slimdp.inference.video_encoder import VideoEncoder, join_video
from slimdp.inference.video_frames import FrameSource
from slimdp.inference.video_records import VideoInfo
from slimdp.inference.writers.contours import draw_lines


def contour_image(frame: IuvFrame, background: np.ndarray | None = None) -> np.ndarray:
    """A frame's lines, (H, W, 3) uint8 RGB, on black or over a copy of a background of that kind."""
    image = np.zeros(frame.iuv.shape, np.uint8) if background is None else background.copy()
    uv = frame.iuv[..., 1:].transpose(2, 0, 1).astype(np.float32) / 255
    draw_lines(image, frame.iuv[..., 0], uv, frame.track)
    return image


def contour_fidelity(video: IuvVideo) -> dict[str, float | None]:
    """ITF (dB) and ISI (at most 1) of the lines on black: mean PSNR and SSIM of neighbouring pictures.

    Pairs of equal pictures, as of frames without people, have no finite PSNR: ITF is the mean over the others
    (None where there are none), and `equal` tells how many percent of the pairs they are.

    Raises ValueError for fewer than two frames, or pictures smaller than SSIM's window.
    """
    pairs = pairwise(contour_image(frame) for frame in tracked(video, "contours", "frames", len(video)))
    values = np.array([(psnr(a, b), ssim(a, b)) for a, b in pairs])
    if not len(values):
        raise ValueError(f"{video.path}: fewer than two frames, so nothing follows the first one")
    different = np.isfinite(values[:, 0])
    return {
        "itf_db": float(values[different, 0].mean()) if different.any() else None,
        "isi": float(values[:, 1].mean()),
        "equal": 100 * float(1 - different.mean()),
    }


def write_side_by_side(left: IuvVideo, right: IuvVideo, out: Path, source: FrameSource | None = None) -> Path:
    """Write the lines of two dense poses of one video beside one another, as a film; returns its path.

    The lines lie over the frames of the source, or on black. Frames that only one of them has are left out.

    Raises:
        ValueError: videos of different sizes, or without a frame in common. FlowCacheError: a source of
            another size, or that ends too early.
    """
    first = max(left.first_frame, right.first_frame)
    count = min(left.first_frame + len(left), right.first_frame + len(right)) - first
    sizes = [(video.width, video.height) for video in (left, right)]
    if sizes[0] != sizes[1] or count < 1:
        found = f"{left.path} is of {sizes[0]} px, {right.path} of {sizes[1]}"
        shared = f"with {max(count, 0)} frames in common"
        raise ValueError(f"{found}, {shared}; name two dense poses of one video")
    if source is not None and (source.info.width, source.info.height) != sizes[0]:
        raise FlowCacheError(f"{source.info.path} is not of {sizes[0]} px; name the video of the dense pose")
    rate = Fraction(left.rate).limit_denominator(10_000)
    info = VideoInfo(out, out.stem, 2 * left.width, left.height, count, rate)
    with tempfile.TemporaryDirectory() as folder:
        piece = Path(folder) / "film.nut"
        with VideoEncoder(piece, info) as encoder:
            for pair in tracked(_pairs(left, right, first, count, source), "film", "frames", count):
                encoder.write(*pair)
        return join_video([piece], out, info)


def _pairs(
    left: IuvVideo, right: IuvVideo, first: int, count: int, source: FrameSource | None
) -> Iterator[tuple[np.ndarray, Fraction]]:
    """Pictures of both, (H, 2 W, 3), and when they are shown, seconds."""
    frames = None if source is None else source.frames(first)
    for number in range(first, first + count):
        background = None
        if frames is not None:
            shown = next(frames, None)
            if shown is None:
                raise FlowCacheError(
                    f"the source ends before frame {number}; name the video of the dense pose"
                )
            background = shown.image
        both = [video.read(number - video.first_frame) for video in (left, right)]
        picture = np.concatenate([contour_image(frame, background) for frame in both], axis=1)
        yield picture, Fraction(both[0].time_s).limit_denominator(1_000_000)
