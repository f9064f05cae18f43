"""How much a carried label is trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slimdp.config import ConfigError


@dataclass(frozen=True)
class FallingConfidence:
    """Trust that falls with the distance and with what the forward-backward check measured.

        confidence = per_frame^|step| * per_hop^(hops - 1) * per_px^(sum over hops of the offset)

    The offset is how far the way there and back was off in a hop, in px of a 256 px crop of the person. It is
    multiplied by the confidence that the label had. Each factor is in (0, 1]; 1 switches it off.

    By default it is about the chance that the label is right. Of labels that DIS carried over 1 to 8 frames
    of rendered clips, those with an offset of 0 to 0.5 px were within 5 cm of the truth on the body for 96 to
    87 %, at 2 to 3 px for 43 to 25 %, at 4 to 5 px for 27 to 16 %; the most likely factors are 0.70 a px,
    0.999 a frame and 1 a hop, and for RAFT-small 0.78, 0.99 and 1 (docs/propagation.md).
    """

    per_frame: float = 0.98  # for every frame between the labelled one and this one
    per_hop: float = 0.98  # for every flow after the first
    per_px: float = 0.72  # 5 px, the threshold of the paper, leave 0.19

    def __post_init__(self) -> None:
        for name in ("per_frame", "per_hop", "per_px"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise ConfigError(f"confidence.{name} = {value}, but it must be in 0..1, 0 left out")

    def of(self, offset_px: np.ndarray, step: int) -> np.ndarray:
        """The confidence of labels that passed the check.

        Args:
            offset_px: (hops, N) of the check in each hop, px of a 256 px crop.
            step: frames from the labelled one.

        Returns:
            (N,) float32 in (0, 1].
        """
        distance = self.per_frame ** abs(step) * self.per_hop ** (len(offset_px) - 1)
        tiny = np.finfo(np.float32).tiny  # a label that passed counts, however little
        return np.maximum(distance * self.per_px ** offset_px.sum(axis=0), tiny).astype(np.float32)
