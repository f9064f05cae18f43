"""The training loop: a network over pictures with people in them, of whatever kind either is."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from slimdp.config import LossTerm, StageSettings
from slimdp.losses import count_labels, needed_features, total_loss
from slimdp.models import DensePoseModel
from slimdp.structures import DensePoseMaps, PersonAnnotation, PoseBatch
from slimdp.training.checkpoint_writer import CheckpointWriter, TrainState
from slimdp.training.distributed import DistributedContext
from slimdp.training.monitor import Monitor
from slimdp.training.optimisation import RATE_SHARE, learning_rate_at, set_training


def train_stage(
    state: TrainState, stage: StageSettings, terms: Mapping[str, LossTerm],
    steps: Iterable[Sequence[MicroBatch]], processes: DistributedContext, bf16: bool, guard: NonFiniteGuard,
    monitor: Monitor, writer: CheckpointWriter,
) -> None:  # fmt: skip
    """Train to the end of a stage, from the step where the state stands, which changes in place.

    `steps` are this process's parts of each step's batch, from `state.step` on; with `bf16` the network runs
    in bfloat16 where that is safe (autocast), weights and losses stay float32. Raises NoLabelsError where
    nothing can be learned of a batch, NonFiniteLossError where training went astray.
    """
    set_training(state.model, stage)
    weights = list(state.model.parameters())  # once: walking through all modules takes as long as clipping
    for parts in steps:
        rate = learning_rate_at(state.step, stage)
        for group in state.optimizer.param_groups:
            group["lr"] = rate * group.get(RATE_SHARE, 1.0)

        mine = {name: sum(part.counts[name] for part in parts) for name in parts[0].counts}
        counts = processes.sum_counts(mine)
        if state.model.spec.input == "crop":  # pictures teach where people are, too, and where nobody is
            guard.require_labels(state.step, counts, terms)
        state.optimizer.zero_grad()
        prediction, losses = add_gradients(state.network, parts, counts, terms, processes.count, bf16)
        norm = nn.utils.clip_grad_norm_(weights, stage.clip_norm)
        guard.check(state.step, rate, {**losses, "gradient norm": norm})
        state.optimizer.step()
        state.average.update()
        state.step += 1

        monitor.after_step(state.step, parts[-1].batch, prediction, losses, rate, norm)
        if writer.due(state.step):
            guard.wait()
            writer.write(state)
    guard.wait()
    assert state.step == stage.steps, f"{state.step} batches for {stage.steps} steps"


def add_gradients(
    network: nn.Module, parts: Sequence[MicroBatch], counts: Mapping[str, int],
    terms: Mapping[str, LossTerm], processes: int, bf16: bool,
) -> tuple[DensePoseMaps | None, dict[str, Tensor]]:  # fmt: skip
    """Forward and backward through a step's parts: the gradient of the loss of the whole batch.

    It is the same for any number of parts and processes, but for the batch norms: those look at one part at
    a time, over all processes if they are shared. The parts are those of this process, `counts` the labels of
    each term in the whole batch, which so many `processes` share; `bf16` is as in `train_stage`.

    Returns:
        the last part's last prediction, None where it is not of its images, and this process's share of the
        batch's loss, `total`, and of its terms: summed over the processes they are those of the batch. They
        carry no gradient.
    """
    report: dict[str, Tensor] = {}
    features = needed_features(terms)
    dtype = next(network.parameters()).dtype
    # DistributedDataParallel: processes tell one another their gradients once a step, with its last part.
    unsent: Callable[[], AbstractContextManager[None]] = getattr(network, "no_sync", nullcontext)
    random = torch.get_rng_state()
    for number, part in enumerate(parts, 1):
        torch.set_rng_state(random)  # what a network draws is the same for any number of parts
        with unsent() if number < len(parts) else nullcontext():
            images = part.batch.images.to(dtype, memory_format=torch.channels_last)
            with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
                output = network(replace(part.batch, images=images), features)
            total, shared = total_loss(output, part.batch, terms, part.counts, counts)
            # DistributedDataParallel takes the mean over the processes, but here their losses add up.
            (total * processes).backward()
        for name, value in {"total": total.detach(), **shared}.items():
            report[name] = report[name] + value if name in report else value
    return (output.best if output.stages and output.regions is None else None), report


class MicroBatch(NamedTuple):
    """What goes through a process's network at once."""

    batch: PoseBatch  # on the device
    counts: dict[str, int]  # `count_labels`


