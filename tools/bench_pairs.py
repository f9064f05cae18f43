"""What training on pairs of pictures costs beside training on single ones.

    python tools/bench_pairs.py runs/small --flow runs/small_flow.h5
    python tools/bench_pairs.py runs/small --flow runs/small_flow.h5 --features 256 --size 256 --batch 4

For each kind of motion, steps as `slimdp train` does them on the labelled people of a rendered set's
training clips: read, crop, warp or move along the flow, batch, forward, backward, optimiser; in one process
and with one thread. The kinds take turns, a few steps each, so that a busy machine disturbs all alike. A
sample is a person, with one picture or two; two pictures through the network are half the samples at best.
Says the time of input and step apart, and what share of the single pictures' samples a second remains: 45 %
are wanted.

Prints one JSON line last.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from measuring import make_parser, one_thread, tell

from slimdp.config import (
    CropSettings,
    DataSource,
    StageSettings,
    TrainConfig,
)
from slimdp.losses import count_labels, loss_terms
from slimdp.models import HourglassSettings, StackedHourglass
from slimdp.motion import PAIR_SOURCES
from slimdp.structures import PoseBatch
from slimdp.training.loop import MicroBatch, add_gradients
from slimdp.training.optimisation import make_optimizer
from slimdp.training.run import keep_freed_memory
from slimdp.training.stage_data import read_stages

WANTED = 0.45


class Trained:
    """A network that is trained on one kind of motion, step by step."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        torch.manual_seed(0)
        self.network = StackedHourglass(config.model.stacks, config.model.features)
        self.network.to(memory_format=torch.channels_last).train()
        self.optimizer = make_optimizer(self.network, config.stages[0])
        self.batches: Iterator[PoseBatch] = read_stages(config)[0].batches(0, workers=0)
        self.input_s: list[float] = []
        self.step_s: list[float] = []

    def step(self) -> None:
        started = time.perf_counter()
        batch = next(self.batches)
        read = time.perf_counter()
        part = MicroBatch(batch.to("cpu"), count_labels(self.config.loss, batch))
        self.optimizer.zero_grad()
        add_gradients(self.network, [part], part.counts, self.config.loss, 1, bf16=False)
        self.optimizer.step()
        self.input_s.append(read - started)
        self.step_s.append(time.perf_counter() - read)

    def forget(self) -> None:
        self.input_s, self.step_s = [], []


def make_config(options: argparse.Namespace, kind: str, steps: int) -> TrainConfig:
    source = DataSource(annotations=str(options.set / "clips_train.json"), images=str(options.set))
    stores = {"flow": str(options.flow), "exact": str(options.set / "flow_exact")}
    store = {kind: stores[kind]} if kind in stores else {}
    motion = PAIR_SOURCES[kind](propagate=kind != "none", **store)
    return TrainConfig(
        stages=(StageSettings(name="pairs", data=(source,), steps=steps, batch=options.batch),),
        model=HourglassSettings(stacks=options.stacks, features=options.features),
        crop=CropSettings(size=options.size),
        loss=loss_terms(equivariance=float(kind != "none")),
        motion=motion,
    )


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("set", type=Path, help="the folder of a rendered set")
    parser.add_argument("--flow", type=Path, help="a store of flow of its training clips")
    parser.add_argument("--stacks", type=int, default=1)
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--size", type=int, default=128, help="of a crop, px")
    parser.add_argument("--batch", type=int, default=8, help="samples a step")
    parser.add_argument("--turns", type=int, default=12)
    options = parser.parse_args()
    one_thread()
    keep_freed_memory()
    kinds = ["none", "tps", "exact"] + (["flow"] if options.flow else [])
    warm, each = 2, 4
    steps = 2 * (warm + options.turns * each)
    trained = {kind: Trained(make_config(options, kind, steps)) for kind in kinds}
    for one in trained.values():
        for _ in range(warm * each // 2):
            one.step()
        one.forget()
    for _, one in itertools.product(range(options.turns), trained.values()):
        for _ in range(each):
            one.step()
    rows = {}
    for kind, one in trained.items():
        read, step = (1000 * statistics.median(times) / options.batch for times in (one.input_s, one.step_s))
        rows[kind] = {"input_ms": read, "step_ms": step, "samples_per_second": 1000 / (read + step)}
    single = rows["none"]["samples_per_second"]
    for kind, row in rows.items():
        row["share_of_single"] = row["samples_per_second"] / single
        print(
            f"{kind:6} input {row['input_ms']:5.2f} ms, step {row['step_ms']:6.2f} ms a sample, "
            f"{row['samples_per_second']:6.1f} samples/s, {100 * row['share_of_single']:.0f} % of single ones"
        )
    ok = all(row["share_of_single"] >= WANTED for row in rows.values())
    settings = {name: getattr(options, name) for name in ("stacks", "features", "size", "batch")}
    tell({"kinds": rows, "wanted": WANTED, "reached": ok, **settings})


if __name__ == "__main__":
    sys.exit(main())
