"""What estimates flow. A new estimator is a file here and a line in `ESTIMATORS`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, ClassVar, Protocol

import numpy as np

from flow_cache.estimators.dis import DenseInverseSearch


class FlowEstimator(Protocol):
    """A frozen dataclass of settings with a name; it travels to other processes by pickling."""

    name: ClassVar[str]

    def estimate(self, frames_0: np.ndarray, frames_1: np.ndarray) -> np.ndarray:
        """Flow from frames_0 to frames_1, (N, H, W, 3) uint8 RGB each, as (N, 2, H, W) float32 px."""
        ...


ESTIMATORS = {"dis": DenseInverseSearch}


def settings_of(estimator: FlowEstimator) -> dict[str, Any]:
    """The settings of an estimator by name."""
    return dataclasses.asdict(estimator)  # type: ignore[call-overload]


def settings_hash(estimator: FlowEstimator) -> str:
    """A hash of the estimator's name and settings: equal hashes, equal flow."""
    record = json.dumps([estimator.name, settings_of(estimator)], sort_keys=True)
    return hashlib.sha256(record.encode()).hexdigest()


__all__ = ["ESTIMATORS", "DenseInverseSearch", "FlowEstimator", "settings_hash", "settings_of"]
