"""Rendered data sets on disk: JPEG frames and annotation files in the form of the real ones.

OUT/images/stills/000000.jpg
OUT/images/clips/train_00000/000000.jpg ...
OUT/stills_train.json         DensePose-COCO form
OUT/clips_train.json          PoseTrack form; only the labelled frames carry people
OUT/clips_val.json
OUT/flow_exact/train_00000.h5 true flow of the training clips, a store that flow_cache reads
OUT/iuv/...png                true part, 255 u, 255 v at every pixel of the labelled frames
OUT/dataset.json              preset, seed, version
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

import slimdp
from flow_cache import STEPS, FlowWriter, VideoRecord
from flow_cache.workers import WorkerPool
from slimdp.atomic import whole_folder
from slimdp.data import write_annotations
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface import BodySurface, load_surface
from slimdp.synthetic.exact_flow import exact_flow
from slimdp.synthetic.labels import label_people
from slimdp.synthetic.render import RenderedFrame
from slimdp.synthetic.scene import SceneStyle, random_scene, render_frame

#: A random scene may show nobody well enough to label.
_MOST_TRIES = 30
#: PoseTrack18 numbers its images 1, video (6 digits), frame (4 digits).
_POSETRACK_BASE = 10**10


@dataclass(frozen=True)
class SetPlan:
    """What to render."""

    stills: int
    train_clips: int
    val_clips: int
    frames: int  # of a training clip
    labelled: tuple[int, ...]  # its labelled frames
    val_frames: int
    val_labelled: tuple[int, ...]
    size: int  # px, both sides of a frame
    budget: int | None = None  # points a person in the training sets; None: all that annotators place
    style: SceneStyle = field(default_factory=SceneStyle)


PRESETS = {
    "smoke": SetPlan(12, 3, 2, 7, (3,), 5, (0, 4), 160),
    # Quick people in mostly plain clothes: what neighbouring frames show differs, and few people show much.
    "tiny": SetPlan(32, 32, 100, 7, (3,), 1, (0,), 256, style=SceneStyle(1.6, 0.2, (0, 6))),
}
Item = tuple[str, int]  # what to render ("stills", "train", "val") and its number
Labelled = list[tuple[ImageRecord, list[PersonAnnotation]]]


def synthesize(
    out: Path, plan: SetPlan, seed: int = 0, processes: int = 1, exact: bool = True, quiet: bool = False
) -> Path:
    """Render a data set; the same bytes for the same seed, whatever the number of processes.

    Args:
        out: a folder that does not exist yet.
        plan: what.
        seed: of everything random.
        processes: that render side by side.
        exact: also write the exact flow of the training clips.
        quiet: no progress bar.

    Raises:
        FileExistsError: `out` exists; nothing is overwritten.
    """
    with whole_folder(out) as partial:
        load_surface("open")  # built once, before the processes start
        counts = {"stills": plan.stills, "train": plan.train_clips, "val": plan.val_clips}
        items = [(split, number) for split, count in counts.items() for number in range(count)]
        labelled: dict[str, Labelled] = {split: [] for split in counts}
        results = _mapped(_Renderer(partial, plan, seed, exact), items, processes)
        bar = tqdm(results, total=len(items), desc="render", disable=quiet or None)
        for (split, _), result in zip(items, bar):
            labelled[split] += result
        for split, name in (("stills", "stills_train"), ("train", "clips_train"), ("val", "clips_val")):
            images = [image for image, _ in labelled[split]]
            people = [person for _, present in labelled[split] for person in present]
            write_annotations(partial / f"{name}.json", images, people)
        about = {"version": slimdp.__version__, "seed": seed, **asdict(plan)}
        (partial / "dataset.json").write_text(json.dumps(about, indent=1))
    return out


def synthesize_preset(out: Path, preset: str, seed: int = 0, processes: int | None = None) -> Path:
    """Render a preset with all cores, or as many processes as asked for; ValueError for what cannot be."""
    if preset not in PRESETS:
        raise ValueError(f"preset = {preset!r}, but one of {', '.join(PRESETS)} is wanted")
    processes = (os.cpu_count() or 1) if processes is None else processes
    if processes < 1:
        raise ValueError(f"processes = {processes}, but 1 or more is wanted")
    return synthesize(out, PRESETS[preset], seed, processes)


def _mapped(worker: _Renderer, items: list[Item], processes: int) -> Iterator[Labelled]:
    """The worker's results in the order of the items."""
    if processes == 1:
        yield from map(worker, items)
        return
    with WorkerPool(worker, processes) as pool:
        yield from pool.map(items)


