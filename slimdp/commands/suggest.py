"""What to label next."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from flow_cache.runtime.command_line import add_input, add_output
from slimdp.commands.arguments import NAMED_WEIGHTS, WEIGHT_NAMES, add_device, add_flow, add_imports, whole
from slimdp.settings_file import ConfigError

if TYPE_CHECKING:
    from slimdp.suggest.video import AskedVideo

_METHODS = ("flow", "features", "even", "random")


def add_commands(commands: argparse._SubParsersAction) -> None:
    """suggest."""
    command = commands.add_parser(
        "suggest",
        help="say which frames of videos to label next",
        description="Say which frames of videos to label next (docs/suggest.md): those from which flow "
        "carries labels to most of what no label reaches yet.",
    )
    add_input(
        command,
        "source",
        metavar="VIDEO_OR_LABELS",
        help="a video file, a folder of its frames, or an annotation file with labels so far",
    )
    add_input(command, "--labels", help="the labels of the video so far, as of slimdp annotate VIDEO")
    add_input(command, "--images", help="the folder that file names of the annotation file start at")
    command.add_argument(
        "--count", type=whole(1), default=5, help="frames to suggest, of each video (default: 5)"
    )
    command.add_argument(
        "--method",
        choices=_METHODS,
        help="how frames are chosen (default: flow with --flow, else features with --weights, else even)",
    )
    add_flow(command, required=False)
    add_input(
        command, "--weights", words=WEIGHT_NAMES,
        help="a network for features, and to ask where it is unsure: stage_NAME.pt, or "
        f"{NAMED_WEIGHTS} of the weights that come with slimdp",
    )  # fmt: skip
    command.add_argument(
        "--reach", type=whole(1), default=24, help="frames over which labels would be carried (default: 24)"
    )
    command.add_argument(
        "--seed", type=whole(0), default=0, help="seed of random and of k-means (default: 0)"
    )
    add_output(command, "--out", help="the JSON to write (default: none, frames are only printed)")
    add_imports(command, "networks that the weights were made with")
    add_device(command)
    command.set_defaults(run=_suggest)


def _suggest(options: argparse.Namespace) -> None:
    import numpy as np

    from flow_cache.runtime.atomic import write_json
    from slimdp.registry import import_modules
    from slimdp.suggest.frames import suggest_frames
    from slimdp.suggest.video import asked_videos

    import_modules(options.imports)
    method = options.method or _default_method(options)
    if method == "features" and options.weights is None:
        raise ConfigError("--method features looks at features of a network; name --weights")
    if method == "flow" and options.flow is None:
        raise ConfigError(
            "--method flow follows the flow of the video; name --flow (python -m flow_cache precompute VIDEO)"
        )
    rng = np.random.default_rng(options.seed)
    found: dict[str, list[dict[str, Any]]] = {}
    for video in asked_videos(options.source, options.images, options.labels):
        done = len(video.labelled) == len(video.names)
        suggestions = (
            [] if done else suggest_frames(method, _knowledge(video, method, options), options.count, rng)
        )
        print(f"{video.name}: {len(video.names)} frames, {len(video.labelled)} labelled")
        if done:
            print("  nothing left to suggest: every frame has labels")
        rows = [
            {"frame": each.frame, "name": video.names[each.frame], "gain": _plain(each.gain)}
            for each in suggestions
        ]
        for row in rows:
            gain = "" if row["gain"] is None else f", gain {row['gain']:.3g}"
            print(f"  frame {row['frame']} ({row['name']}){gain}")
        found[video.name] = rows
    if options.out is not None:
        write_json(options.out, {"method": method, "seed": options.seed, "videos": found})
        print(options.out)


def _default_method(options: argparse.Namespace) -> str:
    if options.flow is not None:
        return "flow"
    return "even" if options.weights is None else "features"


def _plain(gain: float) -> float | None:
    return None if gain != gain else round(gain, 4)


def _knowledge(video: AskedVideo, method: str, options: argparse.Namespace) -> Any:
    """What the method, and the options that are given, look at."""
    from slimdp.suggest.frames import VideoKnowledge
    from slimdp.suggest.video import video_reach

    features = uncertainty = reach = None
    if options.weights is not None and method in ("flow", "features"):
        features, uncertainty = _network(video, options)
    if method == "flow":
        from flow_cache import FlowStore

        with FlowStore(options.flow, keep_bytes=2**28) as store:
            reach = video_reach(video, store, options.reach)
    return VideoKnowledge(len(video.names), video.labelled, features, uncertainty, reach)


def _network(video: AskedVideo, options: argparse.Namespace) -> Any:
    from flow_cache.runtime.progress import tracked
    from slimdp.inference.weights import find_weights
    from slimdp.suggest.network import describe_frames
    from slimdp.training import load_model
    from slimdp.training.distributed import choose_device

    model, config = load_model(find_weights(options.weights))
    model.to(choose_device(options.device))
    pictures = tracked(video.pictures(), "look at the frames", "frames", len(video.names))
    return describe_frames(model, pictures, config.crop)
