"""Scores of predictions and of annotators."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flow_cache.runtime.command_line import add_input, add_output
from flow_cache.runtime.words import counted
from slimdp.commands.arguments import (
    NOT_NEGATIVE,
    add_annotations,
    add_first_frame,
    add_flow,
    add_imports,
    add_surface,
    add_threshold_px,
    add_thresholds,
    curve_file,
    whole,
)
from slimdp.settings_file import ConfigError

if TYPE_CHECKING:
    from slimdp.evaluation import Evaluation, PointReport, StabilityCount, TruePoints
    from slimdp.structures import PersonAnnotation
    from slimdp.surface import Surface


def add_commands(commands: argparse._SubParsersAction) -> None:
    """evaluate, annotators, stability, results."""
    _add_evaluate(commands)
    _add_annotators(commands)
    _add_stability(commands)
    command = commands.add_parser(
        "results",
        help="write predictions as DensePose results, for other tools",
        description="Write predictions as DensePose results (docs/evaluation.md), for other tools.",
    )
    add_input(command, "--predictions", required=True, help="predictions.h5 to read")
    add_output(command, "--out", required=True, help="the JSON to write")
    command.set_defaults(run=_results)


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "evaluate",
        help="score saved predictions: points in centimetres on the body, people by GPS, GPSm and IoU",
        description="Score saved predictions: points in centimetres on the body, people by GPS, GPSm and IoU "
        "(docs/evaluation.md). No picture is looked at.",
    )
    add_input(command, "--predictions", required=True, help="predictions.h5, or DensePose results (.json)")
    add_annotations(command, images_required=False)
    add_surface(command)
    command.add_argument(
        "--kappa",
        choices=["per-part", "paper"],
        default="per-part",
        help="tolerance of GPS: by part, as published AP has it, or 0.255 m as in the paper (default: "
        "per-part)",
    )
    command.add_argument(
        "--missing",
        choices=["raise", "wrong"],
        default="raise",
        help="people who were not predicted: an error, or wrong points (default: raise)",
    )
    add_thresholds(command)
    add_input(command, "--annotators", help="scores of annotators to show beside: --out of slimdp annotators")
    add_output(
        command,
        "--curve",
        type=curve_file,
        action="append",
        default=[],
        help="write the ratio of correct points over distance to a .csv or .png; again for more",
    )
    command.add_argument(
        "--score",
        action="append",
        default=[],
        metavar="NAME",
        help="one more score, of any metric (docs/extending.md); again for more",
    )
    command.add_argument(
        "--keypoints",
        action="store_true",
        help="score keypoints instead of points: how far on the body predictions are from them",
    )
    add_input(
        command, "--reference", help="with --keypoints: scores to compare with, --out of another such command"
    )
    add_imports(command, "a metric")
    add_output(command, "--out", help="the scores.json to write (default: none, scores are only printed)")
    command.set_defaults(run=_evaluate)


def _add_annotators(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "annotators",
        help="score annotators against the truth, and draw where on the body they err",
        description="Score annotators against the truth, and draw where on the body they err "
        "(docs/evaluation.md).",
    )
    add_annotations(command, images_required=False)
    known = command.add_mutually_exclusive_group(required=True)
    add_input(
        known,
        "--truth",
        reads=lambda file, options: "iuv" in file.parts,
        help="the truth: the folder of the rendered set, or an annotation file of the same people, exact",
    )
    known.add_argument(
        "--simulate",
        type=NOT_NEGATIVE,
        metavar="SCALE",
        help="take the labels for exact, and let simulated annotators err, SCALE times as far as usual (1)",
    )
    command.add_argument(
        "--tolerance-px",
        type=NOT_NEGATIVE,
        default=1.0,
        help="how far apart a point and that of a truth file may be, px (default: 1)",
    )
    add_surface(command)
    add_thresholds(command)
    add_output(command, "--picture", help="the PNG to write: where on the body they err")
    add_output(command, "--out", help="the JSON of scores to write, for slimdp evaluate --annotators")
    command.set_defaults(run=_annotators)


def _add_stability(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "stability",
        help="tell how often predictions jump on the body against the flow of a video",
        description="Tell how often predictions jump on the body against the flow of a video "
        "(docs/evaluation.md): of people in boxes (--predictions, --annotations, --flow), or of what slimdp "
        "video wrote (--video, and --flow or --source).",
    )
    predicted = command.add_mutually_exclusive_group(required=True)
    add_input(predicted, "--predictions", help="predictions.h5 of people in boxes, with --annotations")
    add_input(predicted, "--video", metavar="IUV", help="the iuv.h5 that slimdp video --write iuv-h5 wrote")
    add_annotations(command, images_required=False, required=False)
    between = command.add_mutually_exclusive_group(required=True)
    add_flow(between, required=False)
    add_input(
        between,
        "--source",
        help="with --video: the video that it was made of, whose flow is estimated by DIS",
    )
    add_input(
        command,
        "--truth",
        reads=lambda file, options: "iuv" in file.parts,
        help="with --video: the folder of the rendered set that the clip is of, to tell what is right, too",
    )
    add_surface(command)
    add_input(
        command,
        "--beside",
        metavar="IUV",
        help="with --film: the iuv.h5 of another dense pose of the same video",
    )
    add_output(
        command,
        "--film",
        help="the MP4 to write: lines of equal u and v of --video and of --beside, side by side",
    )
    command.add_argument(
        "--jump-cm", type=NOT_NEGATIVE, default=5.0, help="the least jump, cm along the body (default: 5)"
    )
    command.add_argument(
        "--step", type=whole(1), default=1, help="frames from one look to the next (default: 1)"
    )
    add_threshold_px(command)
    add_first_frame(command)
    add_output(command, "--out", help="the JSON to write")
    command.set_defaults(run=_stability)


def _evaluate(options: argparse.Namespace) -> None:
    from slimdp.evaluation import evaluate_files, read_annotators, write_scores
    from slimdp.registry import import_modules
    from slimdp.report import instance_table
    from slimdp.surface import load_surface

    if options.keypoints:
        return _evaluate_keypoints(options)
    if options.reference is not None:
        raise ConfigError("--reference holds scores of keypoints; give --keypoints too")
    if options.curve and options.predictions.suffix == ".json":
        raise ConfigError(
            f"--curve needs scores of points, so a predictions.h5; {options.predictions} holds"
            " DensePose results, which do not say which annotated person they mean"
        )
    import_modules(options.imports)
    annotators = None if options.annotators is None else read_annotators(options.annotators)
    surface = load_surface(options.surface)
    evaluation = evaluate_files(
        options.predictions, options.annotations, surface, options.kappa, options.missing,
        options.thresholds, options.seed, options.score, options.images or "",
    )  # fmt: skip
    if evaluation.points is None:
        print("No scores of points: DensePose results do not say which annotated person they mean.\n")
    else:
        _print_points(evaluation.points, annotators)
    print(f"People found, %, kappa {options.kappa}:")
    print(instance_table(evaluation.instances))
    if evaluation.covered:
        people = counted(evaluation.covered, "person", "people")
        print(f"{people} with dense pose in regions to be ignored, not counted here")
    _print_scores(evaluation.others)
    if options.out is not None:
        write_scores(options.out, evaluation.as_json())
        print(options.out)
    for path in options.curve:
        _write_curve(path, evaluation, options.seed)


def _evaluate_keypoints(options: argparse.Namespace) -> None:
    from slimdp.evaluation import (
        evaluate_keypoints,
        evaluate_scores,
        keypoint_rows,
        ratio_to,
        read_keypoint_scores,
        write_scores,
    )
    from slimdp.registry import import_modules
    from slimdp.report import keypoint_table
    from slimdp.surface import load_surface

    if options.curve or options.annotators:
        not_theirs = "leave out --curve, --annotators"
        raise ConfigError(f"--keypoints gives scores of keypoints alone: {not_theirs}")
    reference = None if options.reference is None else read_keypoint_scores(options.reference)
    surface = load_surface(options.surface)
    files = options.predictions, options.annotations, surface
    errors = evaluate_keypoints(*files, options.missing, options.images or "")
    scores = errors.as_json()
    print("Visible keypoints within a distance along the body, localization only, and on the wrong side, %:")
    print(keypoint_table(keypoint_rows(errors)))
    if reference is not None:
        scores["ratio"] = ratio_to(scores, reference)
        known = {name: share for name, share in scores["ratio"].items() if isinstance(share, float)}
        shares = ", ".join(f"{name} {share:.2f}" for name, share in known.items())
        print(f"As a share of {options.reference}: {shares}")
    others: dict[str, Any] = {}
    if options.score:
        import_modules(options.imports)
        found = evaluate_scores(*files, options.score, options.missing, options.images or "")
        _print_scores(found)
        others = {"scores": found}
    if options.out is not None:
        write_scores(options.out, {"keypoints": scores, **others, "surface": options.surface})
        print(options.out)


def _print_scores(scores: Mapping[str, float | None]) -> None:
    """Scores that were asked for by name."""
    from slimdp.evaluation import describe_score

    for name, value in scores.items():
        kind = describe_score(name)
        print(f"{name}: {'-' if value is None else f'{value:.4g} {kind.unit}'.rstrip()}")


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
    from slimdp.report import curve_image, save_png, write_curves

    assert evaluation.errors is not None
    assert evaluation.groups is not None
    curves = point_curves(evaluation.errors, evaluation.groups, seed=seed)
    if path.suffix == ".csv":
        write_curves(path, curves)
    else:
        save_png(path, curve_image(curves))
    print(path)


def _annotators(options: argparse.Namespace) -> None:
    from slimdp.data import read_annotations
    from slimdp.evaluation import annotator_errors, annotators_in_percent, report_annotators, write_scores
    from slimdp.evaluation.several_annotators import error_rows
    from slimdp.report import interval_table
    from slimdp.report.tables import error_table
    from slimdp.surface import BodySurface, load_surface

    surface = load_surface(options.surface)
    given = {"--picture": options.picture, "--simulate": options.simulate}
    need_body = [option for option, value in given.items() if value is not None]
    if need_body and not isinstance(surface, BodySurface):
        lacking = "DensePose's files say nothing of places in space"
        raise ConfigError(f"{need_body[0]} needs the open body: {lacking}")
    images, layout = options.images or "", surface.layout
    people = read_annotations(options.annotations, images, check_images=False, layout=layout).people
    points = _true_points(people, surface, options)
    errors = annotator_errors(points, surface)
    report = report_annotators(errors, people, options.thresholds, options.seed, surface.layout.part_names)
    print(f"Points within a distance along the body, %; in brackets 95 % of resampled {report.drawn}:")
    everything = {"Annotators": (report.all, "full")}
    print(interval_table(everything | {name: (of_part, "full") for name, of_part in report.parts.items()}))
    rows = error_rows(errors, surface.layout.part_names)
    print("\n" + error_table(rows))
    nobody = points.true_part == 0
    if points.unmatched or nobody.any():
        print(
            f"{points.unmatched} points without a truth, not counted; {nobody.sum()} where "
            "the truth shows nobody, counted as wrong"
        )
    if by_part := sum(int((~person.has_uv).sum()) for person in people):
        print(f"{counted(by_part, 'point')} of a part alone, not counted: there is no distance to tell")
    if options.out is not None:
        in_cm = {row.name: asdict(row) for row in rows}
        write_scores(options.out, annotators_in_percent(report) | {"errors": in_cm})
        print(options.out)
    if options.picture is not None:
        from slimdp.evaluation import mean_error_map
        from slimdp.report import error_image, save_png

        assert isinstance(surface, BodySurface)
        part, uv = points.true_part[~nobody], points.true_uv[~nobody]
        error_m = mean_error_map(surface, part, uv, errors.full_m[~nobody])
        save_png(options.picture, error_image(surface, error_m))
        print(options.picture)


def _true_points(
    people: Sequence[PersonAnnotation], surface: Surface, options: argparse.Namespace
) -> TruePoints:
    """The annotators' points beside the truth that --truth or --simulate gives."""
    from slimdp.evaluation import pair_with_annotations, pair_with_maps

    if options.simulate is not None:
        import numpy as np

        from slimdp.surface import BodySurface
        from slimdp.synthetic.labels import as_annotators_would

        assert isinstance(surface, BodySurface)
        rng = np.random.default_rng(options.seed)
        return pair_with_annotations(as_annotators_would(people, surface, options.simulate, rng), people)
    if options.truth.is_dir():
        return pair_with_maps(people, options.truth)
    from slimdp.data import read_annotations

    images, layout = options.images or "", surface.layout
    truth = read_annotations(options.truth, images, check_images=False, layout=layout).people
    return pair_with_annotations(people, truth, options.tolerance_px)


