"""From nothing to a measured model: render people, propagate their labels along the flow, train, score.

OUT/data/                 rendered stills and clips with their labels (slimdp.synthetic.dataset)
OUT/flow.h5               optical flow of the training clips (flow_cache, DIS)
OUT/clips_train_propagated.json
OUT/train_stills/         stage I, shared by both variants
OUT/train_without_propagation/, OUT/train_with_propagation/   stage II, side by side
OUT/predictions_*.h5, OUT/scores_*.json, OUT/scores.json, OUT/predictions.png
OUT/quickstart.log        what was done when, and for how long
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flow_cache import STEPS, FlowStore, precompute
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
from slimdp.motion import propagate
from slimdp.report import prediction_panel, save_png, score_table
from slimdp.shipped import shipped_folder
from slimdp.surface import load_surface
from slimdp.synthetic.dataset import synthesize_preset
from slimdp.training import TrainRun, load_model, train_side_by_side

LABELLED, PROPAGATED = "data/clips_train.json", "clips_train_propagated.json"
#: The variants of stage II and the annotation files, in the quickstart's folder, that each one sees. Half of
#: the samples come from each, much as the paper adds the loss of a propagated frame to the labelled one's
#: (3.2.2); the second file holds the labelled frames too, so that they make up 4 of 7 samples.
VARIANTS = {"without_propagation": (LABELLED,), "with_propagation": (LABELLED, PROPAGATED)}
#: Preset -> the size of the rendered set and the settings of its training.
SETTINGS = {"tiny": "quickstart.yaml", "smoke": "smoke.yaml"}
PEOPLE_SHOWN = 8
LOG = "quickstart.log"
_STAGES = 6 + len(VARIANTS)  # body to train_clips, and an evaluation of each variant


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
    """Run everything, print one table, and write `scores.json`, `predictions.png` and what was said.

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
        surface = load_surface("open")
    with clock.stage("render"):
        synthesize_preset(out / "data", preset, seed)
    with clock.stage("flow"):
        clips = sorted((out / "data" / "images" / "clips").glob("train_*"))
        precompute(clips, out / "flow.h5", STEPS)
    with clock.stage("propagate"):
        labelled = read_annotations(out / "data" / "clips_train.json", out / "data", read_masks=True)
        with FlowStore(out / "flow.h5") as store:
            propagated, summary = propagate(labelled, store, STEPS, crop=config.crop)
        write_annotations(out / PROPAGATED, propagated.images, propagated.people)
        print(summary.table())
    with clock.stage("train_stills"):
        first = config.replace(stages=config.stages[:1])
        (start,) = train_side_by_side([TrainRun(first, out / "train_stills")])
    with clock.stage("train_clips"):
        checkpoints = train_side_by_side([_second_stage(config, out, variant, start) for variant in VARIANTS])
    scores = {}
    for variant, checkpoint in zip(VARIANTS, checkpoints, strict=True):
        with clock.stage(f"evaluate_{variant}"):
            scores[variant] = evaluate_checkpoint(checkpoint, out / "data", out / f"predictions_{variant}.h5")
            write_scores(out / f"scores_{variant}.json", {"points": scores[variant]})
    _write_results(out, scores, clock.seconds)
    with_labels = read_annotations(out / "data" / "clips_val.json", out / "data").people
    with PredictionFile(out / "predictions_with_propagation.h5") as best:
        save_png(out / "predictions.png", prediction_panel(with_labels, best, surface, PEOPLE_SHOWN))
    print(_table(scores))
    print(f"\n{out / 'scores.json'}, {out / 'predictions.png'}; curves: tensorboard --logdir {out}")
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


def _second_stage(config: TrainConfig, out: Path, variant: str, start: Path) -> TrainRun:
    """Stage II of a variant: the same but for the labels, from the same weights, for the same steps."""
    labels = tuple(
        DataSource(annotations=str(out / name), images=str(out / "data")) for name in VARIANTS[variant]
    )
    stage = config.stages[1].replace(name=variant, data=labels)
    return TrainRun(config.replace(stages=(config.stages[0], stage)), out / f"train_{variant}", start)


def evaluate_checkpoint(checkpoint: Path, data: Path, predictions: Path) -> PointScores:
    """Predict the labelled people of a set's validation clips to a file, then score the file."""
    annotations = data / "clips_val.json"
    people = read_annotations(annotations, data).people
    model, config = load_model(checkpoint)
    predict_to_file(model, people, config.crop, predictions, describe_origin(checkpoint, annotations))
    scorer = Scorer(POINT_SCORES, EvaluationSet.of(people), load_surface(config.surface))
    with PredictionFile(predictions) as saved:
        scorer.take(saved)
    return summarize(scorer.metric(PointMetric).errors())


def _write_results(out: Path, scores: dict[str, PointScores], seconds: dict[str, float]) -> None:
    """scores.json: "localization only", as the paper reports it after its table 2; the rest is beside it."""
    rows = {variant: table_row(score["localization"]) for variant, score in scores.items()}
    write_json(out / "scores.json", {**rows, "seconds": seconds}, 2)


def _table(scores: dict[str, PointScores]) -> str:
    rows = {}
    for variant, score in scores.items():
        name = variant.replace("_", " ")
        rows[f"{name}, localization only"] = [score["localization"]]
        rows[f"{name}, full"] = [score["full"]]
    return "Points within a distance along the body, %:\n" + score_table(rows)
