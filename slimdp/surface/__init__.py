"""The body's surface: 24 charts, distances along the skin, left and right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from slimdp.surface.body import BodySurface
    from slimdp.surface.densepose import DensePoseCharts, DensePoseSurface
    from slimdp.surface.densepose.files import what_is_there
    from slimdp.surface.interface import Surface
    from slimdp.surface.keypoints import COCO_KEYPOINTS, POSETRACK_FILE_KEYPOINTS, POSETRACK_KEYPOINTS
    from slimdp.surface.load import load_charts, load_surface, load_symmetry
    from slimdp.surface.symmetry import FLIP_COARSE, FLIP_PART, UvSymmetry, load_uv_symmetry

__all__ = [
    "COCO_KEYPOINTS",
    "FLIP_COARSE",
    "FLIP_PART",
    "POSETRACK_FILE_KEYPOINTS",
    "POSETRACK_KEYPOINTS",
    "BodySurface",
    "DensePoseCharts",
    "DensePoseSurface",
    "Surface",
    "UvSymmetry",
    "load_charts",
    "load_surface",
    "load_symmetry",
    "load_uv_symmetry",
    "what_is_there",
]

#: Where each public name lives; it is loaded on first use.
_HOMES = {
    "BodySurface": "slimdp.surface.body",
    "DensePoseCharts": "slimdp.surface.densepose",
    "DensePoseSurface": "slimdp.surface.densepose",
    "what_is_there": "slimdp.surface.densepose.files",
    "Surface": "slimdp.surface.interface",
    "COCO_KEYPOINTS": "slimdp.surface.keypoints",
    "POSETRACK_FILE_KEYPOINTS": "slimdp.surface.keypoints",
    "POSETRACK_KEYPOINTS": "slimdp.surface.keypoints",
    "load_charts": "slimdp.surface.load",
    "load_surface": "slimdp.surface.load",
    "load_symmetry": "slimdp.surface.load",
    "FLIP_COARSE": "slimdp.surface.symmetry",
    "FLIP_PART": "slimdp.surface.symmetry",
    "UvSymmetry": "slimdp.surface.symmetry",
    "load_uv_symmetry": "slimdp.surface.symmetry",
}

load_on_use(__name__)