def _stability(options: argparse.Namespace) -> None:
    from slimdp.evaluation import StabilityCount, write_scores
    from slimdp.report import stability_table
    from slimdp.surface import load_surface

    _check_stability_options(options)
    surface = load_surface(options.surface)
    measure = _count_predictions if options.video is None else _count_video
    counts, others = measure(options, surface)
    counts["all"] = sum(counts.values(), StabilityCount())
    print(f"Pixels that jump more than {options.jump_cm:g} cm along the body against the flow, %:")
    print(stability_table(counts))
    scores: dict[str, Any] = {name: count.in_percent() for name, count in counts.items()}
    scores |= others
    if (points := others.get("points")) is not None:
        within = [f"{points[name]:.1f} within {name[:-2]} cm" for name in points if name.endswith("cm")]
        told = ", ".join([*within, f"{points['background']:.1f} background"])
        print(f"\nOf {points['count']} pixels of people, against the truth, %: {told}")
    if (lines := others.get("contours")) is not None:
        itf = "-" if lines["itf_db"] is None else f"{lines['itf_db']:.2f} dB"
        print(f"\nLines of equal u and v in neighbouring frames: ITF {itf}, ISI {lines['isi']:.4f}")
    if options.film is not None:
        print(_write_film(options))
    if options.out is not None:
        write_scores(options.out, scores)
        print(options.out)


