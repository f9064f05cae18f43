"""Propagate labels along the flow."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from flow_cache.arguments import parse_steps
from flow_cache.runtime.atomic import write_json
from flow_cache.runtime.command_line import add_output
from flow_cache.runtime.words import counted
from slimdp.commands.arguments import (
    NOT_NEGATIVE,
    SHARE,
    add_annotations,
    add_first_frame,
    add_flow,
    add_threshold_px,
    whole,
)
from slimdp.settings_file import ConfigError

if TYPE_CHECKING:
    from slimdp.motion import PropagationSummary, TransferResult, TransferSettings


def add_commands(commands: argparse._SubParsersAction) -> None:
    """propagate."""
    command = commands.add_parser(
        "propagate",
        help="propagate labels to neighbouring frames along stored flow",
        description="Propagate labels to neighbouring frames along stored flow (docs/propagation.md).",
    )
    add_annotations(command)
    add_flow(command)
    frames = command.add_mutually_exclusive_group()
    frames.add_argument(
        "--steps",
        type=parse_steps,
        help="frames to propagate labels over: a range, or a list, --steps=-8,8; what the flow does not hold "
        "is chained (default: -3:3)",
    )
    frames.add_argument(
        "--reach", type=whole(1), help="the same, as frames to either side: 8 for --steps=-8:8"
    )
    add_threshold_px(command)
    command.add_argument(
        "--regions",
        choices=("none", "person", "part"),
        help="drop labels at whose place another person or the background shows, for part also another part, "
        "for none no label (default: part)",
    )
    command.add_argument(
        "--colour-limit",
        type=NOT_NEGATIVE,
        metavar="D",
        help="drop labels that show other colours where they land, by more than D, such as 14 (default: "
        "none)",
    )
    command.add_argument(
        "--confidence",
        choices=("none", "falling"),
        default="none",
        help="what labels weigh: none, all alike; falling, less, the further and the less surely they came "
        "(default: none)",
    )
    command.add_argument(
        "--least-probability",
        type=SHARE,
        metavar="P",
        help="drop labels that are less likely right than P, such as 0.5, by a learned check in the place of "
        "--threshold-px; labels weigh as much as they are likely",
    )
    command.add_argument(
        "--longest-hop",
        type=whole(1),
        metavar="N",
        help="frames that one flow may lead over; 1: from frame to frame (default: as many as are stored)",
    )
    command.add_argument(
        "--min-points", type=whole(1), default=5, help="drop people with fewer points (default: 5)"
    )
    command.add_argument(
        "--unchecked-frames", action="store_true", help="do not compare the pictures with those of the flow"
    )
    add_first_frame(command)
    add_output(command, "--out", required=True, help="the annotation file to write")
    add_output(command, "--json", help="the JSON of the counts to write")
    add_output(command, "--sheet", help="the PNG to write: where labels went")
    command.add_argument("--sheet-rows", type=whole(1), default=6, help="people on the sheet (default: 6)")
    command.add_argument(
        "--sheet-by",
        choices=("part", "u"),
        default="part",
        help="what the colours on the sheet mean (default: part)",
    )
    command.set_defaults(run=_propagate)


def _propagate(options: argparse.Namespace) -> None:
    from flow_cache import FlowStore
    from slimdp.data import read_annotations, write_annotations
    from slimdp.motion import (
        ColourCheck,
        FramePlaces,
        annotated_people,
        propagate,
    )
    from slimdp.report import spread_people

    if options.out.exists():
        raise ConfigError(f"{options.out} exists; remove it, or choose another name with --out")
    if options.least_probability is not None and options.confidence != "none":
        raise ConfigError(
            "--confidence goes with --threshold-px: the learned check has a confidence of its own"
        )
    settings = _transfer(options)
    labelled = read_annotations(options.annotations, options.images, read_masks=True)
    in_videos = annotated_people(labelled)
    if not in_videos:
        raise ConfigError(
            f"{options.annotations} has no labelled people in frames of videos (images with vid_id), and so "
            "nothing to propagate"
        )
    transfers: list[TransferResult] = []

    def observe(transfer: TransferResult) -> None:
        if (transfer.person_0.image.id, transfer.person_0.id) in drawn:
            transfers.append(transfer)

    with FlowStore(options.flow) as store:
        with_flow = annotated_people(labelled, store)
        sources = [person for people in with_flow.values() for person in people]
        if lone := len(in_videos) - len(with_flow):
            said = "without flow, and with no picture beside it, which no label leaves"
            print(f"{counted(lone, 'labelled frame')} {said}")
        if not sources:
            raise ConfigError(f"{options.annotations}: nothing to propagate; name folders of whole videos")
        drawn = spread_people(sources, options.sheet_rows) if options.sheet else set()
        places = FramePlaces(
            store,
            (person.image for person in sources),
            labelled.images,
            check=not options.unchecked_frames,
            first_frame=options.first_frame,
            otherwise="give --first-frame or --unchecked-frames if you know better",
        )
        if not options.unchecked_frames:
            compared = counted(places.compared, "video")
            print(f"{compared} compared: the pictures are those that the flow was computed from")
        propagated, summary = propagate(
            labelled,
            store,
            _steps(options),
            settings,
            min_points=options.min_points,
            observe=observe,
            places=places,
            colours=None if options.colour_limit is None else ColourCheck(options.colour_limit),
        )
    write_annotations(options.out, propagated.images, propagated.people)
    print(summary.table())
    print(options.out)
    _write_more(options, summary, transfers)


def _transfer(options: argparse.Namespace) -> TransferSettings:
    from slimdp.motion import FallingConfidence, RegionSettings, TransferSettings

    return TransferSettings(
        threshold_px=options.threshold_px,
        regions=RegionSettings() if options.regions is None else RegionSettings(by=options.regions),
        confidence=FallingConfidence() if options.confidence == "falling" else None,
        longest_hop=options.longest_hop,
        least_probability=options.least_probability,
    )


def _write_more(
    options: argparse.Namespace, summary: PropagationSummary, transfers: list[TransferResult]
) -> None:
    """Write the files that --json and --sheet ask for."""
    if options.json is not None:
        write_json(options.json, summary.as_json())
        print(options.json)
    if options.sheet is not None:
        from slimdp.report import propagation_sheet, save_png

        save_png(options.sheet, propagation_sheet(transfers, options.sheet_by))
        print(options.sheet)


def _steps(options: argparse.Namespace) -> tuple[int, ...]:
    if options.steps is not None:
        return tuple(options.steps)
    reach = 3 if options.reach is None else options.reach
    return tuple(step for step in range(-reach, reach + 1) if step)
