"""What estimates flow. A new estimator is a file here and a line in `ESTIMATORS`.

From outside, a class comes in as an entry point of an installed package, in the group
`flow_cache.estimators`; docs/extending.md adds one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Protocol

import numpy as np

from flow_cache.choices import PTLFLOW
from flow_cache.errors import FlowCacheError
from flow_cache.estimators.dis import DenseInverseSearch
from flow_cache.estimators.inputs import Pair
from flow_cache.estimators.ptlflow_networks import PtlflowNetwork
from flow_cache.estimators.raft import RaftLarge, RaftSmall
from flow_cache.runtime.words import did_you_mean, quoted


class FlowEstimator(Protocol):
    """A frozen dataclass of settings with a name; it travels to other processes by pickling."""

    @property
    def name(self) -> str:
        """What stores keep of it, beside the settings."""

    @property
    def frames_a_batch(self) -> int:
        """How many frames to hand in at once, beside those that fields reach back to."""

    def settings(self) -> dict[str, Any]:
        """The settings that decide the flow, as plain values; FlowCacheError for weights that are not there.

        A device is none of them, though its rounding shows, and a GPU may multiply in half precision.
        """

    def estimate(self, frames: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
        """Flow (N, 2, H, W) float32 px, x first, between pairs of frames (F, H, W, 3) uint8 RGB of one video.

        Raises FlowCacheError for other shapes or types, or weights that cannot be had or do not fit.
        """


ESTIMATORS: dict[str, type[DenseInverseSearch] | type[RaftSmall] | type[RaftLarge]] = {
    "dis": DenseInverseSearch,
    "raft_small": RaftSmall,
    "raft_large": RaftLarge,
}


def _estimator_class(name: str) -> Any:
    """The class of a name: of ptlflow's networks, of `ESTIMATORS` or of an entry point; None without one."""
    if name.startswith(PTLFLOW):
        return PtlflowNetwork
    if name in ESTIMATORS:
        return ESTIMATORS[name]
    for entry in entry_points(group="flow_cache.estimators", name=name):
        try:
            return entry.load()
        except Exception as error:  # of somebody else's module
            raise FlowCacheError(f"estimator {name!r}: {entry.value} cannot be loaded: {error}") from error
    return None


def make_estimator(name: str, **settings: Any) -> FlowEstimator:
    """The estimator of a name, of `ESTIMATORS`, ptlflow:NETWORK or an entry point; None: as by default.

    Raises FlowCacheError for one that is not there, or not installed, or a setting that it lacks or refuses.
    """
    kind = _estimator_class(name)
    if kind is None:
        names = dict.fromkeys([*ESTIMATORS, *entry_points(group="flow_cache.estimators").names])
        choices = ", ".join((*names, f"{PTLFLOW}NETWORK"))
        near = did_you_mean(name, names)
        raise FlowCacheError(f"estimator {name!r}{near or ';'} choices: {choices}")
    own = {"network": name.removeprefix(PTLFLOW)} if kind is PtlflowNetwork else {}
    given = {key: value for key, value in settings.items() if value is not None}
    known = {field.name for field in dataclasses.fields(kind)} - set(own)
    if others := sorted(set(given) - known):
        raise FlowCacheError(f"{others[0]} is no setting of {name}; it has: {', '.join(sorted(known))}")
    return kind(**own, **given)


def estimator_words(name: str, settings: Mapping[str, Any]) -> str | None:
    """The words of the command line that choose an estimator, from what a store keeps of it.

    Of a checkpoint a store keeps the content alone, so its place is left to fill in. None where no estimator
    has that name, as for flow that was imported.
    """
    if _estimator_class(name) is None:
        return None
    words = [] if name == "dis" else [f"--estimator {name}"]
    for key, value in settings.items():
        if (name, key, value) == ("dis", "preset", DenseInverseSearch.preset):
            continue
        from_file = key == "weights" and str(value).startswith("sha256:")
        told = "CHECKPOINT" if from_file else quoted(str(value))
        words.append(f"--{key}" if value is True else f"--{key} {told}")
    return " ".join(words)


def settings_hash(estimator: FlowEstimator) -> str:
    """A hash of the estimator's name and settings: equal hashes, equal flow, up to a device's rounding."""
    record = json.dumps([estimator.name, estimator.settings()], sort_keys=True)
    return hashlib.sha256(record.encode()).hexdigest()


__all__ = [
    "ESTIMATORS", "PTLFLOW", "DenseInverseSearch", "FlowEstimator", "Pair", "PtlflowNetwork", "RaftLarge",
    "RaftSmall", "make_estimator", "settings_hash",
]  # fmt: skip
