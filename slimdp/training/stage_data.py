"""What a stage learns from: labels as budgets leave them, and who comes when.

The order is a function of the seed, the stage and the step alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from flow_cache import FlowCacheError
from slimdp.config import (
    BudgetSettings,
    ConfigError,
    DataSource,
    LossTerm,
    MotionSettings,
    StageSettings,
    TrainConfig,
)
from slimdp.data import (
    AnnotationError,
    AnnotationSet,
    PictureDataset,
    PoseDataset,
    WeightedSampler,
    apply_budget,
    collate_pictures,
    read_annotations,
    start_worker,
    surface_anchors,
)
from slimdp.data.clicks import Clicks, count_clicks
from slimdp.data.dataset import Taught
from slimdp.data.outline import has_outline
from slimdp.data.sampler import ShardedSampler
from slimdp.motion import PairDataset, collate_pairs, with_pairs
from slimdp.structures import PersonAnnotation, PoseBatch
from slimdp.surface import BodySurface, UvSymmetry, load_surface, load_symmetry
from slimdp.surface.layout import PartLayout
from slimdp.surface.load import check_surface_name, has_mesh, surface_layout
from slimdp.surface.people import PEOPLE
from slimdp.training.distributed import ALONE, DistributedContext

#: Whole annotations by their file, the folder of their pictures and the parts that their labels speak of.
Sets = dict[tuple[str, str, PartLayout], AnnotationSet]


def source_labels(
    source: DataSource, sets: Sets, layout: PartLayout = PEOPLE, masks: bool = False
) -> AnnotationSet:
    """The labels of a source, as its budget leaves them.

    `sets` are annotations that were read before, and those read here join them, whole, with outlines if
    `masks`; they must speak of the parts of `layout`. Raises AnnotationError where the file is broken, or the
    budget does not fit it.
    """
    key = (source.annotations, source.images, layout)
    if key not in sets:
        sets[key] = read_annotations(source.annotations, source.images, read_masks=masks, layout=layout)
    if source.budget is None:
        return sets[key]
    fewer = apply_budget(sets[key], source.budget)
    if not source.unlabelled and not fewer.teaches and sets[key].teaches:
        usual = BudgetSettings()
        given = [f"{key} = {value}" for key, value in source.budget if value != getattr(usual, key)]
        told = f"its budget leaves nobody any label: {', '.join(given)}"
        raise AnnotationError(f"{source.annotations}: {told}")
    return fewer


def learns_from_keypoints(config: TrainConfig, stage: StageSettings) -> bool:
    """Whether a loss of a stage has keypoints for labels."""
    kinds = {term.keypoints for term in config.loss_of(stage).values() if term.weight}
    return "anchors" in kinds or ("maps" in kinds and bool(config.model.keypoints))


@dataclass(frozen=True)
class StageData:
    """The people of a stage, and their second pictures; or whole pictures with the people in them."""

    stage: StageSettings
    people: PoseDataset | PairDataset | PictureDataset
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
        processes, part by part. `workers` processes prepare them (0: this one); `pin` is for a GPU.
        """
        part = self.stage.batch // (self.stage.accumulate * processes.count)
        collate: Any = collate_pictures if isinstance(self.people, PictureDataset) else collate_pairs
        loader = DataLoader(
            self.people,
            batch_sampler=ShardedSampler(self.draws(first_step), part, processes.rank, processes.count),
            num_workers=workers, collate_fn=collate, worker_init_fn=start_worker, pin_memory=pin,
            # Or every iterator would draw from torch's global generator.
            generator=torch.Generator().manual_seed(self.draw_seed),
        )  # fmt: skip
        threads = cv2.getNumThreads()
        if workers:
            # This ends OpenCV's threads. A fork would copy their locks without them, and a worker that asks
            # for another number of threads would wait for them for ever.
            cv2.setNumThreads(1)
        try:
            yield from loader
        finally:
            cv2.setNumThreads(threads)

    def source_people(self) -> list[list[PersonAnnotation]]:
        """Everybody, source by source."""
        ends = itertools.pairwise(itertools.accumulate(self.people.sizes, initial=0))
        if isinstance(self.people, PictureDataset):
            of = self.people.people_in
            return [[person for i in range(first, last) for person in of(i)] for first, last in ends]
        return [[self.people.person(i) for i in range(first, last)] for first, last in ends]

    def batch_people(self, step: int) -> list[PersonAnnotation]:
        """Who is in the batch of a step."""
        draws = itertools.islice(self.draws(step), self.stage.batch)
        if isinstance(self.people, PictureDataset):
            return [person for draw in draws for person in self.people.people_in(draw.person)]
        return [self.people.person(draw.person) for draw in draws]


