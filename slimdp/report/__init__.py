"""Pictures and tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from slimdp.report.body import charts_image, distortion_table, error_image, surface_image
    from slimdp.report.drawing import (
        PART_COLOURS,
        contact_sheet,
        draw_dots,
        draw_points,
        overlay_parts,
        overlay_uv,
        save_png,
    )
    from slimdp.report.panels import prediction_panel
    from slimdp.report.plots import curve_image, write_curves
    from slimdp.report.sheets import people_sheet, propagation_sheet, results_sheet, spread_people
    from slimdp.report.tables import (
        clicks_table,
        instance_table,
        interval_table,
        keypoint_table,
        score_table,
        stability_table,
    )

__all__ = [
    "PART_COLOURS",
    "charts_image",
    "clicks_table",
    "contact_sheet",
    "curve_image",
    "distortion_table",
    "draw_dots",
    "draw_points",
    "error_image",
    "instance_table",
    "interval_table",
    "keypoint_table",
    "overlay_parts",
    "overlay_uv",
    "people_sheet",
    "prediction_panel",
    "propagation_sheet",
    "results_sheet",
    "save_png",
    "score_table",
    "spread_people",
    "stability_table",
    "surface_image",
    "write_curves",
]

load_on_use(__name__)
