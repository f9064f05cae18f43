"""Convolution over active pixels against a dense one that is masked to them, by the share that is active.

    python tools/bench_sparse.py                          # 128 channels, 4 maps of 64 x 64 px; half a minute
    python tools/bench_sparse.py --channels 256 --size 200 --batch 1 --shares 0.1 0.237 0.4

The active pixels are an ellipse in each map. One thread, float32, channels last; both ways take turns, and
the least of all rounds counts, of computing time. `forward` and `step` (with the gradients of values and
weights) are ms; `times_as_fast` is dense over sparse. `table` is what finding the neighbours takes, once a
batch for all layers. Both ways are compared before they are timed. Prints one JSON line last.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from measuring import cpu_seconds, make_parser, one_thread, tell
from torch import Tensor

from slimdp.models.direct.sites import ActiveSites, SiteConv


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--size", type=int, default=64, help="px of the maps")
    parser.add_argument("--batch", type=int, default=4, help="maps at a time")
    parser.add_argument("--rounds", type=int, default=7, help="how often each way has its turn")
    parser.add_argument(
        "--shares", type=float, nargs="+", default=[0.05, 0.1, 0.237, 0.3, 0.4, 0.6], help="active pixels"
    )
    options = parser.parse_args(arguments)
    one_thread()
    rows = [
        measure(share, options.channels, options.size, options.batch, options.rounds)
        for share in options.shares
    ]
    for row in rows:
        print(row)
    tell({"benchmark": "sparse", "channels": options.channels, "size": options.size, "rows": rows})
    return 0


def measure(share: float, channels: int, size: int, batch: int, rounds: int) -> dict[str, Any]:
    """Both ways at one share of active pixels; raises AssertionError where they differ."""
    mask = ellipse(share, size).expand(batch, size, size).contiguous()
    conv, sites = SiteConv(channels, channels), ActiveSites.of(mask)
    maps = torch.randn(batch, channels, size, size).contiguous(memory_format=torch.channels_last)
    keep = mask[:, None].float()
    values, masked = sites.gather(maps).requires_grad_(), (maps * keep).requires_grad_()

    def sparse() -> Tensor:
        found: Tensor = conv(values, sites)
        return found

    def dense() -> Tensor:
        return F.conv2d(masked, conv.weight, padding=1) * keep

    torch.testing.assert_close(sites.scatter(sparse()), dense(), rtol=1e-3, atol=1e-3)
    works: dict[str, Callable[[], object]] = {
        "forward_sparse": torch.no_grad()(sparse), "forward_dense": torch.no_grad()(dense),
        "step_sparse": lambda: sparse().sum().backward(), "step_dense": lambda: dense().sum().backward(),
        "table": lambda: ActiveSites.of(mask),
    }  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 1):
        for name, work in works.items():
            times[name].append(1000 * cpu_seconds(work))
    least = {name: min(each[1:]) for name, each in times.items()}  # the first round prepares
    faster = {kind: least[f"{kind}_dense"] / least[f"{kind}_sparse"] for kind in ("forward", "step")}
    return {
        "share": round(float(mask.float().mean()), 3),
        "ms": {name: round(ms, 2) for name, ms in least.items()},
        "times_as_fast": {kind: round(ratio, 2) for kind, ratio in faster.items()},
    }


def ellipse(share: float, size: int) -> Tensor:
    """A mask (size, size) bool, twice as high as wide where it fits, with about this share of its pixels."""
    y, x = torch.meshgrid(*[(torch.arange(size) + 0.5) / size - 0.5] * 2, indexing="ij")
    distance = (y / 2).square() + x.square() if share < 0.35 else y.square() + x.square()
    return distance <= distance.flatten().quantile(share)


if __name__ == "__main__":
    sys.exit(main())
