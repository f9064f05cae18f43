"""Videos with one labelled frame each, in; dense pose of all their frames, out, measured on the other frames.

OUT/data/                 rendered stills and videos
OUT/labels.json           one labelled frame of each video
OUT/flow.h5               optical flow of the videos (flow_cache, DIS)
OUT/propagated.json       the labels, and where the flow brought them
OUT/train_stills/         stage I, shared by both variants
OUT/train_without_propagation/, OUT/train_with_propagation/   stage II, side by side
OUT/predictions_*.h5, OUT/scores_*.json, OUT/scores.json      every frame, and what is right of it
OUT/video.mp4, OUT/predictions.png, OUT/report.html           to look at
OUT/quickstart.log        what was done when, and for how long
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from flow_cache import DenseInverseSearch, FlowStore, precompute
from flow_cache.runtime.atomic import write_json
from flow_cache.runtime.progress import clock_time, log_line, logged_to, shown
from flow_cache.runtime.words import did_you_mean
from slimdp.config import ConfigError, DataSource, TrainConfig, load_config
from slimdp.data import read_annotations, write_annotations
from slimdp.evaluation import (
    POINT_SCORES,
    EvaluationSet,
    PointMetric,
    PointScores,
    PredictionFile,
    Scorer,
    summarize,
    table_row,
    write_scores,
)
from slimdp.inference import describe_origin, predict_to_file
from slimdp.motion import ColourCheck, PropagationSummary, TransferSettings, propagate
from slimdp.quickstart.show import PROPAGATED, Shown, show
from slimdp.report import score_table
from slimdp.shipped import shipped_folder
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface import load_surface
from slimdp.surface.open_body import open_body
from slimdp.synthetic.dataset import EVERY_FRAME_FILE, PRESETS, synthesize_preset
from slimdp.training import TrainRun, load_model, train_side_by_side

LABELLED = "labels.json"
#: The variants of stage II and the annotation files, in the quickstart's folder, that each one sees. Half of
#: the samples come from each, much as the paper adds the loss of a propagated frame to the labelled one's
#: (3.2.2).
VARIANTS = {"without_propagation": (LABELLED,), "with_propagation": (LABELLED, PROPAGATED)}
#: Preset -> the size of the rendered set and the settings of its training.
SETTINGS = {"tiny": "quickstart.yaml", "smoke": "smoke.yaml"}
#: Labels go to every sixth frame of a video, up to so far, from frame to frame along DIS flow, which is
#: better than in longer hops (docs/propagation.md).
STRIDE, REACH = 6, 24
#: Of DIS; as `slimdp fit` has it.
FLOW_PRESET = "fine"
TRANSFER = TransferSettings(threshold_px=5.0, longest_hop=1)
#: Flow often takes a limb for the wall beside it: labels count where they show the colours they were put on.
COLOUR_LIMIT = 14.0
LOG = "quickstart.log"
_STAGES = 7 + len(VARIANTS)  # body to train_clips, an evaluation of each variant, and what is drawn


@dataclass(frozen=True)
class QuickstartResult:
    """The measurements of a quickstart."""

    scores: dict[str, PointScores]  # by variant
    seconds: dict[str, float]  # by stage


class _Clock:
    """Says what begins, and how long it took, and keeps that."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        words, begun = name.replace("_", " "), time.monotonic()
        log_line(f"== {len(self.seconds) + 1} of {_STAGES}: {words}")
        yield
        self.seconds[name] = round(time.monotonic() - begun, 1)
        log_line(f"== {words}: {self.seconds[name]:.1f} s; {clock_time(sum(self.seconds.values()))} in all")


def quickstart(out: Path, preset: str = "tiny", seed: int = 0) -> QuickstartResult:
    """Run everything, print one table, and write scores, a video, a page and what was said.

    Args:
        out: the folder to fill; it must not exist, or be empty.
        preset: "tiny" (minutes) or "smoke" (under a minute, learns nothing).
        seed: of the rendered set and of the training.

    Raises:
        ConfigError: an unknown preset, or a folder that holds something.
    """
    config = _settings(out, preset, seed)
    out.mkdir(parents=True, exist_ok=True)
    with shown(), logged_to(out / LOG):
        return _run(config, out, preset, seed)


