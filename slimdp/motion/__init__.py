"""Labels in motion: what optical flow says about people in the neighbouring frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from slimdp.motion.carried_person import CarrySettings, Move, move_person
    from slimdp.motion.confidence import FallingConfidence
    from slimdp.motion.frame_places import FramePlaces, check_same_frames
    from slimdp.motion.growing_set import annotated_people
    from slimdp.motion.hops import FlowWays, StepSource
    from slimdp.motion.propagation import propagate
    from slimdp.motion.regions import RegionSettings
    from slimdp.motion.stored_flow import FlowSource, FramePlace, read_displacement
    from slimdp.motion.summary import PropagationSummary, StepCount
    from slimdp.motion.transport import CarriedPoints, Fate, FlowChain, FlowPair, carry_points, move_points

__all__ = [
    "CarriedPoints",
    "CarrySettings",
    "FallingConfidence",
    "Fate",
    "FlowChain",
    "FlowPair",
    "FlowSource",
    "FlowWays",
    "FramePlace",
    "FramePlaces",
    "Move",
    "PropagationSummary",
    "RegionSettings",
    "StepCount",
    "StepSource",
    "annotated_people",
    "carry_points",
    "check_same_frames",
    "move_person",
    "move_points",
    "propagate",
    "read_displacement",
]

#: Where each public name lives; it is loaded on first use.
_HOMES = {
    "CarrySettings": "slimdp.motion.carried_person",
    "Move": "slimdp.motion.carried_person",
    "move_person": "slimdp.motion.carried_person",
    "FallingConfidence": "slimdp.motion.confidence",
    "FramePlaces": "slimdp.motion.frame_places",
    "check_same_frames": "slimdp.motion.frame_places",
    "annotated_people": "slimdp.motion.growing_set",
    "FlowWays": "slimdp.motion.hops",
    "StepSource": "slimdp.motion.hops",
    "propagate": "slimdp.motion.propagation",
    "RegionSettings": "slimdp.motion.regions",
    "FlowSource": "slimdp.motion.stored_flow",
    "FramePlace": "slimdp.motion.stored_flow",
    "read_displacement": "slimdp.motion.stored_flow",
    "PropagationSummary": "slimdp.motion.summary",
    "StepCount": "slimdp.motion.summary",
    "CarriedPoints": "slimdp.motion.transport",
    "Fate": "slimdp.motion.transport",
    "FlowChain": "slimdp.motion.transport",
    "FlowPair": "slimdp.motion.transport",
    "carry_points": "slimdp.motion.transport",
    "move_points": "slimdp.motion.transport",
}

load_on_use(__name__)
