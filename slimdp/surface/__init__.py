"""The body's surface: 24 charts, distances along the skin, left and right."""

from slimdp.surface.body import BodySurface
from slimdp.surface.interface import Surface
from slimdp.surface.keypoints import COCO_KEYPOINTS, POSETRACK_FILE_KEYPOINTS, POSETRACK_KEYPOINTS
from slimdp.surface.load import SURFACES, load_surface
from slimdp.surface.symmetry import FLIP_COARSE, FLIP_PART, UvSymmetry, load_uv_symmetry

__all__ = [
    "COCO_KEYPOINTS",
    "FLIP_COARSE",
    "FLIP_PART",
    "POSETRACK_FILE_KEYPOINTS",
    "POSETRACK_KEYPOINTS",
    "SURFACES",
    "BodySurface",
    "Surface",
    "UvSymmetry",
    "load_surface",
    "load_uv_symmetry",
]
