"""Checkpoints and validations of a stage, when they are due."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from flow_cache.runtime.atomic import link_name
from slimdp.config import CropSettings, TrainConfig
from slimdp.data import AnnotationError, read_annotations
from slimdp.evaluation import POINT_SCORES, EvaluationSet, PointErrors, PointMetric, Scorer, summarize
from slimdp.inference import predict_people
from slimdp.models import DensePoseModel
from slimdp.structures import PersonAnnotation
from slimdp.surface import Surface, load_surface
from slimdp.surface.load import surface_layout
from slimdp.training.checkpoint import Checkpoint, build_model, save_checkpoint
from slimdp.training.distributed import DistributedContext, to_device
from slimdp.training.monitor import Monitor
from slimdp.training.optimisation import WeightAverage


@dataclass
class TrainState:
    """What changes while a stage runs."""

    model: DensePoseModel
    network: nn.Module  # the model as it is called: in DistributedDataParallel if there are several processes
    average: WeightAverage
    optimizer: torch.optim.Optimizer
    step: int = 0  # steps of the stage that are done
    best_score: float | None = None  # of the validations so far, percent
    pretrained: str | None = None  # what of others the run began with


@dataclass(frozen=True)
class CheckpointWriter:
    """Keeps `last.pt` and the last K checkpoints, validates, and keeps the best weights in `best.pt`.

    All processes validate together; the first one writes.
    """

    config: TrainConfig
    stage: int  # number in the settings
    validation: Validation | None
    monitor: Monitor
    device: torch.device

    def due(self, step: int) -> bool:
        """Whether there is something to do after `step` steps of the stage."""
        return self._checkpoint_due(step) or self._validation_due(step)

    def write(self, state: TrainState) -> None:
        """Do what is due."""
        if self._validation_due(state.step):
            self._validate(state)
        if self._checkpoint_due(state.step) and self.monitor.processes.first:
            self._save(state)
        self.monitor.pause()

    def _checkpoint_due(self, step: int) -> bool:
        # The end of a stage is saved in another form, by `train`.
        return step % self.config.checkpoint_every == 0 and step < self.config.stages[self.stage].steps

    def _validation_due(self, step: int) -> bool:
        if self.config.validation is None:
            return False
        number, last = steps_before(self.config, self.stage) + step, self.config.stages[self.stage].steps
        return number % self.config.validation.every == 0 or step == last

    def _validate(self, state: TrainState) -> None:
        assert self.validation is not None
        scores = self.validation.score(state.average.state)
        self.monitor.show_scores(state.step, scores, len(self.validation.people))
        if state.best_score is None or scores[BEST_BY] > state.best_score:
            state.best_score = scores[BEST_BY]
            if self.monitor.processes.first:
                best = Checkpoint(
                    self.config, self.stage, state.step, state.average.state, best_score=state.best_score,
                    pretrained=state.pretrained,
                )  # fmt: skip
                save_checkpoint(self.monitor.folder.path / "best.pt", best)

    def _save(self, state: TrainState) -> None:
        number = steps_before(self.config, self.stage) + state.step
        file = self.monitor.folder.path / "checkpoints" / f"step_{number:08d}.pt"
        snapshot = Checkpoint(
            self.config, self.stage, state.step, model=state.model.state_dict(),
            average=state.average.state, average_updates=state.average.updates,
            optimizer=state.optimizer.state_dict(), best_score=state.best_score,
            random_state=random_state(self.device), pretrained=state.pretrained,
        )  # fmt: skip
        save_checkpoint(file, snapshot)
        link_name(self.monitor.folder.path / "last.pt", file)
        for old in sorted(file.parent.glob("step_*.pt"))[: -self.config.keep]:
            old.unlink()


def steps_before(config: TrainConfig, stage: int) -> int:
    """Steps of the stages before one."""
    return sum(before.steps for before in config.stages[:stage])


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Where torch's generators are, to go on there."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, torch.Tensor] | None, seed: int, device: torch.device) -> None:
    """Go on where torch's generators were, or begin as a seed makes them."""
    torch.manual_seed(seed)
    if state is not None:
        torch.set_rng_state(state["cpu"])
        if device.type == "cuda" and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], device)


#: The score that the best checkpoint has most of: "localization only", which the papers report.
BEST_BY = "localization 10cm"


@dataclass(frozen=True)
class Validation:
    """Predicts and scores people as `slimdp predict` and `slimdp evaluate` do, without the file between."""

    batch: int  # crops that go through the network together
    crop: CropSettings
    surface: Surface
    model: DensePoseModel  # of the kind that is trained, for itself: it takes on the weights to score
    people: list[PersonAnnotation]  # with points
    processes: DistributedContext  # each predicts its share of the people

    def score(self, weights: dict[str, Tensor]) -> dict[str, float]:
        """`{"localization 5cm": ..., "full 5cm": ...}`, percent, the same in all processes."""
        self.model.load_state_dict(weights)
        mine = self.people[self.processes.rank :: self.processes.count]
        scorer = Scorer(POINT_SCORES, EvaluationSet.of(mine), self.surface)
        scorer.take(predict_people(self.model, mine, self.crop, self.batch))
        points = scorer.metric(PointMetric)
        # In one order in all processes; who a point belongs to does not matter here.
        each = self.processes.gather(points.errors() if mine else None)
        scores = summarize(PointErrors.joined([errors for errors in each if errors is not None]))
        forms = ("localization", "full")
        return {f"{form} {name}": value for form in forms for name, value in scores[form].items()}


def read_validation(
    config: TrainConfig, processes: DistributedContext, device: torch.device
) -> Validation | None:
    """What `validation` of the settings asks for; None: nothing.

    The people have (u, v) points; at most `validation.people` of them, evenly spread over the files, are
    taken. Raises AnnotationError where a file or picture is broken, or nobody has points, naming the files.
    """
    if config.validation is None:
        return None
    layout = surface_layout(config.surface)
    people: list[PersonAnnotation] = []
    for source in config.validation.data:
        found = read_annotations(source.annotations, source.images, layout=layout).people
        people.extend(person for person in (p.with_uv_points() for p in found) if len(person.points))
    if not people:
        files = ", ".join(source.annotations for source in config.validation.data)
        raise AnnotationError(f"validation: nobody in {files} has points to score; choose other files")
    wanted = min(config.validation.people or len(people), len(people))
    chosen = np.unique(np.linspace(0, len(people) - 1, wanted).round().astype(int))
    model, surface = to_device(build_model(config), device), load_surface(config.surface)
    scored = [people[index] for index in chosen]
    return Validation(config.validation.batch, config.crop, surface, model, scored, processes)
