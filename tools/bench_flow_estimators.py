"""How fast estimators fill a store, in fields a second, all in one run.

    python tools/bench_flow_estimators.py --weights raft-small.pth
    python tools/bench_flow_estimators.py --quick

Every estimator precomputes videos of each size with the steps -3 to 3 as `python -m flow_cache precompute
--frames` does: decoding, estimation, compression and writing, of the 24 fields that start or end at two
labelled frames of twelve. The videos are noise of many sizes that shifts by a few px a frame. The clock
starts with the second video, when processes are started and weights loaded, and stops at the last field. The
speed of a network hardly depends on what its weights are, so where none are given they are random, and the
output says so. On a machine with a GPU, the networks run there too. Prints one JSON line last.
"""

from __future__ import annotations

import itertools
import math
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from measuring import make_parser, tell
from torchvision.models import optical_flow

from flow_cache import DenseInverseSearch, FlowEstimator, precompute
from flow_cache.estimators import RaftLarge, RaftSmall
from flow_cache.precompute import Progress

SIZES = ((256, 256), (640, 360), (1280, 720))  # width, height px
ITERATIONS = (6, 12, 20)
FRAMES, LABELLED = 12, (3, 8)
ENOUGH_S, MOST_COPIES = 2.0, 20
#: What others are compared with: the default of the command line.
REFERENCE = "dis medium"


@dataclass(frozen=True)
class Speed:
    """One measurement."""

    estimator: str
    device: str
    processes: int
    width: int  # px
    height: int  # px
    fields: int
    seconds: float
    fields_a_second: float
    ratio: float | None = None  # to `REFERENCE` with as many processes at this size


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--weights", type=Path, help="of raft_small; random otherwise")
    parser.add_argument("--weights-large", type=Path, help="of raft_large; random otherwise")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--devices", nargs="+", help="of the networks (default: cpu, and cuda if there is one)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="256 px and 6 iterations alone, and no raft_large"
    )
    options = parser.parse_args()
    sizes, iterations = (SIZES[:1], ITERATIONS[:1]) if options.quick else (SIZES, ITERATIONS)
    devices = options.devices or ["cpu"] + ["cuda"] * torch.cuda.is_available()
    speeds: list[Speed] = []
    with tempfile.TemporaryDirectory() as folder:
        weights = _weights(options.weights, options.weights_large, Path(folder))
        for size in sizes:
            video = _video(Path(folder) / f"{size[0]}x{size[1]}", size)
            for (label, estimator), processes in itertools.product(
                _estimators(weights, iterations, devices, options.quick), options.processes
            ):
                speeds.append(_compared(_measure(label, estimator, processes, video), speeds))
                print(_row(speeds[-1]), flush=True)
    threads = {"opencv_threads": cv2.getNumThreads(), "torch_threads": torch.get_num_threads()}
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    names = {"raft_small": options.weights, "raft_large": options.weights_large}
    used = {name: file.name if file else "random" for name, file in names.items()}
    tell({**threads, "gpu": gpu, "weights": used, "speeds": [asdict(speed) for speed in speeds]})
    return 0


def _weights(small: Path | None, large: Path | None, folder: Path) -> dict[str, Path]:
    """Checkpoints of both networks; random ones are made."""
    given = {"raft_small": small, "raft_large": large}
    for name, file in given.items():
        if file is None:
            torch.manual_seed(0)
            file = given[name] = folder / f"{name}.pth"
            torch.save(getattr(optical_flow, name)().state_dict(), file)
            print(f"{name}: random weights", flush=True)
    return {name: file for name, file in given.items() if file is not None}


def _estimators(
    weights: dict[str, Path], iterations: tuple[int, ...], devices: list[str], quick: bool
) -> Iterator[tuple[str, FlowEstimator]]:
    """Names and estimators, `REFERENCE` first."""
    for preset in ("medium", "fast", "ultrafast"):
        yield f"dis {preset}", DenseInverseSearch(preset)
    for device in devices:
        for count in iterations:
            yield f"raft_small {count}", RaftSmall(str(weights["raft_small"]), count, device)
        if not quick:
            yield "raft_large 12", RaftLarge(str(weights["raft_large"]), 12, device)


def _video(folder: Path, size: tuple[int, int]) -> Path:
    """A folder of JPEGs in which noise of many sizes moves by (3, 1) px a frame."""
    rng = np.random.default_rng(0)
    width, height = size
    image = np.zeros((height, width, 3), np.float32)
    for octave in range(1, 6):
        coarse = rng.uniform(-1, 1, (max(height >> octave, 2), max(width >> octave, 2), 3))
        image += octave * cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    image = (image - image.min()) / np.ptp(image) * 255
    folder.mkdir()
    for frame in range(FRAMES):
        moved = np.roll(image, (frame, 3 * frame), axis=(0, 1))
        cv2.imwrite(str(folder / f"{frame:04d}.jpg"), moved.astype(np.uint8))
    return folder


def _measure(label: str, estimator: FlowEstimator, processes: int, video: Path) -> Speed:
    """Precompute a video, and again as many copies as it takes to have a time that means something."""
    fields, seconds = _time(estimator, processes, video, 1)
    if seconds < ENOUGH_S:
        fields, seconds = _time(estimator, processes, video, min(math.ceil(ENOUGH_S / seconds), MOST_COPIES))
    width, height = (int(side) for side in video.name.split("x"))
    device = getattr(estimator, "device", "cpu")
    return Speed(
        label, device, processes, width, height, fields, round(seconds, 2), round(fields / seconds, 3)
    )


def _time(estimator: FlowEstimator, processes: int, video: Path, copies: int) -> tuple[int, float]:
    """Fields and seconds of copies of a video, after a first that the clock does not count."""
    with tempfile.TemporaryDirectory() as folder:
        videos = [Path(shutil.copytree(video, Path(folder) / f"{index:03d}")) for index in range(copies + 1)]
        reports: list[tuple[str, float]] = []

        def note(progress: Progress) -> None:
            reports.append((progress.video, time.perf_counter()))

        summary = precompute(
            videos,
            Path(folder) / "flow.h5",
            estimator=estimator,
            frames={each.name: LABELLED for each in videos},
            processes=processes,
            progress=note,
        )
    begun = next(moment for video, moment in reports if video == videos[1].name)
    return summary.estimated * copies // (copies + 1), reports[-1][1] - begun


def _compared(speed: Speed, before: list[Speed]) -> Speed:
    alike = [
        other
        for other in (*before, speed)
        if other.estimator == REFERENCE
        and (other.processes, other.width, other.height) == (speed.processes, speed.width, speed.height)
    ]
    ratio = round(speed.fields_a_second / alike[0].fields_a_second, 4) if alike else None
    return Speed(**{**asdict(speed), "ratio": ratio})


def _row(speed: Speed) -> str:
    ratio = "" if speed.ratio is None else f"{speed.ratio:8.3f} of {REFERENCE}"
    return (
        f"{speed.width:5d} x {speed.height:<5d}{speed.estimator:14s} {speed.device:5s}"
        f"{speed.processes:3d} processes {speed.fields_a_second:9.2f} fields/s{ratio}"
    )


if __name__ == "__main__":
    sys.exit(main())
