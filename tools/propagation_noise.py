"""How far from the truth propagated labels lie: the stored flow against the exact flow of a rendered set.

    python tools/propagation_noise.py runs/seeds/seed_0 runs/seeds/seed_1

For each distance in frames, over the points of all labelled people: the share that passes the
forward-backward check (5 px of a 256 px crop), and of those the share that fails the same check on the exact
flow (hidden there, most of them), the shares that lie over 4 px and over 8 px (of a 256 px crop) from where
the exact flow puts them, and the median distance. Prints one JSON line last.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measuring import make_parser, tell

from flow_cache import STEPS, FlowStore, forward_backward_offset_points, threshold_in_image
from slimdp.config import CropSettings
from slimdp.data import crop_side, read_annotations
from slimdp.structures import PersonAnnotation

THRESHOLD_PX = 5.0  # of a 256 px crop (Slim DensePose, 5.4)


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("quickstarts", type=Path, nargs="+", help="folders that `slimdp quickstart` filled")
    options = parser.parse_args()
    by_distance: dict[int, list[np.ndarray]] = {}
    for folder in options.quickstarts:
        data = folder / "data"
        people = read_annotations(data / "clips_train.json", data).people
        with FlowStore(folder / "flow.h5") as estimated, FlowStore(data / "flow_exact") as exact:
            for person in people:
                for step, rows in _moved(person, estimated, exact):
                    by_distance.setdefault(abs(step), []).append(rows)
    result = {
        f"{distance} frames": _summary(np.concatenate(rows)) for distance, rows in sorted(by_distance.items())
    }
    for name, row in result.items():
        print(name, row)
    tell(result)
    return 0


def _moved(
    person: PersonAnnotation, estimated: FlowStore, exact: FlowStore
) -> Iterator[tuple[int, np.ndarray]]:
    """For each step (N, 3): kept, failing on the exact flow, px of a 256 px crop from the true place."""
    video = person.image.file.parent.name
    start = exact.frames(video).index(person.image.file.name)
    limit_px = threshold_in_image(THRESHOLD_PX, crop_side(person.box, CropSettings()))
    for step in STEPS:
        if not 0 <= start + step < len(exact.frames(video)):
            continue
        ways = []
        for store in (estimated, exact):
            there = store.read(video, start, step).displacement
            back = store.read(video, start + step, -step).displacement
            ways.append(forward_backward_offset_points(person.points, there, back))
        (place, offset_px), (true_place, true_offset_px) = ways
        off_px = np.hypot(*(place - true_place).T) * THRESHOLD_PX / limit_px
        yield step, np.stack([offset_px <= limit_px, true_offset_px > limit_px, off_px], axis=1)


def _summary(rows: np.ndarray) -> dict[str, float]:
    kept, exact_fails, off_px = rows.T
    chosen = kept > 0
    return {
        "points": len(rows),
        "kept_percent": round(100 * float(chosen.mean()), 1),
        "exact_fails_percent_of_kept": round(100 * float(exact_fails[chosen].mean()), 1),
        "over_4px_percent_of_kept": round(100 * float((off_px[chosen] > 4).mean()), 1),
        "over_8px_percent_of_kept": round(100 * float((off_px[chosen] > 8).mean()), 1),
        "median_px_of_kept": round(float(np.median(off_px[chosen])), 2),
    }


if __name__ == "__main__":
    sys.exit(main())
