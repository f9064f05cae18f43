"""Training and predicting, and everything once: the quickstart."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from flow_cache.runtime.command_line import add_input, add_output, check_apart
from slimdp.commands.arguments import (
    NAMED_WEIGHTS,
    WEIGHT_NAMES,
    add_annotations,
    add_device,
    add_imports,
    add_overrides,
    add_surface,
    number,
    whole,
)
from slimdp.settings_file import ConfigError
from slimdp.shipped import shipped_path


def add_commands(commands: argparse._SubParsersAction) -> None:
    """quickstart, train, predict, calibrate."""
    _add_quickstart(commands)
    _add_train(commands)
    _add_predict(commands)
    _add_calibrate(commands)


def _add_quickstart(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "quickstart",
        help="render, propagate, train, score: everything once",
        description="Render people, propagate their labels, train, score, and write a page of it "
        "(docs/quickstart.md).",
    )
    add_output(
        command,
        "--out",
        role="folder",
        default=Path("runs/quickstart"),
        help="the folder to fill (default: runs/quickstart)",
    )
    command.add_argument(
        "--preset", default="tiny", help="how much: tiny (minutes) or smoke (for tests) (default: tiny)"
    )
    command.add_argument(
        "--seed",
        type=whole(0),
        default=0,
        help="seed of the rendered people and of the training (default: 0)",
    )
    command.set_defaults(run=_quickstart)


def _add_train(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "train",
        help="train a network in stages",
        description="Train a network in stages (docs/training.md). On several GPUs: "
        "torchrun --nproc-per-node N -m slimdp train ...",
    )
    add_input(
        command,
        "config",
        metavar="CONFIG",
        type=shipped_path,
        help="the settings: a YAML of yours, or experiments/*.yaml (shipped)",
    )
    add_overrides(command, "stages.0.steps=10")
    add_output(command, "--out", role="folder", required=True, help="the run's folder")
    command.add_argument("--resume", action="store_true", help="go on with the run in --out")
    add_input(
        command,
        "--initial",
        words=WEIGHT_NAMES,
        help=f"the weights to begin with: another run's stage_NAME.pt, or {NAMED_WEIGHTS} of those that come "
        "with slimdp",
    )
    add_device(command)
    command.set_defaults(run=_train)


def _add_predict(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "predict",
        help="predict people in boxes into a file",
        description="Predict the people in the boxes of an annotation file into predictions.h5, which "
        "evaluate, results and draw read (docs/evaluation.md).",
    )
    add_input(
        command,
        "checkpoint",
        metavar="CHECKPOINT",
        words=WEIGHT_NAMES,
        help=f"stage_NAME.pt of a run, or {NAMED_WEIGHTS}: weights that come with slimdp",
    )
    add_annotations(command)
    command.add_argument(
        "--given-boxes",
        action="store_true",
        help="look at the people in the boxes of --annotations, though the network finds people itself",
    )
    add_input(
        command,
        "--boxes",
        metavar="FOUND.h5",
        help="look at the people of another network's predictions, with their scores",
    )
    command.add_argument("--flip-test", action="store_true", help="average with the mirrored crop")
    add_surface(command, None, "the body whose left and right --flip-test takes (default: the training's)")
    command.add_argument(
        "--scales",
        type=number(lambda scale: 0 < scale <= 8, "a number over 0, at most 8"),  # 8: 64 times as long
        nargs="+",
        default=[1.0],
        metavar="X",
        help="scales of the crop, whose answers are fused (default: 1)",
    )
    add_imports(command, "the network, or a loss that its training had")
    add_device(command)
    add_output(command, "--out", required=True, help="the predictions.h5 to write")
    command.set_defaults(run=_predict)


def _add_calibrate(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "calibrate",
        help="find how far off a network may be at each pixel",
        description="Fit error bars on people with exact labels, and write them beside the checkpoint, where "
        "predict, video and DensePose find them (docs/weights.md).",
    )
    add_input(command, "checkpoint", metavar="CHECKPOINT", help="stage_NAME.pt of a run")
    add_annotations(command)
    add_surface(command, None, "the body that errors are measured on (default: the training's)")
    command.add_argument(
        "--level",
        type=number(lambda share: 0 < share < 1, "a share between 0 and 1"),
        default=0.9,
        help="the share of errors that lie under the bar (default: 0.9)",
    )
    add_imports(command, "the network")
    add_device(command)
    command.set_defaults(run=_calibrate)


def _quickstart(options: argparse.Namespace) -> None:
    from slimdp.quickstart import quickstart

    quickstart(options.out, options.preset, options.seed)


def _train(options: argparse.Namespace) -> None:
    from slimdp.config import load_config
    from slimdp.inference.weights import find_weights
    from slimdp.training import train

    config = load_config(options.config, options.set)
    initial = None if options.initial is None else find_weights(options.initial)
    result = train(config, options.out, options.resume, initial, options.device)
    if os.environ.get("RANK", "0") == "0":  # of the processes that torchrun started, the first
        print(result)


def _predict(options: argparse.Namespace) -> None:
    from slimdp.data import read_annotations
    from slimdp.inference import FoundPeople, describe_origin, detect_to_file, predict_found, predict_to_file
    from slimdp.inference.error_bars import load_error_bars
    from slimdp.inference.weights import find_weights
    from slimdp.registry import import_modules
    from slimdp.surface import load_symmetry
    from slimdp.training import load_model
    from slimdp.training.distributed import choose_device

    if options.boxes is not None and options.given_boxes:
        raise ConfigError("--boxes takes those of predictions, --given-boxes those of annotations: give one")
    import_modules(options.imports)
    device, checkpoint = choose_device(options.device), find_weights(options.checkpoint)
    check_apart(Path(options.out), checkpoint)  # `default` names a file that is not on the line
    annotations = read_annotations(options.annotations, options.images)
    model, config = load_model(checkpoint)
    symmetry = load_symmetry(options.surface or config.surface) if options.flip_test else None
    origin = describe_origin(checkpoint, options.annotations, annotations.category_id)
    model, how = model.to(device), (config.crop, options.out, origin)
    if model.spec.detects and not options.given_boxes and options.boxes is None:
        if options.flip_test or options.scales != [1.0]:
            raise ConfigError("the network takes whole pictures: leave out --flip-test and --scales")
        print(detect_to_file(model, annotations.images, *how))
        return
    more = {"flip_symmetry": symmetry, "scales": options.scales, "error_bars": load_error_bars(checkpoint)}
    if options.boxes is not None:
        found = FoundPeople.read(options.boxes, annotations.images)
        print(predict_found(model, found, *how, **more))
    else:
        print(predict_to_file(model, annotations.people, *how, **more))


def _calibrate(options: argparse.Namespace) -> None:
    from slimdp.data import read_annotations
    from slimdp.inference.calibration import calibrated, error_samples, require_enough_labels
    from slimdp.inference.weights import require_own
    from slimdp.registry import import_modules
    from slimdp.surface import load_surface
    from slimdp.training import load_model
    from slimdp.training.distributed import choose_device

    require_own(options.checkpoint)
    import_modules(options.imports)
    device = choose_device(options.device)
    people = read_annotations(options.annotations, options.images).people
    require_enough_labels(people)
    model, config = load_model(options.checkpoint)
    surface = load_surface(options.surface or config.surface)
    samples = error_samples(model.to(device), people, config.crop, surface)
    bars = calibrated(options.checkpoint, samples, surface, options.level, options.annotations.name)
    unseen = 100 * bars.fitted["share_under_on_unseen_people"]
    print(f"{unseen:.1f} % of {bars.fitted['points']} errors lie under bars fitted on other people")
    print(bars.save(options.checkpoint))
