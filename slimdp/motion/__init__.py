"""Labels in motion: what optical flow says about people in the neighbouring frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from slimdp.motion.annotation_set_builder import annotated_people
    from slimdp.motion.confidence import FallingConfidence
    from slimdp.motion.flow_chain import FlowChainReader, StepSource
    from slimdp.motion.frame_places import FramePlaces, check_same_frames
    from slimdp.motion.label_transfer import TransferResult, TransferSettings, transfer_person
    from slimdp.motion.point_transfer import (
        FlowChain,
        FlowPair,
        PointStatus,
        PropagatedPoints,
        move_points,
        propagate_points,
    )
    from slimdp.motion.propagation import propagate
    from slimdp.motion.regions import RegionSettings
    from slimdp.motion.stored_flow import FlowSource, FramePlace, read_displacement
    from slimdp.motion.summary import PropagationSummary, StepCount

__all__ = [
    "FallingConfidence",
    "FlowChain",
    "FlowChainReader",
    "FlowPair",
    "FlowSource",
    "FramePlace",
    "FramePlaces",
    "PointStatus",
    "PropagatedPoints",
    "PropagationSummary",
    "RegionSettings",
    "StepCount",
    "StepSource",
    "TransferResult",
    "TransferSettings",
    "annotated_people",
    "check_same_frames",
    "move_points",
    "propagate",
    "propagate_points",
    "read_displacement",
    "transfer_person",
]

#: Where each public name lives; it is loaded on first use.
_HOMES = {
    "TransferSettings": "slimdp.motion.label_transfer",
    "TransferResult": "slimdp.motion.label_transfer",
    "transfer_person": "slimdp.motion.label_transfer",
    "FallingConfidence": "slimdp.motion.confidence",
    "FramePlaces": "slimdp.motion.frame_places",
    "check_same_frames": "slimdp.motion.frame_places",
    "annotated_people": "slimdp.motion.annotation_set_builder",
    "FlowChainReader": "slimdp.motion.flow_chain",
    "StepSource": "slimdp.motion.flow_chain",
    "propagate": "slimdp.motion.propagation",
    "RegionSettings": "slimdp.motion.regions",
    "FlowSource": "slimdp.motion.stored_flow",
    "FramePlace": "slimdp.motion.stored_flow",
    "read_displacement": "slimdp.motion.stored_flow",
    "PropagationSummary": "slimdp.motion.summary",
    "StepCount": "slimdp.motion.summary",
    "PropagatedPoints": "slimdp.motion.point_transfer",
    "PointStatus": "slimdp.motion.point_transfer",
    "FlowChain": "slimdp.motion.point_transfer",
    "FlowPair": "slimdp.motion.point_transfer",
    "propagate_points": "slimdp.motion.point_transfer",
    "move_points": "slimdp.motion.point_transfer",
}

load_on_use(__name__)
