"""DensePose's surface, from the files that its authors publish."""

from slimdp.surface.densepose.surface import (
    DensePoseCharts,
    DensePoseSurface,
    load_densepose_charts,
    load_densepose_surface,
)

__all__ = ["DensePoseCharts", "DensePoseSurface", "load_densepose_charts", "load_densepose_surface"]
