"""Labels by hand, in the browser."""

from __future__ import annotations

import argparse
import os

from flow_cache.runtime.command_line import add_input, add_output
from slimdp.commands.arguments import NAMED_WEIGHTS, WEIGHT_NAMES, add_flow, add_surface, whole


def add_commands(commands: argparse._SubParsersAction) -> None:
    """annotate."""
    command = commands.add_parser(
        "annotate",
        help="label pictures or a video by hand, in the browser",
        description="Label pictures, or frames of a video, in the browser: outlines of parts, then points "
        "on the body (docs/annotate.md). Needs: pip install 'slimdp[annotate]'",
    )
    add_input(
        command,
        "source",
        reads=lambda file, options: file.suffix != ".json",
        metavar="PICTURES_OR_VIDEO",
        help="a video file, a folder of pictures, or a picture",
    )
    add_output(
        command, "--out", role="store", required=True, metavar="LABELS.json",
        help="the annotation file; one that is there is gone on with",
    )  # fmt: skip
    add_surface(command, about="the body: open, or a folder with a mesh (docs/surfaces.md; default: open)")
    command.add_argument(
        "--frames", action="store_true", help="the pictures of the folder are the frames of a video"
    )
    add_input(
        command, "--weights", words=WEIGHT_NAMES,
        help=f"a network whose answers are proposed: stage_NAME.pt, or {NAMED_WEIGHTS} of the weights that "
        "come with slimdp",
    )  # fmt: skip
    add_flow(command, required=False)
    command.add_argument(
        "--detector", default="auto", help="what finds people, as of slimdp video (default: auto)"
    )
    command.add_argument(
        "--port", type=whole(0, 65535), default=0, help="the port of the page (default: any that is free)"
    )
    command.add_argument("--no-browser", action="store_true", help="only print the address of the page")
    command.set_defaults(run=_annotate)


def _annotate(options: argparse.Namespace) -> None:
    # Should a network be asked, threads of torch would spin on the cores that serve the page.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from slimdp.annotate.serve import AnnotateSettings, annotate

    settings = AnnotateSettings(
        surface=options.surface,
        frames=options.frames,
        weights=None if options.weights is None else str(options.weights),
        flow=options.flow,
        detector=options.detector,
        port=options.port,
        browser=not options.no_browser,
    )
    annotate(options.source, options.out, settings, lambda line: print(line, flush=True))
