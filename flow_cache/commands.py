"""What each command of `python -m flow_cache` takes, and does; it imports what it needs when it runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flow_cache import arguments
from flow_cache.arguments import parse_frames, parse_shard, parse_steps
from flow_cache.choices import COMMIT_SECONDS, FILTER_NAMES, FORMAT_NAMES, MARGIN
from flow_cache.errors import FlowCacheError
from flow_cache.finetune import command as finetune_command
from flow_cache.runtime.command_line import add_input, add_output, check_apart
from flow_cache.runtime.words import counted, quoted

if TYPE_CHECKING:
    from flow_cache.precompute import PrecomputeSummary
    from flow_cache.video import Video

_STORE = "the flow store: a file, or a folder of files"
_FORMAT = "format of the files (default: %(default)s)"


def add_commands(commands: argparse._SubParsersAction) -> None:
    """precompute, jobs, chain, finetune, inspect, verify, show, export and import."""
    _add_precompute(commands)
    _add_jobs(commands)
    _add_chain(commands)
    finetune_command.add_command(commands)
    _add_inspection(commands)
    _add_exchange(commands)


def _add_precompute(commands: argparse._SubParsersAction) -> None:
    fill = commands.add_parser(
        "precompute",
        help="estimate the flow of videos into a store; resumes",
        description="Estimate the flow of videos into a store (docs/flow.md). The same command goes on "
        "where it was stopped.",
    )
    add_input(
        fill, "sources", type=str, nargs="+", metavar="VIDEO_OR_FOLDER",
        help="a video file, a folder of its frames, or NAME=PATH; videos of one name are called by as many "
        "folders as tell them apart",
    )  # fmt: skip
    add_output(
        fill,
        "--out",
        role="store",
        required=True,
        help="the .h5 file to write; the folder, with --shard or --submit",
    )
    fill.add_argument(
        "--steps",
        type=parse_steps,
        default="-3:3",
        help="frames that flow leads over: a range, or a list, -1,1 (default: -3:3)",
    )
    arguments.add_estimator(fill)
    fill.add_argument("--processes", type=int, default=1, help="processes that estimate (default: 1)")
    fill.add_argument(
        "--commit-seconds", type=float, default=COMMIT_SECONDS,
        help="at most this much work is lost to a kill (default: %(default)g)",
    )  # fmt: skip
    _add_fields(fill)
    add_input(
        fill, "--around", metavar="BOXES", help="COCO JSON of people's boxes (tools/detect_people.py of the "
        "repository makes one): keep flow near them alone",
    )  # fmt: skip
    fill.add_argument(
        "--margin", type=float,
        help=f"room around each box of --around, as a share of its longer side (default: {MARGIN})",
    )  # fmt: skip
    _add_sharing(fill)
    fill.set_defaults(run=_precompute)


def _add_sharing(command: argparse.ArgumentParser) -> None:
    """How the work is shared out among jobs."""
    command.add_argument(
        "--shard", type=parse_shard, metavar="I/N",
        help="do only the videos of the I-th of N jobs, into a file of its own in the folder OUT",
    )  # fmt: skip
    command.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="how many jobs --submit starts, each with a file in the folder OUT",
    )
    arguments.add_job_options(command)


def _add_jobs(commands: argparse._SubParsersAction) -> None:
    tell = commands.add_parser(
        "jobs",
        help="tell how far the jobs are that --submit started",
        description="Tell how far the jobs are that precompute --submit started (docs/flow.md).",
    )
    tell.add_argument("out", type=Path, metavar="OUT", help="the folder that they fill")
    tell.set_defaults(run=_jobs)


def _add_fields(command: argparse.ArgumentParser) -> None:
    add_input(
        command, "--frames", type=parse_frames, metavar="FIRST:LAST",
        help="only fields that start or end at these frames, both ends included; or at those in which a COCO "
        "file (.json) has people, as propagating their labels needs (default: all)",
    )  # fmt: skip
    kept = "compression (default: %(default)s)"
    command.add_argument("--filter", choices=FILTER_NAMES, default="zstd", help=kept)


def _add_chain(commands: argparse._SubParsersAction) -> None:
    join = commands.add_parser(
        "chain",
        help="make flow over many frames of stored flow over few",
        description="Make flow over many frames of stored flow over few (docs/flow.md).",
    )
    add_input(join, "store", metavar="STORE", help="the store of flow over short steps, both ways")
    join.add_argument(
        "--steps",
        type=parse_steps,
        required=True,
        help="frames that the made flow leads over: a list, -12,-6,6,12, or a range, -6:6",
    )
    _add_fields(join)
    out = "the .h5 file to write, another than the store"
    add_output(join, "--out", role="store", required=True, help=out)
    join.set_defaults(run=_chain)


def _precompute(options: argparse.Namespace) -> None:
    from flow_cache.plan import check_steps_stay, steps_leaving
    from flow_cache.precompute import precompute
    from flow_cache.shards import assign_shards
    from flow_cache.video import name_sources, open_video, probe_video

    if options.margin is not None and options.around is None:
        raise FlowCacheError("--margin is a setting of --around, which was not given")
    options.videos = name_sources(options.sources, _known(options))
    names = [video.name for video in options.videos]
    chosen = _frames_of_interest(options.frames, names, lambda: [open_video(v) for v in options.videos])
    settings = {
        **{
            name: getattr(options, name)
            for name in ("steps", "around", "filter", "processes", "commit_seconds")
        },
        "estimator": arguments.chosen_estimator(options),
        "frames": chosen,
        "margin": MARGIN if options.margin is None else options.margin,
    }
    if options.submit is not None:
        _submit(options, settings)
        return
    if options.jobs is not None or options.slurm or options.no_wait:
        raise FlowCacheError("--jobs, --slurm and --no-wait are settings of --submit, which was not given")
    fills = [(options.out, options.videos)]
    if options.shard is not None:
        number, count = options.shard
        videos = [probe_video(video) for video in options.videos]
        # A shard may get short videos alone, and so be left without fields: all of them together may not.
        check_steps_stay({v.name: steps_leaving(v.frames, options.steps) for v in videos}, options.steps)
        settings["allow_empty"] = True
        share = assign_shards(options.out, videos, count)[number - 1]
        fills = [(shard.path, list(shard.sources)) for shard in share]
        if not fills:
            print(f"{options.out}: none of {len(videos)} videos falls to this shard")
    for out, sources in fills:
        if chosen is not None:
            settings["frames"] = {video.name: chosen[video.name] for video in sources}
        _tell(out, precompute(sources, out, **settings))


def _known(options: argparse.Namespace) -> Collection[str]:
    """The videos that the store has."""
    from flow_cache.shards import known_videos
    from flow_cache.store import FlowStore

    if options.submit is not None or options.shard is not None:
        return known_videos(options.out)
    if not options.out.is_file():
        return ()
    with FlowStore(options.out) as store:
        return store.videos()


def _frames_of_interest(
    frames: range | Path | None, names: Iterable[str], open_all: Callable[[], list[Video]]
) -> dict[str, Iterable[int]] | None:
    """The frames of interest of each video; None for all."""
    from flow_cache.roi import frames_with_people

    if isinstance(frames, Path):
        return dict(frames_with_people(frames, open_all()))
    return None if frames is None else dict.fromkeys(names, frames)


def _submit(options: argparse.Namespace, settings: dict[str, Any]) -> None:
    from flow_cache.submission import submit

    if options.shard is not None or options.jobs is None:
        raise FlowCacheError("--submit needs --jobs N, which makes the shards; it does not go with --shard")
    asked = arguments.asked_of_jobs(options)
    under_way = submit(options.videos, options.out, options.jobs, options.submit, asked, **settings)
    count = len(under_way.jobs)
    fewer = f", not {options.jobs}: there is no more to share out" if count < options.jobs else ""
    jobs = counted(count, "job")
    print(f"{options.out}: {jobs}{fewer}; logs are in {under_way.folder}", flush=True)
    if options.no_wait:
        print(f"how far they are: python -m flow_cache jobs {quoted(options.out)}")
        return
    _tell(options.out, under_way.wait())


def _tell(out: Path, done: PrecomputeSummary) -> None:
    what = f"{counted(done.estimated, 'field')} of {', '.join(done.videos)} estimated, {done.found} found"
    print(f"{out}: {what}, {done.seconds:.1f} s")


def _jobs(options: argparse.Namespace) -> None:
    from flow_cache.submission import tell_jobs

    print("\n".join(tell_jobs(options.out)))


def _chain(options: argparse.Namespace) -> None:
    from flow_cache.chained import chain_flow
    from flow_cache.store import FlowStore
    from flow_cache.video import as_video

    with FlowStore(options.store) as store:
        names = store.videos()
        frames = _frames_of_interest(
            options.frames, names, lambda: [as_video(store.record(n)) for n in names]
        )
        made = chain_flow(store, options.out, options.steps, frames, options.filter)
    print(f"{options.out}: {counted(made.chained, 'field')} chained, {made.found} found")


def _add_inspection(commands: argparse._SubParsersAction) -> None:
    inspect = commands.add_parser(
        "inspect", help="tell what a store holds", description="Tell what a store holds (docs/flow.md)."
    )
    add_input(inspect, "store", metavar="STORE", help=_STORE)
    inspect.add_argument("--json", action="store_true", help="print it as JSON")
    inspect.set_defaults(run=_inspect)
    check = commands.add_parser(
        "verify",
        help="read all of a store, and estimate a sample again",
        description="Read all of a store, and estimate a sample again with the estimator that it was made "
        "with (docs/flow_faults.md). Exit code 2 where something is damaged or comes out otherwise.",
    )
    add_input(check, "store", metavar="STORE", help=_STORE)
    check.add_argument(
        "--sample", type=int, default=3, help="fields of each video to estimate again (default: 3; 0: none)"
    )
    forget = "mark damaged fields as not there, to precompute them again"
    check.add_argument("--forget", action="store_true", help=forget)
    arguments.add_estimator(check)
    check.set_defaults(run=_verify)
    drawn = "draw a field: its colours, its check, and the frames if they are there"
    show = commands.add_parser(
        "show", help=drawn, description=f"{drawn[0].upper()}{drawn[1:]} (docs/flow.md)."
    )
    add_input(show, "store", metavar="STORE", help=_STORE)
    show.add_argument("video", metavar="VIDEO", help="the video's name in the store")
    show.add_argument(
        "frame", metavar="FRAME", type=int, help="the number of the frame that flow starts at, from 0"
    )
    show.add_argument("step", metavar="STEP", type=int, help="frames that it leads over, such as 3 or -1")
    add_output(show, "--out", required=True, help="the .png file to write")
    show.add_argument(
        "--threshold", type=float, default=5.0, help="how far flow there and back may miss, px (default: 5)"
    )
    show.set_defaults(run=_show)


def _add_exchange(commands: argparse._SubParsersAction) -> None:
    give = commands.add_parser(
        "export",
        help="write the fields of a store as files of their own",
        description="Write the fields of a store as files of their own (docs/flow.md).",
    )
    add_input(give, "store", metavar="STORE", help=_STORE)
    give.add_argument("--format", choices=FORMAT_NAMES, default="flo", help=_FORMAT)
    files = "the folder to fill; files are OUT/VIDEO/000003+1.flo"
    add_output(give, "--out", role="folder", required=True, help=files)
    give.set_defaults(run=_export)
    take = commands.add_parser(
        "import",
        help="add flow that another program made to a store",
        description="Add flow that another program made to a store (docs/flow.md).",
    )
    add_input(
        take, "folder", metavar="FOLDER", help="the folder of files, named as export names them, or numbered"
    )
    video = "the video or folder that it is the flow of, or NAME=PATH"
    add_input(take, "--video", type=str, required=True, help=video)
    take.add_argument("--format", choices=FORMAT_NAMES, default="flo", help=_FORMAT)
    over = "frames that each file leads over; -1: back (default: as named, else 1)"
    take.add_argument("--step", type=int, help=over)
    take.add_argument(
        "--first-frame", type=int, metavar="N",
        help="the number that the first frame of the video has in the files' names (default: found out)",
    )  # fmt: skip
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
        found = verify_store(store, options.sample, arguments.chosen_estimator(options))
        for fault in (*found.damaged, *found.different):
            print(fault)
        print(
            f"{options.store}: {counted(found.read, 'field')} read, {len(found.damaged)} damaged; "
            f"{found.estimated_again} estimated again, {len(found.different)} came out otherwise"
        )
        if options.forget and found.damaged_fields:
            forget_fields(store, found.damaged_fields)
            forgotten = counted(len(found.damaged_fields), "field")
            print(f"{options.store}: {forgotten} forgotten; precompute estimates them again")
    if found.lasting:
        some = "; ".join(found.lasting[:3])
        more = f"; and {len(found.lasting) - 3} more, listed above" if len(found.lasting) > 3 else ""
        raise FlowCacheError(
            f"{options.store}: damaged beyond single fields, which verify --forget cannot mend; write the "
            f"video anew, to another file: {some}{more}"
        )
    if found.different:
        raise FlowCacheError("what came out otherwise is not what this estimator makes of these frames")
    if found.damaged and not options.forget:
        raise FlowCacheError("what is damaged has to be estimated again: verify --forget, and precompute")


def _show(options: argparse.Namespace) -> None:
    import numpy as np

    from flow_cache.drawing import backward_warp, colour_flow, draw_check
    from flow_cache.images import save_png
    from flow_cache.source_frames import find_source_frames, source_places
    from flow_cache.store import FlowStore

    video, frame, step = options.video, options.frame, options.step
    with FlowStore(options.store) as store:
        flow_0to1 = store.read(video, frame, step).displacement
        panels = [colour_flow(flow_0to1)]
        if store.finished(video, -step)[frame + step]:
            flow_1to0 = store.read(video, frame + step, -step).displacement
            panels.append(draw_check(flow_0to1, flow_1to0, options.threshold))
        record = store.record(video)
    for place in source_places(record):
        check_apart(options.out, place)
    rows = [np.concatenate(panels, axis=1)]
    if len(panels) == 2:
        try:
            images = dict(find_source_frames(record).read([frame, frame + step]))
        except FlowCacheError as error:
            print(f"without the frames: {error}")
        else:
            warped = backward_warp(images[frame + step], flow_0to1)
            rows.append(np.concatenate([images[frame], warped], axis=1))
    save_png(options.out, np.concatenate(rows))
    print(f"{options.out}: {len(panels) + 2 * (len(rows) - 1)} panels")


def _export(options: argparse.Namespace) -> None:
    from flow_cache.exchange import export_flow
    from flow_cache.store import FlowStore

    with FlowStore(options.store) as store:
        print(f"{options.out}: {counted(export_flow(store, options.out, options.format), 'file')}")


def _import(options: argparse.Namespace) -> None:
    from flow_cache.exchange import import_flow

    if options.step == 0:
        raise FlowCacheError("--step 0: flow leads to another frame; wanted 1, -1, 2, ...")
    added = import_flow(
        options.folder, options.video, options.out, options.format,
        step=options.step, first=options.first_frame, log=print,
    )  # fmt: skip
    print(f"{options.out}: {counted(added, 'field')} from {options.folder}")
