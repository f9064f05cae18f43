"""Curves and results of training runs, from what they left in their folders.

    python tools/training_curves.py runs/train_small --out docs/images/training_small.png \
        --json experiments/small/results.json

Draws the loss and the validation scores ("localization only") over all stages, whose ends are marked, and
writes for each run its settings' differences from the defaults, versions, scores at the end of every stage,
the best ones, and its speed.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from measuring import make_parser

from flow_cache.runtime.atomic import atomic_write, write_json
from slimdp.config import load_config
from slimdp.report.plots import Drawn, add_legend, show_as_written
from slimdp.training.run_folder import read_metrics

SCORES = ("5cm", "10cm", "20cm")
COLOURS = ("#1b7837", "#d95f02", "#2166ac")
STYLES = ("-", "--", ":", "-.")


def main() -> int:
    """Parse, draw, write; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of slimdp train")
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    parser.add_argument("--json", type=Path, help="the results to write")
    options = parser.parse_args()
    rows = {run: read_metrics(run / "metrics.jsonl") for run in options.runs}
    with atomic_write(options.out) as temporary:
        draw(rows, temporary)
    print(options.out)
    results = {run.name: result(run, rows[run]) for run in options.runs}
    if options.json is not None:
        write_json(options.json, results, 2)
        print(options.json)
    for name, each in results.items():
        for stage, found in each["stages"].items():
            scores = ", ".join(f"{key} {value:.1f} %" for key, value in found["localization"].items())
            speed = f"{found['steps']} steps, {found['images_per_second']:.1f} images/s"
            print(f"{name}, {stage}: {speed}; {scores}")
    return 0


def draw(rows: dict[Path, list[dict[str, Any]]], path: Path) -> None:
    """Loss above, scores below; runs differ by line style, thresholds by colour."""
    figure = Figure(figsize=(8, 6), dpi=120, layout="constrained")
    loss, scores = figure.subplots(2, 1, sharex=True)
    runs: list[tuple[str, Drawn]] = []
    thresholds: list[tuple[str, Drawn]] = []
    for (run, of_run), style in zip(rows.items(), STYLES * len(rows)):
        steps, values = _curve(of_run, "loss/total")
        runs += [(run.name, line) for line in loss.plot(steps, values, style, color="#444444")]
        for key, colour in zip(SCORES, COLOURS):
            steps, values = _curve(of_run, f"validation/localization {key}")
            lines = scores.plot(steps, values, style, marker="o", markersize=3, color=colour)
            if run == next(iter(rows)):
                thresholds += [(f"within {key.removesuffix('cm')} cm", line) for line in lines]
        for end in _ends(of_run).values():
            for axes in (loss, scores):
                axes.axvline(end["step"], color="#bbbbbb", linewidth=0.8)
    loss.set(ylabel="loss")
    scores.set(ylabel="points found, localization only, %", xlabel="step", ylim=(0, 100))
    for axes, entries in ((loss, runs), (scores, thresholds)):
        axes.grid(alpha=0.3)
        add_legend(axes, entries, loc="best", fontsize=8)
    show_as_written(figure)
    FigureCanvasAgg(figure).print_png(str(path))


def result(run: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What a table of results tells of a run."""
    config = load_config(run / "config.yaml", saved=True)
    start = json.loads((run / "environment.json").read_text(encoding="utf-8"))[-1]
    stages: dict[str, Any] = {}
    steps_before = 0
    for name, end in _ends(rows).items():
        speeds = [
            row["images_per_second"] for row in rows if row["stage"] == name and "images_per_second" in row
        ]
        stages[name] = {
            "steps": end["step"] - steps_before,
            "images_per_second": statistics.median(speeds) if speeds else 0.0,
            "loss": next(
                (row["loss/total"] for row in rows[::-1] if row["stage"] == name and "loss/total" in row),
                None,
            ),
            "localization": _scores(end, "localization"),
            "full": _scores(end, "full"),
        }
        steps_before = end["step"]
    scored = [row for row in rows if "validation/localization 10cm" in row]
    best = max(scored, key=lambda row: row["validation/localization 10cm"], default=None)
    kept = ("git", "device", "cores", "threads", "processes", "versions")
    return {
        "stacks": config.model.stacks,
        "features": config.model.features,
        "crop_px": config.crop.size,
        "batch": [stage.batch for stage in config.stages],
        "environment": {key: start[key] for key in kept},
        "stages": stages,
        "best": None
        if best is None
        else {"step": best["step"], "localization": _scores(best, "localization")},
    }


def _curve(rows: list[dict[str, Any]], key: str) -> tuple[list[int], list[float]]:
    found = [(row["step"], row[key]) for row in rows if key in row]
    return [step for step, _ in found], [value for _, value in found]


def _ends(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The last validation of each stage, or its last row where there is none, by the stage's name."""
    ends: dict[str, dict[str, Any]] = {}
    for row in rows:
        known = ends.get(row["stage"])
        if (
            known is None
            or "validation/localization 10cm" in row
            or "validation/localization 10cm" not in known
        ):
            ends[row["stage"]] = row
    return ends


def _scores(row: dict[str, Any], form: str) -> dict[str, float]:
    prefix = f"validation/{form} "
    return {key: round(row[prefix + key], 2) for key in SCORES if prefix + key in row}


if __name__ == "__main__":
    sys.exit(main())
