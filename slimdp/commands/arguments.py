"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

SURFACE_HELP = "open (default), or a folder with DensePose's surface files (docs/surfaces.md)"


def add_annotations(command: argparse.ArgumentParser, images_required: bool = True) -> None:
    """Which people: --annotations, and --images where pictures are opened or only allowed."""
    command.add_argument("--annotations", type=Path, required=True, help="DensePose-COCO or PoseTrack JSON")
    command.add_argument(
        "--images",
        type=Path,
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
