"""How fast a network trains, how much of the machine that uses, and where the time of a step goes.

    python tools/bench_train.py            # a few minutes
    python tools/bench_train.py --quick    # under a minute
    python tools/bench_train.py --device cpu --threads 1 --case 2x64@128:16

A case is STACKSxFEATURES@PIXELS:BATCH. For each, in a process of its own:

- the machine's peak: the faster of a large matrix product and a large convolution, in the number format in
  which the network runs;
- a training step as `slimdp train` does it (losses, backward, clipping, optimiser, average), on a batch that
  lies ready with 100 points a crop: crops a second, FLOPs (2 a multiply-add, backward included), the share of
  the peak, and the highest memory;
- the same network in a plain loop (float32, torch's usual layout, losses asked for at every step), taking
  turns with it step by step, so that a busy machine disturbs both alike;
- on a CPU, what share of the step each kind of work takes.

The input pipeline is measured alone by tools/bench_input.py, on one core. Prints one JSON line last.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from measuring import make_parser, tell, told_by, wall_seconds
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from slimdp.config import DataSource, StageSettings
from slimdp.losses import count_labels, loss_terms, total_loss
from slimdp.models import DensePoseModel, StackedHourglass
from slimdp.structures import PoseBatch
from slimdp.training.distributed import to_device
from slimdp.training.loop import MicroBatch, add_gradients
from slimdp.training.optimisation import WeightAverage, make_optimizer
from slimdp.training.run import keep_freed_memory, use_bf16

POINTS = 100  # a crop
#: Kind of work -> how the names of torch's operators for it begin, after `aten::`; the first kind counts.
KINDS = {
    "convolutions": ("convolution", "mkldnn_convolution", "_slow_conv2d", "thnn_conv2d"),
    "batch norms": ("native_batch_norm", "batch_norm"),
    "losses and points": ("_log_softmax", "nll_loss", "index", "_index", "gather", "scatter", "smooth_l1"),
    "up- and downsampling": ("upsample", "max_pool2d"),
    "optimiser and average": ("_fused", "_foreach", "lerp", "linalg_vector_norm"),
    "adding, ReLU, copying": ("add", "threshold", "clamp", "relu", "copy", "cat", "mul", "fill", "zero"),
}


@dataclass(frozen=True)
class Case:
    """A network and the batches that it sees."""

    stacks: int
    features: int
    size: int  # px
    batch: int

    @staticmethod
    def parse(text: str) -> Case:
        found = re.fullmatch(r"(\d+)x(\d+)@(\d+):(\d+)", text)
        if found is None:
            raise argparse.ArgumentTypeError(f"{text!r} is not STACKSxFEATURES@PIXELS:BATCH")
        return Case(*map(int, found.groups()))

    def __str__(self) -> str:
        return f"{self.stacks}x{self.features}@{self.size}:{self.batch}"


CASES = {
    "cpu": ("2x64@128:16", "2x256@256:4"),
    "cuda": ("2x256@256:32", "8x256@256:32"),
}
QUICK = {"cpu": ("2x64@128:16", "2x256@256:2"), "cuda": ("2x256@256:32", "8x256@256:8")}


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller measurements")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="on a CPU")
    parser.add_argument("--case", type=Case.parse, action="append", help="STACKSxFEATURES@PIXELS:BATCH")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the steps of a case, at least")
    options = parser.parse_args()
    seconds = min(options.seconds, 2.0) if options.quick else options.seconds
    kind = torch.device(options.device).type
    cases = options.case or [Case.parse(text) for text in (QUICK if options.quick else CASES)[kind]]
    results = []
    for case in cases:
        results.append(_alone(case, options.device, options.threads, seconds))
        _tell(results[-1])
    sizes = sorted({case.size for case in cases})[-1 if options.quick else 0 :]
    crops = {str(size): _input_speed(size, options.quick) for size in sizes}
    for size, speed in crops.items():
        print(f"input, {size} px: {speed:.0f} crops/s on one core")
    tell({"cases": results, "input_crops_per_second_per_core": crops})
    return 0


def _alone(case: Case, device: str, threads: int, seconds: float) -> dict[str, Any]:
    """Measure a case in a process of its own: its memory, and nothing left of the case before."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_send, args=(sender, case, device, threads, seconds))
    process.start()
    sender.close()
    try:
        result: dict[str, Any] = receiver.recv()
    except EOFError:
        raise ChildProcessError(f"measuring {case} failed; out of memory?") from None
    process.join()
    return result


