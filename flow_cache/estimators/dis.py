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


@dataclass(frozen=True)
class _Changes:
    """What a preset of ours changes in OpenCV's medium one."""

    patch_size: int  # px
    patch_stride: int  # px
    descents: int  # of each patch
    refinements: int  # of the flow as a whole
    enlarge: int = 1  # times, of both frames before


#: OpenCV's.
_OPENCV = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
#: Ours, whose flow ends at the full size: OpenCV's medium one ends at half of it, where a limb of a person of
#: 100 px is two pixels wide. `finest` takes labels of such people over many frames best (docs/motion.md).
_FINE = {"fine": _Changes(6, 3, 8, 1), "finest": _Changes(8, 3, 16, 5, enlarge=2)}
PRESETS = (*_OPENCV, *_FINE)
#: OpenCV's patches need a few px on every level of the pyramid.
SMALLEST_SIDE = 16
_SEARCHES = threading.local()


@dataclass(frozen=True)
class DenseInverseSearch:
    """Settings: `preset`, one of ultrafast, fast, medium (slower is better), as OpenCV has them, or ours.

    `fine` matches smaller patches up to the size of the images. Where people are small it is better than
    medium, at three times the time. `finest` does so in images enlarged twice, at five times that of `fine`.
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
        enlarge = _FINE[self.preset].enlarge if self.preset in _FINE else 1
        grey = [cv2.cvtColor(_enlarged(frame, enlarge), cv2.COLOR_RGB2GRAY) for frame in frames]
        height, width = frames.shape[1:3]
        flows = np.zeros((len(pairs), height, width, 2), np.float32)
        for (first, second), flow in zip(pairs, flows, strict=True):
            # OpenCV begins with the flow that it is to fill, if that has the images' size: standing still.
            start = flow if enlarge == 1 else None
            found = _search(self.preset).calc(grey[first], grey[second], start)  # type: ignore[arg-type]
            if enlarge == 1:
                assert np.shares_memory(found, flow)
            else:
                flow[:] = cv2.resize(found, (width, height), interpolation=cv2.INTER_AREA) / enlarge
        return flows.transpose(0, 3, 1, 2)


def _enlarged(frame: np.ndarray, times: int) -> np.ndarray:
    if times == 1:
        return frame
    return cv2.resize(frame, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)


def _search(preset: str) -> cv2.DISOpticalFlow:
    """This thread's object, which keeps buffers from call to call, as new.

    For small images OpenCV chooses finer scales and keeps the choice, which would change the flow of all
    images after them.
    """
    if preset not in (held := vars(_SEARCHES)):
        new = cv2.DISOpticalFlow.create(_OPENCV.get(preset, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM))
        if (changes := _FINE.get(preset)) is not None:
            new.setFinestScale(0)
            new.setPatchSize(changes.patch_size)
            new.setPatchStride(changes.patch_stride)
            new.setGradientDescentIterations(changes.descents)
            new.setVariationalRefinementIterations(changes.refinements)
        held[preset] = new, (new.getFinestScale(), new.getPatchSize(), new.getPatchStride())
    search, (scale, size, stride) = held[preset]
    search.setFinestScale(scale)
    search.setPatchSize(size)
    search.setPatchStride(stride)
    found: cv2.DISOpticalFlow = search
    return found
