"""Labels in motion: what optical flow says about people in the neighbouring frames."""

from __future__ import annotations

from slimdp.motion.propagation import propagate
from slimdp.motion.stored_flow import FlowSource, locate_frame, read_displacement, video_of
from slimdp.motion.summary import PropagationSummary, StepCount
from slimdp.motion.transport import Fate, FlowPair, move_person, move_points

__all__ = [
    "Fate",
    "FlowPair",
    "FlowSource",
    "PropagationSummary",
    "StepCount",
    "locate_frame",
    "move_person",
    "move_points",
    "propagate",
    "read_displacement",
    "video_of",
]