def read_stages(
    config: TrainConfig, processes: DistributedContext = ALONE, sets: Sets | None = None,
    taught: Callable[[StageSettings], Sequence[Taught | None]] = lambda stage: (),
) -> list[StageData]:  # fmt: skip
    """Read and check the labels of all stages, so that nothing is found wrong after hours of training.

    `sets` are annotations that were read before (`source_labels`); those read here join them.
    `taught` has what will have been said of each source's people when the stage begins. Raises
    ConfigError, naming the key: a file or folder is not there, the surface is not known or cannot be
    mirrored, or a batch cannot be dealt out to the processes; AnnotationError: an annotation file or one of
    its pictures is broken, nobody in it is labelled, or its budget does not fit it.
    """
    check_stages(config, processes)
    symmetry, anchors = _symmetry(config), None
    terms = {n: term for stage in config.stages for n, term in config.loss_of(stage).items() if term.weight}
    if anchored := [f"loss.{name}" for name, term in terms.items() if term.keypoints == "anchors"]:
        if not has_mesh(config.surface):
            raise ConfigError(
                f"surface = {config.surface!r}: DensePose's files do not say where keypoints lie on it; set "
                f"{' and '.join(anchored)} to 0"
            )
        surface = load_surface(config.surface)
        assert isinstance(surface, BodySurface)
        anchors = surface_anchors(surface)
    sets, layout = {} if sets is None else sets, surface_layout(config.surface)
    masks = any(config.motion_of(stage).reads_masks or stage.teacher for stage in config.stages)
    masks = masks or config.crop.background != "kept" or config.model.reads_masks
    whole = config.model.spec.input == "image"
    stages = []
    for index, stage in enumerate(config.stages):
        sources = [source_labels(source, sets, layout, masks) for source in stage.data]
        draw_seed, change_seed = stage_seeds(config.seed, index)
        data_set: Any = (PictureDataset if whole else PoseDataset)(
            sources, config.crop, config.augment_of(stage), symmetry, change_seed, config.model.spec.stride,
            labelled_only=[not (source.unlabelled or source.taught) for source in stage.data],
            keypoints=config.model.keypoints, anchors=anchors, taught=taught(stage),
        )  # fmt: skip
        _check_outlines(config, data_set, index)
        if not whole:
            data_set = _pairs(data_set, config.motion_of(stage), f"stages.{index}")
        stages.append(StageData(stage, data_set, draw_seed))
    return stages


def _check_outlines(config: TrainConfig, people: PoseDataset, stage: int) -> None:
    if config.crop.background == "kept":
        return
    for person in map(people.person, range(len(people))):
        if not has_outline(person):
            raise ConfigError(
                f"crop.background = {config.crop.background!r}, but in stages.{stage} annotation {person.id} "
                f"of {person.image.file_name} has no outline (dp_masks, or segmentation)"
            )


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
    if config.model.spec.input == "image":
        check_picture_stages(config)
    check_paths(config)
    check_terms(config)
    check_batches(config, processes)


def check_picture_stages(config: TrainConfig) -> None:
    """Refuse turns, patches and pairs of whole pictures; raises ConfigError naming the key."""
    told = f"model.name = {config.model.name!r} takes whole pictures"
    if config.crop.background != "kept":
        raise ConfigError(f"crop.background = {config.crop.background!r}, but {told}: set it to kept")
    for i, stage in enumerate(config.stages):
        place, augment, motion = f"stages.{i}", config.augment_of(stage), config.motion_of(stage)
        for key in ("rotation_deg", "occlusion"):
            if value := getattr(augment, key):
                raise ConfigError(
                    f"{place}: augment.{key} = {value:g}, but {told}, which are not: set it to 0"
                )
        if motion.kind != "none":
            raise ConfigError(
                f"{place}: motion.kind = {motion.kind!r}, but {told} one by one: set it to none"
            )


