"""How far estimated flow is from the exact one on rendered people, by where and over how many frames.

    python -m flow_cache precompute data/test/images/clips/* --frames 0:12:6 --steps=-12,-6,-3,-1,1,3,6,12 \\
        --estimator raft_small --weights raft-small.pth --out before.h5      # and after.h5 with others
    python tools/flow_people_table.py data/test --flow before=before.h5 --flow after=after.h5 \\
        --weights before=raft-small.pth --weights after=weights.pt --chairs flow/ --video vtest.avi juggle.mp4

Fields that all stores hold are compared: the median and the 95th percentile of the end-point error, px of
the clips. People and their limbs (arms, lower legs, hands, feet) are what the pictures of the set say, where
it is in sight in the other frame; occluded is what is not, known over up to three frames. The truth over
more than three frames is chained, and counts where a pixel is in sight at every link. With --weights, the
mean error on pairs NAME_0.png, NAME_1.png, NAME.flo, and on frames of real videos how much the second one,
warped back, differs from the first where anything moves (mean over channels, 0..255). Prints one JSON line
last.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring import make_parser, tell

from flow_cache import FlowChainReader, FlowStore, inside_frame, read_image, trace_points
from flow_cache.drawing import backward_warp
from flow_cache.estimators import RaftSmall
from flow_cache.exchange import read_flo
from flow_cache.runtime.atomic import write_json
from flow_cache.video import open_video
from slimdp.synthetic.exact_flow import read_visible

LIMBS = (3, 4, 5, 6, *range(11, 23))  # DensePose's hands, feet, lower legs, arms
_VIDEO_PAIRS = 4
_LARGEST_SIDE = 640  # px, of frames of real videos as they are compared


def main() -> int:
    """Parse, compare, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("data", type=Path, help="the rendered set")
    parser.add_argument("--flow", action="append", required=True, metavar="NAME=STORE")
    parser.add_argument("--weights", action="append", default=[], metavar="NAME=FILE", help="of raft_small")
    parser.add_argument("--chairs", type=Path, metavar="FOLDER")
    parser.add_argument("--video", type=Path, nargs="+", default=[])
    parser.add_argument("--json", type=Path, help="also write the result to this file")
    options = parser.parse_args()
    stores = {name: FlowStore(path) for name, _, path in (text.partition("=") for text in options.flow)}
    result: dict[str, Any] = {"rows": compare(options.data, stores)}
    for name, _, file in (text.partition("=") for text in options.weights):
        estimator = RaftSmall(file)
        if options.chairs is not None:
            result.setdefault("chairs_px", {})[name] = chairs_error(estimator, options.chairs)
        for video in options.video:
            result.setdefault("photometric", {}).setdefault(video.name, {})[name] = photometric(
                estimator, video
            )
    for row in result["rows"]:
        print(row)
    if options.json is not None:
        write_json(options.json, result)
    tell({key: value for key, value in result.items() if key != "rows"})
    return 0


def compare(data: Path, stores: dict[str, FlowStore]) -> list[dict[str, Any]]:
    """A row by distance, place and store."""
    exact = FlowStore(data / "flow_exact")
    found: dict[tuple[int, str, str], list[np.ndarray]] = defaultdict(list)
    first = next(iter(stores.values()))
    for video in first.videos():
        for step in first.steps(video):
            held = np.logical_and.reduce([store.finished(video, step) for store in stores.values()])
            for frame in map(int, np.flatnonzero(held)):
                truth, seen = true_flow(data, exact, video, frame, step)
                part = cv2.imread(str(data / f"iuv/clips/{video}/{frame:06d}.png"))[..., 2]
                places = {"people": (part > 0) & seen, "limbs": np.isin(part, LIMBS) & seen}
                if abs(step) <= 3:
                    places["occluded"] = (part > 0) & ~seen
                for name, store in stores.items():
                    error_px = np.hypot(*(store.read(video, frame, step).displacement - truth))
                    for place, mask in places.items():
                        found[abs(step), place, name].append(error_px[mask])
    rows = []
    for (frames, place, name), errors in sorted(found.items()):
        error_px = np.concatenate(errors)
        middle, far = np.percentile(error_px, (50, 95)) if error_px.size else (np.nan, np.nan)
        rows.append({
            "frames": frames, "where": place, "flow": name, "pixels": error_px.size,
            "median_px": round(float(middle), 3), "95_px": round(float(far), 2),
        })  # fmt: skip
    return rows


def true_flow(
    data: Path, exact: FlowStore, video: str, frame: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """The exact flow (2, H, W) px over a step, and where it is in sight, (H, W) bool."""
    chains = FlowChainReader(exact)
    width, height = exact.size(video)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    start = np.stack([x.ravel(), y.ravel()], axis=1)
    at, seen, here = start.copy(), np.ones(len(start), dtype=bool), frame
    for hop in chains.require_hops(video, frame, step):
        visible = read_visible(data / f"visible/{video}/{here:06d}.png", hop)
        inside = inside_frame(at, height, width)
        column, row = np.round(at).clip(0, [width - 1, height - 1]).astype(int).T
        seen &= inside & visible[row, column]
        at = trace_points(at, chains.read(video, here, (hop,)))
        here += hop
    return (at - start).T.reshape(2, height, width), seen.reshape(height, width)


def chairs_error(estimator: RaftSmall, folder: Path) -> float:
    """The mean end-point error over pairs, px."""
    errors = []
    for file in sorted(folder.glob("*.flo")):
        pair = np.stack([read_image(file.with_name(f"{file.stem}_{end}.png")) for end in (0, 1)])
        errors.append(float(np.hypot(*(estimator.estimate(pair, [(0, 1)])[0] - read_flo(file))).mean()))
    return round(float(np.mean(errors)), 3)


def photometric(estimator: RaftSmall, path: Path) -> dict[str, float]:
    """Over one and three frames of a video: how much frames differ from the later ones, warped back."""
    video = open_video(path)
    starts = np.linspace(0, len(video.frame_names) - 4, _VIDEO_PAIRS).astype(int).tolist()
    frames = dict(video.read(sorted({start + more for start in starts for more in (0, 1, 3)})))
    found: dict[str, list[float]] = {}
    for start in starts:
        images = np.stack([_small(frames[start + more]) for more in (0, 1, 3)])
        for step, flow in zip((1, 3), estimator.estimate(images, [(0, 1), (0, 2)])):
            back = backward_warp(images[1 if step == 1 else 2], flow)
            difference = np.abs(back.astype(float) - images[0]).mean(axis=-1)
            moved = np.hypot(*flow) > 1  # what stands still is right anyway
            found.setdefault(f"{step}", []).append(float(difference[moved].mean() if moved.any() else 0))
    return {step: round(float(np.mean(values)), 2) for step, values in found.items()}


def _small(image: np.ndarray) -> np.ndarray:
    scale = min(_LARGEST_SIDE / max(image.shape[:2]), 1)
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    sys.exit(main())
