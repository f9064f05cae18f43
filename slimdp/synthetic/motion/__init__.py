"""How people move: activities made of key poses and gaits, and recorded motions from BVH files."""

from slimdp.synthetic.motion.activities import ACTIVITIES, Motion, PlacedMotion, random_motion
from slimdp.synthetic.motion.bvh import BvhClip, read_bvh
from slimdp.synthetic.motion.retarget import BvhMotion

__all__ = ["ACTIVITIES", "BvhClip", "BvhMotion", "Motion", "PlacedMotion", "random_motion", "read_bvh"]
