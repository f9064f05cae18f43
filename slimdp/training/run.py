"""A training run from settings to checkpoints: check everything, then one stage after another."""

from __future__ import annotations

import ctypes
import inspect
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from flow_cache.runtime.atomic import link_name
from flow_cache.runtime.workers import WorkerPool
from slimdp.config import ConfigError, ModelSettings, TrainConfig
from slimdp.inference.weights import find_weights, shipped_names
from slimdp.models import DensePoseModel
from slimdp.registry import import_modules
from slimdp.surface import load_surface
from slimdp.surface.layout import Surface
from slimdp.surface.load import surface_layout
from slimdp.training.checkpoint import (
    Checkpoint,
    CheckpointError,
    UnfitWeightsError,
    build_model,
    check_same_settings,
    current_versions,
    load_checkpoint,
    load_optimizer,
    load_weights,
    save_checkpoint,
)
from slimdp.training.checkpoint_writer import (
    CheckpointWriter,
    TrainState,
    Validation,
    random_state,
    read_validation,
    set_random_state,
    steps_before,
)
from slimdp.training.distributed import DistributedContext, init_distributed, sync_batch_norms, to_device
from slimdp.training.loop import NonFiniteGuard, micro_batches, train_stage
from slimdp.training.monitor import Monitor
from slimdp.training.optimisation import WeightAverage, between, freeze_backbone, make_optimizer
from slimdp.training.run_folder import RunFolder
from slimdp.training.stage_data import StageData, read_stages
from slimdp.training.teaching import check_teachers, taught_labels, teach_stage

#: What keeps processes from copying the first one's statistics at each step; torch 2.13 gave it another name.
_BUFFERS = "forward_sync_buffers"
if _BUFFERS not in inspect.signature(DistributedDataParallel).parameters:
    _BUFFERS = "broadcast_buffers"


def train(
    config: TrainConfig,
    out: Path,
    resume: bool = False,
    initial: Path | None = None,
    device: str = "auto",
    bar: bool = True,
) -> Path:
    """Train a network, in this process or in those that `torchrun` started; returns its last checkpoint.

    Args:
        config: paths in it are relative to the working directory.
        out: the run's folder (`slimdp.training.run_folder`); made where it is missing.
        resume: go on from `last.pt`, on a CPU bit for bit as if the run had never stopped, or begin.
        initial: another run's `stage_<name>.pt`, to begin with its weights. If this run has a stage of that
            name, it and those before it must have the same settings there, and count as done; one stage at
            least must be left to train.
        device: "cpu", "cuda", "cuda:1", ..., or "auto": a GPU if there is one.
        bar: show a progress bar in a terminal; otherwise plain lines.

    Raises:
        ConfigError: the settings are not those of the run to go on with, or name files that are not there.
        AnnotationError: an annotation file or one of its pictures is broken, or has no labels.
        CheckpointError: `initial` or `last.pt` cannot be used, `out` holds a run already or is in use,
            or a disk is full.
        NoLabelsError, NonFiniteLossError: nothing can be learned of a batch, or training went astray.
    """
    with init_distributed(device) as (processes, here):
        run = _Run(config, here, processes, RunFolder(Path(out), processes.first), bar)
        with run.folder.held():
            run.all_stages(resume, initial)
    return stage_file(out, config.stages[-1].name)


def stage_file(out: Path, stage: str) -> Path:
    """Where a run keeps the result of a stage."""
    return Path(out) / f"stage_{stage}.pt"


def use_bf16(precision: str, device: torch.device) -> bool:
    """Whether the network runs in bfloat16; raises ConfigError where it is asked for and not to be had.

    Never by itself on a CPU, where it is many times slower than float32.
    """
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bf16" and device.type == "cuda" and not able:
        name = torch.cuda.get_device_name(device)
        raise ConfigError(f"precision = 'bf16', but {name} has none; choose auto")
    return precision == "bf16" or (precision == "auto" and able)


