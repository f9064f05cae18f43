"""From a few labelled frames to dense pose of whole videos, and the frames that this begins with."""

from __future__ import annotations

import argparse

from flow_cache.runtime.command_line import add_input, add_output
from slimdp.commands.arguments import POSITIVE, add_device, add_imports, add_overrides, whole


def add_commands(commands: argparse._SubParsersAction) -> None:
    """fit, frames."""
    command = commands.add_parser(
        "fit",
        help="your own videos: from a few labelled frames to dense pose of all frames",
        description="From a few labelled frames to dense pose of all frames (docs/fit.md): check, propagate "
        "labels, train, predict. The same command goes on where it was stopped.",
    )
    _add_labels_and_videos(command)
    add_output(command, "--out", role="folder", required=True, help="the run's folder")
    command.add_argument(
        "--weights",
        help="the weights to begin with: stage_NAME.pt, people-128 or people-192, which come with slimdp, or "
        "scratch (default: people-128)",
    )
    command.add_argument(
        "--reach",
        type=whole(0),
        metavar="N",
        help="propagate labels over N frames to either side along the flow, 0 for none (default: 24, "
        "or 0 where the weights know people)",
    )
    command.add_argument(
        "--threshold-px",
        type=POSITIVE,
        default=5.0,
        help="how far flow there and back may miss, px of a 256 px crop (default: 5)",
    )
    command.add_argument(
        "--detector", default="auto", help="what finds people, as of slimdp video (default: auto)"
    )
    command.add_argument(
        "--self-train",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="train again, with what the network is sure of in the frames without labels",
    )
    add_overrides(command, "stages.0.steps=1000")
    add_device(command)
    add_imports(command, "the network of the weights, or the detector")
    command.set_defaults(run=_fit)

    command = commands.add_parser(
        "frames",
        help="the labelled frames of videos, and those around them, as pictures with their labels",
        description="Write the labelled frames of videos, and those around them, as pictures with their "
        "labels (docs/fit.md).",
    )
    _add_labels_and_videos(command)
    add_output(command, "--out", role="folder", required=True, help="the folder to make")
    command.add_argument(
        "--around", type=whole(0), default=0, metavar="N", help="frames to either side of each (default: 0)"
    )
    command.set_defaults(run=_frames)


def _add_labels_and_videos(command: argparse.ArgumentParser) -> None:
    add_input(command, "labels", metavar="LABELS.json", help="labels of some frames (docs/fit.md)")
    add_input(
        command,
        "videos",
        type=str,
        nargs="+",
        metavar="VIDEO",
        help="a video file, or a folder of pictures; NAME=PATH for one that the labels call NAME",
    )
    command.add_argument(
        "--first-frame",
        type=whole(0),
        metavar="N",
        help="the number that the labels give to the first frame of a video file (default: 0, or 1 where the "
        "labelled pictures lie beside the labels and show it so)",
    )


def _fit(options: argparse.Namespace) -> None:
    from flow_cache.video import name_sources
    from slimdp.fit import FitSettings, fit
    from slimdp.registry import import_modules

    import_modules(options.imports)
    settings = FitSettings(
        weights=options.weights,
        reach=options.reach,
        threshold_px=options.threshold_px,
        first_frame=options.first_frame,
        detector=options.detector,
        self_train=options.self_train,
        overrides=tuple(options.set),
        device=options.device,
        imports=tuple(options.imports),
    )
    print(fit(options.labels, name_sources(options.videos), options.out, options.main, settings))


def _frames(options: argparse.Namespace) -> None:
    from flow_cache.runtime.words import counted
    from flow_cache.video import name_sources
    from slimdp.data.labelled_frames import extract_labelled_frames

    found = extract_labelled_frames(
        options.labels, name_sources(options.videos), options.out, options.around, options.first_frame
    )
    labelled = {person.image.id for person in found.people}
    people = counted(len(found.people), "person", "people")
    print(f"{counted(len(labelled), 'labelled frame')} with {people}")
    print(found.file)
