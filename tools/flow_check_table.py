"""What the forward-backward check keeps and drops, against the exact flow and occlusion of rendered clips.

    python tools/flow_check_table.py --weights raft-small.pth --chairs flow/ \\
        --results experiments/flow_check/results.json

A vector is hidden where what its pixel shows is hidden, or outside, in the other frame; it is wrong at 3 px
where it is hidden or its end-point error is above 3 px (wrong at 1 px likewise), and right everywhere else:
only a right vector carries a label to the same place of the body. The check keeps a vector whose way there
and back ends within its threshold of the start (Slim DensePose, 5.4: 5 px), at the clips' own resolution.
Shares are of all vectors of all clips together. As a detector of what is hidden, its precision is the hidden
share of what it drops, and its recall the dropped share of what is hidden. --chairs names a folder of pairs
NAME_0.png, NAME_1.png, NAME.flo, of which the mean end-point error is printed. One JSON line last.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring import make_parser, tell
from result_rows import ResultRows

from flow_cache import ESTIMATORS, FlowEstimator, FlowStore, forward_backward_offset, read_image
from flow_cache.exchange import read_flo
from slimdp.synthetic.dataset import synthesize
from slimdp.synthetic.exact_flow import read_visible
from slimdp.synthetic.presets import SetPlan

STEPS = (1, 2, 3)
TOLERANCES_PX = (1.0, 3.0)  # end-point errors above which a vector is wrong
THRESHOLDS_PX = (1.0, 3.0, 5.0)  # of the check
HIDDEN = len(TOLERANCES_PX) + 1  # the kind of a vector after those by its error
PAIRS = tuple(pair for step in STEPS for pair in ((0, step), (step, 0)))  # of four frames


@dataclass
class Tally:
    """Vectors by kind (error up to 1 px, up to 3, above, hidden) and offset (up to 1, 3, 5 px, above)."""

    counts: np.ndarray = field(
        default_factory=lambda: np.zeros((HIDDEN + 1, len(THRESHOLDS_PX) + 1), np.int64)
    )
    error_px: float = 0.0  # the sum over what is not hidden

    def add(self, error_px: np.ndarray, seen: np.ndarray, offset_px: np.ndarray) -> None:
        """Count vectors: end-point errors (N,) px, (N,) bool, and offsets of the check (N,) px."""
        kind = np.where(seen, np.searchsorted(TOLERANCES_PX, error_px), HIDDEN)
        place = kind * self.counts.shape[1] + np.searchsorted(THRESHOLDS_PX, offset_px)
        self.counts += np.bincount(place, minlength=self.counts.size).reshape(self.counts.shape)
        self.error_px += float(error_px[seen].sum())

    def summary(self) -> dict[str, Any]:
        """Shares in %, and the mean end-point error of what is not hidden, px."""
        counts, hidden = self.counts, self.counts[HIDDEN]
        result: dict[str, Any] = {
            "vectors": int(counts.sum()),
            "hidden": _percent(hidden.sum(), counts.sum()),
            "error_px": round(self.error_px / max(int(counts[:HIDDEN].sum()), 1), 3),
        }
        for kinds, tolerance in enumerate(TOLERANCES_PX, start=1):
            right, wrong = counts[:kinds].sum(axis=0), counts[kinds:].sum(axis=0)
            shares = {"wrong": _percent(wrong.sum(), counts.sum())}
            for bins, threshold in enumerate(THRESHOLDS_PX, start=1):
                shares[f"wrong kept at {threshold:g} px"] = _percent(wrong[:bins].sum(), wrong.sum())
                shares[f"right dropped at {threshold:g} px"] = _percent(right[bins:].sum(), right.sum())
            result[f"wrong above {tolerance:g} px"] = shares
        for bins, threshold in enumerate(THRESHOLDS_PX, start=1):
            result[f"hidden, found at {threshold:g} px"] = {
                "precision": _percent(hidden[bins:].sum(), counts[:, bins:].sum()),
                "recall": _percent(hidden[bins:].sum(), hidden.sum()),
            }
        return result


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--weights", help="of raft_small: measure it too")
    parser.add_argument("--set", type=Path, help="a rendered set to use, instead of rendering clips")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--frames", type=int, default=16, help="of a rendered clip (default: 16)")
    parser.add_argument("--size", type=int, default=256, help="of a rendered frame, px (default: 256)")
    parser.add_argument("--processes", type=int, default=2, help="that render (default: 2)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chairs", type=Path, help="folder of FlyingChairs pairs")
    parser.add_argument("--results", type=Path, help="the JSON file to keep the result in")
    options = parser.parse_args()
    start = time.monotonic()
    kept = ResultRows(options.results) if options.results else None  # of the commit that is measured now
    estimators: dict[str, FlowEstimator] = {"dis": ESTIMATORS["dis"]()}
    if options.weights:
        estimators["raft_small"] = ESTIMATORS["raft_small"](weights=options.weights)
    with tempfile.TemporaryDirectory() as folder:
        rendered = options.set or _render(Path(folder) / "set", options)
        result: dict[str, Any] = measure(rendered, options.clips, estimators)
    if options.chairs:
        result["chairs_error_px"] = {name: _chairs(options.chairs, e) for name, e in estimators.items()}
    result["seconds"] = round(time.monotonic() - start)
    _print(result)
    if kept:
        command = shlex.join(["python", "tools/flow_check_table.py", *sys.argv[1:]])
        kept.add(options.seed, {**result, "command": command})
    tell(result)
    return 0


def measure(folder: Path, clips: int, estimators: dict[str, FlowEstimator]) -> dict[str, Any]:
    """Tally the vectors of some clips of a rendered set by estimator, region and step."""
    tallies: dict[tuple[str, str, str], Tally] = defaultdict(Tally)
    paths = sorted((folder / "flow_exact").glob("*.h5"))[:clips]
    if not paths:
        raise SystemExit(f"{folder} has no exact flow; name a set that was made with it, or none")
    for path in paths:
        with FlowStore(path) as exact:
            frames = exact.frames(path.stem)
            for first in range(0, len(frames) - max(STEPS), max(STEPS) + 1):
                _tally(tallies, exact, folder, path.stem, first, estimators)
    rows = [
        {"estimator": estimator, "region": region, "step": step, **tally.summary()}
        for (estimator, region, step), tally in sorted(tallies.items(), key=lambda item: item[0])
    ]
    return {"clips": len(paths), "size": int(exact_size(paths[0])[0]), "rows": rows}


def exact_size(path: Path) -> tuple[int, int]:
    """Width and height px of the one clip of a store."""
    with FlowStore(path) as store:
        return store.size(store.videos()[0])


def _tally(
    tallies: dict[tuple[str, str, str], Tally],
    exact: FlowStore,
    folder: Path,
    clip: str,
    first: int,
    estimators: dict[str, FlowEstimator],
) -> None:
    """Count the vectors between a frame and those up to three later, both ways."""
    names = [exact.frames(clip)[first + index] for index in range(max(STEPS) + 1)]
    images = np.stack([read_image(folder / "images" / "clips" / clip / name) for name in names])
    for estimator, kind in estimators.items():
        flows = dict(zip(PAIRS, kind.estimate(images, PAIRS)))
        for start, end in PAIRS:
            step = end - start
            truth = exact.read(clip, first + start, step).displacement
            stem = Path(names[start]).stem
            seen = read_visible(folder / "visible" / clip / f"{stem}.png", step)
            people = _people(folder / "iuv" / "clips" / clip / f"{stem}.png")
            error_px = np.hypot(*(flows[start, end] - truth))
            offset_px = forward_backward_offset(flows[start, end], flows[end, start])
            for region, inside in (("people", people), ("background", ~people)):
                for key in (str(abs(step)), "all"):
                    tally = tallies[estimator, region, key]
                    tally.add(error_px[inside], seen[inside], offset_px[inside])


def _people(path: Path) -> np.ndarray:
    """Where a picture shows somebody, (H, W) bool, from its parts, the red channel."""
    iuv = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if iuv is None:
        raise SystemExit(f"{path} cannot be read; is the set whole?")
    return iuv[..., 2] > 0


def _render(folder: Path, options: argparse.Namespace) -> Path:
    labelled = tuple(range(0, options.frames, 8))
    plan = SetPlan(
        stills=0,
        train_clips=options.clips,
        val_clips=0,
        frames=options.frames,
        labelled=labelled,
        val_frames=1,
        val_labelled=(0,),
        size=options.size,
    )
    synthesize(folder, plan, options.seed, options.processes, quiet=True)
    return folder


def _chairs(folder: Path, estimator: FlowEstimator) -> dict[str, Any]:
    """The mean end-point error over pairs, px, and that of each."""
    errors = {}
    for path, images in _pairs(folder):
        errors[path.stem] = float(
            np.hypot(*(estimator.estimate(images, [(0, 1)])[0] - read_flo(path))).mean()
        )
    mean = round(float(np.mean(list(errors.values()))), 2)
    return {"mean": mean, **{name: round(error, 2) for name, error in errors.items()}}


def _pairs(folder: Path) -> Iterator[tuple[Path, np.ndarray]]:
    paths = sorted(folder.glob("*.flo"))
    if not paths:
        raise SystemExit(f"{folder} holds no .flo")
    for path in paths:
        yield path, np.stack([read_image(folder / f"{path.stem}_{index}.png") for index in (0, 1)])


def _percent(part: int, whole: int) -> float | None:
    return round(100 * float(part) / float(whole), 2) if whole else None


def _print(result: dict[str, Any]) -> None:
    """The table for 3 px, in Markdown; that for 1 px is in the JSON."""
    names = [f"{what} at {t:g} px" for what in ("wrong kept", "right dropped") for t in THRESHOLDS_PX]
    found = [f"{what}, {t:g} px" for what in ("precision", "recall") for t in THRESHOLDS_PX]
    heads = ["estimator", "region", "step", "error, px", "hidden", "wrong", *names, *found]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for row in result["rows"]:
        shares = row[f"wrong above {TOLERANCES_PX[-1]:g} px"]
        cells = [row["estimator"], row["region"], row["step"], row["error_px"], row["hidden"]]
        cells += [shares["wrong"], *(shares[name] for name in names)]
        for what in ("precision", "recall"):
            cells += [row[f"hidden, found at {t:g} px"][what] for t in THRESHOLDS_PX]
        print("| " + " | ".join(str(cell) for cell in cells) + " |")
    for estimator, errors in result.get("chairs_error_px", {}).items():
        print(f"FlyingChairs, {estimator}: mean end-point error {errors['mean']} px")


if __name__ == "__main__":
    sys.exit(main())
