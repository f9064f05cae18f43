"""A training run from settings to checkpoints: check everything, then one stage after another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from flow_cache.runtime.atomic import link_name
from slimdp.config import ConfigError, TrainConfig
from slimdp.models import StackedHourglass
from slimdp.surface import load_surface
from slimdp.surface.interface import Surface
from slimdp.training.checkpoint import Checkpoint, build_model, load_optimizer, save_checkpoint
from slimdp.training.checkpoint_writer import CheckpointWriter, random_state, set_random_state, steps_before
from slimdp.training.distributed import DistributedContext, init_distributed
from slimdp.training.ema import WeightAverage
from slimdp.training.loop import TrainState, train_stage
from slimdp.training.memory import keep_freed_memory
from slimdp.training.micro_batch import micro_batches
from slimdp.training.monitor import Monitor
from slimdp.training.non_finite_guard import NonFiniteGuard
from slimdp.training.optimisers import make_optimizer
from slimdp.training.run_folder import RunFolder
from slimdp.training.stage_data import StageData, read_stages
from slimdp.training.stage_settings import stage_loss
from slimdp.training.start import first_checkpoint
from slimdp.training.sync_batchnorm import sync_batch_norms
from slimdp.training.validation import Validation, place, read_validation_people

#: torch.set_deterministic_debug_mode: what has no deterministic form raises.
_ERROR = 2


def train(
    config: TrainConfig,
    out: Path,
    resume: bool = False,
    initial: Path | None = None,
    device: str = "auto",
    bar: bool = True,
) -> Path:
    """Train a network, in this process alone or in those that `torchrun` started.

    Args:
        config: the settings; the paths in them are relative to the working directory.
        out: the run's folder (`slimdp.training.run_folder`); made where it is missing.
        resume: go on from `last.pt`, bit for bit on a CPU as if the run had never stopped; where there is
            none, begin.
        initial: the `stage_<name>.pt` of another run, to begin with its weights. If this run has a stage
            of that name, it and those before it must have the same settings there, and count as done;
            otherwise all stages run.
        device: "cpu", "cuda", "cuda:1", ..., or "auto": a GPU if there is one.
        bar: show a progress bar in a terminal; otherwise plain lines.

    Returns:
        the checkpoint of the last stage.

    Raises:
        ConfigError: the settings are not those of the run to go on with, or name files that are not there.
        AnnotationError: an annotation file or one of its pictures is broken, or has no labels.
        CheckpointError: `initial` or `last.pt` cannot be used, `out` holds a run already or is in use,
            or a disk is full.
        NoLabelsError, NonFiniteLossError: nothing can be learned of a batch, or training went astray.
    """
    with init_distributed(device) as (processes, here):
        folder = RunFolder(Path(out), processes.first)
        with folder.held():
            _train(config, folder, processes, here, resume, initial, bar)
    return stage_file(out, config.stages[-1].name)


def _train(
    config: TrainConfig, folder: RunFolder, processes: DistributedContext, here: torch.device, resume: bool,
    initial: Path | None, bar: bool,
) -> None:  # fmt: skip
    """All stages from where the run begins."""
    run = _Run(config, here, processes, folder, bar)
    bf16 = use_bf16(config.precision, here)  # before any work: it may not be to be had
    start = first_checkpoint(config, run.folder, resume, initial)
    stages = read_stages(config, processes)
    people = [] if config.validation is None else read_validation_people(config)
    processes.wait()  # nobody writes into the folder before all have looked at it
    run.folder.begin(config, here, processes)
    validation = None
    if config.validation is not None:
        model = place(build_model(config), here)
        validation = Validation(config.validation, config.crop, config.surface, model, people, processes)
    with _flags(here, config.compile):
        for index in range(start.stage, len(stages)):
            start = run.stage(start, index, stages[index], validation, bf16)


def stage_file(out: Path, stage: str) -> Path:
    """Where a run keeps the result of a stage."""
    return Path(out) / f"stage_{stage}.pt"


def use_bf16(precision: str, device: torch.device) -> bool:
    """Whether the network runs in bfloat16; raises ConfigError where it is asked for and not to be had.

    Never by itself on a CPU, where it is many times slower than float32.
    """
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and device.type == "cuda" and not able:
        raise ConfigError(
            f"precision = 'bf16', but {torch.cuda.get_device_name(device)} has none; choose auto"
        )
    return precision == "bf16" or (precision == "auto" and able)


@dataclasses.dataclass(frozen=True)
class _Run:
    """What stays the same through all stages."""

    config: TrainConfig
    device: torch.device
    processes: DistributedContext
    folder: RunFolder
    bar: bool

    def stage(
        self, start: Checkpoint, index: int, data: StageData, validation: Validation | None, bf16: bool
    ) -> Checkpoint:
        """Train a stage to its end and save what came out of it."""
        config, stage = self.config, self.config.stages[index]
        set_random_state(start.random_state, config.seed, self.device)
        learner = self._learner(start)
        with self._monitor(index, learner.step) as monitor:
            loader = data.batches(learner.step, config.workers, self.processes, self.device.type == "cuda")
            train_stage(
                learner,
                stage,
                stage_loss(config, stage),
                micro_batches(loader, stage.accumulate, self.device),
                self.processes,
                bf16,
                NonFiniteGuard(stage, data.batch_people),
                monitor,
                CheckpointWriter(
                    config, index, self.folder, validation, monitor, self.processes, self.device
                ),
            )
        return self._finish(learner, index)

    def _monitor(self, index: int, done: int) -> Monitor:
        config, stage = self.config, self.config.stages[index]
        return Monitor(
            self.folder,
            title=stage.name,
            steps=stage.steps,
            done=done,
            steps_before=steps_before(config, index),
            log_every=config.log_every,
            pictures_every=config.pictures_every,
            surface=self._surface_of_pictures(),
            bar=self.bar,
            processes=self.processes,
        )

    def _surface_of_pictures(self) -> Surface | None:
        """What errors are measured on; None where it cannot measure, which training itself does not need."""
        if not self.processes.first:
            return None
        try:
            return load_surface(self.config.surface)
        except ValueError as error:
            self.folder.say(f"pictures without errors: {error}")
            return None

    def _learner(self, start: Checkpoint) -> TrainState:
        """The model, its average and its optimiser as a checkpoint left them."""
        model = place(build_model(self.config), self.device)
        if self.config.precision == "float64":
            model.double()
        model.load_state_dict(start.model)
        network = self._network(model)
        average = WeightAverage(model, self.config.average_decay)
        if start.average is not None:
            average.load(start.average, start.average_updates)
        optimizer = make_optimizer(model, self.config.stages[start.stage])
        if start.optimizer is not None:
            load_optimizer(optimizer, start.optimizer)
        return TrainState(model, network, average, optimizer, start.step, start.best_score)

    def _network(self, model: StackedHourglass) -> nn.Module:
        """The model as it is called, changed in place."""
        several = self.processes.count > 1
        if several and self.config.shared_batch_norm:
            sync_batch_norms(model, self.device)
        if self.config.compile:
            model.compile()
        if not several:
            return model
        ids = [self.device.index] if self.device.type == "cuda" else None
        # The statistics are shared, or else those of the first process are the ones that are saved.
        return DistributedDataParallel(model, ids, broadcast_buffers=False, gradient_as_bucket_view=True)

    def _finish(self, learner: TrainState, index: int) -> Checkpoint:
        """Save the end of a stage, for which no optimiser is needed any more."""
        end = Checkpoint(
            self.config,
            stage=index + 1,
            step=0,
            model=learner.average.state,
            best_score=learner.best_score,
            random_state=random_state(self.device),
        )
        if self.processes.first:
            # The stage's file first: killed in between, the run does its last steps again, the same ones.
            file = stage_file(self.folder.path, self.config.stages[index].name)
            save_checkpoint(file, end)
            link_name(self.folder.path / "last.pt", file)
        return end


@contextmanager
def _flags(device: torch.device, compiled: bool) -> Iterator[None]:
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