def _check_stability_options(options: argparse.Namespace) -> None:
    """Raise ConfigError where --predictions or --video comes with what is the other's."""
    kind, others = "--predictions", ["source", "truth", "beside", "film"]
    if options.video is not None:
        kind, others = "--video", ["annotations", "images", "first_frame"]
    for name in others:
        if getattr(options, name) is not None:
            raise ConfigError(f"{kind} does not go with --{name.replace('_', '-')}; leave that out")
    if (options.beside is None) != (options.film is None):
        raise ConfigError("--film shows two dense poses: --video and --beside; give both, or neither")
    if options.video is None and options.annotations is None:
        raise ConfigError("--predictions needs --annotations: the file whose people were predicted")


def _count_predictions(
    options: argparse.Namespace, surface: Surface
) -> tuple[dict[str, StabilityCount], dict[str, Any]]:
    """What became of the pixels of people in boxes, by video."""
    from flow_cache import FlowStore
    from slimdp.data import read_annotations
    from slimdp.evaluation import PredictionFile, measure_stability

    annotations = read_annotations(options.annotations, options.images or "", check_images=False)
    with FlowStore(options.flow) as store, PredictionFile(options.predictions) as predictions:
        counts = measure_stability(
            predictions, annotations, store, surface, options.jump_cm / 100, options.step,
            options.threshold_px, options.first_frame,
        )  # fmt: skip
    return counts, {}


