"""The people that a stage sees, and in which order: a function of the seed, the stage and the step alone."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from slimdp.config import ConfigError, StageSettings, TrainConfig
from slimdp.data import (
    AnnotationSet,
    PoseDataset,
    WeightedDraws,
    collate,
    read_annotations,
    start_worker,
    surface_anchors,
)
from slimdp.structures import PersonAnnotation, PoseBatch
from slimdp.surface import SURFACES, UvSymmetry, load_surface


@dataclasses.dataclass(frozen=True)
class StageData:
    """The labelled people of a stage."""

    stage: StageSettings
    people: PoseDataset
    draw_seed: int

    def draws(self, first_step: int) -> WeightedDraws:
        """Who comes, from a step on."""
        weights = [source.weight for source in self.stage.data]
        count, start = (steps * self.stage.batch for steps in (self.stage.steps, first_step))
        return WeightedDraws(self.people.sizes, weights, count, self.draw_seed, start)

    def batches(self, first_step: int, workers: int) -> Iterator[PoseBatch]:
        """The batches of the stage, from a step on, the same with any number of worker processes."""
        loader = DataLoader(
            self.people,
            sampler=self.draws(first_step),
            batch_size=self.stage.batch,
            num_workers=workers,
            collate_fn=collate,
            worker_init_fn=start_worker,
            # Or every iterator would draw from torch's global generator.
            generator=torch.Generator().manual_seed(self.draw_seed),
        )
        threads = cv2.getNumThreads()
        if workers:
            # This ends OpenCV's threads. A fork would copy their locks without them, and a worker that asks
            # for another number of threads would wait for them for ever.
            cv2.setNumThreads(1)
        try:
            yield from loader
        finally:
            cv2.setNumThreads(threads)

    def batch_people(self, step: int) -> list[PersonAnnotation]:
        """Who is in the batch of a step."""
        draws = itertools.islice(self.draws(step), self.stage.batch)
        return [self.people.person(draw.person) for draw in draws]


def read_stages(config: TrainConfig) -> list[StageData]:
    """Read and check the labels of all stages, so that nothing is found wrong after hours of training.

    Raises:
        ConfigError: a file or folder is not there, or the surface is not known, naming the key.
        AnnotationError: an annotation file or one of its pictures is broken, or nobody in it is labelled.
    """
    check_paths(config)
    symmetry, anchors = UvSymmetry(), None
    if config.surface not in SURFACES:
        raise ConfigError(f"surface = {config.surface!r}, but one of {', '.join(SURFACES)} is wanted")
    if config.augment.flip:
        symmetry = load_surface(config.surface).symmetry
    if config.loss.keypoint_part or config.loss.keypoint_uv:
        anchors = surface_anchors(load_surface(config.surface))
    sets: dict[tuple[str, str], AnnotationSet] = {}
    stages = []
    for index, stage in enumerate(config.stages):
        for source in stage.data:
            key = (source.annotations, source.images)
            if key not in sets:
                sets[key] = read_annotations(*key)
        sources = [sets[source.annotations, source.images] for source in stage.data]
        draw_seed, change_seed = stage_seeds(config.seed, index)
        people = PoseDataset(
            sources, config.crop, config.augment, symmetry, change_seed,
            keypoints=config.model.keypoints, anchors=anchors,
        )  # fmt: skip
        stages.append(StageData(stage, people, draw_seed))
    return stages


def check_paths(config: TrainConfig) -> None:
    """Every annotation file and picture folder must be there; raises ConfigError naming the key."""
    for i, stage in enumerate(config.stages):
        for j, source in enumerate(stage.data):
            key = f"stages.{i}.data.{j}"
            if not Path(source.annotations).is_file():
                raise ConfigError(
                    f"{key}.annotations = {source.annotations!r}: no such file in {Path.cwd()}; "
                    "check the path, or make the file first"
                )
            if not Path(source.images).is_dir():
                raise ConfigError(f"{key}.images = {source.images!r}: no such folder in {Path.cwd()}")


def stage_seeds(seed: int, stage: int) -> tuple[int, int]:
    """Seeds of a stage's order and of its random changes, unrelated to those of other runs and stages."""
    order, changes = np.random.SeedSequence([seed, stage]).generate_state(2).tolist()
    return order, changes
