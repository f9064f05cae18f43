"""Options that several commands share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from flow_cache.runtime.command_line import add_input
from slimdp.shipped import shipped_path

T = TypeVar("T", int, float)
#: Of the folder of pictures, in the help of commands that open none.
WHERE_SIZES_LACK = " (needed where --annotations lacks their sizes)"

#: Weights that come with slimdp by name, and the first of them. `slimdp.inference.weights` finds their files,
#: and is not asked, as every help would wait for what it imports.
WEIGHT_NAMES = ("default", "people-192", "people-128")
#: The same, in helps.
NAMED_WEIGHTS = ", ".join(WEIGHT_NAMES)


def add_annotations(
    command: argparse.ArgumentParser, images_required: bool = True, required: bool = True
) -> None:
    """Which people: --annotations, and --images where pictures are opened or may tell their sizes."""
    add_input(
        command, "--annotations", required=required, help="the people: a DensePose-COCO or PoseTrack JSON"
    )
    add_input(
        command,
        "--images",
        reads=_named_in_annotations,
        required=images_required,
        help="the folder that file names in --annotations start at"
        + ("" if images_required else WHERE_SIZES_LACK),
    )


def add_first_frame(command: argparse.ArgumentParser) -> None:
    """--first-frame, for pictures of a video file that cannot be told by what they show."""
    command.add_argument(
        "--first-frame",
        type=whole(0),
        metavar="N",
        help="the number that pictures of a video file give to its first frame, 1 by ffmpeg (default: found "
        "by comparing the pictures)",
    )


def _named_in_annotations(file: Path, options: argparse.Namespace) -> bool:
    return is_named_in(file, options.annotations)


def is_named_in(file: Path, annotations: Path) -> bool:
    """Whether an annotation file speaks of a file of the images' folder; a broken one is named later."""
    from flow_cache.runtime.json_file import JsonFileError, read_json

    try:
        images = read_json(annotations)["images"]
        return any(Path(image["file_name"]).name == file.name for image in images)
    except (JsonFileError, OSError, LookupError, TypeError):
        return False


def add_flow(command: argparse._ActionsContainer, required: bool = True) -> None:
    """--flow: where flow is stored."""
    add_input(
        command,
        "--flow",
        reads=lambda file, options: file.suffix == ".h5",
        required=required,
        help="the flow store: what python -m flow_cache precompute wrote, a file or a folder",
    )


def add_surface(
    command: argparse.ArgumentParser,
    default: str | None = "open",
    about: str = "the body: open, or a folder with DensePose's surface files (docs/surfaces.md; default: "
    "open)",
) -> None:
    """--surface: the open body, or a folder with DensePose's files."""
    add_input(
        command,
        "--surface",
        reads=lambda file, options: file.suffix in (".mat", ".pkl", ".npy", ".h5"),
        words=("open",),
        type=str,
        default=default,
        help=about,
    )


def add_thresholds(command: argparse.ArgumentParser) -> None:
    """Thresholds of the ratios of points, and the seed of their intervals."""
    command.add_argument(
        "--thresholds",
        type=numbers_with_commas,
        default=(5.0, 10.0, 20.0),
        metavar="CM,CM",
        help="distances along the body for the ratios of points (default: 5,10,20)",
    )
    command.add_argument(
        "--seed", type=whole(0), default=0, help="seed of the intervals' bootstrap (default: 0)"
    )


def add_threshold_px(command: argparse.ArgumentParser) -> None:
    """--threshold-px: how far flow there and back may miss, as the paper has it."""
    command.add_argument(
        "--threshold-px",
        type=POSITIVE,
        default=5.0,
        help="how far flow there and back may miss, px of a 256 px crop (default: 5)",
    )


def add_device(command: argparse.ArgumentParser) -> None:
    """--device: where networks run."""
    command.add_argument(
        "--device",
        default="auto",
        help="where the network runs: auto, cpu, cuda, cuda:1 (default: auto, a GPU where there is one)",
    )


def add_imports(command: argparse.ArgumentParser, brings: str) -> None:
    """--imports, again for more: modules that register what `brings` says (docs/extending.md)."""
    command.add_argument(
        "--imports",
        action="append",
        default=[],
        metavar="MODULE",
        help=f"a module that brings {brings} (docs/extending.md); again for more",
    )


def add_overrides(command: argparse.ArgumentParser, example: str) -> None:
    """--set: settings over those of the file, once or several times."""
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"change a setting, such as {example}; again for more",
    )


def add_swept_studies(command: argparse.ArgumentParser) -> None:
    """RUNS and --study: studies that were swept, and what they are where their folders do not say it."""
    add_input(
        command,
        "runs",
        metavar="RUN",
        reads=lambda file, options: file.suffix != ".html",
        nargs="+",
        type=shipped_path,
        help="a folder of slimdp sweep, or a file of scores",
    )
    add_input(
        command, "--study", type=shipped_path, help="the study of every RUN (default: what its folder says)"
    )


def number(fine: Callable[[float], bool], wanted: str) -> Callable[[str], float]:
    """A parser of finite numbers that are fine; its error says what is wanted, as "a number over 0"."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and fine(value)):
            raise argparse.ArgumentTypeError(f"{text!r}, but {wanted} is wanted")
        return value

    return parse


#: Parsers of numbers that most options take.
POSITIVE = number(lambda value: value > 0, "a number over 0")
NOT_NEGATIVE = number(lambda value: value >= 0, "a number of 0 or more")
SHARE = number(lambda value: 0 <= value <= 1, "a share from 0 to 1")


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """A parser of whole numbers within limits, both included."""
    limits = f"of {least} or more" if most is None else f"from {least} to {most}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{text!r}, but a whole number {limits} is wanted")
        return value

    return parse


def numbers_with_commas(text: str) -> tuple[float, ...]:
    """The positive numbers in "5,10,20", one or more."""
    return _split(text, POSITIVE, "positive numbers with commas are wanted: 5,10,20")


def seeds_with_commas(text: str) -> tuple[int, ...]:
    """The seeds in "0,1,2", one or more."""
    return _split(text, whole(0), "whole numbers of 0 or more with commas are wanted: 0,1,2")


def _split(text: str, kind: Callable[[str], T], wanted: str) -> tuple[T, ...]:
    try:
        return tuple(kind(number) for number in text.split(","))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r}, but {wanted}") from None


def picture_rate(text: str) -> Fraction:
    """Pictures a second, as "25", "29.97" or "30000/1001", which `open_frames` may find too few or many."""
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        wanted = "pictures a second are wanted: 25, 29.97 or 30000/1001"
        raise argparse.ArgumentTypeError(f"{text!r}, but {wanted}") from None


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
