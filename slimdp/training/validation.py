"""Scores of the averaged weights on labelled people, while training goes on."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from slimdp.config import CropSettings, TrainConfig, ValidationSettings
from slimdp.data import AnnotationError, read_annotations
from slimdp.evaluation import POINT_SCORES, EvaluationSet, PointErrors, PointMetric, Scorer, summarize
from slimdp.inference import predict_people
from slimdp.models import DensePoseModel
from slimdp.structures import PersonAnnotation
from slimdp.surface import load_surface
from slimdp.surface.load import surface_layout
from slimdp.training.distributed import DistributedContext

#: The score that the best checkpoint has most of: "localization only", which the papers report.
BEST_BY = "localization 10cm"


class Validation:
    """Predicts and scores people as `slimdp predict` and `slimdp evaluate` do, without the file between.

    Args:
        settings: how many people.
        crop: as in training.
        surface: by name.
        model: of the kind that is trained, for itself: it takes on the weights to score.
        people: with points.
        processes: each predicts its share of the people.
    """

    def __init__(
        self,
        settings: ValidationSettings,
        crop: CropSettings,
        surface: str,
        model: DensePoseModel,
        people: list[PersonAnnotation],
        processes: DistributedContext,
    ) -> None:
        self._settings, self._crop, self._processes = settings, crop, processes
        self._model, self.people = model, people
        self._surface = load_surface(surface)

    def score(self, weights: dict[str, Tensor]) -> dict[str, float]:
        """`{"localization 5cm": ..., "full 5cm": ...}`, percent, the same in all processes."""
        self._model.load_state_dict(weights)
        mine = self.people[self._processes.rank :: self._processes.count]
        scorer = Scorer(POINT_SCORES, EvaluationSet.of(mine), self._surface)
        scorer.take(predict_people(self._model, mine, self._crop, self._settings.batch))
        points = scorer.metric(PointMetric)
        # In one order in all processes; who a point belongs to does not matter here.
        each = self._processes.gather(points.errors() if mine else None)
        scores = summarize(PointErrors.joined([errors for errors in each if errors is not None]))
        return {
            f"{form} {name}": value
            for form in ("localization", "full")
            for name, value in scores[form].items()
        }


def read_validation_people(config: TrainConfig) -> list[PersonAnnotation]:
    """The people to score: with (u, v) points, at most `validation.people`, evenly spread over the files.

    Raises:
        AnnotationError: a file or picture is broken, or nobody has points, naming the files.
    """
    assert config.validation is not None
    layout = surface_layout(config.surface)
    people: list[PersonAnnotation] = []
    for source in config.validation.data:
        found = read_annotations(source.annotations, source.images, layout=layout).people
        people.extend(person for person in (p.with_uv_points() for p in found) if len(person.points))
    if not people:
        files = ", ".join(source.annotations for source in config.validation.data)
        raise AnnotationError(f"validation: nobody in {files} has points to score; choose other files")
    wanted = config.validation.people or len(people)
    chosen = np.unique(np.linspace(0, len(people) - 1, min(wanted, len(people))).round().astype(int))
    return [people[index] for index in chosen]