def _send(sender: Any, case: Case, device: str, threads: int, seconds: float) -> None:
    torch.set_num_threads(threads)
    sender.send(measure(case, torch.device(device), seconds))


def measure(case: Case, device: torch.device, seconds: float) -> dict[str, Any]:
    """All figures of a case."""
    bf16 = use_bf16("auto", device)
    peak = machine_peak(device, torch.bfloat16 if bf16 else torch.float32, seconds / 4)
    if device.type == "cpu":
        keep_freed_memory()
    torch.backends.cudnn.benchmark = True
    step = ours(case, device, bf16)
    step()
    memory = _memory_mb(device)  # before the plain loop is there
    ours_s, plain_s = _take_turns(step, plain_loop(case, device), device, seconds)
    flops = step_flops(case)
    speed = case.batch / ours_s
    return {
        "case": str(case), **asdict(case), "device": _name(device), "bf16": bf16,
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "images_per_second": speed, "plain_images_per_second": case.batch / plain_s,
        "gflop_per_image": flops / 1e9, "peak_gflops": {name: value / 1e9 for name, value in peak.items()},
        "share_of_peak": speed * flops / max(peak.values()), "memory_mb": memory,
        "shares": work_shares(step) if device.type == "cpu" else {},
    }  # fmt: skip


def machine_peak(device: torch.device, dtype: torch.dtype, seconds: float) -> dict[str, float]:
    """FLOPs a second of a large matrix product and a large convolution (3 x 3, 256 to 256 channels)."""
    large = device.type == "cuda"
    side, batch = (8192, 64) if large else (2048, 8)
    a, b = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))
    x = torch.rand(batch, 256, 64, 64, device=device, dtype=dtype)
    x = x.contiguous(memory_format=torch.channels_last)
    convolution = nn.Conv2d(256, 256, 3, padding=1, bias=False).to(device, dtype)
    convolution = convolution.to(memory_format=torch.channels_last)
    with torch.no_grad():
        matrix_s = _fastest(lambda: a @ b, device, seconds)
        convolution_s = _fastest(lambda: convolution(x), device, seconds)
    return {
        "matrix product": 2 * side**3 / matrix_s,
        "convolution": 2 * batch * 64 * 64 * 256 * 256 * 9 / convolution_s,
    }


