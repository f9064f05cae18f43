"""The labels that a stage learns from, as a budget leaves them, and what they have cost annotators."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from slimdp.config import BudgetSettings, DataSource, StageSettings, TrainConfig
from slimdp.data import AnnotationError, AnnotationSet, apply_budget, read_annotations
from slimdp.data.clicks import Clicks, count_clicks
from slimdp.structures import PersonAnnotation
from slimdp.surface.layout import PartLayout
from slimdp.surface.load import surface_layout
from slimdp.surface.people import PEOPLE

#: Whole annotations by their file, the folder of their pictures and the parts that their labels speak of.
Sets = dict[tuple[str, str, PartLayout], AnnotationSet]


def source_labels(
    source: DataSource, sets: Sets, layout: PartLayout = PEOPLE, masks: bool = False
) -> AnnotationSet:
    """The labels of a source, as its budget leaves them.

    Args:
        source: of a stage.
        sets: annotations that were read before; those read here join them, whole.
        layout: the parts that they must speak of.
        masks: read outlines too, where the annotations were not read before.

    Raises:
        AnnotationError: the file is broken, or the budget does not fit it.
    """
    key = (source.annotations, source.images, layout)
    if key not in sets:
        sets[key] = read_annotations(source.annotations, source.images, read_masks=masks, layout=layout)
    if source.budget is None:
        return sets[key]
    fewer = apply_budget(sets[key], source.budget)
    if not source.unlabelled and not fewer.teaches and sets[key].teaches:
        raise AnnotationError(
            f"{source.annotations}: its budget leaves nobody any label: {_told(source.budget)}"
        )
    return fewer


def _told(budget: BudgetSettings) -> str:
    """What it says beyond the default: "images = 0, parts = kept"."""
    usual = BudgetSettings()
    return ", ".join(f"{name} = {value}" for name, value in budget if value != getattr(usual, name))


def learns_from_keypoints(config: TrainConfig, stage: StageSettings) -> bool:
    """Whether a loss of a stage has keypoints for labels."""
    loss = config.loss_of(stage)
    return bool(loss.keypoint_part or loss.keypoint_uv or (config.model.keypoints and loss.keypoint_map))


def clicks_of(config: TrainConfig, sets: Sets | None = None) -> Clicks:
    """Count the clicks behind the labels of all stages, each of them once.

    A file that several stages or sources name is paid for once: for everything that any of its budgets
    leaves. Keypoints count where a loss learns from them. Labels that only score do not count, nor do
    the boxes of people without labels (`unlabelled`); the same label in two files counts twice.

    Args:
        config: of the run.
        sets: annotations that were read before (`source_labels`); those read here join them.

    Raises:
        AnnotationError: a file is broken, or its budget does not fit it.
    """
    sets = {} if sets is None else sets
    layout = surface_layout(config.surface)
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
        people = _together([source_labels(source, sets, layout) for source in distinct])
        counts.append(count_clicks(people, file in with_keypoints))
    return sum(counts, Clicks())


def _together(sets: list[AnnotationSet]) -> Iterable[PersonAnnotation]:
    """The people of one file with all labels that any of its budgets leaves."""
    if len(sets) == 1:
        return sets[0].people
    # A budget keeps everybody, in the order of the file.
    return (_union(versions) for versions in zip(*(each.people for each in sets), strict=True))


def _union(versions: tuple[PersonAnnotation, ...]) -> PersonAnnotation:
    """One person with the labels of several budgets of one file; a point is known by its place."""
    names = ("points", "part", "uv", "source", "step")
    joined = {name: np.concatenate([getattr(version, name) for version in versions]) for name in names}
    # Of two of the same place the one with (u, v) comes first, and is taken.
    order = np.argsort(np.isnan(joined["uv"]).any(axis=1), kind="stable")
    _, first = np.unique(joined["points"][order], axis=0, return_index=True)
    chosen = order[first]
    some: dict[str, Any] = {
        name: next((value for each in versions if (value := getattr(each, name)) is not None), None)
        for name in ("coarse", "keypoints")
    }
    points: dict[str, Any] = {name: values[chosen] for name, values in joined.items()}
    return replace(versions[0], **points, confidence=None, **some)
