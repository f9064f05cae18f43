"""Labels in motion: what optical flow says about people in the neighbouring frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from slimdp.motion.colour_check import ColourCheck
    from slimdp.motion.flow_pairs import ExactMotion, FlowMotion
    from slimdp.motion.frame_places import FramePlace, FramePlaces
    from slimdp.motion.label_transfer import (
        FallingConfidence,
        LabelTransfer,
        RegionSettings,
        TransferResult,
        TransferSettings,
        transfer_person,
    )
    from slimdp.motion.learned_check import JudgedPoints, LearnedCheck
    from slimdp.motion.pairs import (
        PAIR_SOURCES,
        PairDataset,
        PairSample,
        PairSource,
        PairView,
        collate_pairs,
        with_pairs,
    )
    from slimdp.motion.propagation import PropagationSummary, StepCount, annotated_people, propagate
    from slimdp.motion.thin_plate import TpsMotion

__all__ = [
    "PAIR_SOURCES", "ColourCheck", "ExactMotion", "FallingConfidence", "FlowMotion", "FramePlace",
    "FramePlaces", "JudgedPoints", "LabelTransfer", "LearnedCheck", "PairDataset", "PairSample",
    "PairSource", "PairView", "PropagationSummary", "RegionSettings", "StepCount", "TpsMotion",
    "TransferResult", "TransferSettings", "annotated_people", "collate_pairs", "propagate",
    "transfer_person", "with_pairs",
]  # fmt: skip

load_on_use(__name__)
