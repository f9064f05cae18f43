"""The processes that train one network together: started by `torchrun`, or this one alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from slimdp.config import ConfigError

#: What `torchrun` tells each process that it starts.
TOLD = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class DistributedContext:
    """Who this process is among those that train together."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and lines."""
        return self.rank == 0

    def sum_counts(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Numbers by name, the same names in all processes, summed over them, without waiting for a GPU."""
        if self.count == 1:
            return dict(counts)
        summed = torch.tensor(list(counts.values()), dtype=torch.int64)
        dist.all_reduce(summed)
        return dict(zip(counts, summed.tolist()))

    def sum_scalars(self, scalars: Mapping[str, Tensor]) -> dict[str, float]:
        """Scalars by name, the same names in all processes, summed over them; waits for the device."""
        summed = torch.stack([scalar.detach().double() for scalar in scalars.values()]).cpu()
        if self.count > 1:
            dist.all_reduce(summed)
        return dict(zip(scalars, summed.tolist()))

    def gather(self, value: Any) -> list[Any]:
        """A picklable value of each process, in the order of their ranks, in all of them."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Go on when all processes have come here."""
        self.sum_counts({"here": 1})


ALONE = DistributedContext()


@contextmanager
def init_distributed(device_name: str) -> Iterator[tuple[DistributedContext, torch.device]]:
    """Join the processes that `torchrun` started, if it did, and choose this one's device.

    Args:
        device_name: "cpu", "cuda", "cuda:1", ..., or "auto": a GPU if there is one. Of several processes on
            a machine each takes a GPU of its own.

    Raises:
        ConfigError: this machine has no such device, or not one for each process.
    """
    if dist.is_initialized():
        raise RuntimeError("torch.distributed is in use already; train in processes of its own")
    count = int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in TOLD) else 1
    device = choose_device(device_name, int(os.environ.get("LOCAL_RANK", 0)) if count > 1 else None)
    if count == 1:
        yield DistributedContext(), device
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield DistributedContext(dist.get_rank(), dist.get_world_size()), device
    finally:
        dist.destroy_process_group()


def choose_device(name: str, local_rank: int | None = None) -> torch.device:
    """The device of a name, for a process of several (`local_rank` on its machine) its own GPU.

    Raises ConfigError where this machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if local_rank is not None and name.startswith("cuda:"):
        raise ConfigError(f"device = {name!r} for several processes, but each needs its own; choose cuda")
    if local_rank is not None and name == "cuda":
        name = f"cuda:{local_rank}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise ConfigError(f"device = {name!r} cannot be used: {error}; choose auto, cpu or cuda") from error
    return device
