"""The probability that a carried label is right, learned from rendered clips whose exact flow is known.

The forward-backward check knows one number, how far the way there and back misses. A small network knows all
of `carried_features`: also what the flow about the label does, the colours there and where it lands, how far
and how fast it came, and whether it came back to its own part of the masks. It was trained by
tools/train_check.py over 1 to 6 frames; right was what is in sight within 4 px of its place, of a 256 px
crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from flow_cache import PointStatus, PropagatedPoints
from flow_cache.runtime.json_file import read_json
from slimdp.config import ConfigError
from slimdp.motion.carried_features import FEATURES, CarriedPoints, carried_features
from slimdp.motion.colour_check import BLUR_PX, blurred_lab

SHIPPED = Path(__file__).with_name("learned_check.json")
_KEPT_IMAGES = 4


@dataclass(frozen=True)
class JudgedPoints(PropagatedPoints):
    """Where N points have got to, kept where they are likely right."""

    probability: np.ndarray  # (N,) float32 in 0..1 that it is right; 0 where no flow leads there


@dataclass(frozen=True)
class CheckNetwork:
    """Fully connected layers with ReLU between them, on features of mean 0 and deviation 1."""

    mean: np.ndarray  # (F,) float32
    deviation: np.ndarray  # (F,)
    layers: Sequence[tuple[np.ndarray, np.ndarray]]  # weights (out, in), and what is added (out,)

    def probability(self, features: np.ndarray) -> np.ndarray:
        """(N,) float64 in 0..1, of features (N, F)."""
        values = (features - self.mean) / self.deviation
        for number, (weight, bias) in enumerate(self.layers):
            values = values @ weight.T + bias
            if number + 1 < len(self.layers):
                values = np.maximum(values, 0)
        return 1 / (1 + np.exp(-values[:, 0].astype(np.float64).clip(-50, 50)))  # type: ignore[no-any-return]

    @staticmethod
    def read(path: Path) -> CheckNetwork:
        """What tools/train_check.py has written; ConfigError for another file."""
        content = read_json(path, "learned check")
        names = content.get("features") if isinstance(content, dict) else None
        if names != list(FEATURES):
            raise ConfigError(
                f"{path}: features {names}; wanted those of this version of slimdp; train it anew: "
                "python tools/train_check.py"
            )
        mean, deviation = (np.float32(content[name]) for name in ("mean", "deviation"))
        layers = [(np.float32(one["weight"]), np.float32(one["bias"])) for one in content["layers"]]
        return CheckNetwork(mean, deviation, layers)


class LearnedCheck:
    """Judges carried labels; those that are right with less than the `least` probability are dropped.

    Raises ConfigError for a `least` outside of 0..1, or a file that is no check.
    """

    def __init__(self, least: float, path: Path = SHIPPED) -> None:
        if not 0 <= least <= 1:
            raise ConfigError(f"a least probability of {least}, but one in 0..1 is wanted")
        self.least, self._network = least, CheckNetwork.read(path)
        self._blurred = lru_cache(maxsize=_KEPT_IMAGES)(blurred_lab)

    def images(self, file_0: Path, file_1: Path, crop_px: float) -> tuple[np.ndarray, np.ndarray]:
        """Both frames as `CarriedPoints` has them; raises ImageError for one that cannot be read."""
        return self._blurred(file_0, BLUR_PX * crop_px), self._blurred(file_1, BLUR_PX * crop_px)

    def judge(self, carried: CarriedPoints) -> JudgedPoints:
        """Where labels land, and whether they are likely right there."""
        moved, features = carried_features(carried)
        probability = np.where(moved.kept, self._network.probability(features), 0.0).astype(np.float32)
        status = np.where(moved.kept & (probability < self.least), PointStatus.INCONSISTENT, moved.status)
        return JudgedPoints(moved.points_1, status, moved.offset_px, probability)
