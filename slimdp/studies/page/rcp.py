"""Ratio of correct points of a study's rows over the distance, beside the paper's areas (DensePose, 2.3)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from slimdp.report.plots import Curve, curve_plot
from slimdp.studies.page.elements import PageImage
from slimdp.studies.page.tables import csv_bytes
from slimdp.studies.settings import RCP_AREAS, RCP_CM, RCP_SCORES
from slimdp.studies.swept import SweptStudy


def rcp_image(swept: SweptStudy) -> PageImage | None:
    """The curves f(t) of the rows that the study asks for, the mean over seeds and their standard deviation,
    on its first set; None where it asks for none, or none of them is done."""
    study, curves, lines, areas = swept.study, {}, [], []
    if study.rcp is None:
        return None
    for row in study.rcp.rows:
        scores = [result.on("") for result in swept.results if result.row == row]
        scores = [each for each in scores if set(RCP_SCORES) <= each.keys()]
        if not scores:
            continue
        ratios = np.array([[each[name] for name in RCP_SCORES] for each in scores])  # seeds x distances, %
        mean = ratios.mean(axis=0)
        spread = ratios.std(axis=0, ddof=1) if len(scores) > 1 else np.zeros(len(mean))
        curves[study.told_apart[row]] = Curve(np.array(RCP_CM), mean, mean - spread, mean + spread)
        lines += [(row, t, *of_t) for t, of_t in zip(RCP_CM, np.stack([mean, spread], axis=1).tolist())]
        ours = {name: float(np.mean([each[score] for each in scores])) for name, score in RCP_AREAS.items()}
        areas.append(f"{study.told_apart[row]} {_told(ours)} ({_told(_paper_areas(swept, row))})")
    if not curves:
        return None
    people = f"; people ({_told(study.rcp.people)})" if study.rcp.people else ""
    words = f"Areas up to 10 and 30 cm, %, in brackets the paper's: {'; '.join(areas)}{people}."
    plot = curve_plot(curves, "distance along the body, cm", "points within the distance, %")
    numbers = csv_bytes(["row", "cm", "mean", "sd"], lines)
    title = "Ratio of correct points"
    return PageImage(
        f"{swept.key}_rcp", title, f"{title} over the distance along the body. {words}", "image/svg+xml",
        plot.svg, f"Bars: one standard deviation over the seeds to each side. {words}",
        {".png": plot.png, ".csv": numbers},
    )  # fmt: skip


def _paper_areas(swept: SweptStudy, row: str) -> dict[str, float]:
    """Name of an area -> the paper's, of the columns that hold it."""
    study = swept.study
    paper = study.paper().get(row, {})
    return {
        name: paper[key]
        for name, score in RCP_AREAS.items()
        for key, column in study.columns.items()
        if column.score == score and key in paper
    }


def _told(areas: Mapping[str, float]) -> str:
    return " and ".join(f"{areas[name]:.1f}" if name in areas else "-" for name in RCP_AREAS)
