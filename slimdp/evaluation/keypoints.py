"""How far on the body a prediction is from the keypoints that people have: a measure without dense labels.

Real people with dense labels are few and not free; people with keypoints are many. At the pixel of each
visible keypoint the prediction names a place of the surface, and the keypoint marks one too: its anchor
(Slim DensePose, 5.2). Their distance along the surface is the error, "localization only": the best of the
parts counts, also where the network calls the pixel background.

A joint lies inside of the body, and annotators click it to some centimetres, so that exact labels score below
100 % too: read what a network reaches on real people beside what it reaches on rendered ones.

Swapped are keypoints of a side that lie over 20 cm from their own anchor and within 20 cm of the other
side's: the network took left for right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.runtime.json_file import read_json
from slimdp.data.keypoints import HIDDEN, KeypointAnchors, mirror_name, seen_from, surface_anchors
from slimdp.evaluation.ground_truth import ImageTruth
from slimdp.evaluation.metric import MetricSettings, Predicted, Score, ScoreKind
from slimdp.evaluation.points import PointMetric, ratio_within, threshold_name
from slimdp.settings_file import ConfigError
from slimdp.structures import LabelSource, PersonAnnotation
from slimdp.surface.body import BodySurface

#: Of the tables, centimetres.
KEYPOINT_THRESHOLDS_CM = (10.0, 20.0, 30.0)
#: From here on a keypoint may be swapped, and up to here the other side counts, metres.
SWAP_M = 0.20
SWAPPED, COUNT, SIDED = "swapped", "count", "sided"


@dataclass(frozen=True)
class KeypointErrors:
    """Errors of N visible keypoints, metres; infinite where the keypoint lies outside of the crop."""

    own_m: np.ndarray  # (N,) float64, to the keypoint's own anchor
    other_m: np.ndarray  # (N,) float64, to that of the other side; equal to `own_m` where there is none
    sided: np.ndarray  # (N,) bool: whether the name begins with left_ or right_
    name: np.ndarray  # (N,) str
    person: np.ndarray  # (N,) int64, index into `people`
    people: tuple[PersonAnnotation, ...]

    def summary(
        self, chosen: np.ndarray | None = None, thresholds_cm: Sequence[float] = KEYPOINT_THRESHOLDS_CM
    ) -> dict[str, float | int | None]:
        """Percent within each threshold, and of the sided ones swapped; how many there are of both.

        `chosen` (N,) bool are those to tell of; None: all. Nothing chosen has no percentages (None).
        """
        rows = slice(None) if chosen is None else chosen
        own_m, other_m, sided = self.own_m[rows], self.other_m[rows], self.sided[rows]
        within = {
            threshold_name(t): 100 * ratio_within(own_m, t / 100) if len(own_m) else None
            for t in thresholds_cm
        }
        swapped = (own_m[sided] > SWAP_M) & (other_m[sided] <= SWAP_M)
        share = 100 * float(swapped.mean()) if len(swapped) else None
        return {**within, SWAPPED: share, COUNT: len(own_m), SIDED: int(sided.sum())}

    def as_json(self) -> dict[str, Any]:
        """As scores.json holds it: everything, then by keypoint and by person."""
        names = dict.fromkeys(self.name.tolist())
        by_person = [
            {"image": person.image.file_name, "image_id": person.image.id, "annotation_id": person.id}
            | self.summary(self.person == place)
            for place, person in enumerate(self.people)
            if (self.person == place).any()
        ]
        by_keypoint = {name: self.summary(self.name == name) for name in names}
        return self.summary() | {"by_keypoint": by_keypoint, "by_person": by_person}


class KeypointMetric:
    """Keypoints found on the body: "keypoints.20cm", of any threshold, and "keypoints.swapped", percent.

    Raises ConfigError for a surface that does not say where its keypoints lie.
    """

    def __init__(self, settings: MetricSettings) -> None:
        surface = settings.surface
        if not isinstance(surface, BodySurface) or not surface.keypoints:
            remedy = "take one that does, as the open body (--surface open)"
            raise ConfigError(f"surface {surface.name} does not say where keypoints lie on it; {remedy}")
        own = surface_anchors(surface)
        self._known = {name: index for index, name in enumerate(own.names)}
        mirror = [self._known.get(mirror_name(name), self._known[name]) for name in own.names]
        other = KeypointAnchors(own.names, own.part[mirror], own.uv[mirror])
        # The error at a keypoint is that at a point labelled with its anchor.
        self._sides = [(anchors, PointMetric(settings)) for anchors in (own, other)]
        self._file, self._scores = settings.file, settings.scores
        self._people: dict[int, PersonAnnotation] = {}  # by place in the file
        self._rows: dict[int, np.ndarray] = {}  # by place: which keypoints of the person are points

    @staticmethod
    def describe(name: str) -> ScoreKind | None:
        """Thresholds are any positive number of centimetres."""
        score = name.partition(".")[2]
        if score == SWAPPED:
            return ScoreKind("swapped sides", higher_is_better=False, everyone=True)
        kind = PointMetric.describe(f"points.localization.{score}") if score.endswith("cm") else None
        return kind and replace(kind, title=f"keypoints {kind.title}", everyone=True)

    def update(self, truth: ImageTruth, predicted: Predicted) -> None:
        """Compare each keypoint's anchor with the crop's pixel nearest to the keypoint.

        Raises ValueError for people or predictions that are there twice.
        """
        for place, person in zip(truth.places, truth.people):
            if place not in self._people:
                self._people[place] = person
                self._rows[place] = self._labelled(person)
        for anchors, metric in self._sides:
            labelled = tuple(
                self._as_points(person, self._rows[place], anchors)
                for place, person in zip(truth.places, truth.people)
            )
            metric.update(replace(truth, people=labelled), predicted)

    def compute(self) -> dict[str, Score]:
        """The scores that were asked for."""
        wanted = [name.partition(".")[2] for name in self._scores]
        thresholds = [float(name.removesuffix("cm")) for name in wanted if name != SWAPPED]
        summary = self.errors().summary(thresholds_cm=thresholds)
        return {f"keypoints.{name}": Score(summary[name]) for name in wanted}

    def errors(self) -> KeypointErrors:
        """The errors of all visible keypoints, person by person in the order of the file.

        Hidden keypoints are left out where the file tells them apart (COCO): what shows there is something
        else. Raises ValueError where nobody has a keypoint that the surface knows, or a person with some has
        no prediction and that is not to count as wrong.
        """
        places = sorted(place for place, rows in self._rows.items() if len(rows))
        if not places:
            none = f"none of the {len(self._people)} people has a labelled keypoint that the surface knows"
            raise ValueError(f"{self._file}: {none}; it knows {', '.join(self._known)}")
        people, rows = tuple(self._people[place] for place in places), [self._rows[place] for place in places]
        own, other = (metric.errors().localization_m for _, metric in self._sides)
        visibility = np.concatenate([np.asarray(p.keypoints)[r, 2] for p, r in zip(people, rows)])
        names = np.concatenate([np.array(p.keypoint_names)[r] for p, r in zip(people, rows)])
        index = np.repeat(np.arange(len(people)), [len(chosen) for chosen in rows])
        seen = visibility >= seen_from(tuple(self._people.values()))
        sided = np.array([mirror_name(name) != name for name in names[seen].tolist()], dtype=bool)
        return KeypointErrors(own[seen], other[seen], sided, names[seen], index[seen], people)

    def _labelled(self, person: PersonAnnotation) -> np.ndarray:
        """Which of a person's keypoints are labelled and known to the surface: (N,) int64."""
        if person.keypoints is None:
            return np.zeros(0, dtype=np.int64)
        known = np.array([name in self._known for name in person.keypoint_names], dtype=bool)
        return np.flatnonzero(known & (person.keypoints[:, 2] >= HIDDEN))

    def _as_points(
        self, person: PersonAnnotation, rows: np.ndarray, anchors: KeypointAnchors
    ) -> PersonAnnotation:
        """The person with these keypoints as points, labelled with their anchors, and no others."""
        at = [self._known[person.keypoint_names[row]] for row in rows]
        places = np.zeros((0, 2)) if person.keypoints is None else person.keypoints[rows, :2]
        source = np.full(len(rows), LabelSource.KEYPOINT, dtype=np.int64)
        return replace(
            person, points=places.astype(np.float64), part=anchors.part[at], uv=anchors.uv[at],
            source=source, step=np.zeros(len(rows), dtype=np.int64), confidence=None,
        )  # fmt: skip


