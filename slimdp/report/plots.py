"""Plots of numbers with their spread: curves, rows, trainings, and accuracy over distance."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, NullLocator

from flow_cache.runtime.atomic import write_text
from slimdp.evaluation.point_report import PointCurve

#: Told apart in every common kind of colour blindness, and dark enough for lines on white.
COLOURS = ("#1f5fa8", "#c8501e", "#2b8a4b", "#7a4fa3", "#8a6d00", "#0f7f86", "#555555")
MARKERS = "osD^vPX"
#: Least distance of two ticks with numbers, as a share of the axis.
_TICK_GAP = 0.13
#: So many names find room beside curves; more stand below the plot.
_INSIDE = 4
#: Names of rows are broken where they have more letters.
_NAME_LETTERS = 34
#: What a legend shows an example of: a line, or one with its bars.
Drawn = Artist | tuple[Artist, ...]
_GRID, _INK = "#dddddd", "#222222"


class Plot(NamedTuple):
    """A plot in both forms."""

    svg: bytes
    png: bytes


class Curve(NamedTuple):
    """Numbers y over x, (N,) each, with their spread: `low` and `high` are y itself where it is not known."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


def curve_plot(
    curves: Mapping[str, Curve],
    x_title: str,
    y_title: str,
    log: bool = False,
    paper: Mapping[str, Curve] | None = None,
) -> Plot:
    """A few points a curve, each marked and with its spread as a bar.

    Args:
        curves: name -> curve, in the order of the legend.
        log: equal factors of x at equal distances.
        paper: the paper's numbers of some of the curves, by the same names: thin, dashed, in their colours.

    Raises:
        ValueError: no curve, or too many to tell apart.
    """
    if not 1 <= len(curves) <= len(COLOURS):
        raise ValueError(f"{len(curves)} curves, but 1 to {len(COLOURS)} can be told apart")
    figure, axes = _figure(4.2, 3.1)
    entries: dict[str, Drawn] = {}
    for (name, curve), colour, marker in zip(curves.items(), COLOURS, MARKERS):
        spread = [curve.y - curve.low, curve.high - curve.y]
        entries[name] = axes.errorbar(
            curve.x, curve.y, spread, color=colour, marker=marker, markersize=4.5, linewidth=1.6,
            elinewidth=1.1, capsize=2.5,
        )  # fmt: skip
        if paper and name in paper:
            axes.plot(paper[name].x, paper[name].y, color=colour, linewidth=1, linestyle="--")
    if log:
        axes.set_xscale("log")
    axes.set_xticks(ticks_apart(np.concatenate([curve.x for curve in curves.values()]), log))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axes.set(xlabel=x_title, ylabel=y_title)
    named = list(entries.items())
    if paper:
        named.append(("paper", Line2D([], [], color="#777777", linewidth=1, linestyle="--")))
    if len(named) <= _INSIDE:
        add_legend(axes, named, loc="best", frameon=False, fontsize=8.5)
    else:
        figure.set_figheight(3.1 + 0.18 * len(named))
        add_legend(figure, named, loc="outside lower left", frameon=False, fontsize=8.5)
    return _drawn(figure)


