"""Pictures and tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from slimdp.report.curve_picture import curve_picture, write_curves
    from slimdp.report.drawing import (
        PART_COLOURS,
        contact_sheet,
        draw_dots,
        draw_points,
        overlay_parts,
        overlay_uv,
        save_png,
    )
    from slimdp.report.error_picture import error_picture
    from slimdp.report.panels import prediction_panel
    from slimdp.report.point_table import interval_table, stability_table
    from slimdp.report.propagation_sheet import propagation_sheet, spread_people
    from slimdp.report.result_rows import ResultRows
    from slimdp.report.results_sheet import results_sheet
    from slimdp.report.sheet import people_sheet
    from slimdp.report.surface_picture import charts_picture, distortion_table, surface_picture
    from slimdp.report.table import instance_table, score_table

__all__ = [
    "PART_COLOURS",
    "ResultRows",
    "charts_picture",
    "contact_sheet",
    "curve_picture",
    "distortion_table",
    "draw_dots",
    "draw_points",
    "error_picture",
    "instance_table",
    "interval_table",
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
    "surface_picture",
    "write_curves",
]

#: Where each public name lives; it is loaded on first use.
_HOMES = {
    "curve_picture": "slimdp.report.curve_picture",
    "write_curves": "slimdp.report.curve_picture",
    "PART_COLOURS": "slimdp.report.drawing",
    "contact_sheet": "slimdp.report.drawing",
    "draw_dots": "slimdp.report.drawing",
    "draw_points": "slimdp.report.drawing",
    "overlay_parts": "slimdp.report.drawing",
    "overlay_uv": "slimdp.report.drawing",
    "save_png": "slimdp.report.drawing",
    "error_picture": "slimdp.report.error_picture",
    "prediction_panel": "slimdp.report.panels",
    "interval_table": "slimdp.report.point_table",
    "stability_table": "slimdp.report.point_table",
    "propagation_sheet": "slimdp.report.propagation_sheet",
    "spread_people": "slimdp.report.propagation_sheet",
    "ResultRows": "slimdp.report.result_rows",
    "results_sheet": "slimdp.report.results_sheet",
    "people_sheet": "slimdp.report.sheet",
    "charts_picture": "slimdp.report.surface_picture",
    "distortion_table": "slimdp.report.surface_picture",
    "surface_picture": "slimdp.report.surface_picture",
    "instance_table": "slimdp.report.table",
    "score_table": "slimdp.report.table",
}

load_on_use(__name__)
