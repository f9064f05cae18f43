"""Flow to and from other programs: export and import."""

from __future__ import annotations

import argparse

from flow_cache.choices import FORMAT_NAMES
from flow_cache.errors import FlowCacheError
from flow_cache.runtime.file_options import add_input, add_output


def add_exchange(commands: argparse._SubParsersAction) -> None:
    """export and import."""
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
