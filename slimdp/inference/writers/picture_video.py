"""A video of pictures that are drawn of each frame: `NAME.mp4`; of one image `NAME.png`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow_cache.images import save_png
from flow_cache.runtime.atomic import write_bytes
from slimdp.inference.video_encoder import PRESET, VideoEncoder, join_video
from slimdp.inference.video_records import FramePose, VideoInfo
from slimdp.surface.layout import PartLayout

_PIECE, _STILL = "piece.nut", "still.png"


@dataclass(frozen=True)
class PictureVideo:
    """Writes H.264 of the source's size and frame times, or a PNG of an image; an `OutputWriter`."""

    name: str
    draw: Callable[[FramePose, PartLayout], np.ndarray]  # -> (H, W, 3) uint8 RGB
    preset: str = PRESET  # x264's

    @contextmanager
    def piece(
        self, folder: Path, info: VideoInfo, layout: PartLayout
    ) -> Iterator[Callable[[FramePose], None]]:
        """As `OutputWriter`."""
        if info.still:
            yield lambda pose: save_png(folder / _STILL, self.draw(pose, layout))
            return
        with VideoEncoder(folder / _PIECE, info, self.preset) as encoder:
            yield lambda pose: encoder.write(self.draw(pose, layout), pose.frame.time_s)

    def join(self, pieces: Sequence[Path], out: Path, info: VideoInfo, layout: PartLayout) -> Path:
        """As `OutputWriter`."""
        if info.still:
            image = out / f"{self.name}.png"
            write_bytes(image, (pieces[0] / _STILL).read_bytes())
            return image
        return join_video([folder / _PIECE for folder in pieces], out / f"{self.name}.mp4", info)
