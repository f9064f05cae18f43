"""Labels in motion: what optical flow says about people in the neighbouring frames."""

from __future__ import annotations

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
