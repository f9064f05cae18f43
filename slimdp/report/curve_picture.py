"""The ratio of correct points over the distance, drawn (DensePose, figure 5) and as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from flow_cache.runtime.atomic import atomic_write
from slimdp.evaluation.point_report import PointCurve

_COLOURS = ("#1f5fa8", "#c8501e", "#2b8a4b", "#7a4fa3")


def curve_picture(curves: Mapping[str, PointCurve], title: str = "") -> np.ndarray:
    """Curves f(t) with their intervals as bands.

    Args:
        curves: name -> curve, at most four.
        title: above the picture.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: no curve, or too many to tell apart.
    """
    if not 1 <= len(curves) <= len(_COLOURS):
        raise ValueError(f"{len(curves)} curves, but 1 to {len(_COLOURS)} can be told apart")
    figure = Figure(figsize=(6.4, 4.4), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    for (name, curve), colour in zip(curves.items(), _COLOURS):
        # No point is nearer than 0.
        t, ratio = np.concatenate([[0], curve.thresholds_cm]), np.concatenate([[0], curve.ratio])
        axes.plot(t, ratio, color=colour, linewidth=1.8, label=name)
        axes.fill_between(
            curve.thresholds_cm, *curve.interval, color=colour, alpha=0.18, linewidth=0
        )  # NaN, where there is no interval, draws nothing
    axes.set(
        xlim=(0, max(curve.thresholds_cm.max() for curve in curves.values())),
        ylim=(0, 100),
        xlabel="distance along the body, cm",
        ylabel="points within it, %",
        title=title,
    )
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def write_curves(path: str | Path, curves: Mapping[str, PointCurve]) -> None:
    """Write curves as CSV: cm, then for each its ratio and both ends of the interval, in percent.

    Raises:
        ValueError: curves at different distances.
    """
    (cm, *others) = [curve.thresholds_cm for curve in curves.values()]
    if any(not np.array_equal(cm, other) for other in others):
        raise ValueError("curves of one file need the same distances")
    header = ["cm"] + [f"{name}{end}" for name in curves for end in ("", "_low", "_high")]
    columns = [cm] + [values for curve in curves.values() for values in (curve.ratio, *curve.interval)]
    lines = [",".join(header)]
    # Six digits suffice; what is not known stays empty.
    lines += [",".join("" if np.isnan(v) else f"{v:.6g}" for v in row) for row in np.column_stack(columns)]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
