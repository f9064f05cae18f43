"""Data sets: render, check and draw them, and the body."""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext
from pathlib import Path

from flow_cache.runtime.command_line import add_input, add_output
from slimdp.commands.arguments import NOT_NEGATIVE, add_annotations, add_overrides, add_surface, whole
from slimdp.settings_file import ConfigError


def add_commands(commands: argparse._SubParsersAction) -> None:
    """synthesize, doctor, draw, surface."""
    _add_synthesize(commands)
    _add_doctor(commands)
    _add_draw(commands)
    _add_surface(commands)


def _add_synthesize(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "synthesize",
        help="render people with exact labels and flow",
        description="Render people with exact labels and flow (docs/rendered_sets.md). An interrupted run "
        "goes on when the same command is given again.",
    )
    add_output(command, "--out", role="folder", required=True, help="the folder to make")
    command.add_argument(
        "--preset",
        default="tiny",
        help="how much: smoke (for tests), tiny (as the quickstart), small (all tables on a CPU), full (the "
        "sizes of the real sets), people (of the weights that come with slimdp) (default: tiny)",
    )
    command.add_argument("--seed", type=whole(0), default=0, help="seed of everything random (default: 0)")
    command.add_argument("--processes", type=whole(1), help="processes that render (default: one a core)")
    add_input(
        command,
        "--backgrounds",
        help="a folder of pictures for people to stand before (default: drawn rooms and streets)",
    )
    add_input(
        command,
        "--motions",
        help="a folder of BVH files for people to move by (default: fourteen activities)",
    )
    add_overrides(command, "annotator_error=1, style.tempo=2")
    command.set_defaults(run=_synthesize)


def _add_doctor(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "doctor",
        help="check a data set, rendered or real; exit code 1 for errors",
        description="Check a data set, rendered or real: annotations, pictures, flow, surface files "
        "(docs/doctor.md). Exit code 1 for errors.",
    )
    add_input(command, "folder", metavar="FOLDER", reads=_no_diagnosis, help="the folder of the data set")
    command.add_argument(
        "--quick", action="store_true", help="read only the headers of a sample of the pictures"
    )
    add_input(command, "--images", help="the folder of the pictures, if elsewhere (default: FOLDER)")
    command.add_argument("--processes", type=whole(1), help="processes that read (default: one a core)")
    add_output(command, "--json", help="write all findings to this file")
    command.set_defaults(run=_doctor)


def _add_draw(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "draw",
        help="draw annotations, or predictions, on their pictures",
        description="Draw annotations, predictions (--predictions) or DensePose results (--results) on their "
        "pictures, as one sheet.",
    )
    add_annotations(command)
    add_input(command, "--predictions", help="predictions.h5 to draw beside the annotations")
    add_input(command, "--results", help="DensePose results (.json) to draw")
    command.add_argument(
        "--least-score",
        type=NOT_NEGATIVE,
        default=0.0,
        help="draw only results of this score or more (default: 0, all)",
    )
    command.add_argument("--count", type=whole(1), default=8, help="pictures at most (default: 8)")
    command.add_argument("--columns", type=whole(1), default=2, help="pictures a row (default: 2)")
    command.add_argument("--video", help="draw only the frames of this video (vid_id)")
    add_output(command, "--out", required=True, help="the PNG to write")
    command.set_defaults(run=_draw)


def _add_surface(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "surface",
        help="draw the body's parts and charts, and tell their distortion",
        description="Draw the body's parts and charts, and tell their distortion (docs/surfaces.md).",
    )
    add_surface(command)
    command.add_argument(
        "--height", type=whole(1), default=1000, help="the height of the picture, px (default: 1000)"
    )
    add_output(command, "--out", required=True, help="the PNG to write")
    command.set_defaults(run=_surface)


def _synthesize(options: argparse.Namespace) -> None:
    from slimdp.synthetic.dataset import synthesize_preset

    given = (options.preset, options.seed, options.processes, options.set, options.backgrounds)
    print(synthesize_preset(options.out, *given, options.motions))


def _no_diagnosis(file: Path, options: argparse.Namespace) -> bool:
    """Whether a file of the folder is something else than what --json wrote before."""
    from slimdp.doctor import is_diagnosis

    return not is_diagnosis(file)


def _doctor(options: argparse.Namespace) -> int:
    from slimdp.doctor import diagnosis_as_text, examine, write_json

    processes = (os.cpu_count() or 1) if options.processes is None else options.processes
    diagnosis = examine(options.folder, options.quick, options.images, processes)
    print(diagnosis_as_text(diagnosis))
    if options.json is not None:
        write_json(options.json, diagnosis)
        print(options.json)
    return 1 if diagnosis.errors else 0


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
        shown = (person for person in people if person.image.video == options.video)
        people = tuple(sorted(shown, key=lambda person: person.image.file_name))
    with nullcontext() if options.predictions is None else PredictionFile(options.predictions) as predictions:
        sheet = people_sheet(people, predictions, options.count, options.columns)
    save_png(options.out, sheet)
    print(options.out)


def _draw_results(options: argparse.Namespace) -> None:
    from slimdp.data.annotation_file import read_entries
    from slimdp.evaluation import read_results
    from slimdp.report import results_sheet, save_png
    from slimdp.surface import PEOPLE

    images, people = read_entries(options.annotations, options.images)
    person = next(people, None)
    layout = PEOPLE if person is None else person.category.layout
    results = read_results(options.results, images, layout=layout)
    save_png(options.out, results_sheet(results, images, options.count, options.least_score))
    print(options.out)


def _surface(options: argparse.Namespace) -> None:
    from slimdp.report import charts_image, distortion_table, save_png, surface_image
    from slimdp.surface import BodySurface, load_charts, what_is_there
    from slimdp.surface.distortion import chart_distortion

    charts = load_charts(options.surface)
    if isinstance(charts, BodySurface):
        save_png(options.out, surface_image(charts, options.height))
        print(distortion_table(chart_distortion(charts), charts.layout.part_names))
    else:
        save_png(options.out, charts_image(charts, options.height))
        print(what_is_there(options.surface))
    print(options.out)
