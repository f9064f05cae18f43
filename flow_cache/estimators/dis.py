"""Dense Inverse Search (Kroeger et al., ECCV 2016) as OpenCV implements it: fast, on the CPU, no weights."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import cv2
import numpy as np

from flow_cache.errors import FlowCacheError
from flow_cache.estimators.inputs import Pair, check_pairs
from flow_cache.runtime.words import listed

#: OpenCV's, and what `fine` changes.
PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
    "fine": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
#: OpenCV's medium flow ends at half of the size: a limb of a person of 100 px is two pixels wide there.
_FINEST_SCALE, _PATCH_SIZE, _PATCH_STRIDE, _DESCENTS, _REFINEMENTS = 0, 6, 3, 8, 1
#: OpenCV's patches need a few px on every level of the pyramid.
SMALLEST_SIDE = 16
_SEARCHES = threading.local()


@dataclass(frozen=True)
class DenseInverseSearch:
    """Settings: `preset`, one of ultrafast, fast, medium (slower is better), as OpenCV has them, and fine.

    That one matches smaller patches up to the size of the images. Where people are small it is better than
    medium, at twice the time.
    """

    preset: str = "medium"

    name: ClassVar[str] = "dis"
    frames_a_batch: ClassVar[int] = 1  # nothing is shared between pairs

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise FlowCacheError(f"preset {self.preset!r} of dis; choices: {listed(PRESETS, self.preset)}")

    def settings(self) -> dict[str, Any]:
        """What decides the flow."""
        return asdict(self)

    def estimate(self, frames: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
        """As `FlowEstimator.estimate`; raises FlowCacheError also for a side under 16 px."""
        check_pairs(frames, pairs, self.name, SMALLEST_SIDE)
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        flows = np.zeros((len(pairs), *grey[0].shape, 2), np.float32)  # the start in it is not used
        for (first, second), flow in zip(pairs, flows, strict=True):
            found = _search(self.preset).calc(grey[first], grey[second], flow)
            assert np.shares_memory(found, flow)
        return flows.transpose(0, 3, 1, 2)


def _search(preset: str) -> cv2.DISOpticalFlow:
    """This thread's object, which keeps buffers from call to call, as new.

    For small images OpenCV chooses finer scales and keeps the choice, which would change the flow of all
    images after them.
    """
    if preset not in (held := vars(_SEARCHES)):
        new = cv2.DISOpticalFlow.create(PRESETS[preset])
        if preset == "fine":
            new.setFinestScale(_FINEST_SCALE)
            new.setPatchSize(_PATCH_SIZE)
            new.setPatchStride(_PATCH_STRIDE)
            new.setGradientDescentIterations(_DESCENTS)
            new.setVariationalRefinementIterations(_REFINEMENTS)
        held[preset] = new, (new.getFinestScale(), new.getPatchSize(), new.getPatchStride())
    search, (scale, size, stride) = held[preset]
    search.setFinestScale(scale)
    search.setPatchSize(size)
    search.setPatchStride(stride)
    found: cv2.DISOpticalFlow = search
    return found
