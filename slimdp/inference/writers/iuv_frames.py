"""A PNG a frame with part, 255 u and 255 v: `NAME/000000.png`, by the number of the frame, from 0.

Others read these channels in different orders, so the order is in the name. It is that of red, green, blue
in the file, which PIL, imageio and browsers give; OpenCV's imread gives it backwards. So `iuv` is what
pose-with-style and DensePose's results have (red is the part), and `vui` is what HDNet reads, and what
cv2.imread gives as I, U, V.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2

from flow_cache.images import encode_image
from slimdp.inference.video_records import FramePose, VideoInfo
from slimdp.inference.writers.folders import replaced_folder, share_file
from slimdp.surface.layout import PartLayout

#: A tenth of the time of the default, and files a few per cent larger.
_QUICK = (cv2.IMWRITE_PNG_COMPRESSION, 1)


@dataclass(frozen=True)
class IuvFrames:
    """Writes lossless frames of the source's size; 0, 0, 0 where nobody is. An `OutputWriter`."""

    name: str
    order: Literal["IUV", "VUI"]  # of the channels red, green, blue

    @contextmanager
    def piece(
        self, folder: Path, info: VideoInfo, layout: PartLayout
    ) -> Iterator[Callable[[FramePose], None]]:
        """As `OutputWriter`."""
        channels = slice(None, None, 1 if self.order == "IUV" else -1)

        def write(pose: FramePose) -> None:
            image = pose.painted.iuv.transpose(1, 2, 0)[..., channels]
            (folder / f"{pose.frame.index:06d}.png").write_bytes(encode_image(image, options=_QUICK))

        yield write

    def join(self, pieces: Sequence[Path], out: Path, info: VideoInfo, layout: PartLayout) -> Path:
        """As `OutputWriter`."""
        with replaced_folder(out / self.name) as whole:
            for piece in pieces:
                for file in sorted(piece.glob("*.png")):
                    share_file(file, whole / file.name)
        return out / self.name