def ratio_to(scores: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, Any]:
    """What share of a reference's percentages some scores reach, by threshold, and by keypoint: 1 is as good.

    Both are as `KeypointErrors.as_json` gives them; None stands where either has no value.
    """
    names = [threshold_name(t) for t in KEYPOINT_THRESHOLDS_CM]

    def of(mine: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, float | None]:
        return {
            name: mine[name] / other[name] if mine.get(name) is not None and other.get(name) else None
            for name in names
        }

    both = [name for name in scores["by_keypoint"] if name in reference["by_keypoint"]]
    by_keypoint = {name: of(scores["by_keypoint"][name], reference["by_keypoint"][name]) for name in both}
    return of(scores, reference) | {"by_keypoint": by_keypoint}


def read_keypoint_scores(path: str | Path) -> dict[str, Any]:
    """The keypoint scores of a scores.json; raises ConfigError where it has none."""
    found = read_json(path)
    scores = found.get("keypoints") if isinstance(found, dict) else None
    if not isinstance(scores, dict) or not isinstance(scores.get("by_keypoint"), dict):
        remedy = "make it by slimdp evaluate --keypoints --out"
        raise ConfigError(f"{path} holds no scores of keypoints; {remedy}")
    return scores


def keypoint_rows(errors: KeypointErrors) -> Sequence[tuple[str, dict[str, float | int | None]]]:
    """Rows of a table: all keypoints, then each pair of sides together."""
    joint = np.array([name.removeprefix("left_").removeprefix("right_") for name in errors.name.tolist()])
    each = [(name, errors.summary(joint == name)) for name in dict.fromkeys(joint.tolist())]
    return [("all", errors.summary()), *each]
