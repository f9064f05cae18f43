"""How RAFT learns from a store."""

from __future__ import annotations

from dataclasses import dataclass

from flow_cache.errors import FlowCacheError

#: RAFT's features are 8 px apart, and their pyramid halves 16 of them three times.
_SIDE_MULTIPLE, _LEAST_SIDE = 8, 128


@dataclass(frozen=True)
class FinetuneSettings:
    """Settings of a run; equal ones, weights and stores give equal weights, bit for bit on one CPU thread."""

    estimator: str = "raft_small"
    steps: int = 4000
    batch: int = 4
    crop: int = 128  # px, both sides
    iterations: int = 6  # updates of the flow in training
    rate: float = 2e-4  # its peak: it rises over the first twentieth, and falls to 0 in a line
    gamma: float = 0.8  # of an update to the one after it, in the loss (RAFT, 3.4)
    weight_decay: float = 1e-5
    clip: float = 1.0  # largest norm of the gradient
    people_weight: float = 4.0  # of a pixel on people, beside 1 elsewhere
    people_share: float = 0.8  # of crops that are cut about people, where masks tell
    patches_share: float = 0.2  # of samples that are patches flying over a frame, so that little is forgotten
    zoom: tuple[float, float] = (0.8, 2.0)  # frames are made smaller or larger by, at random
    seed: int = 0
    checkpoint_every: int = 200  # steps

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "iterations", "checkpoint_every"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("rate", "gamma", "clip", "people_weight"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "a positive number")
        for name in ("people_share", "patches_share"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a share in 0..1")
        fits = self.crop % _SIDE_MULTIPLE == 0 and self.crop >= _LEAST_SIDE
        _require(fits, "crop", self.crop, f"a multiple of {_SIDE_MULTIPLE} px, {_LEAST_SIDE} at least")
        _require(0 < self.zoom[0] <= self.zoom[1], "zoom", self.zoom, "two rising positive numbers")
        _require(
            self.estimator in ("raft_small", "raft_large"),
            "estimator",
            self.estimator,
            "raft_small or raft_large",
        )

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = max(self.steps // 20, 1)
        return self.rate * min((step + 1) / warm, (self.steps - step) / max(self.steps - warm, 1))


def _require(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise FlowCacheError(f"{name} {value} of finetune; wanted {wanted}")
