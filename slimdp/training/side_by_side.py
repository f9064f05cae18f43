"""Several training runs at once, each in a process of its own with one thread.

Small networks use a core best alone: two runs of one thread each do more than one run of two threads after
the other. And on a CPU a run of one thread sums in one order: it comes out the same on any number of cores.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flow_cache.runtime.workers import WorkerPool
from slimdp.config import TrainConfig
from slimdp.training.run import train


@dataclass(frozen=True)
class TrainRun:
    """What `train` is told of one run."""

    config: TrainConfig
    out: Path
    initial: Path | None = None


def train_side_by_side(runs: Sequence[TrainRun], processes: int | None = None) -> list[Path]:
    """Train runs in processes of one thread each, and tell of their progress in plain lines.

    Args:
        runs: one or more, with stages of different names, which the lines begin with.
        processes: at most so many at once; None: one a core.

    Returns:
        the checkpoint of each run's last stage.

    Raises:
        ValueError: no runs, or fewer than one process.
        ChildProcessError: a run's process was killed, as by a lack of memory.
        what `train` raises in the first run that fails. In every case the other runs are ended then.
    """
    processes = (os.cpu_count() or 1) if processes is None else processes
    if not runs or processes < 1:
        raise ValueError(f"{len(runs)} runs in {processes} processes; wanted 1 or more of both")
    with WorkerPool(_train, min(processes, len(runs)), queued=0) as pool:
        return list(pool.map(runs))


def _train(run: TrainRun) -> Path:
    return train(run.config, run.out, initial=run.initial, bar=False)
