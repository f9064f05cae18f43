"""How much a carried label is trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.config import ConfigError


@dataclass(frozen=True)
class FallingConfidence:
    """Trust that falls with the distance and with what the forward-backward check measured.

        confidence = per_frame^|step| * per_hop^(hops - 1) * at_threshold^(sum over hops (offset / limit)^2)

    `offset` is how far the way there and back was off in a hop and `limit` the threshold of the check, so
    that a label whose ways agree loses nothing for it, and one that only just passes keeps `at_threshold`. It
    is multiplied by the confidence that the label had. Each factor is in (0, 1]: 1 switches it off.
    """

    per_frame: float = 0.95  # for every frame between the labelled one and this one
    per_hop: float = 0.95  # for every flow after the first
    at_threshold: float = 0.3

    def __post_init__(self) -> None:
        for name in ("per_frame", "per_hop", "at_threshold"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ConfigError(f"confidence.{name} = {value}, but it must be in 0..1, 0 left out")

    def of(self, offset_px: np.ndarray, limit_px: float, step: int) -> np.ndarray:
        """The confidence of labels that passed the check.

        Args:
            offset_px: (hops, N) of the check in each hop, at most `limit_px`.
            limit_px: the threshold, in the same px.
            step: frames from the labelled one.

        Returns:
            (N,) float32 in (0, 1].
        """
        hops = len(offset_px)
        distance = self.per_frame ** abs(step) * self.per_hop ** (hops - 1)
        strain = ((offset_px / limit_px) ** 2).sum(axis=0)
        tiny = np.finfo(np.float32).tiny  # a label that passed counts, however little
        return np.maximum(distance * self.at_threshold**strain, tiny).astype(np.float32)