@dataclass(frozen=True)
class _Run:
    """What stays the same through all stages."""

    config: TrainConfig
    device: torch.device
    processes: DistributedContext
    folder: RunFolder
    bar: bool

    def all_stages(self, resume: bool, initial: Path | None) -> None:
        """Train from where the run begins; arguments as for `train`."""
        config = self.config
        bf16 = use_bf16(config.precision, self.device)  # before any work: it may not be to be had
        start = _beginning(config, self.folder, resume, initial)
        check_teachers(config, self.folder.log)
        stages = read_stages(config, self.processes, taught=partial(taught_labels, self.folder.path))
        validation = read_validation(config, self.processes, self.device)
        self.processes.wait()  # nobody writes into the folder before all have looked at it
        self.folder.begin(config, self.device, self.processes)
        with training_flags(self.device, config.compile):
            for index in range(start.stage, len(stages)):
                start = self.stage(start, index, stages[index], validation, bf16)

    def stage(
        self, start: Checkpoint, index: int, data: StageData, validation: Validation | None, bf16: bool
    ) -> Checkpoint:
        """Train a stage to its end and save what came out of it."""
        config, stage = self.config, self.config.stages[index]
        began = self._began(start, index) if stage.initial_share else None
        set_random_state(start.random_state, config.seed, self.device)
        teach_stage(config, index, data, self.folder.path, self.device, self.processes)
        terms, guard = config.loss_of(stage), NonFiniteGuard(stage, data.batch_people)
        state = self._train_state(start)
        with Monitor(
            self.folder, stage.name, stage.steps, state.step, steps_before(config, index), config.log_every,
            config.images_every, self._drawn_surface(), self.bar, self.processes,
        ) as monitor:  # fmt: skip
            loader = data.batches(state.step, config.workers, self.processes, self.device.type == "cuda")
            writer = CheckpointWriter(config, index, validation, monitor, self.device)
            parts = micro_batches(loader, stage.accumulate, self.device, terms, state.model)
            train_stage(state, stage, terms, parts, self.processes, bf16, guard, monitor, writer)
        return self._finish(state, index, began)

    def _began(self, start: Checkpoint, index: int) -> dict[str, Tensor]:
        """The weights that a stage began with, which are kept until it has ended."""
        file = self.folder.path / f"began_{self.config.stages[index].name}.pt"
        if start.step == 0:
            if self.processes.first:
                save_checkpoint(file, replace(start, config=self.config, optimizer=None, random_state=None))
            return start.model
        began = load_checkpoint(file)
        load_weights(build_model(self.config), began.model, file)
        return began.model

    def _drawn_surface(self) -> Surface | None:
        """What errors are measured on; None where it cannot measure, which training itself does not need."""
        if not self.processes.first:
            return None
        try:
            return load_surface(self.config.surface)
        except ValueError as error:
            self.folder.log(f"pictures without errors: {error}")
            return None

    def _train_state(self, start: Checkpoint) -> TrainState:
        """The model, its average and its optimiser as a checkpoint left them."""
        stage = self.config.stages[start.stage]
        model = to_device(build_model(self.config), self.device)
        if self.config.precision == "float64":
            model.double()
        model.load_state_dict(start.model)
        freeze_backbone(model, stage)
        network = self._network(model)
        average = WeightAverage(model, self.config.ema_decay)
        if start.average is not None:
            average.load(start.average, start.average_updates)
        optimizer = make_optimizer(model, stage)
        if start.optimizer is not None:
            load_optimizer(optimizer, start.optimizer)
        return TrainState(model, network, average, optimizer, start.step, start.best_score, start.pretrained)

    def _network(self, model: DensePoseModel) -> nn.Module:
        """The model as it is called, changed in place."""
        several = self.processes.count > 1
        if several and self.config.sync_batchnorm:
            sync_batch_norms(model, self.device)
        if self.config.compile:
            model.compile()
        if not several:
            return model
        ids = [self.device.index] if self.device.type == "cuda" else None
        # The statistics are shared, or else those of the first process are the ones that are saved.
        alone: dict[str, Any] = {_BUFFERS: False}
        return DistributedDataParallel(model, ids, gradient_as_bucket_view=True, **alone)

    def _finish(self, state: TrainState, index: int, began: dict[str, Tensor] | None) -> Checkpoint:
        """Save the end of a stage, for which no optimiser is needed any more."""
        weights, share = state.average.state, self.config.stages[index].initial_share
        end = Checkpoint(
            self.config, stage=index + 1, step=0, best_score=state.best_score,
            model=weights if began is None else between(weights, began, share),
            random_state=random_state(self.device), pretrained=state.pretrained,
        )  # fmt: skip
        if self.processes.first:
            # The stage's file first: killed in between, the run does its last steps again, the same ones.
            file = stage_file(self.folder.path, self.config.stages[index].name)
            save_checkpoint(file, end)
            link_name(self.folder.path / "last.pt", file)
            (self.folder.path / f"began_{self.config.stages[index].name}.pt").unlink(missing_ok=True)
        return end


