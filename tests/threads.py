"""Threads of torch and OpenCV in a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import torch


@contextmanager
def one_thread_here() -> Iterator[None]:
    """One thread in the block: with others, sums come in another order.

    What is forked in it has one thread too. It must: a fork copies locks of threads that it does not copy,
    and waits for them for ever.
    """
    threads, of_opencv = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(of_opencv)
