"""Error bars fitted on people with exact labels, and what share of errors lies under them.

What is fitted is the plainest that adapts (conformal prediction by groups; Vovk et al., 2003): points are
sorted by the error that the parts' probabilities expect, cut into groups of equal size, and the bar of a
group is the quantile of its errors. Bars never fall where the expected error rises.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.progress import tracked
from slimdp.config import CropSettings
from slimdp.evaluation.predictions import nearest_pixels
from slimdp.inference.decoding import decode
from slimdp.inference.error_bars import LEVEL, ErrorBars, expected_cm
from slimdp.inference.predictor import crops_of, predict_crops
from slimdp.models import DensePoseModel
from slimdp.structures import DensePoseInstance, PersonAnnotation
from slimdp.surface.layout import Surface

#: Groups of points, and the least that one may hold.
GROUPS, LEAST_OF_GROUP = 20, 20
#: The least points that bars are fitted on.
LEAST = GROUPS * LEAST_OF_GROUP


@dataclass(frozen=True)
class ErrorSamples:
    """N points of people, on pixels that the network takes for the person."""

    expected_cm: np.ndarray  # (N,) by the parts' probabilities
    error_cm: np.ndarray  # (N,) along the body
    person: np.ndarray  # (N,) int64, whose point it is, from 0

    def of(self, chosen: np.ndarray) -> ErrorSamples:
        """Those chosen (N,) bool."""
        return ErrorSamples(self.expected_cm[chosen], self.error_cm[chosen], self.person[chosen])


def middle_distances_cm(surface: Surface) -> np.ndarray:
    """Distances along the body between the middles (0.5, 0.5) of parts, (P, P) cm."""
    count = len(surface.layout.parts)
    one, other = (each.ravel() for each in np.meshgrid(*[np.arange(1, count + 1)] * 2, indexing="ij"))
    middle = np.full((count * count, 2), 0.5)
    distance_m = surface.distance_between(one, middle, other, middle)
    return 100 * np.asarray(distance_m).reshape(count, count)


def expected_bars(surface: Surface) -> ErrorBars:
    """Bars of a network that nobody calibrated: the error that its parts expect, as it is.

    They tell surer pixels from others; how many errors lie under them is not known, and `level` is NaN.
    """
    same = np.array([0.0, 1000.0])
    return ErrorBars("", float("nan"), middle_distances_cm(surface), same, same, fitted={})


def error_samples(
    model: DensePoseModel, people: Sequence[PersonAnnotation], crop: CropSettings, surface: Surface
) -> ErrorSamples:
    """Errors at the points of people.

    Raises ValueError where nobody has any, and for a network that does not look at crops.
    """
    if model.spec.input != "crop":
        raise ValueError(
            "the network takes whole pictures, of which no error bars are made: slimdp calibrate takes "
            "networks of crops"
        )
    labelled, between, found = _labelled(people), middle_distances_cm(surface), []
    for place, sample in enumerate(
        tracked(_each(model, labelled, crop, surface, between), "calibrate", "people", len(labelled))
    ):
        found.append((*sample, np.full(len(sample[0]), place)))
    return ErrorSamples(*map(np.concatenate, zip(*found)))


def _labelled(people: Sequence[PersonAnnotation]) -> list[PersonAnnotation]:
    """Those who have points, with these; raises ValueError where nobody has any."""
    found = [each for each in (person.with_uv_points() for person in people) if len(each.part)]
    if not found:
        raise ValueError(f"none of the {len(people)} people has annotated points: nothing to calibrate on")
    return found


def _each(
    model: DensePoseModel, people: Sequence[PersonAnnotation], crop: CropSettings, surface: Surface,
    between_cm: np.ndarray,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Expected and true errors, cm, of each person's points on foreground."""
    stride = model.spec.stride
    for person, affine, image in crops_of(people, crop):
        maps = predict_crops(model, image[None], [f"{person.image.file_name} annotation {person.id}"])
        found = decode(maps, stride)
        expected = expected_cm(maps, found.part, stride, between_cm)[0]
        part, uv, foreground = (each[0].cpu().numpy() for each in (found.part, found.uv, found.foreground))
        answer = DensePoseInstance(person.id, person.image.id, person.box, 1.0, affine, part, uv, foreground)
        pixels, inside = nearest_pixels(answer, person.points)
        column, row = pixels.T
        seen = inside & foreground[row, column]
        column, row = column[seen], row[seen]
        error_m = surface.distance_between(
            part[row, column].astype(np.int64), uv[:, row, column].T, person.part[seen], person.uv[seen]
        )
        yield expected[row, column].astype(np.float64), 100 * np.asarray(error_m)


