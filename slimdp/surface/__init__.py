"""Surfaces: their charts, distances along the skin, left and right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from slimdp.surface.body import BodySurface
    from slimdp.surface.densepose.files import what_is_there
    from slimdp.surface.densepose.surface import DensePoseCharts, DensePoseSurface
    from slimdp.surface.layout import Part, PartLayout, Surface
    from slimdp.surface.load import load_charts, load_surface, load_symmetry
    from slimdp.surface.people import COCO_KEYPOINTS, PEOPLE, POSETRACK_FILE_KEYPOINTS, POSETRACK_KEYPOINTS
    from slimdp.surface.symmetry import UvSymmetry, load_uv_symmetry

__all__ = [
    "COCO_KEYPOINTS", "PEOPLE", "POSETRACK_FILE_KEYPOINTS", "POSETRACK_KEYPOINTS", "BodySurface",
    "DensePoseCharts", "DensePoseSurface", "Part", "PartLayout", "Surface", "UvSymmetry", "load_charts",
    "load_surface", "load_symmetry", "load_uv_symmetry", "what_is_there",
]  # fmt: skip

load_on_use(__name__)
