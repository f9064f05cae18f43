"""Labels in motion: what optical flow says about people in the neighbouring frames."""

from __future__ import annotations

from slimdp.motion.propagation import FlowSource, propagate
from slimdp.motion.summary import PropagationSummary, StepCount
from slimdp.motion.transport import Fate, FlowPair, move_person, move_points

__all__ = [
    "Fate",
    "FlowPair",
    "FlowSource",
    "PropagationSummary",
    "StepCount",
    "move_person",
    "move_points",
    "propagate",
]
