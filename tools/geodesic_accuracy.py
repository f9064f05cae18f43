"""How far the open body's stored geodesic distances are from exact ones.

    pip install pygeodesic
    python tools/geodesic_accuracy.py --out experiments/body/geodesics.json

For random vertices, the distances to all others are computed exactly (Mitchell, Mount and Papadimitriou 1987,
in the package pygeodesic) and compared with those that `BodySurface.vertex_distance` gives. Relative errors
are taken from 1 cm on. Prints one JSON line last.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from measuring import make_parser, tell
from result_rows import ResultRows
from tqdm import tqdm

from slimdp.surface import BodySurface, load_surface

#: Nearer vertices are neighbours, whose distance is an edge.
_NEAREST_M = 0.01


def main() -> int:
    """Parse, run, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--sources", type=int, default=200, help="random vertices (default 200)")
    parser.add_argument("--seed", type=int, default=0, help="of their choice")
    parser.add_argument("--out", type=Path, default=None, help="a JSON file of results to add to")
    options = parser.parse_args()
    if options.sources < 1:
        parser.error(f"--sources {options.sources}, but 1 or more is wanted")
    result = compare(load_surface("open"), options.sources, np.random.default_rng(options.seed))
    if options.out is not None:
        ResultRows(options.out).add(options.seed, result)
    tell({"seed": options.seed, **result})
    return 0


def compare(surface: BodySurface, sources: int, rng: np.random.Generator) -> dict[str, float]:
    """Relative errors in percent, the largest error in millimetres, and how long an exact source takes."""
    try:
        from pygeodesic.geodesic import PyGeodesicAlgorithmExact
    except ImportError as error:
        raise SystemExit(
            "the exact distances need the package pygeodesic; run: pip install pygeodesic"
        ) from error
    exact = PyGeodesicAlgorithmExact(surface.vertices, surface.faces)
    every = np.arange(len(surface.vertices))
    chosen = rng.choice(len(every), size=min(sources, len(every)), replace=False)
    started = time.process_time()
    relative, worst_m, exact_s = [], 0.0, 0.0
    for source in tqdm(chosen, unit="source"):
        before = time.process_time()
        true = exact.geodesicDistances(np.array([source]))[0]
        exact_s += time.process_time() - before
        error = surface.vertex_distance(source, every) - true
        relative.append(error[true > _NEAREST_M] / true[true > _NEAREST_M])
        worst_m = max(worst_m, float(np.abs(error).max()))
    percent = 100 * np.abs(np.concatenate(relative))
    return {
        "sources": len(chosen),
        "pairs": len(percent),
        "mean_percent": round(float(percent.mean()), 4),
        "median_percent": round(float(np.median(percent)), 4),
        "p95_percent": round(float(np.percentile(percent, 95)), 4),
        "worst_percent": round(float(percent.max()), 2),
        "worst_mm": round(1e3 * worst_m, 2),
        "exact_cpu_seconds_a_source": round(exact_s / len(chosen), 3),
        "cpu_seconds": round(time.process_time() - started, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