def _run(config: TrainConfig, out: Path, preset: str, seed: int) -> QuickstartResult:
    clock = _Clock()
    with clock.stage("body"):
        open_body(processes=os.cpu_count() or 1)
    with clock.stage("render"):
        synthesize_preset(out / "data", preset, seed, exact=False)
    with clock.stage("flow"):
        clips = sorted((out / "data" / "images" / "clips").glob("train_*"))
        precompute(clips, out / "flow.h5", (-1, 1), DenseInverseSearch(FLOW_PRESET))
    with clock.stage("propagate"):
        label_one_frame_each(out, PRESETS[preset].frames // 2)
        summary = _propagate(config, out, PRESETS[preset].frames)
        print(summary.table())
    with clock.stage("train_stills"):
        first = config.replace(stages=config.stages[:1])
        (start,) = train_side_by_side([TrainRun(first, out / "train_stills")])
    with clock.stage("train_clips"):
        checkpoints = train_side_by_side([_second_stage(config, out, variant, start) for variant in VARIANTS])
    people, unlabelled = _people_of_labelled_videos(out)
    scores = {}
    for variant, checkpoint in zip(VARIANTS, checkpoints, strict=True):
        with clock.stage(f"evaluate_{variant}"):
            file = _predict(checkpoint, people, out, variant)
            scores[variant] = score_people(file, unlabelled)
            write_scores(out / f"scores_{variant}.json", {"points": scores[variant]})
    with clock.stage("draw"):
        rows = {variant: table_row(score["localization"]) for variant, score in scores.items()}
        show(Shown(out, config, summary, rows, people, unlabelled))
    write_json(out / "scores.json", {**rows, "seconds": clock.seconds}, 2)
    print(_table(scores))
    print(f"\n{out / 'report.html'}, {out / 'video.mp4'}, {out / 'scores.json'}, {out / 'predictions.png'}")
    return QuickstartResult(scores, clock.seconds)


def _settings(out: Path, preset: str, seed: int) -> TrainConfig:
    """The training settings of a preset, with this run's folder and seed."""
    if preset not in SETTINGS:
        near = did_you_mean(preset, SETTINGS)
        raise ConfigError(f"preset = {preset!r}, but one of {', '.join(SETTINGS)} is wanted{near}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not an empty folder; remove it, or choose another one with --out")
    config = load_config(shipped_folder("experiments") / SETTINGS[preset], [f"seed={seed}"])
    sources = (out / "data" / "stills_train.json", out / LABELLED)
    stages = tuple(
        stage.replace(data=(DataSource(annotations=str(source), images=str(out / "data")),))
        for stage, source in zip(config.stages, sources, strict=True)
    )
    return config.replace(stages=stages)


def label_one_frame_each(out: Path, middle: int) -> None:
    """Keep the labels of one frame of each video: nearest to the middle of those that show somebody."""
    truth = read_annotations(out / "data" / EVERY_FRAME_FILE, out / "data", read_masks=True)
    chosen: dict[str | None, ImageRecord] = {}
    for image in (person.image for person in truth.people if person.has_labels):
        best = chosen.setdefault(image.video, image)
        assert image.frame is not None
        assert best.frame is not None
        if abs(image.frame - middle) < abs(best.frame - middle):
            chosen[image.video] = image
    frames = {image.id for image in chosen.values()}
    images = {image.id: replace(image, labelled=image.id in frames) for image in truth.images}
    people = [replace(p, image=images[p.image.id]) for p in truth.people if p.image.id in frames]
    write_annotations(out / LABELLED, list(images.values()), people)


def _propagate(config: TrainConfig, out: Path, frames: int) -> PropagationSummary:
    """Move the labels as far as they come, and write them beside the labelled frames."""
    labelled = read_annotations(out / LABELLED, out / "data", read_masks=True)
    far = min(REACH, frames // 2)
    steps = [step for step in range(-far, far + 1) if step and step % min(STRIDE, far) == 0]
    with FlowStore(out / "flow.h5") as store:
        colours = ColourCheck(COLOUR_LIMIT)
        propagated, summary = propagate(labelled, store, steps, TRANSFER, config.crop, colours=colours)
    write_annotations(out / PROPAGATED, propagated.images, propagated.people)
    return summary


def _second_stage(config: TrainConfig, out: Path, variant: str, start: Path) -> TrainRun:
    """Stage II of a variant: the same but for the labels, from the same weights, for the same steps."""
    labels = tuple(
        DataSource(annotations=str(out / name), images=str(out / "data")) for name in VARIANTS[variant]
    )
    stage = config.stages[1].replace(name=variant, data=labels)
    return TrainRun(config.replace(stages=(config.stages[0], stage)), out / f"train_{variant}", start)


def _people_of_labelled_videos(out: Path) -> tuple[list[PersonAnnotation], list[PersonAnnotation]]:
    """Everybody in every frame of the videos that have a labelled one, and those in unlabelled frames."""
    labelled = [p for p in read_annotations(out / LABELLED, out / "data").people if p.has_labels]
    videos, frames = {p.image.video for p in labelled}, {p.image.id for p in labelled}
    everybody = read_annotations(out / "data" / EVERY_FRAME_FILE, out / "data").people
    people = [person for person in everybody if person.image.video in videos]
    return people, [person for person in people if person.image.id not in frames]


def _predict(checkpoint: Path, people: Sequence[PersonAnnotation], out: Path, variant: str) -> Path:
    """Predict everybody in every frame of the videos."""
    model, config = load_model(checkpoint)
    origin = describe_origin(checkpoint, out / "data" / EVERY_FRAME_FILE)
    return predict_to_file(model, people, config.crop, out / f"predictions_{variant}.h5", origin)


def score_people(predictions: Path, people: list[PersonAnnotation]) -> PointScores:
    """Score some of the people of a file."""
    truths = EvaluationSet.of(people)
    scorer = Scorer(POINT_SCORES, truths, load_surface("open"))
    with PredictionFile(predictions) as saved:
        scorer.take(each for each in saved if each.image_id in truths.by_image)
    return summarize(scorer.metric(PointMetric).errors())


def _table(scores: dict[str, PointScores]) -> str:
    rows = {}
    for variant, score in scores.items():
        name = variant.replace("_", " ")
        rows[f"{name}, localization only"] = [score["localization"]]
        rows[f"{name}, full"] = [score["full"]]
    return f"Points within a distance along the body in frames without labels, %:\n{score_table(rows)}"
