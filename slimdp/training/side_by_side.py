"""Several training runs at once, each in a process of its own with one thread.

Small networks use a core best alone: two runs of one thread each do more than one run of two threads after
the other. And on a CPU a run of one thread sums in one order: it comes out the same on any number of cores.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
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
        runs: one or more, with stages of different names, which the lines begin with.
        processes: at most so many at once; None: one a core.

    Returns:
        the checkpoint of each run's last stage.

    Raises:
        ValueError: no runs, or fewer than one process.
        what `train` raises in the first run that fails (the others are ended then), and BrokenProcessPool
        where a process was killed, as by a lack of memory.
    """
    processes = (os.cpu_count() or 1) if processes is None else processes
    if not runs or processes < 1:
        raise ValueError(f"{len(runs)} runs in {processes} processes; wanted 1 or more of both")
    # Spawned, not forked: this process may hold threads (torch, OpenCV) that do not survive a fork.
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(min(len(runs), processes), context, _start_worker)
    try:
        futures = [pool.submit(_train, run) for run in runs]
        ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in ended:
            future.result()  # raises what a run raised, before all of them have ended
        return [future.result() for future in futures]
    except BaseException:
        mine = set(multiprocessing.active_children()) - before
        pool.shutdown(wait=False, cancel_futures=True)
        for process in mine:
            process.terminate()
        for process in mine:
            process.join()
        raise
    finally:
        pool.shutdown()


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _end_with_parent() -> None:
    """A worker whose parent was killed would train on unseen, and then wait for work forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _train(run: TrainRun) -> Path:
    return train(run.config, run.out, initial=run.initial, bar=False)
