"""How long a network takes from a new process to the dense pose of its first crop, and a crop after that.

    python tools/bench_weights.py                                # the weights that come with slimdp
    python tools/bench_weights.py --weights runs/people_128_fpn/stage_stills.pt

Everything that a user waits for, but for importing torch, which is told beside it: importing slimdp, loading
the weights, and a call of `DensePose` on an image of the crop's size. Each round is a process of its own, of
one thread; seconds are the processor's, which other programs disturb little, and the least of all rounds
counts. Prints one JSON line last; exit code 1 where it takes longer than `--limit` or `--limit-crop`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from measuring import cpu_seconds, make_parser, one_thread, peak_mb, tell, told_by


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--weights", help="stage_NAME.pt of a run (default: those that come with slimdp)")
    parser.add_argument("--rounds", type=int, default=5, help="new processes (default 5)")
    parser.add_argument("--crops", type=int, default=30, help="after the first, in each (default 30)")
    parser.add_argument("--limit", type=float, default=1.0, metavar="S", help="to the first crop (default 1)")
    parser.add_argument("--limit-crop", type=float, default=25.0, metavar="MS", help="a crop (default 25)")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        tell(measured(options.weights, options.crops))
        return 0
    command = [sys.executable, str(Path(__file__).resolve()), "--once", "--crops", str(options.crops)]
    command += [] if options.weights is None else ["--weights", options.weights]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    rounds = [told_by(command, os.environ | threads) for _ in range(options.rounds)]
    least = {name: round(min(each[name] for each in rounds), 3) for name in rounds[0]}
    slow = least["first_crop_s"] > options.limit or least["ms_a_crop"] > options.limit_crop
    tell(least | {"rounds": options.rounds, "slow": slow})
    return int(slow)


def measured(weights: str | None, crops: int) -> dict[str, float]:
    """What this process takes, which has imported neither torch nor slimdp yet."""

    def import_torch() -> None:
        import torch  # noqa: F401

    torch_s = cpu_seconds(import_torch)
    import numpy as np

    one_thread()
    found: list[object] = []

    def load() -> None:
        from slimdp import DensePose

        found.append(DensePose.load(weights, detector=None, device="cpu"))

    load_s = cpu_seconds(load)
    (model,) = found
    side = model.network.crop.size  # type: ignore[attr-defined]
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)

    def look() -> None:
        model(image)  # type: ignore[operator]

    first_s = cpu_seconds(look)
    later = min(cpu_seconds(look) for _ in range(crops))
    return {
        "torch_s": torch_s, "load_s": load_s, "first_crop_s": load_s + first_s, "ms_a_crop": 1000 * later,
        "peak_mb": peak_mb(),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
