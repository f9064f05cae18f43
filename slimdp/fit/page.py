"""The page of a run of `slimdp fit`: its videos, labels, training, people and commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from flow_cache.images import decode_image
from slimdp.data import AnnotationSet, read_annotations
from slimdp.evaluation import (
    POINT_SCORES,
    EvaluationSet,
    PointMetric,
    PredictionFile,
    Scorer,
    summarize,
    table_row,
)
from slimdp.fit.plan import FitPlan
from slimdp.report import draw_points, prediction_panel
from slimdp.report.drawing import contact_sheet, evenly_spread
from slimdp.report.plots import Curve, training_plot
from slimdp.report.run_page import Film, Picture, Section, Table, write_run_page
from slimdp.surface import load_surface
from slimdp.training.checkpoint import load_checkpoint
from slimdp.training.run_folder import read_metrics

PEOPLE_SHOWN = 8
_CELL_PX = 360  # the longer side of a labelled frame on the page
_FILMS = (".mp4",)


def write_fit_page(plan: FitPlan) -> Path:
    """Write RUN/report.html of a run that is done; returns its path."""
    names = ", ".join(video.name for video in plan.videos)
    return write_run_page(plan.out / "report.html", f"Dense pose of {names}", list(_sections(plan)))


def _sections(plan: FitPlan) -> Iterator[Section]:
    labelled = read_annotations(plan.labelled, plan.data)
    films = [
        Film(file, f"{video.name}: {file.name}")
        for video in plan.videos
        for file in sorted(plan.video_folder(video).rglob("*"))
        if file.suffix in _FILMS
    ]
    folders = [f"{video.name}: {plan.video_folder(video)}" for video in plan.videos]
    yield Section("The videos", folders, films=films)
    yield _labels_section(plan, labelled)
    config = load_checkpoint(plan.trained).config
    begins = "scratch." if plan.weights is None else f"{plan.weights}."
    told = [f"{config.stages[0].steps} steps, crops of {config.crop.size} px, from {begins}"]
    if plan.settings.self_train:
        more = load_checkpoint(plan.checkpoint).config.stages[0].steps
        told.append(f"{more} more, with what it was sure of in the frames without labels.")
    curves = map(_training_picture, (plan.trained, plan.checkpoint) if len(told) > 1 else (plan.trained,))
    yield Section("Training", told, pictures=[curve for curve in curves if curve is not None])
    yield _people_section(plan, labelled)
    yield Section("Commands", commands=[step.line for step in plan.steps()])


def _labels_section(plan: FitPlan, labelled: AnnotationSet) -> Section:
    rows = [["labelled", *_counts(labelled)]]
    if plan.carries:
        rows.append(
            ["with those that the flow carried", *_counts(read_annotations(plan.propagated, plan.data))]
        )
    cells = []
    by_image = labelled.people_by_image()
    for image in evenly_spread([each for each in labelled.images if each.id in by_image], PEOPLE_SHOWN):
        pixels = decode_image(image.file, image.file.read_bytes())
        scale = min(1.0, _CELL_PX / max(pixels.shape[:2]))
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for person in by_image[image.id]:
            # Pixel centres at integers: the centre of a shrunk pixel moves by half of what it lost.
            small = draw_points(small, (person.points + 0.5) * scale - 0.5, person.part, radius=2)
        cells.append(small)
    sheet = contact_sheet([cells[start : start + 3] for start in range(0, len(cells), 3)])
    return Section(
        "What was learned from",
        tables=[Table(["", "frames", "people", "points"], rows)],
        pictures=[Picture(sheet, "Labelled frames with their points, by part.")],
    )


def _counts(annotations: AnnotationSet) -> list[str]:
    people = [person for person in annotations.people if person.has_labels]
    frames = {person.image.id for person in people}
    return [str(len(frames)), str(len(people)), str(sum(len(person.points) for person in people))]


def _training_picture(end: Path) -> Picture | None:
    """The loss over the steps of a training that ended so; None where it was logged less than twice."""
    rows = [row for row in read_metrics(end.parent / "metrics.jsonl") if "loss/total" in row]
    if len(rows) < 2:
        return None
    x, y = (np.array([row[key] for row in rows], dtype=np.float64) for key in ("step", "loss/total"))
    plot = training_plot(Curve(x, y, y, y), None, "loss")
    return Picture(decode_image(Path("loss.png"), plot.png), "The loss over the steps.")


def score_labelled(plan: FitPlan, file: Path, labelled: AnnotationSet) -> dict[str, float]:
    """Points of the labelled people within some distances, percent, localization only."""
    surface = load_surface(plan.surface)
    scorer = Scorer(POINT_SCORES, EvaluationSet.of(labelled.people), surface)
    with PredictionFile(file) as predictions:
        scorer.take(predictions)
    return table_row(summarize(scorer.metric(PointMetric).errors())["localization"])


def _people_section(plan: FitPlan, labelled: AnnotationSet) -> Section:
    surface = load_surface(plan.surface)
    with PredictionFile(plan.predictions) as predictions:
        panel = prediction_panel(labelled.people, predictions, surface, PEOPLE_SHOWN)
    row = score_labelled(plan, plan.predictions, labelled)
    return Section(
        "The labelled people, predicted",
        [
            "The network has learned from these: bad scores mean that it has learned too little, good ones "
            "say nothing of other frames. Points within a distance along the body, %, localization only:"
        ],
        [Table(["", *row], [["labelled people", *(f"{value:.1f}" for value in row.values())]])],
        pictures=[Picture(panel, "From left to right: crop, parts, u, the labelled points, their errors.")],
    )