def _count_video(
    options: argparse.Namespace, surface: Surface
) -> tuple[dict[str, StabilityCount], dict[str, Any]]:
    """What became of the pixels of everyone in a video, how alike drawn frames are, and how right all is."""
    from flow_cache import FlowStore
    from slimdp.inference.contour_video import contour_fidelity
    from slimdp.inference.iuv_video import IuvVideo
    from slimdp.inference.video_scores import (
        EstimatedFrameFlow,
        FrameFlow,
        StoredFrameFlow,
        measure_video_stability,
        points_within,
    )

    with ExitStack() as stack:
        video = stack.enter_context(IuvVideo(options.video))
        flow: FrameFlow
        if options.flow is not None:
            flow = StoredFrameFlow(stack.enter_context(FlowStore(options.flow)), video)
        else:
            flow = EstimatedFrameFlow(options.source, video)
        counts = measure_video_stability(
            video, flow, surface, options.jump_cm / 100, options.step, options.threshold_px
        )
        others: dict[str, Any] = {"contours": contour_fidelity(video)}
        if options.truth is not None:
            others["points"] = points_within(video, options.truth, surface)
    return {f"track {track}": count for track, count in counts.items()}, others


def _write_film(options: argparse.Namespace) -> Path:
    from slimdp.inference.contour_video import write_side_by_side
    from slimdp.inference.iuv_video import IuvVideo
    from slimdp.inference.video_frames import open_frames

    with IuvVideo(options.video) as left, IuvVideo(options.beside) as right:
        rate = left.rate if options.source is not None and options.source.is_dir() else None
        source = None if options.source is None else open_frames(options.source, rate)
        return write_side_by_side(left, right, options.film, source)


def _results(options: argparse.Namespace) -> None:
    from flow_cache.runtime.progress import tracked
    from slimdp.evaluation import PredictionFile, as_detection, write_results

    with PredictionFile(options.predictions) as predictions:
        written = tracked(predictions, "results", "people", len(predictions))
        category = predictions.origin.category_id
        write_results(options.out, (as_detection(each, category_id=category) for each in written))
    print(options.out)
