"""The command line: python -m flow_cache precompute | inspect | verify | export | import | show."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flow_cache.drawing import bring_back, colour_flow, draw_check, save_png
from flow_cache.errors import FlowCacheError
from flow_cache.estimators import ESTIMATORS, FlowEstimator
from flow_cache.exchange import export_flow, import_flow
from flow_cache.formats import FORMATS
from flow_cache.inspection import inspect_store, report_as_json, report_as_text
from flow_cache.precompute import precompute
from flow_cache.schema import FILTERS
from flow_cache.store import FlowStore
from flow_cache.verification import verify_store
from flow_cache.video import open_video, video_name
from flow_cache.writer import COMMIT_SECONDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 2 for a fault of the input, 130 when interrupted."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(_with_negative_values(given))
    try:
        options.run(options)
    except (FlowCacheError, OSError) as error:
        print(f"flow_cache: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("flow_cache: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def parse_steps(text: str) -> tuple[int, ...]:
    """-3:3 (both ends included, without 0), or a list such as -1,1,2."""
    if match := re.fullmatch(r"([+-]?\d+):([+-]?\d+)", text):
        first, last = int(match[1]), int(match[2])
        steps = tuple(step for step in range(first, last + 1) if step)
    elif re.fullmatch(r"[+-]?\d+(,[+-]?\d+)*", text):
        steps = tuple(int(step) for step in text.split(","))
    else:
        steps = ()
    if not steps or 0 in steps or len(set(steps)) != len(steps):
        raise argparse.ArgumentTypeError(f"{text!r}; wanted a range such as -3:3 or a list such as -1,1,2")
    return steps


def parse_frames(text: str) -> range:
    """10:20: frames 10 to 20, both included."""
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if match is None or int(match[1]) > int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r}; wanted first:last such as 0:20, both included")
    return range(int(match[1]), int(match[2]) + 1)


def parse_shard(text: str) -> tuple[int, int]:
    """3/8: the third of eight shards."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r}; wanted which of how many such as 3/8, from 1/8 to 8/8")
    return int(match[1]), int(match[2])


def _with_negative_values(arguments: list[str]) -> list[str]:
    """Join `--steps -3:3` to `--steps=-3:3`: argparse takes a word that begins with a dash for an option."""
    joined: list[str] = []
    for word in arguments:
        if joined and joined[-1] == "--steps":
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m flow_cache", description="Optical flow of videos, stored."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fill = commands.add_parser("precompute", help="estimate the flow of videos into a store; resumes")
    fill.add_argument("sources", nargs="+", type=Path, metavar="VIDEO_OR_FOLDER")
    fill.add_argument("--out", type=Path, required=True, help="the .h5 file to write")
    fill.add_argument("--steps", type=parse_steps, default="-3:3", help="-3:3 (default), or a list: -1,1")
    _add_estimator(fill)
    fill.add_argument("--filter", choices=FILTERS, default="zstd", help="compression (default: %(default)s)")
    fill.add_argument("--processes", type=int, default=1, help="processes that estimate (default: 1)")
    fill.add_argument(
        "--commit-seconds",
        type=float,
        default=COMMIT_SECONDS,
        help="at most this much work is lost to a kill (default: %(default)g)",
    )
    fill.add_argument(
        "--frames",
        type=parse_frames,
        metavar="FIRST:LAST",
        help="only fields that start or end at these frames, both ends included",
    )
    fill.add_argument(
        "--shard",
        type=parse_shard,
        metavar="I/N",
        help="only every N-th video, from the I-th on, into a file of its own in the folder OUT, for N jobs",
    )
    fill.set_defaults(run=_precompute)
    look = commands.add_parser("inspect", help="what a store holds")
    look.add_argument("store", type=Path)
    look.add_argument("--json", action="store_true")
    look.set_defaults(run=_inspect)
    check = commands.add_parser("verify", help="read all of a store, and estimate a sample again")
    check.add_argument("store", type=Path)
    check.add_argument("--sample", type=int, default=3, help="fields of each video (default 3; 0: none)")
    _add_estimator(check)
    check.set_defaults(run=_verify)
    give = commands.add_parser("export", help="write the fields of a store as files of their own")
    give.add_argument("store", type=Path)
    give.add_argument("--format", choices=FORMATS, default="flo", help="default: %(default)s")
    give.add_argument("--out", type=Path, required=True, help="the folder; files are OUT/VIDEO/000003+1.flo")
    give.set_defaults(run=_export)
    take = commands.add_parser("import", help="add flow that another program made to a store")
    take.add_argument("folder", type=Path, help="of files named as export names them")
    take.add_argument("--video", type=Path, required=True, help="the video or folder that it is the flow of")
    take.add_argument("--format", choices=FORMATS, default="flo", help="default: %(default)s")
    take.add_argument("--out", type=Path, required=True, help="the .h5 file to write")
    take.set_defaults(run=_import)
    show = commands.add_parser(
        "show", help="draw a field: its colours, its check, and the frames if they are there"
    )
    show.add_argument("store", type=Path)
    show.add_argument("video")
    show.add_argument("frame", type=int)
    show.add_argument("step", type=int)
    show.add_argument("--out", type=Path, required=True, help="the .png file to write")
    show.add_argument("--threshold", type=float, default=5.0, help="of the check, px (default: 5)")
    show.set_defaults(run=_show)
    return parser


