"""What torch and the C library are told while a run trains."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

#: torch.set_deterministic_debug_mode: what has no deterministic form raises.
_ERROR = 2


# Of mallopt(3): pieces above the one are mapped singly; what is free at the end above the other goes back.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 * 2**20


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones; returns whether that was possible.

    A step on a CPU frees what it took, and the C library gives it back to the system, which clears it page by
    page before the next step gets it again: without that a step took 5 to 13 % less time (2 stacks of 64
    features, 16 crops of 128 px; six runs each way), at the same peak. Possible with glibc alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # no C library to ask, or one without mallopt
        return False
    done = mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    return all(done)


@contextmanager
def training_flags(device: torch.device, compiled: bool) -> Iterator[None]:
    """What torch is told while a run trains; its random generators come back as they were.

    On a CPU the gradient at points gets one order of summing: otherwise two threads add to the same map pixel
    in any order, and of 200 gradients at 3,000 points 198 differed in their last bits. Deterministic also
    means to torch that new memory is filled before it is written, which nothing here reads and which took 5
    to 8 % of a step. On a GPU cuDNN may try which convolutions are fastest: all batches have one size.
    """
    if device.type == "cpu":
        keep_freed_memory()
    deterministic = torch.get_deterministic_debug_mode()
    benchmark = torch.backends.cudnn.benchmark
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    if device.type == "cpu":
        _set_deterministic(_ERROR, compiled)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = benchmark or device.type == "cuda"
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        _set_deterministic(deterministic, compiled)
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = benchmark


def _set_deterministic(mode: int, compiled: bool) -> None:
    """Set torch's deterministic mode: one of those that `torch.get_deterministic_debug_mode` gives.

    `torch.use_deterministic_algorithms` sets the same flag, and tells torch's compiler, which it imports for
    that: 2 s of computing time before the first step of a run that compiles nothing.
    """
    if compiled:
        torch.use_deterministic_algorithms(mode != 0)
    torch.set_deterministic_debug_mode(mode)
