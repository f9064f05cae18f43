"""How people move and hold themselves: activities, recorded motions from BVH files, and postures."""

from slimdp.synthetic.motion.activities import ACTIVITIES, Motion, PlacedMotion, random_motion
from slimdp.synthetic.motion.bvh import BvhClip, read_bvh
from slimdp.synthetic.motion.postures import POSTURES, Held, held_posture
from slimdp.synthetic.motion.retarget import BvhMotion

__all__ = [
    "ACTIVITIES", "POSTURES", "BvhClip", "BvhMotion", "Held", "Motion", "PlacedMotion", "held_posture",
    "random_motion", "read_bvh",
]  # fmt: skip