def row_plot(rows: Sequence[tuple[str, Sequence[float]]], x_title: str, breaks: Sequence[int] = ()) -> Plot:
    """A line a row: each number as a ring, and their mean as a mark; rows without numbers stay empty.

    Args:
        rows: names and numbers, from above; names may be alike.
        breaks: places of the rows that others are parted from by a line above them.

    Raises:
        ValueError: no numbers at all.
    """
    if not any(values for _, values in rows):
        raise ValueError(f"none of {len(rows)} rows has a number to draw")
    names = [textwrap.fill(name, _NAME_LETTERS) for name, _ in rows]
    lines = max(name.count("\n") + 1 for name in names)
    figure, axes = _figure(4.2 if lines > 1 else 3.7, 0.75 + 0.21 * len(rows) * (1 + 0.6 * (lines - 1)))
    for line, (_, values) in enumerate(rows):
        axes.plot(values, [line] * len(values), "o", color=COLOURS[0], markersize=4, markerfacecolor="none")
        if values:
            mean = [float(np.mean(values))]
            axes.plot(mean, [line], "|", color=COLOURS[1], markersize=11, markeredgewidth=2)
    for line in breaks:
        axes.axhline(line - 0.5, color=_INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set(xlabel=x_title)
    return _drawn(figure)


def training_plot(
    curve: Curve,
    other: Curve | None,
    y_title: str,
    stages: Sequence[float] = (),
    limits: tuple[float, float] | None = None,
) -> Plot:
    """A curve over the steps of a training with a band of its spread, before another one in grey.

    Args:
        stages: steps at which another stage begins, each a dotted line.
        limits: of the upright axis, low and high; None: what is drawn.
    """
    figure, axes = _figure(2.5, 1.75, font=8)
    for step in stages:
        axes.axvline(step, color="#777777", linewidth=0.9, linestyle=":")
    if limits is not None:
        axes.set_ylim(*limits)
    if other is not None:
        axes.plot(other.x, other.y, color="#8a8a8a", linewidth=1.2, linestyle="--")
    axes.fill_between(curve.x, curve.low, curve.high, color=COLOURS[0], alpha=0.2, linewidth=0)
    axes.plot(curve.x, curve.y, color=COLOURS[0], linewidth=1.4)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axes.locator_params(axis="x", nbins=4)
    axes.set(xlabel="step", ylabel=y_title)
    return _drawn(figure)


def add_legend(place: Axes | Figure, entries: Sequence[tuple[str, Drawn]], **looks: Any) -> None:
    """A legend that shows every name as it is: matplotlib leaves out those that begin with an underscore."""
    drawn: list[Any] = [entry for _, entry in entries]  # bars too, which matplotlib's types leave out
    legend = place.legend(drawn, ["?"] * len(entries), **looks)
    for text, (name, _) in zip(legend.get_texts(), entries, strict=True):
        text.set_text(name)


def show_as_written(figure: Figure) -> None:
    """Let names and titles be no formulas, as matplotlib takes them where two dollars are in them."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)


def ticks_apart(x: np.ndarray, log: bool) -> list[float]:
    """Those of some numbers that an axis has room for, the least and the largest among them."""
    values = np.unique(x)
    places = np.log(values) if log else values
    least = _TICK_GAP * (places[-1] - places[0])
    kept = [0]
    for index in range(1, len(values)):
        last = index == len(values) - 1
        while last and len(kept) > 1 and places[index] - places[kept[-1]] < least:
            kept.pop()
        if last or places[index] - places[kept[-1]] >= least:
            kept.append(index)
    return [float(values[index]) for index in kept]


def short_number(value: float) -> str:
    """1.8056 as "1.81", 1500 as "1500", 12345 as "12.3k", 2500000 as "2.5M"."""
    for least, unit, letter in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= least:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.4g}" if abs(value) >= 1000 else f"{value:.3g}"


def _figure(width: float, height: float, font: float = 9) -> tuple[Figure, Axes]:
    """An empty plot of some inches, 72 of whose points are 96 px of a page."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    _light(axes)
    axes.tick_params(labelsize=font - 0.5, color=_INK, labelcolor=_INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_fontsize(font)
    return figure, axes


def _light(axes: Axes) -> None:
    """A faint grid behind the curves, and two of the four sides."""
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _drawn(figure: Figure) -> Plot:
    svg, png = io.BytesIO(), io.BytesIO()
    show_as_written(figure)
    # Letters are laid out as DejaVu Sans, and drawn in what the reader has: a plot weighs a tenth.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "slimdp"}):
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})
    FigureCanvasAgg(figure)
    figure.savefig(png, dpi=200, format="png", metadata={"Software": None})
    text = svg.getvalue()
    return Plot(text[text.index(b"<svg") :], png.getvalue())


def curve_image(curves: Mapping[str, PointCurve], title: str = "") -> np.ndarray:
    """At most seven curves f(t) by name with their intervals as bands, (H, W, 3) uint8 RGB; raises ValueError
    for no curve, or too many to tell apart."""
    if not 1 <= len(curves) <= len(COLOURS):
        raise ValueError(f"{len(curves)} curves, but 1 to {len(COLOURS)} can be told apart")
    figure = Figure(figsize=(6.4, 4.4), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    entries: list[tuple[str, Drawn]] = []
    for (name, curve), colour in zip(curves.items(), COLOURS):
        # No point is nearer than 0.
        t, ratio = np.concatenate([[0], curve.thresholds_cm]), np.concatenate([[0], curve.ratio])
        (line,) = axes.plot(t, ratio, color=colour, linewidth=1.8)
        entries.append((name, line))
        # NaN, where there is no interval, draws nothing.
        axes.fill_between(curve.thresholds_cm, *curve.interval, color=colour, alpha=0.18, linewidth=0)
    axes.set(xlim=(0, max(curve.thresholds_cm.max() for curve in curves.values())), ylim=(0, 100))
    axes.set(xlabel="distance along the body, cm", ylabel="points within it, %", title=title)
    _light(axes)
    add_legend(axes, entries, loc="lower right", frameon=False)
    show_as_written(figure)
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
    # Six digits suffice; what is not known stays empty.
    rows = [["" if np.isnan(v) else f"{v:.6g}" for v in row] for row in np.column_stack(columns)]
    write_text(path, "".join(",".join(row) + "\n" for row in [header, *rows]))
