"""The people that a stage sees, and in which order: a function of the seed, the stage and the step alone."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from flow_cache import FlowCacheError
from slimdp.config import (
    ConfigError,
    MotionSettings,
    StageSettings,
    TrainConfig,
)
from slimdp.config.budget import DROPPED
from slimdp.data import (
    AnnotationError,
    PoseDataset,
    WeightedSampler,
    collate,
    start_worker,
    surface_anchors,
)
from slimdp.data.sampler import SampleIndex
from slimdp.motion import PairDataset, with_pairs
from slimdp.structures import PersonAnnotation, PoseBatch
from slimdp.surface import BodySurface, UvSymmetry, load_surface, load_symmetry
from slimdp.surface.load import OPEN, check_surface_name, is_mesh_folder, surface_layout
from slimdp.training.distributed import ALONE, DistributedContext
from slimdp.training.labels import Sets, learns_from_keypoints, source_labels


@dataclasses.dataclass(frozen=True)
class StageData:
    """The people of a stage, and their second pictures."""

    stage: StageSettings
    people: PoseDataset | PairDataset
    draw_seed: int

    def draws(self, first_step: int) -> WeightedSampler:
        """Who comes, from a step on."""
        weights = [source.weight for source in self.stage.data]
        count, start = (steps * self.stage.batch for steps in (self.stage.steps, first_step))
        return WeightedSampler(self.people.sizes, weights, count, self.draw_seed, start)

    def batches(
        self, first_step: int, workers: int, processes: DistributedContext = ALONE, pin: bool = False
    ) -> Iterator[PoseBatch]:
        """What goes through this process's network at once, from a step on: `stage.accumulate` times a step.

        The crops of a step are the same for any number of processes and workers: they are dealt out to the
        processes, part by part.

        Args:
            first_step: of the stage.
            workers: processes that prepare crops; 0: this one.
            processes: among which each batch is dealt out.
            pin: for a GPU.
        """
        loader = DataLoader(
            self.people,
            batch_sampler=ShardedSampler(
                self.draws(first_step), self.part_size(processes), processes.rank, processes.count
            ),
            num_workers=workers,
            collate_fn=collate,
            worker_init_fn=start_worker,
            pin_memory=pin,
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

    def part_size(self, processes: DistributedContext) -> int:
        """Crops that go through a process's network at once."""
        return self.stage.batch // (self.stage.accumulate * processes.count)

    def batch_people(self, step: int) -> list[PersonAnnotation]:
        """Who is in the batch of a step."""
        draws = itertools.islice(self.draws(step), self.stage.batch)
        return [self.people.person(draw.person) for draw in draws]


@dataclasses.dataclass(frozen=True)
class ShardedSampler(Sampler[list[SampleIndex]]):
    """The draws in parts of equal size, every `count`-th part from number `rank` on."""

    draws: WeightedSampler
    size: int
    rank: int
    count: int

    def __len__(self) -> int:
        return len(self.draws) // (self.size * self.count)

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        drawn = iter(self.draws)
        for number in itertools.count():
            part = list(itertools.islice(drawn, self.size))
            if not part:
                return
            if number % self.count == self.rank:
                yield part


def read_stages(
    config: TrainConfig,
    processes: DistributedContext = ALONE,
    sets: Sets | None = None,
) -> list[StageData]:
    """Read and check the labels of all stages, so that nothing is found wrong after hours of training.

    Args:
        config: of the run.
        processes: that train together.
        sets: annotations that were read before (`source_labels`); those read here join them.

    Raises:
        ConfigError: a file or folder is not there, the surface is not known or cannot be mirrored, or a batch
            cannot be dealt out to the processes, naming the key.
        AnnotationError: an annotation file or one of its pictures is broken, nobody in it is labelled, or its
            budget does not fit it.
    """
    check_stages(config, processes)
    symmetry, anchors = _symmetry(config), None
    losses = [config.loss_of(stage) for stage in config.stages]
    if any(loss.keypoint_part or loss.keypoint_uv for loss in losses):
        if config.surface != OPEN and not is_mesh_folder(config.surface):
            raise ConfigError(
                f"surface = {config.surface!r}: DensePose's files do not say where keypoints lie on it; set "
                "loss.keypoint_part and loss.keypoint_uv to 0"
            )
        surface = load_surface(config.surface)
        assert isinstance(surface, BodySurface)
        anchors = surface_anchors(surface)
    sets, layout = {} if sets is None else sets, surface_layout(config.surface)
    masks = any(config.motion_of(stage).reads_masks for stage in config.stages)
    stages = []
    for index, stage in enumerate(config.stages):
        sources = [source_labels(source, sets, layout, masks) for source in stage.data]
        draw_seed, change_seed = stage_seeds(config.seed, index)
        people = PoseDataset(
            sources, config.crop, config.augment_of(stage), symmetry, change_seed, config.model.spec.stride,
            labelled_only=[not source.unlabelled for source in stage.data],
            keypoints=config.model.keypoints, anchors=anchors,
        )  # fmt: skip
        pairs = _pairs(people, config.motion_of(stage), f"stages.{index}")
        stages.append(StageData(stage, pairs, draw_seed))
    return stages


