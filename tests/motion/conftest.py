"""A clip of six frames whose flow is known, and an annotated person in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache import FlowField, MissingFlowError, VideoRecord
from slimdp.data import AnnotationSet, image_from_frame
from slimdp.structures import ImageRecord, LabelSource, PersonAnnotation

WIDTH, HEIGHT, FRAMES = 96, 80, 6
Displacement = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


class KnownFlow:
    """The flow of one video, up to `reach` steps: `displacement(x, y, step)` px at every pixel."""

    def __init__(self, displacement: Displacement, reach: int = FRAMES) -> None:
        self.displacement, self.reach = displacement, reach
        self.reads: list[tuple[int, int]] = []

    def frames(self, video: str) -> tuple[str, ...]:
        if video != "clip":
            raise MissingFlowError(f"no flow for video {video!r}")
        return tuple(f"{number:06d}.png" for number in range(FRAMES))

    def record(self, video: str) -> VideoRecord:
        return VideoRecord(video, WIDTH, HEIGHT, self.frames(video), "clip", "known", "exact", "{}", "")

    def steps(self, video: str) -> tuple[int, ...]:
        return tuple(step for step in range(-self.reach, self.reach + 1) if step)

    def finished(self, video: str, step: int) -> np.ndarray:
        end = np.arange(FRAMES) + step
        return (end >= 0) & (end < FRAMES) & (abs(step) <= self.reach)

    def read(self, video: str, frame: int, step: int, box: object = None) -> FlowField:
        assert 0 <= frame < FRAMES
        assert 0 <= frame + step < FRAMES
        if not self.finished(video, step)[frame]:
            raise MissingFlowError(f"no flow for video {video!r}, frame {frame}, step {step:+d}; run: this")
        self.reads.append((frame, step))
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        return FlowField(self.displacement(x, y, step).astype(np.float32))


def shift_by(right: float, down: float) -> Displacement:
    """Everything moves by the same px in a frame."""
    return lambda x, y, step: np.stack([np.full_like(x, right * step), np.full_like(y, down * step)])


@pytest.fixture
def known_flow() -> Callable[..., KnownFlow]:
    return KnownFlow


@pytest.fixture
def shift_flow() -> Callable[..., KnownFlow]:
    return lambda right, down, reach=FRAMES: KnownFlow(shift_by(right, down), reach)


@pytest.fixture
def clip(tmp_path: Path) -> list[ImageRecord]:
    """The frames of the clip: textured pictures that move one px right in a frame."""
    rng = np.random.default_rng(0)
    world = (
        cv2.resize(rng.random((30, 40, 3)), (160, 120), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255
    ).astype(np.uint8)
    folder = tmp_path / "clip"
    folder.mkdir()
    records = []
    for number in range(FRAMES):
        name = f"clip/{number:06d}.png"
        cv2.imwrite(str(tmp_path / name), world[20 : 20 + HEIGHT, 30 - number : 30 - number + WIDTH])
        records.append(ImageRecord(10 + number, tmp_path / name, name, WIDTH, HEIGHT, "v1", number))
    return records


@pytest.fixture
def annotate() -> Callable[..., PersonAnnotation]:
    """A person of 32 x 40 px with 20 points, coarse masks and two keypoints."""

    def make(image: ImageRecord, x: float = 30, y: float = 20, **other: object) -> PersonAnnotation:
        rng = np.random.default_rng(0)
        box = np.array([x, y, 32.0, 40.0])
        coarse = np.zeros((256, 256), dtype=np.uint8)
        coarse[32:224, 64:192] = 1
        coarse[32:96, 64:192] = 14
        person = PersonAnnotation(
            id=5,
            image=image,
            box=box,
            points=image_from_frame(rng.uniform(64, 190, (20, 2)), box),
            part=rng.integers(1, 25, 20),
            uv=rng.random((20, 2), dtype=np.float32),
            source=np.full(20, LabelSource.ANNOTATOR, dtype=np.int64),
            step=np.zeros(20, dtype=np.int64),
            track=2,
            coarse=coarse,
            keypoints=np.array([[x + 16, y + 5, 2], [0, 0, 0.0]]),
            keypoint_names=("nose", "left_knee"),
        )
        return replace(person, **other)  # type: ignore[arg-type]

    return make


@pytest.fixture
def one_label(clip: list[ImageRecord], annotate: Callable[..., PersonAnnotation]) -> AnnotationSet:
    """A file that lists the annotated frame 2 alone."""
    return AnnotationSet((clip[2],), (annotate(clip[2]),), Path("people.json"))
