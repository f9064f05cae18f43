"""Crops of frames with the flow between them, as a store has it.

What is drawn for a sample depends on the seed, the step and its place in the batch alone, so a run that goes
on after a kill sees what it would have seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from flow_cache.errors import FlowCacheError
from flow_cache.file_hashes import hash_of_all, hash_of_file
from flow_cache.finetune.augment import change_colours, flip, flying_patches
from flow_cache.finetune.settings import FinetuneSettings
from flow_cache.images import read_image
from flow_cache.runtime.lru_cache import LruCache
from flow_cache.source_frames import SHA256, find_source_frames
from flow_cache.store import FlowStore
from flow_cache.video import Video

#: What moves farther is behind the camera, or nothing that an estimator is asked for (RAFT's own limit).
FARTHEST_PX = 400.0


@dataclass(frozen=True)
class FlowSample:
    """Two pictures and the flow between them."""

    images: np.ndarray  # (2, H, W, 3) float32 in 0..255, RGB
    flow_0to1: np.ndarray  # (2, H, W) float32 px
    weight: np.ndarray  # (H, W) float32; 0 where the flow is not known


class StoredPairs:
    """The frames and fields of a store; those read lately are kept in memory.

    `masks` is a folder, relative to here, to that of the store, or to the one above that, of pictures
    VIDEO/FRAME.png that are not black where people are; None: nobody knows where they are. Raises
    FlowCacheError for frames that are gone or others, and masks that are not there.
    """

    def __init__(self, path: Path, masks: Path | None = None, keep_bytes: int = 2**29) -> None:
        self.store = FlowStore(path)
        self._recent: LruCache[tuple[str, int, str]] = LruCache(keep_bytes)
        self._from = (Path(), path.absolute().parent, path.absolute().parent.parent)
        self._videos = {name: self._video(name) for name in self.store.videos()}
        self._masks = None if masks is None else self._found(masks, "the masks of people")

    def fields(self, videos: Sequence[str] | None = None) -> tuple[Field, ...]:
        """All finished fields, by video, step and frame; of some videos, or of all."""
        return tuple(
            Field(self, video, int(frame), step)
            for video in (self.store.videos() if videos is None else videos)
            for step in self.store.steps(video)
            for frame in np.flatnonzero(self.store.finished(video, step))
        )

    def image(self, video: str, frame: int) -> np.ndarray:
        """A frame (H, W, 3) uint8 RGB."""
        return self._recent.get((video, frame, "image"), lambda: next(self._videos[video].read([frame]))[1])

    def people(self, video: str, frame: int) -> np.ndarray | None:
        """Where people are in a frame: (H, W) bool; None where nobody knows."""
        if self._masks is None:
            return None
        path = self._mask(self._masks, video, frame)
        return self._recent.get((video, frame, "people"), lambda: np.any(read_image(path), axis=-1))

    def identity(self, video: str, frames: Iterable[int]) -> dict[str, str]:
        """What tells a video's flow, its frames, and the masks of some of these from any others.

        Raises FlowCacheError for a mask that cannot be read.
        """
        record, source = self.store.record(video), self._videos[video].path
        content = record.source_hash
        if not SHA256.fullmatch(content):  # of rendered flow, it is no hash
            files = [source / name for name in record.frame_names] if source.is_dir() else [source]
            content = hash_of_all(files, hash_of_file)
        masks = "none"
        if self._masks is not None:
            masks = hash_of_all([self._mask(self._masks, video, frame) for frame in frames], hash_of_file)
        made = (record.estimator, record.settings_hash, record.around)
        return {"flow": " ".join(made), "frames": content, "masks": masks}

    def _mask(self, masks: Path, video: str, frame: int) -> Path:
        return masks / video / f"{Path(self._videos[video].frame_names[frame]).stem}.png"

    def _video(self, name: str) -> Video:
        return find_source_frames(self.store.record(name))

    def _found(self, path: Path, what: str) -> Path:
        for folder in self._from:
            if (folder / path).exists():
                return folder / path
        tried = ", ".join(str(folder / path) for folder in self._from)
        raise FlowCacheError(f"{what} are not there; looked at: {tried}")


@dataclass(frozen=True)
class Field:
    """A field of a store: the flow from a frame of a video to the one `step` later."""

    pairs: StoredPairs
    video: str
    frame: int
    step: int

    @property
    def image_0(self) -> np.ndarray:
        """The frame that it starts from, (H, W, 3) uint8 RGB."""
        return self.pairs.image(self.video, self.frame)

    @property
    def image_1(self) -> np.ndarray:
        """The frame that it leads to, (H, W, 3) uint8 RGB."""
        return self.pairs.image(self.video, self.frame + self.step)

    @property
    def people_0(self) -> np.ndarray | None:
        """Where people are in the frame that it starts from: (H, W) bool; None where nobody knows."""
        return self.pairs.people(self.video, self.frame)

    def flow_0to1(self, box: tuple[int, int, int, int] | None = None) -> np.ndarray:
        """(2, H, W) float32 px, x first, of a box x, y, width, height px; NaN where it is not known."""
        flow = self.pairs.store.read(self.video, self.frame, self.step, box).displacement
        return np.where(np.abs(flow) < FARTHEST_PX, flow, np.nan)


#: What of the data `identity` tells apart.
DATA = ("fields", "flow", "frames", "masks")


def identity(fields: Sequence[Field]) -> dict[str, str]:
    """Hashes of `DATA`, by which a run that goes on knows again what it learned from."""
    starts: dict[tuple[StoredPairs, str], set[int]] = {}
    for field in fields:
        starts.setdefault((field.pairs, field.video), set()).add(field.frame)
    lines = {"fields": [f"{field.video} {field.frame} {field.step}" for field in fields]}
    for (pairs, video), frames in starts.items():
        for what, content in pairs.identity(video, sorted(frames)).items():
            lines.setdefault(what, []).append(f"{video} {content}")
    return {what: hashlib.sha256("\n".join(lines[what]).encode()).hexdigest() for what in DATA}


def draw_sample(fields: Sequence[Field], settings: FinetuneSettings, step: int, place: int) -> FlowSample:
    """The sample of a place in the batch of a step."""
    rng = np.random.default_rng([settings.seed, step, place])
    chosen = fields[int(rng.integers(len(fields)))]
    if rng.random() < settings.patches_share:
        other = fields[int(rng.integers(len(fields)))]
        images, flow_0to1 = flying_patches(rng, chosen.image_0, other.image_0, settings.crop)
        weight = np.ones(flow_0to1.shape[1:], dtype=np.float32)
    else:
        images, flow_0to1, weight = _cut(rng, chosen, settings)
    images, flow_0to1, weight = flip(rng, images, flow_0to1, weight)
    return FlowSample(change_colours(rng, images), flow_0to1, weight)


def _cut(
    rng: np.random.Generator, field: Field, settings: FinetuneSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A window of both frames, made as large as the crop: images, flow and weights as of `FlowSample`."""
    image_0, people, crop = field.image_0, field.people_0, settings.crop
    low, high = np.log(settings.zoom)
    side = min(round(crop / np.exp(rng.uniform(low, high))), *image_0.shape[:2])
    x, y = _corner(rng, image_0.shape[:2], side, people if rng.random() < settings.people_share else None)
    window = np.s_[y : y + side, x : x + side]
    images = np.stack([_resized(image[window], crop) for image in (image_0, field.image_1)])
    flow_0to1 = field.flow_0to1((x, y, side, side)) * (crop / side)
    # What goes farther has left the window, and cannot be found in it.
    weight = (np.abs(flow_0to1) < crop / 2).all(axis=0).astype(np.float32)
    if people is not None:
        weight *= np.where(people[window], settings.people_weight, 1).astype(np.float32)
    flow_0to1 = np.stack([_nearest(axis, crop) for axis in np.nan_to_num(flow_0to1)])
    return images.astype(np.float32), flow_0to1.astype(np.float32), _nearest(weight, crop)


def _corner(
    rng: np.random.Generator, shape: tuple[int, int], side: int, people: np.ndarray | None
) -> tuple[int, int]:
    """The upper left corner x, y px of a window, about a pixel of the people where they are known."""
    height, width = shape
    if people is not None and people.any():
        middle = int(rng.choice(np.flatnonzero(people)))
        y, x = np.array(divmod(middle, width)) - side / 2 + rng.uniform(-side / 4, side / 4, 2)
    else:
        x, y = rng.uniform(0, width - side + 1), rng.uniform(0, height - side + 1)
    return int(np.clip(x, 0, width - side)), int(np.clip(y, 0, height - side))


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    shrinks = image.shape[0] > side
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _nearest(array: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(array, (side, side), interpolation=cv2.INTER_NEAREST_EXACT)