def fit_table(samples: ErrorSamples, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Knots from the expected error to the bar, cm, (K,) each; `level` of the samples lie under them.

    Raises ValueError for a level that is no share, or too few points.
    """
    require_share(level)
    count = len(samples.error_cm)
    if count < LEAST:
        raise ValueError(f"{count} points on people that the network sees, but {LEAST} are wanted")
    groups = np.array_split(np.argsort(samples.expected_cm, kind="stable"), GROUPS)
    knots = np.array([np.median(samples.expected_cm[group]) for group in groups])
    bars = np.array([np.quantile(samples.error_cm[group], level) for group in groups])
    knots, first = np.unique(np.round(knots, 3), return_index=True)
    bars = np.maximum.accumulate(np.maximum(bars, 0.1))[first]
    # Interpolation and the rule that bars never fall move the share: one factor for all brings it back.
    ratio = samples.error_cm / np.interp(samples.expected_cm, knots, bars)
    return knots, bars * np.quantile(ratio, level)


def require_share(level: float) -> None:
    """Raise ValueError for a level of the bars that is no share."""
    if not 0 < level < 1:
        raise ValueError(f"level = {level}, but a share between 0 and 1 is wanted")


def require_enough_labels(people: Sequence[PersonAnnotation]) -> None:
    """Raise ValueError for people who have too few points, however many of them the network sees."""
    _require_two_halves([len(person.part) for person in _labelled(people)], "are annotated")


def second_half(samples: ErrorSamples, seed: int = 0) -> np.ndarray:
    """Whether a point, (N,) bool, is of the second half of the people, whose halves have about as many."""
    return _second_half(np.bincount(samples.person), seed)[samples.person]


def _second_half(points: np.ndarray, seed: int = 0) -> np.ndarray:
    """Who of people with so many points each is of the second half, bool.

    Those with most come first (in random order where they have as many), each to the half that has fewer: by
    lot, a half could be left with a few points where a few people have most.
    """
    shuffled = np.random.default_rng(seed).permutation(len(points))
    second, sums = np.zeros(len(points), bool), [0, 0]
    for person in shuffled[np.argsort(-points[shuffled], kind="stable")]:
        half = int(sums[1] < sums[0])
        second[person] = half == 1
        sums[half] += int(points[person])
    return second


def _require_two_halves(points: Sequence[int] | np.ndarray, what: str) -> None:
    """Raise ValueError where the halves of people with so many points each are too few to fit bars on."""
    points = np.asarray(points, np.int64)
    second = _second_half(points)
    halves = int(points[~second].sum()), int(points[second].sum())
    if min(halves) < LEAST:
        raise ValueError(
            f"{points.sum()} points of {np.count_nonzero(points)} people {what}; parted by people, as evenly "
            f"as can be, they are {halves[0]} and {halves[1]}, but {LEAST} are wanted in each half, since "
            "bars that are fitted on one are measured on the other; annotate more points, or more people"
        )


def coverage(samples: ErrorSamples, table: tuple[np.ndarray, np.ndarray]) -> float:
    """The share of the errors that lie under their bars."""
    return float((samples.error_cm <= np.interp(samples.expected_cm, *table)).mean())


def unseen_coverage(samples: ErrorSamples, level: float = LEVEL, seed: int = 0) -> float:
    """The share under bars that were fitted on the other half of the people: of both halves together.

    Raises ValueError for a level that is no share, or too few points in a half.
    """
    _require_two_halves(np.bincount(samples.person), "lie on pixels that the network takes for them")
    second = second_half(samples, seed)
    parts = [samples.of(second == each) for each in (False, True)]
    under = [
        coverage(mine, fit_table(other, level)) * len(mine.error_cm) for mine, other in (parts, parts[::-1])
    ]
    return sum(under) / len(samples.error_cm)


def calibrated(
    checkpoint: Path, samples: ErrorSamples, surface: Surface, level: float = LEVEL, on: str = ""
) -> ErrorBars:
    """The error bars of a checkpoint by the samples of its network; `on` says of what they are."""
    unseen, table = unseen_coverage(samples, level), fit_table(samples, level)
    fitted: dict[str, Any] = {
        "on": on, "people": int(samples.person.max()) + 1, "points": len(samples.error_cm),
        "share_under": round(coverage(samples, table), 4),
        "share_under_on_unseen_people": round(unseen, 4),
    }  # fmt: skip
    digest = file_sha256(checkpoint).hex()
    return ErrorBars(digest, level, middle_distances_cm(surface), *table, fitted)
