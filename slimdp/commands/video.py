"""Dense pose of a video."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flow_cache.runtime.command_line import add_input, add_output
from slimdp.commands.arguments import (
    SHARE,
    add_device,
    add_imports,
    add_surface,
    names_with_commas,
    picture_rate,
    whole,
)

if TYPE_CHECKING:
    from slimdp.inference.video import VideoPipeline
    from slimdp.inference.video_frames import FrameSource
    from slimdp.inference.video_records import OutputWriter, Smoother

#: What is written where nothing is named.
_WRITTEN = ("overlay",)


def add_commands(commands: argparse._SubParsersAction) -> None:
    """video."""
    command = commands.add_parser(
        "video",
        help="dense pose of a video: find people, follow them, predict every frame, draw it",
        description="Dense pose of a video (docs/video.md). A run that was stopped goes on where it was.",
    )
    add_input(command, "video", metavar="VIDEO", help="a video file, a folder of pictures, or a picture")
    add_output(command, "--out", role="folder", required=True, help="the folder to fill")
    command.add_argument(
        "--weights",
        help="the network: stage_NAME.pt of a run, or people-128, people-192 of those that come with slimdp "
        "(default: people-192)",
    )
    _add_finding(command)
    command.add_argument(
        "--write",
        type=names_with_commas,
        default=_WRITTEN,
        metavar="KIND,KIND",
        help=f"what to write (docs/video.md lists all; default: {','.join(_WRITTEN)})",
    )
    command.add_argument(
        "--preset",
        metavar="NAME",
        help="the preset of x264, which writes the videos; ultrafast takes half the time of the usual one, "
        "and almost twice the bytes (default: veryfast)",
    )
    command.add_argument(
        "--flip-test",
        action=argparse.BooleanOptionalAction,
        help="average with the mirrored crop, in twice the network's time (default: networks of crops do)",
    )
    add_surface(command, None, "the body whose left and right --flip-test takes (default: the training's)")
    command.add_argument(
        "--frames", type=whole(1), metavar="N", help="look at the first N frames only (default: all)"
    )
    command.add_argument(
        "--rate",
        type=picture_rate,
        help="pictures a second, of a folder, such as 25, 29.97 or 30000/1001 (default: 25)",
    )
    command.add_argument(
        "--batch", type=whole(1), default=8, help="crops that are predicted together (default: 8)"
    )
    add_device(command)
    add_imports(command, "the network, a detector, a tracker or a writer")
    command.set_defaults(run=_video)


def _add_finding(command: argparse.ArgumentParser) -> None:
    """Options of the detector, the tracker and smoothing."""
    command.add_argument(
        "--detector",
        default="auto",
        metavar="NAME[:WHAT]",
        help="what finds people: yolox:FILE.onnx, torchvision[:MODEL[:FILE]], network:stage_NAME.pt, "
        "boxes:FILE.json, follow[:x,y,width,height], or auto, the first that is at hand (default: auto)",
    )
    add_input(
        command,
        "--anchors",
        metavar="LABELS.json",
        help="boxes in some frames that stand, whatever is found: labels.json of slimdp frames",
    )
    command.add_argument(
        "--anchors-of", metavar="NAME", help="what the anchors call this video (default: its own name)"
    )
    command.add_argument(
        "--detector-side",
        type=whole(1),
        metavar="PX",
        help="the side of the square that yolox sees (default: that of its file)",
    )
    command.add_argument(
        "--score",
        type=SHARE,
        help="the least score of a box, 0..1, with which somebody begins in a video, too (default: 0.3, and "
        "0.5 to begin)",
    )
    command.add_argument(
        "--every",
        type=whole(1),
        metavar="K",
        help="find people in every K-th frame (default: 4, of boxes:FILE.json 1)",
    )
    command.add_argument(
        "--tracker",
        metavar="NAME",
        help="what follows people: flow or outline (default: as the detector needs)",
    )
    command.add_argument(
        "--smooth",
        default="flow",
        metavar="HOW",
        help="smoothing over time: flow, causal (past frames alone) or none (default: flow)",
    )
    command.add_argument(
        "--reach",
        type=whole(1),
        default=2,
        help="frames to each side that --smooth takes outlines from; flow takes parts from three times as "
        "many (default: 2)",
    )
    add_input(
        command,
        "--flow",
        reads=lambda file, options: file.suffix == ".h5",
        help="the flow store that --smooth takes, with steps +1 and -1 (default: estimated around people)",
    )


def _video(options: argparse.Namespace) -> None:
    # Before torch is loaded. Its threads would spin between the layers of a small network, on the cores that
    # decode, draw and encode: twice the processor's time on two cores, and more on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from slimdp.inference.video import video_origin, write_video
    from slimdp.inference.video_frames import open_frames
    from slimdp.inference.weights import find_weights
    from slimdp.registry import import_modules

    import_modules(options.imports)
    weights = find_weights(options.weights)
    source = open_frames(options.video, options.rate)
    writers = _writers(options)
    pipeline = _pipeline(options, source, weights)
    origin = video_origin(source, weights)
    if options.preset is not None:
        origin["preset"] = options.preset
    for output in write_video(pipeline, writers, options.out, origin):
        print(output)


def _writers(options: argparse.Namespace) -> list[OutputWriter]:
    from slimdp.inference.video_encoder import checked_preset
    from slimdp.inference.writers.picture_video import PictureVideo
    from slimdp.registry import lookup

    writers = [lookup("slimdp.writers", name, "--write") for name in dict.fromkeys(options.write)]
    if options.preset is None:
        return writers
    preset = checked_preset(options.preset)
    return [replace(each, preset=preset) if isinstance(each, PictureVideo) else each for each in writers]


def _pipeline(options: argparse.Namespace, source: FrameSource, weights: Path) -> VideoPipeline:
    from flow_cache.runtime.progress import log_line
    from slimdp.inference.anchors import AnchoredDetector, AnchoredTracker, read_anchors
    from slimdp.inference.detectors import DetectorRequest, make_detector
    from slimdp.inference.detectors.detector import LEAST_SCORE
    from slimdp.inference.error_bars import load_error_bars
    from slimdp.inference.mirrored import mirror_symmetry
    from slimdp.inference.person_maps import CropNetwork
    from slimdp.inference.tracking import make_tracker
    from slimdp.inference.video import VideoPipeline, bars_to_write
    from slimdp.training import load_model
    from slimdp.training.distributed import choose_device, to_device

    device = choose_device(options.device)
    score = LEAST_SCORE if options.score is None else options.score
    request = DetectorRequest("", source, options.detector_side, score, str(device), load_model)
    detector, said = make_detector(options.detector, request)
    log_line(said)
    tracker = make_tracker(options.tracker, detector, source.info, options.every, options.score)
    if options.anchors is not None:
        anchors = read_anchors(options.anchors, source.info, options.anchors_of)
        detector, tracker = AnchoredDetector(detector, anchors), AnchoredTracker(tracker, anchors)
        log_line(f"boxes in {len(anchors)} frames are those of {options.anchors}")
    model, config = load_model(weights)
    symmetry = mirror_symmetry(options.flip_test, model.spec, options.surface or config.surface)
    bars = bars_to_write(load_error_bars(weights), options.write, config.surface)
    network = CropNetwork(to_device(model, device), config.crop, options.batch, symmetry, bars)
    return VideoPipeline(source, detector, tracker, network, _smoother(options, source), options.frames)


def _smoother(options: argparse.Namespace, source: FrameSource) -> Smoother:
    from flow_cache import FlowStore
    from slimdp.inference.person_flow import StoredFlow
    from slimdp.registry import lookup

    flow = None if options.flow is None else StoredFlow(FlowStore(options.flow), source)
    smoother: Smoother = lookup("slimdp.smoothers", options.smooth, "--smooth")(options.reach, flow)
    return smoother
