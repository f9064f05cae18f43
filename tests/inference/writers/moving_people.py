"""Two people who walk past one another over a few frames of noise."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from slimdp.inference.video_records import FramePose, VideoFrame, VideoInfo
from slimdp.inference.writers import WRITERS
from slimdp.structures import DensePoseInstance
from slimdp.surface.people import PEOPLE

FRAMES = 5
INFO = VideoInfo(Path("walk.mp4"), "walk", 90, 70, FRAMES, Fraction(25))


def person(track: int, x: float, score: float, frame: int) -> DensePoseInstance:
    """A disc of all parts, with (u, v) that run from 0 to 1 over it."""
    size, zoom = 20, 2.5
    rows, columns = np.mgrid[:size, :size]
    part = (1 + (rows * size + columns) * 24 // size**2).astype(np.uint8)
    uv = np.stack([columns / (size - 1), rows / (size - 1)]).astype(np.float16)
    foreground = np.hypot(rows - 9.5, columns - 9.5) < 9
    affine = np.array([[1 / zoom, 0, -x / zoom], [0, 1 / zoom, -8 / zoom]])
    box = np.array([x, 8, size * zoom, size * zoom])
    bars = np.full(part.shape, 9 * track, np.float16)
    return DensePoseInstance(track, frame, box, score, affine, part, uv, foreground, bars)


def poses() -> list[FramePose]:
    """All frames; nobody is in the third."""
    rng = np.random.default_rng(1)
    made = []
    for index in range(FRAMES):
        image = rng.integers(0, 256, (INFO.height, INFO.width, 3)).astype(np.uint8)
        people = person(2, 5.0 + 3 * index, 0.9, index), person(3, 35.5 - 3 * index, 0.6, index)
        frame = VideoFrame(index, Fraction(index, 25), image)
        made.append(FramePose(frame, () if index == 2 else people))
    return made


def write(name: str, folder: Path, *cuts: int) -> Path:
    """One writer's output of the frames, in pieces that begin at 0 and at the cuts."""
    bounds, pieces = (0, *cuts, FRAMES), []
    for number, first in enumerate(bounds[:-1]):
        pieces.append(folder / f"piece{number}")
        pieces[-1].mkdir(parents=True)
        with WRITERS[name].piece(pieces[-1], INFO, PEOPLE) as take:
            for pose in poses()[first : bounds[number + 1]]:
                take(pose)
    return WRITERS[name].join(pieces, folder / "out", INFO, PEOPLE)


def contents(path: Path) -> dict[str, bytes]:
    """Every file of an output by its name."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return {str(file.relative_to(path)) if path.is_dir() else file.name: file.read_bytes() for file in files}