def _pairs(people: PoseDataset, motion: MotionSettings, place: str) -> PoseDataset | PairDataset:
    """The people with second pictures; raises ConfigError naming the key."""
    try:
        return with_pairs(people, motion)
    except (FlowCacheError, AnnotationError) as error:
        raise ConfigError(f"{place}.motion.{motion.kind} = {motion.store!r}: {error}") from error


def _symmetry(config: TrainConfig) -> UvSymmetry:
    """Left and right of the surface that the labels speak of; without flips it is not asked for."""
    flips = any(config.augment_of(stage).flip for stage in config.stages)
    try:
        check_surface_name(config.surface)
        return load_symmetry(config.surface) if flips else UvSymmetry(surface_layout(config.surface))
    except ValueError as error:
        instead = "; or train without flips: augment.flip = false" if flips else ""
        raise ConfigError(f"surface = {config.surface!r}: {error}{instead}") from error


def stage_seeds(seed: int, stage: int) -> tuple[int, int]:
    """Seeds of a stage's order and of its random changes, unrelated to those of other runs and stages."""
    order, changes = np.random.SeedSequence([seed, stage]).generate_state(2).tolist()
    return order, changes


def check_stages(config: TrainConfig, processes: DistributedContext) -> None:
    """Refuse stages that cannot be trained by so many processes; raises ConfigError naming the key."""
    if config.model.spec.input != "crop":
        raise ConfigError(
            f"model.name = {config.model.name!r}: it takes whole pictures, but data sets give crops; choose "
            "a network of crops"
        )
    check_paths(config)
    check_motion(config)
    check_keypoints(config)
    check_batches(config, processes)


def check_keypoints(config: TrainConfig) -> None:
    """What learns from keypoints needs a source that keeps them; raises ConfigError."""
    for i, stage in enumerate(config.stages):
        kept = [source for source in stage.data if not source.budget or source.budget.keypoints != DROPPED]
        if learns_from_keypoints(config, stage) and not kept:
            raise ConfigError(
                f"stages.{i}: its loss learns from keypoints, but the budgets of all of its data drop them: "
                f"set budget.keypoints to kept, or loss.keypoint_part, keypoint_uv and keypoint_map to 0"
            )


def check_motion(config: TrainConfig) -> None:
    """What compares two pictures needs two, and what has no labels needs that; raises ConfigError."""
    for i, stage in enumerate(config.stages):
        loss, motion = config.loss_of(stage), config.motion_of(stage)
        if loss.equivariance and motion.kind == "none":
            raise ConfigError(
                f"stages.{i}: loss.equivariance = {loss.equivariance:g} needs a second picture of each "
                "person: set motion.kind to tps, flow or exact"
            )
        for j, source in enumerate(stage.data):
            if source.unlabelled and not loss.equivariance:
                raise ConfigError(
                    f"stages.{i}.data.{j}.unlabelled = true, but only loss.equivariance learns from people "
                    "without labels"
                )


def check_batches(config: TrainConfig, processes: DistributedContext) -> None:
    """Each process must get the same number of crops; raises ConfigError naming the key."""
    for i, stage in enumerate(config.stages):
        part = stage.batch // stage.accumulate
        one_px = config.crop.size == config.model.spec.size_multiple  # and a batch norm needs two
        alone = not config.sync_batchnorm and one_px and part == processes.count
        if part % processes.count or alone:
            wanted = "2 or more a process" if alone else "a multiple of that number"
            raise ConfigError(
                f"stages.{i}.batch = {stage.batch}, accumulate = {stage.accumulate}: {part} crops at a time "
                f"for {processes.count} processes, but {wanted} are wanted; change the batch, or torchrun's "
                "--nproc-per-node"
            )


def check_paths(config: TrainConfig) -> None:
    """Every annotation file and picture folder must be there; raises ConfigError naming the key."""
    places = {f"stages.{i}": stage.data for i, stage in enumerate(config.stages)}
    if config.validation is not None:
        places["validation"] = config.validation.data
    for place, sources in places.items():
        for j, source in enumerate(sources):
            key = f"{place}.data.{j}"
            if not Path(source.annotations).is_file():
                raise ConfigError(
                    f"{key}.annotations = {source.annotations!r}: no such file in {Path.cwd()}; "
                    "check the path, or make the file first"
                )
            if not Path(source.images).is_dir():
                raise ConfigError(f"{key}.images = {source.images!r}: no such folder in {Path.cwd()}")
