"""From the loader's batches to what the network takes: on its device, counted, and one ahead on a GPU."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from slimdp.losses import label_counts
from slimdp.structures import PoseBatch


@dataclass(frozen=True)
class MicroBatch:
    """What goes through a process's network at once."""

    batch: PoseBatch  # on the device
    counts: dict[str, int]  # labels of each term of the loss, counted before they left the CPU


def micro_batches(
    batches: Iterable[PoseBatch], accumulate: int, device: torch.device
) -> Iterator[list[MicroBatch]]:
    """The parts of each step's batch.

    Args:
        batches: of the parts, on the CPU, `accumulate` a step.
        accumulate: parts a step.
        device: where the network is.
    """
    parts = _copied_ahead(batches, device) if device.type == "cuda" else _moved(batches, device)
    while step := list(itertools.islice(parts, accumulate)):
        assert len(step) == accumulate, f"{len(step)} parts for a step of {accumulate}"
        yield step


def _moved(batches: Iterable[PoseBatch], device: torch.device) -> Iterator[MicroBatch]:
    for batch in batches:
        yield MicroBatch(batch.to(device), label_counts(batch))


def _copied_ahead(batches: Iterable[PoseBatch], device: torch.device) -> Iterator[MicroBatch]:
    """While the GPU works on a part, the next one is copied to it."""
    stream = torch.cuda.Stream(device)
    waiting: MicroBatch | None = None
    for batch in batches:
        with torch.cuda.stream(stream):
            copied = MicroBatch(batch.to(device), label_counts(batch))
            arrived = stream.record_event()
        if waiting is not None:
            yield waiting
        # Only now, behind the work of the part before: the network waits for the copy, the CPU does not.
        torch.cuda.current_stream(device).wait_event(arrived)
        _keep_for_current_stream(copied.batch, device)
        waiting = copied
    if waiting is not None:
        yield waiting


def _keep_for_current_stream(batch: PoseBatch, device: torch.device) -> None:
    """Memory that one stream filled and another reads must not be given away before both are done."""
    for tensor in batch.tensors().values():
        tensor.record_stream(torch.cuda.current_stream(device))