def check_terms(config: TrainConfig) -> None:
    """A loss needs its labels and second pictures, and data a loss; raises ConfigError naming the key."""
    for i, stage in enumerate(config.stages):
        terms = config.loss_of(stage)
        kept = [source for source in stage.data if not source.budget or source.budget.keypoints != "dropped"]
        if learns_from_keypoints(config, stage) and not kept:
            raise ConfigError(
                f"stages.{i}: its loss learns from keypoints, but the budgets of all of its data drop them: "
                "set budget.keypoints to kept, or of loss "
                f"{', '.join(name for name, term in terms.items() if term.keypoints)} to 0"
            )
        moves = config.motion_of(stage).kind != "none"
        if config.crop.background != "kept" and moves:
            raise ConfigError(
                f"crop.background = {config.crop.background!r} needs the outline of everybody, and the "
                f"second pictures of stages.{i} have none: set its motion.kind to none"
            )
        for name, term in terms.items():
            if term.weight and term.needs_pairs and config.motion_of(stage).kind == "none":
                raise ConfigError(
                    f"stages.{i}: loss.{name} = {term.weight:g} needs a second picture of each person: set "
                    "motion.kind to tps, flow or exact"
                )
        _check_taught(stage, terms, f"stages.{i}")
        for j, source in enumerate(stage.data):
            able = [name for name, term in terms.items() if not term.needs_labels]
            whole = config.model.spec.input == "image"  # people without labels teach where people are
            others = whole or source.taught or any(terms[name].weight for name in able)
            if source.unlabelled and not others:
                raise ConfigError(
                    f"stages.{i}.data.{j}.unlabelled = true, but only loss.{' and loss.'.join(able)} learns "
                    "from people without labels"
                )


def _check_taught(stage: StageSettings, terms: Mapping[str, LossTerm], key: str) -> None:
    """What somebody says of a stage's people needs a term that learns from it, and such a term somebody."""
    learn = {name: term.weight for name, term in terms.items() if term.weight and term.needs_teacher}
    if not learn and (stage.teacher or any(source.taught for source in stage.data)):
        named = "teacher" if stage.teacher else "data.taught"
        raise ConfigError(f"{key}.{named}: nothing learns from it; weigh loss.taught_part and loss.taught_uv")
    if learn and not (stage.teacher or any(source.taught for source in stage.data)):
        name, weight = next(iter(learn.items()))
        raise ConfigError(
            f"{key}: loss.{name} = {weight:g}, but teacher.weights names nobody, and none of its data has "
            "taught.predictions"
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
            said = None if source.taught is None else source.taught.predictions
            if said is not None and not Path(said).is_file():
                raise ConfigError(
                    f"{key}.taught.predictions = {said!r}: no such file in {Path.cwd()}; make it first: "
                    "slimdp video --write people"
                )


def clicks_of(config: TrainConfig, sets: Sets | None = None) -> Clicks:
    """Count the clicks behind the labels of all stages, each of them once.

    A file that several stages or sources name is paid for once: for everything that any of its budgets
    leaves. Keypoints count where a loss learns from them. Labels that only score do not count, nor do
    the boxes of people without labels (`unlabelled`); the same label in two files counts twice. `sets` and
    errors are as of `source_labels`.
    """
    sets, layout = {} if sets is None else sets, surface_layout(config.surface)
    sources: dict[tuple[str, str], dict[BudgetSettings | None, DataSource]] = {}
    with_keypoints = set()
    for stage in config.stages:
        for source in stage.data:
            file = source.annotations, source.images
            sources.setdefault(file, {})[source.budget] = source
            if learns_from_keypoints(config, stage):
                with_keypoints.add(file)
    counts = []
    for file, by_budget in sources.items():
        # Without a budget a source has all of its file.
        distinct = [by_budget[None]] if None in by_budget else list(by_budget.values())
        labels = [source_labels(source, sets, layout).people for source in distinct]
        # A budget keeps everybody, in the order of the file.
        people = map(_union, zip(*labels, strict=True))
        counts.append(count_clicks(people, file in with_keypoints))
    return sum(counts, Clicks())


def _union(versions: tuple[PersonAnnotation, ...]) -> PersonAnnotation:
    """One person with the labels of several budgets of one file; a point is known by its place."""
    if len(versions) == 1:
        return versions[0]
    names = ("points", "part", "uv", "source", "step")
    joined = {name: np.concatenate([getattr(version, name) for version in versions]) for name in names}
    # Of two of the same place the one with (u, v) comes first, and is taken.
    order = np.argsort(np.isnan(joined["uv"]).any(axis=1), kind="stable")
    _, first = np.unique(joined["points"][order], axis=0, return_index=True)
    union: dict[str, Any] = {name: values[order[first]] for name, values in joined.items()}
    for name in ("coarse", "keypoints"):
        there = (getattr(version, name) for version in versions)
        union[name] = next((value for value in there if value is not None), None)
    return replace(versions[0], **union, confidence=None)
