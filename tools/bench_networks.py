"""Networks beside one another: parameters, and computing time of a crop forward and in a training step.

    python tools/bench_networks.py                    # 128 px, batches of 16; ten minutes
    python tools/bench_networks.py --rounds 1 --network 'fpn resnet18 64' --network 'hourglass 2 64'

A network is `hourglass STACKS FEATURES`, or `fpn`, `fcn` or `region BACKBONE CHANNELS`; of the last one
the branches have twice as many, 64 regions of each picture teach, and each shows one person, whose box is
given. One thread,
float32, channels last, on noise; the networks take turns, and the least of all rounds counts: of computing
time, which other programs disturb little. A step is that of `slimdp train`: losses, backward, clipping,
optimiser, average. Prints one JSON line last.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import torch
from bench_train import make_batch, training_step
from measuring import cpu_seconds, make_parser, one_thread, tell

from slimdp.config import ModelSettings
from slimdp.models import FcnSettings, FpnSettings, HourglassSettings, RegionSettings
from slimdp.structures import PoseBatch
from slimdp.surface import PEOPLE
from slimdp.training.distributed import to_device
from slimdp.training.run import keep_freed_memory

CPU = torch.device("cpu")
_TOLD = ("name", "stacks", "features", "backbone", "channels")
NETWORKS = (
    "hourglass 2 64", "fpn efficientnet_lite0 64", "fpn resnet18 64", "fpn resnet18 128", "fpn resnet50 128",
    "fcn resnet18 256", "region resnet18 64",
)  # fmt: skip


def settings_of(text: str) -> ModelSettings:
    """The settings of a network as the command line names it."""
    try:
        name, first, second = text.split()
        if name == "hourglass":
            return HourglassSettings(stacks=int(first), features=int(second))
        if name == "region":
            width = int(second)
            return RegionSettings(backbone=first, channels=width, head_channels=2 * width, region_samples=64)
        return {"fpn": FpnSettings, "fcn": FcnSettings}[name](backbone=first, channels=int(second))
    except (ValueError, KeyError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no network: {error}") from None


def measured(settings: ModelSettings, size: int, batch: int) -> tuple[int, dict[str, Callable[[], object]]]:
    """Parameters of a network, and what is timed."""
    forward = to_device(settings.build(PEOPLE), CPU).eval()
    crops = torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
    labels = make_batch(size, batch, settings.spec.stride)
    step = training_step(settings.build(PEOPLE), labels, CPU, bf16=False)

    @torch.inference_mode()
    def look() -> None:
        forward(PoseBatch.of_images(crops))

    return sum(weight.numel() for weight in forward.parameters()), {"forward": look, "step": step}


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--network", type=settings_of, action="append", help="as in the table above")
    parser.add_argument("--size", type=int, default=128, help="px of the crops")
    parser.add_argument("--batch", type=int, default=16, help="crops at a time")
    parser.add_argument("--rounds", type=int, default=5, help="how often each network has its turn")
    options = parser.parse_args()
    one_thread()
    keep_freed_memory()
    networks = options.network or [settings_of(text) for text in NETWORKS]
    made = [measured(settings, options.size, options.batch) for settings in networks]
    times: list[dict[str, list[float]]] = [{"forward": [], "step": []} for _ in made]
    for _ in range(options.rounds + 1):
        for (_, works), kept in zip(made, times):
            for name, work in works.items():
                kept[name].append(1000 * cpu_seconds(work) / options.batch)
    rows = []
    for settings, (parameters, _), kept in zip(networks, made, times):
        told = " ".join(str(value) for key, value in settings.plain().items() if key in _TOLD)
        least = {name: min(each[1:]) for name, each in kept.items()}  # the first round prepares
        rows.append({"network": told, "parameters": parameters, "cost": settings.cost, "ms_a_crop": least})
        print(f"{told}: {parameters / 1e6:.2f} M, ", end="")
        print(", ".join(f"{name} {value:.1f} ms a crop" for name, value in least.items()))
    tell({"size": options.size, "batch": options.batch, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
