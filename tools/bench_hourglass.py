"""Our hourglass beside one in the layout of princeton-vl's: computing time an image, and by FLOP.

    python tools/bench_hourglass.py [--features 64] [--size 128] [--batch 8] [--threads 1]

princeton-vl (pytorch_stacked_hourglass) keeps the stem's widths of the paper, 64 and 128 channels, whatever
the hourglass has; ours has a quarter and half of `features`, the same at 256. At 64 features its stem so does
several times the multiplications, at sizes that processors like best: more FLOPs a second, and more seconds
an image. `ours, wide stem` is our network with their stem, so that the rest is compared alike. Forward and
backward in float32, the networks taking turns; `ms_an_image` is computing time of all threads. Prints one
JSON line last.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from measuring import cpu_seconds, make_parser, tell
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from slimdp.models import StackedHourglass
from slimdp.models.heads import convolution, output_channels
from slimdp.models.hourglass import Residual
from slimdp.structures import PoseBatch
from slimdp.surface import PEOPLE


class PlainResidual(nn.Module):
    """Batch norm, ReLU and a biased convolution three times, beside a skip."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in (inputs, half, half))
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(inputs, half, 1), nn.Conv2d(half, half, 3, padding=1), nn.Conv2d(half, outputs, 1)]
        )
        self.skip = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for norm, convolve in zip(self.norms, self.convolutions):
            y = convolve(F.relu(norm(y)))
        return y + self.skip(x)


class PlainHourglass(nn.Module):
    """One recursive hourglass of PlainResidual."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.up, self.low, self.low_after = (PlainResidual(width, width) for _ in range(3))
        self.inner = PlainHourglass(depth - 1, width) if depth > 1 else PlainResidual(width, width)

    def forward(self, x: Tensor) -> Tensor:
        low = self.low_after(self.inner(self.low(F.max_pool2d(x, 2))))
        return self.up(x) + F.interpolate(low, scale_factor=2, mode="nearest")


class PlainNetwork(nn.Module):
    """One stack, with the stem's widths of the paper whatever the hourglass has."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 64, 7, stride=2, padding=3), nn.BatchNorm2d(64), nn.ReLU(),
            PlainResidual(64, 128), nn.MaxPool2d(2), PlainResidual(128, 128), PlainResidual(128, width),
            PlainHourglass(4, width), PlainResidual(width, width),
            nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, sum(output_channels(PEOPLE)), 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).square().mean()


class OurNetwork(nn.Module):
    """Ours with one stack, as training calls it: channels last."""

    def __init__(self, width: int, wide_stem: bool = False) -> None:
        super().__init__()
        self.network = StackedHourglass(1, width)
        if wide_stem:
            self.network.stem = nn.Sequential(
                convolution(3, 64, 7, stride=2, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
                Residual(64, 128), nn.MaxPool2d(2), Residual(128, 128), Residual(128, width),
            )  # fmt: skip
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        out = self.network(PoseBatch.of_images(x)).best
        maps = (out.fine_segm, out.u, out.v, out.coarse_segm)
        return sum(part.square().sum() for part in maps) / sum(part.numel() for part in maps)


MAKERS: dict[str, Callable[[int], nn.Module]] = {
    "ours": OurNetwork,
    "ours, wide stem": lambda width: OurNetwork(width, wide_stem=True),
    "princeton-vl's layout": PlainNetwork,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--size", type=int, default=128, help="side of the crops, px")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--turns", type=int, default=7, help="steps of each, the median of which is told")
    parser.add_argument("--threads", type=int, default=1, help="threads that wait for one another spend time")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    images = torch.rand(options.batch, 3, options.size, options.size)
    networks = {name: make(options.features) for name, make in MAKERS.items()}
    flops = {name: count_flops(network, images) for name, network in networks.items()}
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for turn in range(options.turns + 1):
        for name, network in networks.items():
            spent = _step(network, images)
            if turn:  # the first warms up
                seconds[name].append(spent)
    rows = {}
    for name, spent in seconds.items():
        median = statistics.median(spent)
        rows[name] = {
            "ms_an_image": round(1000 * median / options.batch, 2),
            "gflop_an_image": round(flops[name] / options.batch / 1e9, 3),
            "gflop_a_cpu_second": round(flops[name] / median / 1e9, 1),
        }
        print(f"{name}: {rows[name]}")
    tell({"benchmark": "hourglass", **vars(options), "rows": rows})
    return 0


def count_flops(network: nn.Module, images: Tensor) -> int:
    """FLOPs of a forward and backward pass, 2 a multiply-add."""
    with FlopCounterMode(display=False) as counter:
        network(images).backward()
    return int(counter.get_total_flops())


def _step(network: nn.Module, images: Tensor) -> float:
    network.zero_grad()
    return cpu_seconds(lambda: network(images).backward())


if __name__ == "__main__":
    sys.exit(main())
