"""Budgets: leave out labels, and count what those that are left have cost."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from flow_cache.runtime.command_line import add_output
from slimdp.commands.arguments import SHARE, add_annotations, whole
from slimdp.settings_file import ConfigError

if TYPE_CHECKING:
    from slimdp.config import ClickCosts

#: The kinds of labels whose rest may stay, with what may become of it: the first is the default.
RESTS = {
    "parts": ("dropped", "kept"),
    "masks": ("like_parts", "dropped", "kept"),
    "keypoints": ("kept", "dropped"),
}


def add_commands(commands: argparse._SubParsersAction) -> None:
    """budget."""
    command = commands.add_parser(
        "budget",
        help="leave out labels, as if annotators had done less",
        description="Write an annotation file with fewer labels (docs/budgets.md). People without labels "
        "stay, with box, track and keypoints.",
    )
    add_annotations(command)
    videos = command.add_argument_group("frames of videos; stills keep their labels")
    videos.add_argument(
        "--videos",
        type=whole(1),
        metavar="N",
        help="keep labels in so many videos, evenly spread (default: all)",
    )
    videos.add_argument(
        "--frames-per-video",
        type=whole(1),
        metavar="N",
        help="keep so many labelled frames of each video, evenly spread; 1: the middle one (default: all)",
    )
    videos.add_argument(
        "--frames",
        metavar="FIRST:LAST",
        help="keep the frames of these numbers, both ends included (default: all)",
    )
    shares = command.add_argument_group("shares, drawn by ids and seed")
    for option, of in (
        ("--keep-images", "share of the labelled pictures to keep"),
        ("--keep-points", "share of the points to keep in these"),
    ):
        shares.add_argument(option, type=SHARE, default=1.0, metavar="SHARE", help=f"{of}, 0..1 (default: 1)")
    shares.add_argument("--seed", type=whole(0), default=0, help="seed of who and what is kept (default: 0)")
    rest = command.add_argument_group("what stays of the rest")
    about = {
        "parts": "part labels of points that lose (u, v)",
        "masks": "coarse masks of pictures that are left out",
        "keypoints": "keypoints of everybody",
    }
    for key, names in RESTS.items():
        help_text = f"{about[key]} (default: {names[0]})"
        rest.add_argument(f"--{key}", choices=names, default=names[0], help=help_text)
    command.add_argument(
        "--seconds-a-click",
        default="",
        metavar="KIND=S,...",
        help="what a click costs, of points, parts, masks, keypoints, boxes, such as points=8,boxes=0 "
        "(default: docs/budgets.md)",
    )
    add_output(command, "--out", help="the annotation file to write (default: none, labels are only counted)")
    command.set_defaults(run=_budget)


def _budget(options: argparse.Namespace) -> None:
    from slimdp.config import BudgetSettings
    from slimdp.data import apply_budget, read_annotations, read_outlines, write_annotations
    from slimdp.report.tables import clicks_table

    given = {
        "videos": options.videos,
        "frames_per_video": options.frames_per_video,
        "frames": () if options.frames is None else _first_and_last(options.frames),
        "images": options.keep_images,
        "points": options.keep_points,
        "seed": options.seed,
    } | {kind: getattr(options, kind) for kind in RESTS}
    budget = BudgetSettings.parse(given, "budget")
    costs = _costs(options.seconds_a_click)
    # Where no share leaves anything out, there are no rest of parts and masks, and nothing is drawn.
    said = budget
    if budget.images == budget.points == 1:
        said = budget.replace(parts="dropped", masks="like_parts")
    keeps_all = said.replace(seed=0) == BudgetSettings()
    if options.out is not None and keeps_all:
        raise ConfigError(
            "nothing to leave out: give --keep-images, --keep-points, --videos, --frames-per-video, --frames "
            "or --keypoints, or no --out to count the labels alone"
        )
    whole = read_annotations(options.annotations, options.images)
    fewer = apply_budget(whole, budget)
    print(clicks_table({"whole": whole.people} | ({} if keeps_all else {"kept": fewer.people}), costs))
    if options.out is not None:
        if whole.teaches and not fewer.teaches:
            raise ConfigError(f"{options.out} is not written: the budget leaves nobody any label")
        write_annotations(
            options.out, fewer.images, fewer.people, read_outlines(options.annotations, options.images)
        )
        print(options.out)


def _costs(text: str) -> ClickCosts:
    from slimdp.config import ClickCosts
    from slimdp.settings_file import apply_override

    values: dict[str, Any] = {}
    for item in text.split(",") if text else ():
        apply_override(values, item)
    return ClickCosts.parse(values, "seconds_a_click")


def _first_and_last(text: str) -> tuple[int, int]:
    first, _, last = text.partition(":")
    if not (first.isdecimal() and (last or first).isdecimal() and int(first) <= int(last or first)):
        raise ConfigError(f"--frames {text}, but FIRST:LAST is wanted, e.g. 9:15")
    return int(first), int(last or first)
