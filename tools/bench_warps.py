"""What a thin-plate spline warp of a crop costs, beside scipy's and kornia's.

    python tools/bench_warps.py

Each draws control points, fits the spline and warps a picture of `--size` px. Milliseconds are the
processor's, the best of `--rounds`, in one run; kornia is left out where it is not installed. Prints one JSON
line last, with how many times as long the others take.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable

import cv2
import numpy as np
import torch
from measuring import cpu_seconds, make_parser, one_thread, tell
from scipy.interpolate import RBFInterpolator

from slimdp.motion.thin_plate import ThinPlateWarp, WarpSettings, control_points, draw_warp


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--size", type=int, default=256, help="of the picture, px")
    parser.add_argument("--warps", type=int, default=20, help="of one round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    one_thread()
    settings, rng = WarpSettings(), np.random.default_rng(0)
    image = rng.integers(0, 255, (options.size, options.size, 3), dtype=np.uint8)
    warps = [draw_warp(options.size, settings, rng) for _ in range(options.warps)]
    ways: dict[str, Callable[[ThinPlateWarp], object]] = {
        "slimdp": lambda warp: ThinPlateWarp(warp.size, warp.sources).apply(image, (0, 0, 0)),
        "scipy": lambda warp: _scipy_warp(warp, image),
    }
    if importlib.util.find_spec("kornia") is not None:
        ways["kornia"] = lambda warp: _kornia_warp(warp, image)
    milliseconds = {name: _best(way, warps, options.rounds) for name, way in ways.items()}
    for name, value in milliseconds.items():
        print(f"{value:7.2f} ms  {name}")
    times = {name: round(value / milliseconds["slimdp"], 1) for name, value in milliseconds.items()}
    tell({"size": options.size, "ms": milliseconds, "times_as_long": times})
    return 0


def _best(way: Callable[[ThinPlateWarp], object], warps: list[ThinPlateWarp], rounds: int) -> float:
    """Milliseconds of the processor for a warp."""
    way(warps[0])
    seconds = min(cpu_seconds(lambda: [way(warp) for warp in warps]) for _ in range(rounds))
    return round(1000 * seconds / len(warps), 3)


def _scipy_warp(warp: ThinPlateWarp, image: np.ndarray) -> np.ndarray:
    controls = control_points(warp.size, round(len(warp.sources) ** 0.5))
    spline = RBFInterpolator(controls, warp.sources, kernel="thin_plate_spline")
    y, x = np.mgrid[: warp.size, : warp.size]
    places = spline(np.column_stack([x.ravel(), y.ravel()])).astype(np.float32)
    places = places.reshape(warp.size, warp.size, 2)
    return cv2.remap(image, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _kornia_warp(warp: ThinPlateWarp, picture: np.ndarray) -> torch.Tensor:
    transform = importlib.import_module("kornia.geometry.transform")
    controls = control_points(warp.size, round(len(warp.sources) ** 0.5))
    points = [torch.from_numpy(np.array(p / (warp.size - 1) * 2 - 1, np.float32))[None]
              for p in (controls, warp.sources)]  # fmt: skip
    kernel, affine = transform.get_tps_transform(points[0], points[1])
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    warped: torch.Tensor = transform.warp_image_tps(image, points[0], kernel, affine, align_corners=True)
    return warped


if __name__ == "__main__":
    sys.exit(main())