def micro_batches(
    batches: Iterable[PoseBatch], accumulate: int, device: torch.device, terms: Mapping[str, LossTerm],
    model: DensePoseModel,
) -> Iterator[list[MicroBatch]]:  # fmt: skip
    """The parts of each step, `accumulate` of the batches, on the network's device; labels counted before."""

    def moved(batch: PoseBatch) -> MicroBatch:
        return MicroBatch(batch.to(device), count_labels(terms, batch, model.loss_counts(batch)))

    parts = _copied_ahead(batches, device, moved) if device.type == "cuda" else map(moved, batches)
    while step := list(itertools.islice(parts, accumulate)):
        assert len(step) == accumulate, f"{len(step)} parts for a step of {accumulate}"
        yield step


def _copied_ahead(
    batches: Iterable[PoseBatch], device: torch.device, moved: Callable[[PoseBatch], MicroBatch]
) -> Iterator[MicroBatch]:
    """While the GPU works on a part, the next one is copied to it."""
    stream = torch.cuda.Stream(device)
    waiting: MicroBatch | None = None
    for batch in batches:
        with torch.cuda.stream(stream):
            copied = moved(batch)
            arrived = stream.record_event()
        if waiting is not None:
            yield waiting
        # Only now, behind the work of the part before: the network waits for the copy, the CPU does not.
        working = torch.cuda.current_stream(device)
        working.wait_event(arrived)
        for tensor in copied.batch.tensors().values():
            tensor.record_stream(working)  # its memory is not given away before both streams are done
        waiting = copied
    if waiting is not None:
        yield waiting


#: Steps that a GPU may be behind before the CPU asks about a step's numbers.
BEHIND = 4


class NonFiniteLossError(FloatingPointError):
    """A loss or a gradient that is infinite or not a number."""


class NoLabelsError(ValueError):
    """A batch that nothing can be learned from."""


class NonFiniteGuard:
    """Looks at each step's labels and numbers: on a CPU at once, on a GPU at its numbers a few steps later.

    A batch without points in sight but with outlines is learned from. A checkpoint may be written only after
    `wait`: then no number that is not finite has gone into it. Errors name the people of the step's batch.
    """

    def __init__(
        self, stage: StageSettings, batch_people: Callable[[int], Sequence[PersonAnnotation]]
    ) -> None:
        self._stage, self._batch_people = stage, batch_people
        self._waiting: deque[Callable[[], None]] = deque()  # looks at a step each

    def require_labels(self, step: int, counts: Mapping[str, int], terms: Mapping[str, LossTerm]) -> None:
        """Raise NoLabelsError unless some term that counts has a label; `counts` are those of the batch."""
        if not any(counts[name] and term.weight > 0 for name, term in terms.items()):
            found = ", ".join(f"{name} {counts[name]}" for name in terms)
            raise NoLabelsError(
                f"stage {self._stage.name!r}, step {step}: no label in sight that a loss looks at ({found}). "
                f"The batch: {self._names(step)}. Look at these labels, raise stage.batch, or lower "
                "augment.shift, scale and close_up"
            )

    def check(self, step: int, rate: float, values: Mapping[str, Tensor]) -> None:
        """Take note of a step's scalars, which share a device; call it before the optimiser's step.

        Raises NonFiniteLossError where these, or on a GPU those of a step before, are not all finite.
        """
        together = torch.stack([value.detach().float() for value in values.values()])
        arrived = None
        if together.device.type == "cuda":
            # Into pinned memory: that is what lets the CPU go on.
            pinned = torch.empty(together.shape, pin_memory=True)
            together = pinned.copy_(together, non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()
        self._waiting.append(partial(self._look, step, rate, tuple(values), together, arrived))
        while len(self._waiting) > (BEHIND if arrived else 0):
            self._waiting.popleft()()

    def wait(self) -> None:
        """Look at all steps until now; raises as `check`."""
        while self._waiting:
            self._waiting.popleft()()

    def _look(
        self, step: int, rate: float, names: Sequence[str], values: Tensor, arrived: torch.cuda.Event | None
    ) -> None:
        """Raise unless the numbers of a step, (K,) on the CPU once they `arrived`, are finite."""
        if arrived is not None:
            arrived.synchronize()
        if torch.isfinite(values).all():
            return
        numbers = ", ".join(f"{name} {value:.4g}" for name, value in zip(names, values.tolist()))
        raise NonFiniteLossError(
            f"stage {self._stage.name!r}, step {step}: the loss or its gradient is not finite "
            f"({numbers}). The batch: {self._names(step)}. Look at these labels, or lower "
            f"stage.learning_rate (here {rate:.3g})"
        )

    def _names(self, step: int) -> str:
        return ", ".join(f"{p.image.file} (annotation {p.id})" for p in self._batch_people(step))
