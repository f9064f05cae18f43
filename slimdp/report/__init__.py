"""Pictures and tables for people."""

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
