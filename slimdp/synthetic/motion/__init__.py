"""How people move: activities made of key poses and gaits, and recorded motions from BVH files."""

from slimdp.synthetic.motion.activities import ACTIVITIES, random_motion
from slimdp.synthetic.motion.placed import Motion, PlacedMotion

__all__ = ["ACTIVITIES", "Motion", "PlacedMotion", "random_motion"]
