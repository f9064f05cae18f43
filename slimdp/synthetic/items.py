"""One still or one clip of a rendered set: its pictures, its labels and what else is true of it, as files."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface import BodySurface, load_surface
from slimdp.synthetic.assets import Assets, split_assets
from slimdp.synthetic.exact_flow import ClipFlowWriter
from slimdp.synthetic.labels import CLIPS, STILLS, PositionError, label_people, true_iuv
from slimdp.synthetic.photograph import write_image
from slimdp.synthetic.presets import SetPlan
from slimdp.synthetic.render import RenderedFrame
from slimdp.synthetic.scene import Scene, random_scene, render_frame

#: What a set is made of; the position is part of the seed.
SPLITS = ("stills", "train", "val", "val_stills")
#: A random scene may show nobody well enough to label.
_MOST_TRIES = 30
#: PoseTrack18 numbers its images 1, video (6 digits), frame (4 digits).
_POSETRACK_BASE = 10**10
_FIRST_VAL_VIDEO = _FIRST_VAL_STILL = 500_000


@dataclass(frozen=True)
class Item:
    """A still or a clip, of training or of validation, by its number."""

    split: str  # one of SPLITS
    number: int

    @property
    def name(self) -> str:
        """train_00003: how the video of a clip is called, and the item's record."""
        return f"{self.split}_{self.number:05d}"


@dataclass(frozen=True)
class RenderedItem:
    """What is known of an item beside its files."""

    images: tuple[ImageRecord, ...]
    people: tuple[PersonAnnotation, ...]
    bodies: tuple[str, ...]  # a hash of each person's body in its rest pose: people are known by it
    person_frames: int  # people times frames that were rendered
    every_frame: tuple[PersonAnnotation, ...] | None = None  # in all frames of a training clip, if asked for


@dataclass(frozen=True)
class ItemRenderer:
    """Renders items into the folder of a set; what it draws depends on seed and item alone."""

    folder: Path
    plan: SetPlan
    seed: int
    exact: bool  # also write the exact flow of training clips, and where it is hidden
    assets: Assets

    @cached_property  # not at the start: the renderer travels to other processes
    def _surface(self) -> BodySurface:
        return load_surface("open")

    @cached_property
    def _error(self) -> PositionError:
        return PositionError(self._surface, self.plan.annotator_error)

    def _assets_of(self, item: Item) -> Assets:
        train, val = split_assets(self.assets)
        return train if item.split in ("stills", "train") else val

    def render(self, item: Item) -> RenderedItem:
        """Write an item's files, over whatever an attempt that was broken off has left of them.

        Raises ValueError for frames too small to show anybody, OSError where a file cannot be written.
        """
        return self._still(item) if item.split in ("stills", "val_stills") else self._clip(item)

    def _still(self, item: Item) -> RenderedItem:
        scene_rng, label_rng, jpeg_rng, _ = self._chances(item)
        size, train = self.plan.size, item.split == "stills"
        budget, error = (self.plan.budget, self._error) if train else (None, None)
        name = f"{item.split}/{item.number:06d}.jpg"
        identity = 1 + item.number + (0 if train else _FIRST_VAL_STILL)
        image = ImageRecord(identity, Path(name), f"images/{name}", size, size)
        first_id = 10 * image.id
        for _ in range(_MOST_TRIES):  # until somebody is in the picture
            scene = random_scene(scene_rng, size, False, self.plan.style, self._assets_of(item))
            frame = render_frame(scene, self._surface, 0, scene_rng)
            people = label_people(frame, image, self._surface, first_id, label_rng, STILLS, budget, error)
            if people:
                self._save(frame, name, jpeg_rng)
                return RenderedItem((image,), tuple(people), _bodies(scene), len(frame.people))
        raise ValueError(f"nobody was seen in {_MOST_TRIES} stills of {size} px; render larger ones")

    def _clip(self, item: Item) -> RenderedItem:
        scene_rng, label_rng, jpeg_rng, between_rng = self._chances(item)
        plan, train = self.plan, item.split == "train"
        frames = plan.frames if train else plan.val_frames
        budget, error = (plan.budget, self._error) if train else (None, None)
        scene = random_scene(scene_rng, plan.size, True, plan.style, self._assets_of(item))
        images: list[ImageRecord] = []
        everyone: list[PersonAnnotation] = []
        with ExitStack() as stack:
            flow = None
            if train and self.exact:
                flow = ClipFlowWriter(self.folder, item.name, frames, plan.size, self.seed, self._surface)
                stack.enter_context(flow)
            for index in range(frames):
                frame = render_frame(scene, self._surface, index, scene_rng)
                image = self._frame_record(item, index)
                images.append(image)
                if image.labelled or (train and plan.every_frame):
                    rng = label_rng if image.labelled else between_rng
                    everyone += label_people(
                        frame, image, self._surface, 10 * image.id, rng, CLIPS, budget, error
                    )
                self._save(frame, str(image.file), jpeg_rng)
                if flow is not None:
                    flow.add(frame)
        people = tuple(person for person in everyone if person.image.labelled)
        of_every_frame = tuple(everyone) if train and plan.every_frame else None
        person_frames = frames * len(scene.people)
        return RenderedItem(tuple(images), people, _bodies(scene), person_frames, of_every_frame)

    def _chances(self, item: Item) -> list[np.random.Generator]:
        """Of the scene, the annotators, the compression, the annotators of frames that else go unlabelled.

        Pictures do not depend on what is labelled, and the labels of a frame not on `SetPlan.every_frame`.
        """
        seed = [self.seed, SPLITS.index(item.split), item.number]
        return [np.random.default_rng([*seed, purpose]) for purpose in range(4)]

    def _frame_record(self, item: Item, index: int) -> ImageRecord:
        plan, val = self.plan, item.split == "val"
        name = f"clips/{item.name}/{index:06d}.jpg"
        video = item.number + val * _FIRST_VAL_VIDEO
        labelled = index in (plan.val_labelled if val else plan.labelled)
        return ImageRecord(
            _POSETRACK_BASE + video * 10**4 + index, Path(name), f"images/{name}", plan.size, plan.size,
            video=item.name, frame=index, labelled=labelled,
        )  # fmt: skip

    def _save(self, frame: RenderedFrame, name: str, rng: np.random.Generator) -> None:
        quality = int(rng.integers(80, 96))
        write_image(self.folder / "images" / name, frame.image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        write_image((self.folder / "iuv" / name).with_suffix(".png"), true_iuv(frame, self._surface))


def _bodies(scene: Scene) -> tuple[str, ...]:
    return tuple(hashlib.sha256(person.skin.tobytes()).hexdigest()[:32] for person in scene.people)
