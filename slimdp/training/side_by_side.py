"""Several training runs at once, each in a process of its own with one thread.

Small networks use a core best alone: two runs of one thread each do more than one run of two threads after
the other. And a run of one thread sums in one order, so it comes out the same on any number of cores.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch

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
        runs: with stages of different names, which the lines begin with.
        processes: at most so many at once; None: one a core.

    Returns:
        the checkpoint of each run's last stage.

    Raises:
        what `train` raises in the first run that fails (the others are ended then), and BrokenProcessPool
        where a process was killed, as by a lack of memory.
    """
    count = min(len(runs), processes or os.cpu_count() or 1)
    # Spawned, not forked: this process may hold threads (torch, OpenCV) that do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, context, _use_one_thread) as pool:
        futures = [pool.submit(_train, run) for run in runs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _use_one_thread() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers it
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _train(run: TrainRun) -> Path:
    return train(run.config, run.out, initial=run.initial, bar=False)
