"""The command line: parse, call, print. `slimdp COMMAND --help` says what each one takes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slimdp.settings_file import ConfigError

if TYPE_CHECKING:
    from slimdp.evaluation import Evaluation, PointReport
    from slimdp.structures import PersonAnnotation
    from slimdp.surface import Surface

#: Exit codes: a fault of the input, and an interruption (as a shell counts it).
BAD_INPUT, INTERRUPTED = 2, 130
_SURFACE = "open (default), or a folder with DensePose's surface files (docs/surfaces.md)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 from a doctor who found errors, 2 for a fault of the input,
    130 when interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["flow"]:
        from flow_cache.__main__ import main as flow_main

        return flow_main(given[1:])
    options = _parser().parse_args(given)
    try:
        code: int | None = options.run(options)
    except (ValueError, OSError, FloatingPointError) as error:
        # The project's errors of input are ValueErrors, and a diverging training is a FloatingPointError; a
        # plain message is what a user needs of them.
        print(f"slimdp {options.command}: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"slimdp {options.command}: interrupted", file=sys.stderr)
        return INTERRUPTED
    return code or 0


# The commands import what they need when they run: `--help` and bad options answer at once.


def _quickstart(options: argparse.Namespace) -> None:
    from slimdp.quickstart import quickstart

    quickstart(options.out, options.preset, options.seed)


def _synthesize(options: argparse.Namespace) -> None:
    from slimdp.synthetic.dataset import synthesize_preset

    made = synthesize_preset(
        options.out,
        options.preset,
        options.seed,
        options.processes,
        options.set,
        options.backgrounds,
        options.motions,
    )
    print(made)


def _propagate(options: argparse.Namespace) -> None:
    from flow_cache import FlowStore
    from slimdp.data import read_annotations, write_annotations
    from slimdp.motion import propagate

    if options.out.exists():
        raise ConfigError(f"{options.out} exists; remove it, or choose another name with --out")
    labelled = read_annotations(options.annotations, options.images, read_masks=True)
    steps = [step for step in range(-options.reach, options.reach + 1) if step]
    with FlowStore(options.flow) as store:
        carried, summary = propagate(labelled, store, steps, options.threshold_px)
    write_annotations(options.out, carried.images, carried.people)
    print(summary.table())
    print(options.out)


def _train(options: argparse.Namespace) -> None:
    from slimdp.config import load_config
    from slimdp.training import train

    config = load_config(options.config, options.set)
    result = train(config, options.out, options.resume, options.initial, options.device)
    if os.environ.get("RANK", "0") == "0":  # of the processes that torchrun started, the first
        print(result)


def _predict(options: argparse.Namespace) -> None:
    from slimdp.data import read_annotations
    from slimdp.inference import describe_origin, predict_to_file
    from slimdp.surface import load_symmetry
    from slimdp.training import load_model

    people = read_annotations(options.annotations, options.images).people
    model, config = load_model(options.checkpoint)
    symmetry = load_symmetry(options.surface or config.surface) if options.flip_test else None
    origin = describe_origin(options.checkpoint, options.annotations)
    print(predict_to_file(model, people, config.crop, options.out, origin, flip_symmetry=symmetry))


def _evaluate(options: argparse.Namespace) -> None:
    from slimdp.evaluation import evaluate_files, read_annotators, write_scores
    from slimdp.report import instance_table
    from slimdp.surface import load_surface

    annotators = None if options.annotators is None else read_annotators(options.annotators)
    surface = load_surface(options.surface)
    evaluation = evaluate_files(
        options.predictions,
        options.annotations,
        surface,
        options.kappa,
        options.missing,
        options.thresholds,
        options.seed,
    )
    if evaluation.points is None:
        print("No scores of points: DensePose results do not say which annotated person they mean.\n")
        if options.curve:
            raise ConfigError("--curve needs scores of points, so a predictions.h5")
    else:
        _print_points(evaluation.points, annotators)
    print(f"People found, %, kappa {options.kappa}:")
    print(instance_table(evaluation.instances))
    if options.out is not None:
        write_scores(options.out, evaluation.in_percent())
        print(options.out)
    for path in options.curve:
        _write_curve(path, evaluation, options.seed)


def _print_points(points: PointReport, annotators: dict[str, float] | None) -> None:
    from slimdp.report import interval_table

    everything = {"full": (points.all, "full"), "localization only": (points.all, "localization")}
    more = {} if annotators is None else {"Annotators": annotators}
    print(f"Points within a distance along the body, %; in brackets 95 % of resampled {points.drawn}:")
    print(interval_table(everything, more) + "\n")
    for title, members in (("people by size", points.sizes), ("parts", points.parts)):
        print(f"Localization only, {title}:")
        print(interval_table({name: (scores, "localization") for name, scores in members.items()}) + "\n")


def _write_curve(path: Path, evaluation: Evaluation, seed: int) -> None:
    from slimdp.evaluation import point_curves
    from slimdp.report import curve_picture, save_png, write_curves

    assert evaluation.errors is not None
    assert evaluation.groups is not None
    curves = point_curves(evaluation.errors, evaluation.groups, seed=seed)
    if path.suffix == ".csv":
        write_curves(path, curves)
    else:
        save_png(path, curve_picture(curves))
    print(path)


def _annotators(options: argparse.Namespace) -> None:
    from slimdp.data import read_annotations
    from slimdp.evaluation import (
        annotator_errors,
        annotators_in_percent,
        mean_error_map,
        pair_with_annotations,
        pair_with_maps,
        report_annotators,
        write_scores,
    )
    from slimdp.report import error_picture, interval_table, save_png
    from slimdp.surface import BodySurface, load_surface

    surface = load_surface(options.surface)
    people = read_annotations(options.annotations, "", check_images=False).people
    if options.simulate is not None:
        points = pair_with_annotations(_simulated(people, surface, options), people)
    elif options.truth.is_dir():
        points = pair_with_maps(people, options.truth)
    else:
        truth = read_annotations(options.truth, "", check_images=False).people
        points = pair_with_annotations(people, truth, options.tolerance_px)
    errors = annotator_errors(points, surface)
    report = report_annotators(errors, people, options.thresholds, options.seed)
    print(f"Points within a distance along the body, %; in brackets 95 % of resampled {report.drawn}:")
    everything = {"Annotators": (report.all, "full")}
    print(interval_table(everything | {name: (of_part, "full") for name, of_part in report.parts.items()}))
    if points.unmatched or (points.true_part == 0).any():
        print(
            f"{points.unmatched} points without a truth, not counted; {(points.true_part == 0).sum()} where "
            "the truth shows nobody, counted as wrong"
        )
    if options.out is not None:
        write_scores(options.out, annotators_in_percent(report))
        print(options.out)
    if options.picture is not None:
        if not isinstance(surface, BodySurface):
            raise ConfigError(
                "--picture needs the open body: DensePose's files say nothing of places in space"
            )
        there = points.true_part > 0
        error_m = mean_error_map(
            surface, points.true_part[there], points.true_uv[there], errors.full_m[there]
        )
        save_png(options.picture, error_picture(surface, error_m))
        print(options.picture)


def _simulated(
    people: Sequence[PersonAnnotation], surface: Surface, options: argparse.Namespace
) -> list[PersonAnnotation]:
    import numpy as np

    from slimdp.surface import BodySurface
    from slimdp.synthetic.simulated import as_annotators_would

    if not isinstance(surface, BodySurface):
        raise ConfigError("--simulate needs the open body")
    return as_annotators_would(people, surface, options.simulate, np.random.default_rng(options.seed))


def _stability(options: argparse.Namespace) -> None:
    from flow_cache import FlowStore
    from slimdp.data import read_annotations
    from slimdp.evaluation import PredictionFile, StabilityCount, measure_stability, write_scores
    from slimdp.report import stability_table
    from slimdp.surface import load_surface

    annotations = read_annotations(options.annotations, options.images or "", check_images=False)
    surface = load_surface(options.surface)
    with FlowStore(options.flow) as store, PredictionFile(options.predictions) as predictions:
        counts = measure_stability(
            predictions,
            annotations,
            store,
            surface,
            options.jump_cm / 100,
            options.step,
            options.threshold_px,
        )
    counts["all"] = sum(counts.values(), StabilityCount())
    print(f"Pixels that jump more than {options.jump_cm:g} cm along the body against the flow, %:")
    print(stability_table(counts))
    if options.out is not None:
        write_scores(options.out, {video: count.in_percent() for video, count in counts.items()})
        print(options.out)


def _results(options: argparse.Namespace) -> None:
    from slimdp.evaluation import PredictionFile, as_detections, write_results

    with PredictionFile(options.predictions) as predictions:
        write_results(options.out, as_detections(predictions))
    print(options.out)


def _draw_results(options: argparse.Namespace) -> None:
    from slimdp.data.coco import read_entries
    from slimdp.evaluation import read_results
    from slimdp.report import results_sheet, save_png

    images, _ = read_entries(options.annotations, options.images)
    results = read_results(options.results, images)
    save_png(options.out, results_sheet(results, images, options.count, options.least_score))
    print(options.out)


def _draw(options: argparse.Namespace) -> None:
    if options.results is not None:
        return _draw_results(options)
    from slimdp.data import read_annotations
    from slimdp.evaluation import PredictionFile
    from slimdp.report import people_sheet, save_png

    people = read_annotations(options.annotations, options.images).people
    if options.video is not None:
        videos = sorted({person.image.video for person in people if person.image.video is not None})
        if options.video not in videos:
            raise ConfigError(
                f"nobody in a video {options.video!r}; there are: {', '.join(videos) or 'none'}"
            )
        people = tuple(person for person in people if person.image.video == options.video)
        people = tuple(sorted(people, key=lambda person: person.image.file_name))
    predictions = None if options.predictions is None else PredictionFile(options.predictions)
    save_png(options.out, people_sheet(people, predictions, options.count, options.columns))
    print(options.out)


def _doctor(options: argparse.Namespace) -> int:
    from slimdp.doctor import diagnosis_as_text, examine, write_json

    processes = (os.cpu_count() or 1) if options.processes is None else options.processes
    diagnosis = examine(options.folder, options.quick, options.images, processes)
    print(diagnosis_as_text(diagnosis))
    if options.json is not None:
        write_json(options.json, diagnosis)
        print(options.json)
    return 1 if diagnosis.errors else 0


def _surface(options: argparse.Namespace) -> None:
    from slimdp.report import charts_picture, distortion_table, save_png, surface_picture
    from slimdp.surface import BodySurface, load_charts, what_is_there
    from slimdp.surface.distortion import chart_distortion

    charts = load_charts(options.surface)
    if isinstance(charts, BodySurface):
        save_png(options.out, surface_picture(charts, options.height))
        print(distortion_table(chart_distortion(charts)))
    else:
        save_png(options.out, charts_picture(charts, options.height))
        print(what_is_there(options.surface))
    print(options.out)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="slimdp", description="Thrifty dense human pose from video.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    command = commands.add_parser("quickstart", help="render, propagate, train, score: everything once")
    command.add_argument("--out", type=Path, default=Path("runs/quickstart"), help="the folder to fill")
    command.add_argument("--preset", default="tiny", help="tiny (minutes; default) or smoke (for tests)")
    command.add_argument("--seed", type=int, default=0, help="of the rendered people and of the training")
    command.set_defaults(run=_quickstart)

    _add_synthesize(commands)

    commands.add_parser("flow", help="optical flow: what python -m flow_cache does")

    command = commands.add_parser("propagate", help="carry labels to neighbouring frames along stored flow")
    _add_annotations(command)
    command.add_argument("--flow", type=Path, required=True, help="a store of flow_cache: a file or folder")
    command.add_argument("--reach", type=int, default=3, help="frames to either side (default 3)")
    command.add_argument(
        "--threshold-px", type=float, default=5.0, help="forward-backward offset at 256 px crops (default 5)"
    )
    command.add_argument("--out", type=Path, required=True, help="the annotation file to write")
    command.set_defaults(run=_propagate)

    _add_learning_commands(commands)
    _add_doctor(commands)
    return parser


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("doctor", help="check a data set, rendered or real; exit code 1 for errors")
    command.add_argument("folder", type=Path, help="the folder of the data set")
    command.add_argument("--quick", action="store_true", help="headers of a sample of the pictures only")
    command.add_argument("--images", type=Path, default=None, help="where the pictures are, if elsewhere")
    command.add_argument("--processes", type=int, default=None, help="default: one a core")
    command.add_argument("--json", type=Path, default=None, help="write all findings to this file")
    command.set_defaults(run=_doctor)


def _add_synthesize(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "synthesize",
        help="render people with exact labels and flow",
        description="Render people with exact labels and flow (docs/rendered_sets.md). An interrupted run "
        "goes on when the same command is given again.",
    )
    command.add_argument("--out", type=Path, required=True, help="the folder to make")
    command.add_argument(
        "--preset",
        default="tiny",
        help="how much: smoke (for tests), tiny (of the quickstart; default), small (all tables on a CPU), "
        "full (the sizes of the real sets)",
    )
    command.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    command.add_argument("--processes", type=int, default=None, help="default: one a core")
    command.add_argument(
        "--backgrounds", type=Path, default=None, help="a folder of pictures to stand before"
    )
    command.add_argument("--motions", type=Path, default=None, help="a folder of BVH files to move by")
    command.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="annotator_error=1, style.tempo=2"
    )
    command.set_defaults(run=_synthesize)


def _add_learning_commands(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "train",
        help="train a network in stages",
        description="Train a network in stages (docs/training.md). On several GPUs: "
        "torchrun --nproc-per-node N -m slimdp train ...",
    )
    command.add_argument("config", type=Path, help="settings: experiments/*.yaml")
    command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="stages.0.steps=10")
    command.add_argument("--out", type=Path, required=True, help="the run's folder")
    command.add_argument("--resume", action="store_true", help="go on with the run in --out")
    command.add_argument("--initial", type=Path, default=None, help="begin with another run's stage_NAME.pt")
    command.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1")
    command.set_defaults(run=_train)

    command = commands.add_parser("predict", help="predict people in boxes into a file")
    command.add_argument("checkpoint", type=Path, help="stage_NAME.pt of a run")
    _add_annotations(command)
    command.add_argument("--flip-test", action="store_true", help="average with the mirrored crop")
    command.add_argument("--surface", default=None, help="whose symmetry that takes; default: the training's")
    command.add_argument("--out", type=Path, required=True, help="predictions.h5 to write")
    command.set_defaults(run=_predict)

    _add_evaluate(commands)

    command = commands.add_parser("draw", help="draw annotations, or predictions, on their pictures")
    _add_annotations(command)
    command.add_argument("--predictions", type=Path, default=None)
    command.add_argument("--results", type=Path, default=None, help="DensePose results (.json) to draw")
    command.add_argument(
        "--least-score", type=float, default=0.0, help="of the results to draw (default 0: all)"
    )
    command.add_argument("--count", type=int, default=8, help="pictures at most (default 8)")
    command.add_argument("--columns", type=int, default=2, help="pictures a row (default 2)")
    command.add_argument("--video", default=None, help="only the frames of this video (vid_id)")
    command.add_argument("--out", type=Path, required=True, help="the PNG to write")
    command.set_defaults(run=_draw)

    command = commands.add_parser(
        "surface", help="draw the body's parts and charts, and tell their distortion"
    )
    command.add_argument("--surface", default="open", help=_SURFACE)
    command.add_argument("--height", type=int, default=1000, help="of the picture, px (default 1000)")
    command.add_argument("--out", type=Path, required=True, help="the PNG to write")
    command.set_defaults(run=_surface)


def _add_thresholds(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--thresholds",
        type=_numbers,
        default=(5.0, 10.0, 20.0),
        metavar="CM,CM",
        help="of the ratios of points (default 5,10,20)",
    )
    command.add_argument("--seed", type=int, default=0, help="of the intervals' bootstrap (default 0)")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}, but numbers with commas are wanted: 5,10,20") from None


def _curve_file(text: str) -> Path:
    if Path(text).suffix not in (".csv", ".png"):
        raise argparse.ArgumentTypeError(f"{text!r}, but a name that ends in .csv or .png is wanted")
    return Path(text)


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "evaluate",
        help="score saved predictions: points in centimetres on the body, people by GPS, GPSm and IoU",
        description="Score saved predictions (docs/evaluation.md). No picture is looked at.",
    )
    command.add_argument(
        "--predictions", type=Path, required=True, help="predictions.h5, or .json of DensePose results"
    )
    _add_annotations(command, images_required=False)
    command.add_argument("--surface", default="open", help=_SURFACE)
    command.add_argument(
        "--kappa",
        choices=["per-part", "paper"],
        default="per-part",
        help="tolerance of GPS: by part, as published AP has it (default), or 0.255 m as in the paper",
    )
    command.add_argument(
        "--missing", choices=["raise", "wrong"], default="raise", help="people not predicted"
    )
    _add_thresholds(command)
    command.add_argument(
        "--annotators", type=Path, default=None, help="a row to compare with: --out of slimdp annotators"
    )
    command.add_argument(
        "--curve", type=_curve_file, action="append", default=[], help="write f(t) to a .csv or .png"
    )
    command.add_argument("--out", type=Path, default=None, help="scores.json to write")
    command.set_defaults(run=_evaluate)

    command = commands.add_parser(
        "annotators", help="score annotators against the truth, and draw where on the body they err"
    )
    _add_annotations(command, images_required=False)
    known = command.add_mutually_exclusive_group(required=True)
    known.add_argument(
        "--truth", type=Path, help="the folder of a rendered set, or a file of the same people, exact"
    )
    known.add_argument("--simulate", type=float, metavar="SCALE", help="annotators of exact labels: 1")
    command.add_argument(
        "--tolerance-px", type=float, default=1.0, help="from a point to that of a truth file (default 1)"
    )
    command.add_argument("--surface", default="open", help=_SURFACE)
    _add_thresholds(command)
    command.add_argument("--picture", type=Path, default=None, help="the PNG of the body to write")
    command.add_argument("--out", type=Path, default=None, help="for slimdp evaluate --annotators")
    command.set_defaults(run=_annotators)

    command = commands.add_parser(
        "stability", help="tell how often predictions jump on the body against the flow of a video"
    )
    command.add_argument("--predictions", type=Path, required=True, help="predictions.h5")
    _add_annotations(command, images_required=False)
    command.add_argument("--flow", type=Path, required=True, help="a store of flow_cache: a file or folder")
    command.add_argument("--surface", default="open", help=_SURFACE)
    command.add_argument("--jump-cm", type=float, default=5.0, help="the least jump (default 5)")
    command.add_argument("--step", type=int, default=1, help="frames from one to the other (default 1)")
    command.add_argument(
        "--threshold-px", type=float, default=5.0, help="forward-backward offset at 256 px crops (default 5)"
    )
    command.add_argument("--out", type=Path, default=None, help="the JSON to write")
    command.set_defaults(run=_stability)

    command = commands.add_parser("results", help="write predictions as DensePose results, for other tools")
    command.add_argument("--predictions", type=Path, required=True, help="predictions.h5")
    command.add_argument("--out", type=Path, required=True, help="the JSON to write")
    command.set_defaults(run=_results)


def _add_annotations(command: argparse.ArgumentParser, images_required: bool = True) -> None:
    command.add_argument("--annotations", type=Path, required=True, help="DensePose-COCO or PoseTrack JSON")
    command.add_argument(
        "--images",
        type=Path,
        required=images_required,
        help="the folder that its file names start at" + ("" if images_required else " (not needed)"),
    )


if __name__ == "__main__":
    sys.exit(main())
