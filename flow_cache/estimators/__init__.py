"""What estimates flow. A new estimator is a file here and a line in `ESTIMATORS`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from flow_cache.estimators.dis import DenseInverseSearch
from flow_cache.estimators.pairs import Pair
from flow_cache.estimators.raft import RaftLarge, RaftSmall


class FlowEstimator(Protocol):
    """A frozen dataclass of settings with a name; it travels to other processes by pickling."""

    name: ClassVar[str]
    frames_a_batch: ClassVar[
        int
    ]  # how many frames to hand in at once, beside those that fields reach back to

    def settings(self) -> dict[str, Any]:
        """The settings that decide the flow, as plain values."""
        ...

    def estimate(self, frames: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
        """Flow between frames of one video.

        Args:
            frames: (F, H, W, 3) uint8 RGB.
            pairs: N times the index of the frame that flow starts from, and of the frame where it ends.

        Returns:
            (N, 2, H, W) float32 px, x first.
        """
        ...


ESTIMATORS: dict[str, type[DenseInverseSearch] | type[RaftSmall] | type[RaftLarge]] = {
    "dis": DenseInverseSearch,
    "raft_small": RaftSmall,
    "raft_large": RaftLarge,
}


def settings_hash(estimator: FlowEstimator) -> str:
    """A hash of the estimator's name and settings: equal hashes, equal flow, up to a device's rounding."""
    record = json.dumps([estimator.name, estimator.settings()], sort_keys=True)
    return hashlib.sha256(record.encode()).hexdigest()


__all__ = [
    "ESTIMATORS",
    "DenseInverseSearch",
    "FlowEstimator",
    "Pair",
    "RaftLarge",
    "RaftSmall",
    "settings_hash",
]
