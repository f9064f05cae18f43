"""Whether error bars hold: what share of the errors of other people lies under them, drawn.

    python tools/reliability.py --annotations runs/people/stills_val.json --images runs/people \\
        --out docs/images/error_bars.png

Bars are fitted on one half of the people and looked at on the other, and the other way round. On the left the
bar against the error that 90 % of the points with about such a bar stay under: on the diagonal they agree. On
the right the share under bars of other levels. --unseen scores people of another file by bars that are fitted
on all of the first. Prints one JSON line last.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measuring import make_parser, tell

from slimdp.data import read_annotations
from slimdp.inference.calibration import (
    ErrorSamples,
    coverage,
    error_samples,
    fit_table,
    second_half,
    unseen_coverage,
)
from slimdp.inference.error_bars import LEVEL
from slimdp.inference.weights import find_weights
from slimdp.surface import load_surface
from slimdp.training import load_model

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
#: Groups of points by their bar.
GROUPS = 12


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, predict, fit, draw, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--annotations", type=Path, required=True, help="people with exact labels")
    parser.add_argument("--images", type=Path, required=True, help="the folder of their images")
    parser.add_argument("--unseen", type=Path, nargs="*", default=[], help="more files, of the same folder")
    parser.add_argument("--weights", default="default", help="stage_NAME.pt of a run (default: the shipped)")
    parser.add_argument("--out", type=Path, required=True, help="the PNG to draw")
    options = parser.parse_args(arguments)
    samples = samples_of(options.weights, options.annotations, options.images)
    shares = {level: unseen_coverage(samples, level) for level in LEVELS}
    groups = bars_and_errors(samples)
    draw(options.out, shares, groups)
    table = fit_table(samples)
    others = {
        file.name: coverage(samples_of(options.weights, file, options.images), table)
        for file in options.unseen
    }
    tell({
        "points": len(samples.error_cm), "people": int(samples.person.max()) + 1,
        "under_bars": {str(level): round(100 * share, 1) for level, share in shares.items()},
        "others": {name: round(100 * share, 1) for name, share in others.items()},
        "groups_cm": np.round(groups, 1).tolist(),
    })  # fmt: skip
    return 0


def samples_of(weights: str, annotations: Path, images: Path) -> ErrorSamples:
    """Errors of the weights on the people of a file."""
    model, config = load_model(find_weights(weights))
    people = read_annotations(annotations, images).people
    return error_samples(model, people, config.crop, load_surface(config.surface))


def bars_and_errors(samples: ErrorSamples) -> np.ndarray:
    """(GROUPS, 3): median bar, the error that `LEVEL` stay under, the share under the bar in percent."""
    second = second_half(samples)
    bar = np.zeros(len(samples.error_cm))
    for each in (False, True):
        mine = second == each
        table = fit_table(samples.of(~mine))
        bar[mine] = np.interp(samples.expected_cm[mine], *table)
    rows = []
    for group in np.array_split(np.argsort(bar, kind="stable"), GROUPS):
        error = samples.error_cm[group]
        rows.append((np.median(bar[group]), np.quantile(error, LEVEL), 100 * (error <= bar[group]).mean()))
    return np.array(rows)


def draw(path: Path, shares: dict[float, float], groups: np.ndarray) -> None:
    """Draw both diagrams into a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    ends = [groups[:, :2].min(), groups[:, :2].max()]
    left.plot(ends, ends, color="0.7")
    left.plot(groups[:, 0], groups[:, 1], "o-")
    left.set(
        xscale="log", yscale="log", xlabel="error bar, cm", ylabel=f"{100 * LEVEL:.0f} % of errors under, cm"
    )
    levels = 100 * np.array(list(shares))
    right.plot(levels, levels, color="0.7")
    right.plot(levels, 100 * np.array(list(shares.values())), "o-")
    right.set(xlabel="level of the bars, %", ylabel="errors of other people under them, %")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    sys.exit(main())