def _add_estimator(command: argparse.ArgumentParser) -> None:
    command.add_argument("--estimator", choices=ESTIMATORS, default="dis")
    command.add_argument("--preset", help="of dis: ultrafast, fast or medium (default)")
    command.add_argument("--weights", help="of raft_*: torchvision's name (default C_T_V2), or a checkpoint")
    command.add_argument("--iterations", type=int, help="of raft_*: updates of the flow (default 12)")
    command.add_argument("--device", help="of raft_*: auto (default: a GPU where there is one), cpu, cuda:1")


def _verify(options: argparse.Namespace) -> None:
    with FlowStore(options.store) as store:
        found = verify_store(store, options.sample, _estimator(options))
    for fault in (*found.damaged, *found.different):
        print(fault)
    print(
        f"{options.store}: {found.read} fields read, {len(found.damaged)} damaged; "
        f"{found.estimated_again} estimated again, {len(found.different)} came out otherwise"
    )
    if not found.sound:
        raise FlowCacheError("what is damaged has to be estimated again: move the store away, and precompute")


def _export(options: argparse.Namespace) -> None:
    with FlowStore(options.store) as store:
        print(f"{options.out}: {export_flow(store, options.out, options.format)} files")


def _import(options: argparse.Namespace) -> None:
    added = import_flow(options.folder, options.video, options.out, options.format)
    print(f"{options.out}: {added} fields of {options.folder}")


def _estimator(options: argparse.Namespace) -> FlowEstimator:
    """The chosen estimator with the settings that were given; it refuses those of another one."""
    kind = ESTIMATORS[options.estimator]
    given = {key: getattr(options, key) for key in ("preset", "weights", "iterations", "device")}
    given = {key: value for key, value in given.items() if value is not None}
    known = {field.name for field in dataclasses.fields(kind)}
    if others := sorted(set(given) - known):
        raise FlowCacheError(
            f"--{others[0]} is no setting of {options.estimator}; it has: {', '.join(sorted(known))}"
        )
    return kind(**given)


def _precompute(options: argparse.Namespace) -> None:
    sources, out = options.sources, options.out
    if options.shard is not None:
        number, count = options.shard
        sources = sources[number - 1 :: count]
        out = out / f"shard-{number:0{len(str(count))}}-of-{count}.h5"
        if not sources:
            print(f"{out}: none of {len(options.sources)} videos falls to this shard")
            return
    frames = None
    if options.frames is not None:
        frames = {video_name(source): options.frames for source in sources}
    summary = precompute(
        sources,
        out,
        options.steps,
        _estimator(options),
        frames=frames,
        filter=options.filter,
        processes=options.processes,
        commit_seconds=options.commit_seconds,
    )
    print(
        f"{out}: {summary.estimated} fields of {', '.join(summary.videos)} estimated, "
        f"{summary.found} found, {summary.seconds:.1f} s"
    )


def _inspect(options: argparse.Namespace) -> None:
    with FlowStore(options.store) as store:
        reports = inspect_store(store)
    print(json.dumps(report_as_json(reports), indent=2) if options.json else report_as_text(reports))


def _show(options: argparse.Namespace) -> None:
    video, frame, step = options.video, options.frame, options.step
    with FlowStore(options.store) as store:
        flow_0to1 = store.read(video, frame, step).displacement
        panels = [colour_flow(flow_0to1)]
        if store.finished(video, -step)[frame + step]:
            flow_1to0 = store.read(video, frame + step, -step).displacement
            panels.append(draw_check(flow_0to1, flow_1to0, options.threshold))
        record = store.record(video)
    rows = [np.concatenate(panels, axis=1)]
    if Path(record.source).exists() and len(panels) == 2:
        images = dict(open_video(Path(record.source), record).read([frame, frame + step]))
        rows.append(np.concatenate([images[frame], bring_back(images[frame + step], flow_0to1)], axis=1))
    save_png(options.out, np.concatenate(rows))
    print(f"{options.out}: {len(panels) + 2 * (len(rows) - 1)} panels")


if __name__ == "__main__":
    sys.exit(main())