def _beginning(config: TrainConfig, folder: RunFolder, resume: bool, initial: Path | None) -> Checkpoint:
    """Where a run begins; arguments, ConfigError and CheckpointError as of `train`."""
    out, last = folder.path, folder.path / "last.pt"
    if not resume and (last.exists() or any(out.glob("stage_*.pt"))):
        raise CheckpointError(f"{out} already holds a run; go on with it (resume), or choose another folder")
    if last.exists():
        return _resumed(config, folder, last)
    if initial is not None:
        return _start_from(config, folder, Path(initial))
    return _first(config, folder)


def _first(config: TrainConfig, folder: RunFolder) -> Checkpoint:
    """Weights of the seed, and those of others that the settings name."""
    if share := config.stages[0].initial_share:
        place = f"stages.0.initial_share = {share:g}"
        raise ConfigError(f"{place}, but the stage begins with weights of the seed; give it some (--initial)")
    model = build_model(config)
    try:
        pretrained = config.model.load_pretrained(model)
    except ConfigError as error:
        raise ConfigError(f"model.{error}") from error
    if pretrained is not None:
        folder.log(f"beginning with weights of others: {pretrained}")
    return Checkpoint(config, stage=0, step=0, model=model.state_dict(), pretrained=pretrained)


def _resumed(config: TrainConfig, folder: RunFolder, last: Path) -> Checkpoint:
    try:
        checkpoint = load_checkpoint(last)
    except CheckpointError as error:
        others = sorted(str(path) for path in (folder.path / "checkpoints").glob("step_*.pt"))
        hint = f"; others to copy over it: {', '.join(others)}" if others else ""
        raise CheckpointError(f"{error}{hint}") from error
    check_same_settings(last, checkpoint.config, config)
    _check_fits(last, checkpoint, config)
    folder.log(f"going on from {last}")
    changed = [
        f"{name} {then} then, {now} now"
        for name, now in current_versions().items()
        if (then := checkpoint.versions.get(name, now)) != now
    ]
    if changed:
        folder.log(f"other versions, so the last bits may differ: {', '.join(changed)}")
    if checkpoint.config.validation != config.validation:  # a score of other people
        checkpoint = replace(checkpoint, best_score=None)
    return replace(checkpoint, config=config)


def _start_from(config: TrainConfig, folder: RunFolder, initial: Path) -> Checkpoint:
    checkpoint = load_checkpoint(initial)
    if checkpoint.stage == 0 or checkpoint.step > 0:
        raise CheckpointError(f"{initial} is not the end of a stage; begin with a stage_<name>.pt")
    try:
        _check_fits(initial, checkpoint, config)
    except UnfitWeightsError:  # which names weights; settings say more
        if not (other := _other_network(checkpoint.config.model, config.model)):
            raise
        ours = [name for name in shipped_names() if _can_begin_with(name, config)]
        such = f", such as {' or '.join(ours)} of those that come with slimdp" if ours else ""
        remedies = f"set these keys as there, or begin with other weights{such}"
        raise UnfitWeightsError(f"{initial} has another network: {'; '.join(other)}; {remedies}") from None
    done = checkpoint.config.stages[: checkpoint.stage]
    names, count = [stage.name for stage in config.stages], 0
    if done[-1].name in names:
        count = names.index(done[-1].name) + 1
        there = checkpoint.config.replace(stages=done)
        check_same_settings(initial, there, config.replace(stages=config.stages[:count]))
    if count == len(names):  # the run would end at once, and with no checkpoint of its own
        found = f"stages.{count - 1}.name = {names[-1]!r}, but every stage counts as done by {initial}"
        raise ConfigError(f"{found}; rename the stage to train further, or add one")
    folder.log(f"beginning with the weights of {initial}; stages done: {', '.join(names[:count]) or 'none'}")
    return Checkpoint(config, stage=count, step=0, model=checkpoint.model, pretrained=checkpoint.pretrained)