def make_batch(size: int, batch: int, stride: int = 4) -> PoseBatch:
    """Noise of `batch` crops of `size` px with labels at random places, on the CPU."""
    torch.manual_seed(0)
    points = batch * POINTS
    return dataclasses.replace(
        PoseBatch.of_images(torch.rand(batch, 3, size, size)),
        instance_index=torch.arange(batch).repeat_interleave(POINTS),
        points=torch.rand(points, 2) * (size - 1),
        part=torch.randint(1, 25, (points,)),
        uv=torch.rand(points, 2),
        coarse=torch.randint(0, 15, (batch, size // stride, size // stride)),
    )


def ours(case: Case, device: torch.device, bf16: bool) -> Callable[[], None]:
    """A step of a case as `slimdp train` takes it, ready to be called."""
    model = StackedHourglass(case.stacks, case.features)
    return training_step(model, make_batch(case.size, case.batch), device, bf16)


def training_step(
    network: DensePoseModel, batch: PoseBatch, device: torch.device, bf16: bool
) -> Callable[[], None]:
    """A step of a network on a batch as `slimdp train` takes it, ready to be called."""
    model, terms = to_device(network, device).train(), loss_terms()
    stage = StageSettings(name="bench", data=(DataSource(annotations="", images=""),), steps=1)
    optimizer, average = make_optimizer(model, stage), WeightAverage(model, 0.998)
    part = MicroBatch(batch.to(device), count_labels(terms, batch))
    parameters = list(model.parameters())

    def step() -> None:
        torch.use_deterministic_algorithms(device.type == "cpu")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        optimizer.zero_grad()
        add_gradients(model, [part], part.counts, terms, 1, bf16)
        nn.utils.clip_grad_norm_(parameters, stage.clip_norm)
        optimizer.step()
        average.update()
        torch.use_deterministic_algorithms(False)

    return step


def plain_loop(case: Case, device: torch.device) -> Callable[[], None]:
    """The same network and losses in float32 without any of that."""
    model = StackedHourglass(case.stacks, case.features).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    batch, terms = make_batch(case.size, case.batch).to(device), loss_terms()

    def step() -> None:
        loss, report = total_loss(model(batch), batch, terms)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for value in report.values():
            value.item()

    return step


def step_flops(case: Case) -> float:
    """FLOPs of a step for one crop, forward and backward: 2 a multiply-add. Nothing is computed."""
    with torch.device("meta"):
        model = StackedHourglass(case.stacks, case.features)
        # A batch norm of one pixel needs two crops.
        batch = PoseBatch.of_images(torch.empty(2, 3, case.size, case.size))
    with FlopCounterMode(display=False) as counter:
        maps = [m for p in model(batch).stages for m in (p.fine_segm, p.u, p.v, p.coarse_segm)]
        torch.stack([m.sum() for m in maps]).sum().backward()
    return counter.get_total_flops() / 2


def work_shares(step: Callable[[], None]) -> dict[str, float]:
    """Share of each kind of work in the time of a step on a CPU."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step()
    times = dict.fromkeys([*KINDS, "the rest"], 0.0)
    for event in profile.key_averages():
        name = event.key.removeprefix("aten::")
        kind = next((k for k, starts in KINDS.items() if name.startswith(starts)), "the rest")
        times[kind] += event.self_cpu_time_total
    return {kind: value / sum(times.values()) for kind, value in times.items()}


def _take_turns(
    first: Callable[[], None], second: Callable[[], None], device: torch.device, seconds: float
) -> tuple[float, float]:
    """Median seconds of each, called in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for call in (first, second):  # what is prepared at the first call does not count
        call()
    start = time.perf_counter()
    while len(times[0]) < 2 or time.perf_counter() - start < seconds:
        for call, kept in zip((first, second), times):
            kept.append(_time(call, device))
    return statistics.median(times[0]), statistics.median(times[1])


def _fastest(call: Callable[[], object], device: torch.device, seconds: float) -> float:
    call()
    start, times = time.perf_counter(), []
    while len(times) < 2 or time.perf_counter() - start < seconds:
        times.append(_time(call, device))
    return min(times)


def _time(call: Callable[[], object], device: torch.device) -> float:
    _settle(device)

    def settled() -> None:
        call()
        _settle(device)

    return wall_seconds(settled)


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _input_speed(size: int, quick: bool) -> float:
    """Crops a second that one core prepares, by the tool for that."""
    tool = Path(__file__).with_name("bench_input.py")
    amount = ["--crops", "48", "--rounds", "2"] if quick else []
    command = [sys.executable, str(tool), "--size", str(size), *amount]
    return float(told_by(command)["crops_a_second"])


def _tell(result: dict[str, Any]) -> None:
    peak = ", ".join(f"{name} {value:.0f}" for name, value in result["peak_gflops"].items())
    print(
        f"{result['case']}: {result['images_per_second']:.2f} images/s, plain loop "
        f"{result['plain_images_per_second']:.2f}; {result['gflop_per_image']:.1f} GFLOP an image, "
        f"{100 * result['share_of_peak']:.0f} % of the peak (GFLOP/s: {peak}); {result['memory_mb']:.0f} MB"
    )
    for kind, share in result["shares"].items():
        print(f"  {100 * share:5.1f} % {kind}")


if __name__ == "__main__":
    sys.exit(main())
