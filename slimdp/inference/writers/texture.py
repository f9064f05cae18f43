"""Each person's pixels, unwrapped to the charts and averaged over the video: `texture/track_0001.png`.

A PNG a track, RGBA: the mean colour of all pixels that were seen at a texel; transparent where none was.
`slimdp.inference.texture` has how the charts lie in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from flow_cache.runtime.atomic import write_bytes
from slimdp.inference.texture import SIDE, ColourSums, texels, texture_atlas
from slimdp.inference.video_records import FramePose, VideoInfo
from slimdp.inference.writers.folders import replaced_folder
from slimdp.surface.layout import PartLayout

_KEYS, _SUMS = "keys.npy", "sums.npy"


class TextureAtlases:
    """Writes an atlas a track; an `OutputWriter`. A piece holds sums, so that no cut changes the means."""

    name = "texture"

    @contextmanager
    def piece(
        self, folder: Path, info: VideoInfo, layout: PartLayout
    ) -> Iterator[Callable[[FramePose], None]]:
        """As `OutputWriter`."""
        sums, count = ColourSums(), _texel_count(layout)

        def write(pose: FramePose) -> None:
            painted = pose.painted
            person = painted.part > 0
            texel = texels(painted.part[person], painted.uv[:, person])
            sums.add(painted.track[person].astype(np.int64) * count + texel, pose.frame.image[person])

        yield write
        for name, rows in zip((_KEYS, _SUMS), sums.rows()):
            np.save(folder / name, rows)

    def join(self, pieces: Sequence[Path], out: Path, info: VideoInfo, layout: PartLayout) -> Path:
        """As `OutputWriter`."""
        count = _texel_count(layout)
        seen: dict[int, list[Path]] = {}  # track -> the pieces that it is in
        for folder in pieces:
            for track in np.unique(np.load(folder / _KEYS) // count).tolist():
                seen.setdefault(track, []).append(folder)
        with replaced_folder(out / self.name) as whole:
            for track, folders in sorted(seen.items()):
                atlas = texture_atlas(_sums_of_track(track, folders, count))
                done, content = cv2.imencode(".png", cv2.cvtColor(atlas, cv2.COLOR_RGBA2BGRA))
                assert done
                write_bytes(whole / f"track_{track:04d}.png", content.tobytes(), durable=False)
        return out / self.name


def _texel_count(layout: PartLayout) -> int:
    return len(layout.parts) * SIDE * SIDE


def _sums_of_track(track: int, folders: Sequence[Path], count: int) -> np.ndarray:
    """The sums (count, 4) of a track over pieces, of which only its own rows are read."""
    total = np.zeros((count, 4), np.int64)
    for folder in folders:
        keys, rows = (np.load(folder / name, mmap_mode="r") for name in (_KEYS, _SUMS))
        first, end = np.searchsorted(keys, (track * count, (track + 1) * count))
        total[keys[first:end] - track * count] += rows[first:end]
    return total