@dataclass(frozen=True)
class _Renderer:
    """Renders one item to disk and returns its labels; what it draws depends on seed and item alone."""

    folder: Path
    plan: SetPlan
    seed: int
    exact: bool

    def __call__(self, item: Item) -> Labelled:
        split, number = item
        rng = np.random.default_rng([self.seed, ("stills", "train", "val").index(split), number])
        surface = load_surface("open")
        if split == "stills":
            return [self._still(number, surface, rng)]
        return self._clip(split, number, surface, rng)

    def _still(
        self, number: int, surface: BodySurface, rng: np.random.Generator
    ) -> tuple[ImageRecord, list[PersonAnnotation]]:
        for _ in range(_MOST_TRIES):  # until somebody is in the picture
            frame = render_frame(random_scene(rng, self.plan.size, False, self.plan.style), surface, 0, rng)
            name = f"stills/{number:06d}.jpg"
            image = ImageRecord(number + 1, Path(name), f"images/{name}", self.plan.size, self.plan.size)
            people = label_people(frame, image, surface, 10 * (number + 1), rng, False, self.plan.budget)
            if people:
                self._save(frame, surface, name, rng, with_truth=True)
                return image, people
        raise ValueError(
            f"nobody was seen in {_MOST_TRIES} stills of {self.plan.size} px; render larger ones"
        )

    def _clip(self, split: str, number: int, surface: BodySurface, rng: np.random.Generator) -> Labelled:
        frames = self.plan.frames if split == "train" else self.plan.val_frames
        labelled = self.plan.labelled if split == "train" else self.plan.val_labelled
        video = f"{split}_{number:05d}"
        budget = self.plan.budget if split == "train" else None
        scene = random_scene(rng, self.plan.size, True, self.plan.style)
        rendered = [render_frame(scene, surface, index, rng) for index in range(frames)]
        result: Labelled = []
        for index, frame in enumerate(rendered):
            name = f"clips/{video}/{index:06d}.jpg"
            identity = _POSETRACK_BASE + ((split == "val") * 500_000 + number) * 10**4 + index
            image = ImageRecord(
                identity, Path(name), f"images/{name}", self.plan.size, self.plan.size,
                video=video, frame=index, labelled=index in labelled,
            )  # fmt: skip
            people = (
                label_people(frame, image, surface, 10 * identity, rng, True, budget)
                if index in labelled
                else []
            )
            self._save(frame, surface, name, rng, with_truth=index in labelled)
            result.append((image, people))
        if split == "train" and self.exact:
            self._write_exact_flow(video, rendered, surface)
        return result

    def _save(
        self,
        frame: RenderedFrame,
        surface: BodySurface,
        name: str,
        rng: np.random.Generator,
        with_truth: bool,
    ) -> None:
        path = self.folder / "images" / name
        _write_image(path, frame.image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(80, 96))])
        if with_truth:
            _write_image((self.folder / "iuv" / name).with_suffix(".png"), true_iuv(frame, surface), [])

    def _write_exact_flow(self, video: str, rendered: list[RenderedFrame], surface: BodySurface) -> None:
        path = self.folder / "flow_exact" / f"{video}.h5"
        path.parent.mkdir(exist_ok=True)
        with FlowWriter(path) as writer:
            writer.add_video(_video_record(video, len(rendered), self.plan.size, self.seed), STEPS)
            for index, step in _pairs(len(rendered), STEPS):
                flow, _ = exact_flow(rendered[index], rendered[index + step], surface)
                writer.write(video, index, step, flow)


def _pairs(frames: int, steps: Iterable[int]) -> Iterator[tuple[int, int]]:
    return ((index, step) for index in range(frames) for step in steps if 0 <= index + step < frames)


def _video_record(video: str, frames: int, size: int, seed: int) -> VideoRecord:
    return VideoRecord(
        name=video,
        frame_names=tuple(f"{index:06d}.jpg" for index in range(frames)),
        width=size,
        height=size,
        source=f"images/clips/{video}",
        source_hash=f"rendered, seed {seed}",
        estimator="exact",
        settings="{}",
        settings_hash="",
    )


def true_iuv(frame: RenderedFrame, surface: BodySurface) -> np.ndarray:
    """Part, 255 u, 255 v at every pixel, (H, W, 3) uint8, 0 where nobody is."""
    part, uv = surface.chart(frame.hits.face, frame.hits.barycentric)
    iuv = np.column_stack([part, np.rint(255 * np.clip(uv, 0, 1))]) * (frame.hits.person >= 0)[:, None]
    return iuv.reshape(frame.camera.height, frame.camera.width, 3).astype(np.uint8)


def _write_image(path: Path, image: np.ndarray, options: list[int]) -> None:
    """Write an RGB picture; channel order as in memory when read back through RGB readers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image[..., ::-1], options):
        raise OSError(f"cannot write {path}; is the disk full?")