def _other_network(there: ModelSettings, here: ModelSettings) -> list[str]:
    """What the settings of a checkpoint's network have otherwise than those here, a line a key."""
    of_there, of_here = there.plain(), here.plain()
    told = []
    for key, value in of_there.items():
        # What a backbone began with is not asked for here, and makes no other network.
        if key == "weights" or of_here.get(key) == value:
            continue
        now = f" and {of_here[key]} here" if key in of_here else ""  # the other kind may not have the key
        told.append(f"model.{key} is {value} there{now}")
    return told


def _can_begin_with(name: str, config: TrainConfig) -> bool:
    """Whether weights that come with slimdp fit the network of settings."""
    with suppress(ValueError):
        path = find_weights(name)
        _check_fits(path, load_checkpoint(path), config)
        return True
    return False


def _check_fits(path: Path, checkpoint: Checkpoint, config: TrainConfig) -> None:
    """Refuse weights of another network, and those that tell other parts apart than the surface has."""
    assert checkpoint.layout is not None
    layout, place = surface_layout(config.surface), f"surface = {config.surface!r}"
    try:
        layout.check_same_labels(checkpoint.layout, place, str(path))
    except ValueError as error:
        raise CheckpointError(str(error)) from None
    load_weights(build_model(config), checkpoint.model, path)


class TrainRun(NamedTuple):
    """What `train` is told of one of several runs at once."""

    config: TrainConfig
    out: Path
    initial: Path | None = None


def train_side_by_side(runs: Sequence[TrainRun], processes: int | None = None) -> list[Path]:
    """Train runs in processes of one thread each, and tell of their progress in plain lines.

    Small networks use a core best alone, and a run of one thread comes out the same on any number of cores.
    The runs have stages of different names, which the lines begin with; at most `processes` of them (None:
    one a core) train at once. Returns the checkpoint of each run's last stage.

    Raises:
        ValueError: no runs, or fewer than one process.
        ChildProcessError: a run's process was killed, as by a lack of memory.
        what `train` raises in the first run that fails. In every case the other runs are ended then.
    """
    processes = (os.cpu_count() or 1) if processes is None else processes
    if not runs or processes < 1:
        raise ValueError(f"{len(runs)} runs in {processes} processes; wanted 1 or more of both")
    with WorkerPool(_train_run, min(processes, len(runs)), queued=0) as pool:
        return list(pool.map(runs))


def _train_run(run: TrainRun) -> Path:
    import_modules(run.config.imports)  # a process of its own has imported nothing
    return train(run.config, run.out, initial=run.initial, bar=False)


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
    # M_MMAP_THRESHOLD, at its largest: pieces above it are mapped singly; M_TRIM_THRESHOLD: what is free at
    # the end above it goes back.
    return all([mallopt(-3, 32 * 2**20), mallopt(-1, 2**31 - 1)])


@contextmanager
def training_flags(device: torch.device, compiled: bool) -> Iterator[None]:
    """What torch is told while a run trains; its random generators come back as they were.

    On a CPU the gradient at points gets one order of summing: otherwise two threads add to the same map pixel
    in any order, and of 200 gradients at 3,000 points 198 differed in their last bits. Deterministic also
    means to torch that new memory is filled before it is written, which nothing here reads and which took 5
    to 8 % of a step. On a GPU cuDNN may try which convolutions are fastest: all batches have one size.
    """
    memory: Any = torch.utils.deterministic
    before = torch.get_deterministic_debug_mode(), memory.fill_uninitialized_memory
    benchmark = torch.backends.cudnn.benchmark
    if device.type == "cpu":
        keep_freed_memory()
        _set_deterministic(2, compiled)  # what has no deterministic form raises
    memory.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = benchmark or device.type == "cuda"
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        _set_deterministic(before[0], compiled)
        memory.fill_uninitialized_memory = before[1]
        torch.backends.cudnn.benchmark = benchmark


def _set_deterministic(mode: int, compiled: bool) -> None:
    """Set torch's deterministic mode: one of those that `torch.get_deterministic_debug_mode` gives.

    `torch.use_deterministic_algorithms` sets the same flag, and tells torch's compiler, which it imports for
    that: 2 s of computing time before the first step of a run that compiles nothing.
    """
    if compiled:
        torch.use_deterministic_algorithms(mode != 0)
    torch.set_deterministic_debug_mode(mode)
