"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from flow_cache.runtime.file_options import add_input

SURFACE_HELP = "open (default), or a folder with DensePose's surface files (docs/surfaces.md)"


def add_annotations(command: argparse.ArgumentParser, images_required: bool = True) -> None:
    """Which people: --annotations, and --images where pictures are opened or only allowed."""
    add_input(command, "--annotations", required=True, help="DensePose-COCO or PoseTrack JSON")
    add_input(
        command,
        "--images",
        reads=_named_in_annotations,
        required=images_required,
        help="the folder that its file names start at" + ("" if images_required else " (not needed)"),
    )


def add_first_frame(command: argparse.ArgumentParser) -> None:
    """--first-frame, for pictures of a video file that cannot be told by what they show."""
    command.add_argument(
        "--first-frame",
        type=int,
        default=None,
        metavar="N",
        help="the number that pictures of a video file give to its first frame, 1 by ffmpeg (default: found "
        "by comparing them)",
    )


def _named_in_annotations(file: Path, options: argparse.Namespace) -> bool:
    """Whether the annotation file speaks of a file of the images' folder; a broken one is named later."""
    from flow_cache.runtime.json_file import JsonFileError, read_json

    try:
        images = read_json(options.annotations)["images"]
        return any(Path(image["file_name"]).name == file.name for image in images)
    except (JsonFileError, OSError, LookupError, TypeError):
        return False


def add_flow(command: argparse.ArgumentParser) -> None:
    """--flow: where flow is stored."""
    add_input(
        command,
        "--flow",
        reads=lambda file, options: file.suffix == ".h5",
        required=True,
        help="a store of flow_cache: a file or folder",
    )


def add_surface(command: argparse.ArgumentParser, default: str | None = "open", about: str = "") -> None:
    """--surface: the open body, or a folder with DensePose's files."""
    help_text = about or SURFACE_HELP
    add_input(
        command,
        "--surface",
        reads=lambda file, options: file.suffix in (".mat", ".pkl", ".npy", ".h5"),
        words=("open",),
        type=str,
        default=default,
        help=help_text,
    )


def add_thresholds(command: argparse.ArgumentParser) -> None:
    """Thresholds of the ratios of points, and the seed of their intervals."""
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


def curve_file(text: str) -> Path:
    """The name of a .csv or .png to write."""
    if Path(text).suffix not in (".csv", ".png"):
        raise argparse.ArgumentTypeError(f"{text!r}, but a name that ends in .csv or .png is wanted")
    return Path(text)


def names_with_commas(text: str) -> tuple[str, ...]:
    """The names in "a,b", one or more."""
    names = tuple(name for name in text.split(",") if name)
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r}, but names with commas are wanted: a,b")
    return names
