"""Ratio of correct points and the area under its curve (DensePose, 2.3; Slim DensePose, 5.1).

f(t) is the share of points with an error strictly below t, over all points of all people, and
AUC_a = (1/a) * integral of f from 0 to a its mean up to a.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Error of a point that was not found.
NOT_FOUND = np.inf
#: Of the tables of Slim DensePose, centimetres.
THRESHOLDS_CM = (5.0, 10.0, 20.0)
#: Areas under the curve up to here, metres (DensePose, 2.3).
AUC_LIMITS_M = {"auc10": 0.10, "auc30": 0.30}


@dataclass(frozen=True)
class PointErrors:
    """Geodesic errors of P points, metres; NOT_FOUND (infinite) where a point has no answer."""

    full_m: np.ndarray  # (P,) float64
    localization_m: np.ndarray  # (P,) float64
    part: np.ndarray  # (P,) int64, the true part, 1..parts
    person: np.ndarray  # (P,) int64, index into the people that were scored

    def where(self, chosen: np.ndarray) -> PointErrors:
        """The points that a mask (P,) bool chooses."""
        return PointErrors(
            self.full_m[chosen], self.localization_m[chosen], self.part[chosen], self.person[chosen]
        )


@dataclass(frozen=True)
class FormScores:
    """Scores of one form, as ratios in 0..1."""

    within: tuple[tuple[float, float], ...]  # (threshold cm, ratio of points with a smaller error)
    auc10: float  # AUC up to 10 cm
    auc30: float  # AUC up to 30 cm

    def in_percent(self) -> dict[str, float]:
        """{"5cm": ..., "10cm": ..., "auc10": ..., "auc30": ...}."""
        ratios = {threshold_name(threshold_cm): ratio for threshold_cm, ratio in self.within}
        return {
            key: 100 * value for key, value in (ratios | {"auc10": self.auc10, "auc30": self.auc30}).items()
        }

    def within_percent(self) -> dict[str, float]:
        """{"5cm": ..., "10cm": ...} alone, to two digits: a row of a table of results."""
        return {threshold_name(threshold_cm): round(100 * ratio, 2) for threshold_cm, ratio in self.within}


@dataclass(frozen=True)
class PointScores:
    """Scores over all points of all people, with the number of those points."""

    full: FormScores
    localization: FormScores
    points: int

    def in_percent(self) -> dict[str, dict[str, dict[str, float]]]:
        """{"points": {"full": {...}, "localization": {...}}}, as scores.json holds it."""
        return {"points": {"full": self.full.in_percent(), "localization": self.localization.in_percent()}}


def summarize(errors: PointErrors, thresholds_cm: Sequence[float] = THRESHOLDS_CM) -> PointScores:
    """Ratios and areas of errors that were measured.

    Raises:
        ValueError: no errors, or thresholds that `checked_thresholds` refuses.
    """

    def of_form(errors_m: np.ndarray) -> FormScores:
        within = tuple((t, ratio_within(errors_m, t / 100)) for t in checked_thresholds(thresholds_cm))
        return FormScores(within, **{name: auc(errors_m, limit) for name, limit in AUC_LIMITS_M.items()})

    return PointScores(of_form(errors.full_m), of_form(errors.localization_m), points=len(errors.part))


def checked_thresholds(thresholds_cm: Sequence[float]) -> tuple[float, ...]:
    """Thresholds, centimetres; raises ValueError unless there are some, each positive and there once."""
    thresholds = tuple(float(t) for t in thresholds_cm)
    if not thresholds or not all(0 < t < np.inf for t in thresholds):
        raise ValueError(f"thresholds {list(thresholds)} cm, but positive numbers are wanted")
    names = [threshold_name(t) for t in thresholds]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"the threshold {twice[0]} is there twice")
    return thresholds


def threshold_name(threshold_cm: float) -> str:
    """What a threshold is called in scores: "5cm", "7.5cm"."""
    return f"{threshold_cm:g}cm"


def ratio_within(errors_m: np.ndarray, threshold_m: float) -> float:
    """Ratio of correct points f(t): the share of errors (P,) strictly below t, in 0..1 (DensePose, 2.3)."""
    return float((_checked(errors_m) < threshold_m).mean())


def auc(errors_m: np.ndarray, limit_m: float) -> float:
    """AUC_a = (1/a) * integral of f(t) from 0 to a, in 0..1 (DensePose, 2.3), exactly.

    A point with error e is correct from t = e on, so it adds (a - e) / a, and nothing if e exceeds a.
    """
    if not limit_m > 0:
        raise ValueError(f"limit_m = {limit_m}, but a positive number of metres is wanted")
    return float(np.clip(1 - _checked(errors_m) / limit_m, 0, None).mean())


def _checked(errors_m: np.ndarray) -> np.ndarray:
    errors_m = np.asarray(errors_m, dtype=np.float64)
    if not errors_m.size:
        raise ValueError("no errors: a ratio over no points has no value")
    if np.isnan(errors_m).any() or errors_m.min() < 0:
        raise ValueError("errors are NaN or negative, but metres of at least 0 are wanted")
    return errors_m
