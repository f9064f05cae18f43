"""What is done with a store: inspect, verify, show, export, import."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from flow_cache.arguments import add_estimator, chosen_estimator
from flow_cache.choices import FORMAT_NAMES
from flow_cache.errors import FlowCacheError
from flow_cache.runtime.file_options import add_input, add_output, check_apart


def add_commands(commands: argparse._SubParsersAction) -> None:
    """inspect, verify, show, export and import."""
    _add_inspection(commands)
    _add_exchange(commands)


def _add_inspection(commands: argparse._SubParsersAction) -> None:
    look = commands.add_parser("inspect", help="what a store holds")
    add_input(look, "store")
    look.add_argument("--json", action="store_true")
    look.set_defaults(run=_inspect)
    check = commands.add_parser("verify", help="read all of a store, and estimate a sample again")
    add_input(check, "store")
    check.add_argument("--sample", type=int, default=3, help="fields of each video (default 3; 0: none)")
    check.add_argument(
        "--forget", action="store_true", help="mark damaged fields as not there, to precompute them again"
    )
    add_estimator(check)
    check.set_defaults(run=_verify)
    show = commands.add_parser(
        "show", help="draw a field: its colours, its check, and the frames if they are there"
    )
    add_input(show, "store")
    show.add_argument("video")
    show.add_argument("frame", type=int)
    show.add_argument("step", type=int)
    add_output(show, "--out", required=True, help="the .png file to write")
    show.add_argument("--threshold", type=float, default=5.0, help="of the check, px (default: 5)")
    show.set_defaults(run=_show)


def _add_exchange(commands: argparse._SubParsersAction) -> None:
    give = commands.add_parser("export", help="write the fields of a store as files of their own")
    add_input(give, "store")
    give.add_argument("--format", choices=FORMAT_NAMES, default="flo", help="default: %(default)s")
    add_output(
        give, "--out", role="folder", required=True, help="the folder; files are OUT/VIDEO/000003+1.flo"
    )
    give.set_defaults(run=_export)
    take = commands.add_parser("import", help="add flow that another program made to a store")
    add_input(take, "folder", help="of files named as export names them, or numbered")
    add_input(
        take,
        "--video",
        type=str,
        required=True,
        help="the video or folder that it is the flow of, or NAME=PATH",
    )
    take.add_argument("--format", choices=FORMAT_NAMES, default="flo", help="default: %(default)s")
    take.add_argument(
        "--step",
        type=int,
        help="frames that each file leads over (default: as named, else 1); -1: back",
    )
    take.add_argument(
        "--first-frame",
        type=int,
        metavar="N",
        help="the number that the first frame of the video has in the files' names (default: found out)",
    )
    add_output(take, "--out", role="store", required=True, help="the .h5 file to write")
    take.set_defaults(run=_import)


def _inspect(options: argparse.Namespace) -> None:
    from flow_cache.inspection import inspect_store, report_as_json, report_as_text
    from flow_cache.store import FlowStore

    with FlowStore(options.store) as store:
        reports = inspect_store(store)
    print(json.dumps(report_as_json(reports), indent=2) if options.json else report_as_text(reports))


def _verify(options: argparse.Namespace) -> None:
    from flow_cache.inspection import forget_fields, verify_store
    from flow_cache.store import FlowStore

    with FlowStore(options.store) as store:
        found = verify_store(store, options.sample, chosen_estimator(options))
        for fault in (*found.damaged, *found.different):
            print(fault)
        print(
            f"{options.store}: {found.read} fields read, {len(found.damaged)} damaged; "
            f"{found.estimated_again} estimated again, {len(found.different)} came out otherwise"
        )
        if options.forget and found.damaged:
            forget_fields(store, found.damaged_fields)
            print(f"{options.store}: {len(found.damaged)} fields forgotten; precompute estimates them again")
    if found.different:
        raise FlowCacheError("what came out otherwise is not what this estimator makes of these frames")
    if found.damaged and not options.forget:
        raise FlowCacheError("what is damaged has to be estimated again: verify --forget, and precompute")


def _show(options: argparse.Namespace) -> None:
    import numpy as np

    from flow_cache.drawing import backward_warp, colour_flow, draw_check, save_png
    from flow_cache.store import FlowStore
    from flow_cache.video import open_video

    video, frame, step = options.video, options.frame, options.step
    with FlowStore(options.store) as store:
        flow_0to1 = store.read(video, frame, step).displacement
        panels = [colour_flow(flow_0to1)]
        if store.finished(video, -step)[frame + step]:
            flow_1to0 = store.read(video, frame + step, -step).displacement
            panels.append(draw_check(flow_0to1, flow_1to0, options.threshold))
        record = store.record(video)
    check_apart(options.out, Path(record.source))
    rows = [np.concatenate(panels, axis=1)]
    if Path(record.source).exists() and len(panels) == 2:
        images = dict(open_video(Path(record.source), record).read([frame, frame + step]))
        rows.append(np.concatenate([images[frame], backward_warp(images[frame + step], flow_0to1)], axis=1))
    save_png(options.out, np.concatenate(rows))
    print(f"{options.out}: {len(panels) + 2 * (len(rows) - 1)} panels")


def _export(options: argparse.Namespace) -> None:
    from flow_cache.exchange import export_flow
    from flow_cache.store import FlowStore

    with FlowStore(options.store) as store:
        print(f"{options.out}: {export_flow(store, options.out, options.format)} files")


def _import(options: argparse.Namespace) -> None:
    from flow_cache.exchange import import_flow

    if options.step == 0:
        raise FlowCacheError("--step 0: flow leads to another frame; wanted 1, -1, 2, ...")
    added = import_flow(
        options.folder,
        options.video,
        options.out,
        options.format,
        step=options.step,
        first=options.first_frame,
        say=print,
    )
    print(f"{options.out}: {added} fields of {options.folder}")
