"""Reporting: the page of one or several studies."""

from __future__ import annotations

import argparse

from flow_cache.runtime.command_line import add_output
from slimdp.commands.arguments import add_device, add_imports, add_swept_studies, names_with_commas, whole


def add_commands(commands: argparse._SubParsersAction) -> None:
    """report."""
    command = commands.add_parser(
        "report",
        help="write the page of one or several studies",
        description="Write one page that opens in a browser and needs nothing else: tables beside the "
        "paper's numbers, curves, pictures, and the commands that make what is missing (docs/report.md).",
    )
    add_swept_studies(command)
    add_output(command, "--out", required=True, help="the HTML file to write")
    add_output(command, "--figures", role="folder", help="a folder to fill with the same as PNG and CSV")
    command.add_argument(
        "--baseline",
        help="the row to compare all with (default: that of each of the study's groups, else the first one)",
    )
    command.add_argument(
        "--panels", type=whole(0), default=4, metavar="N", help="people to draw (default: 4)"
    )
    command.add_argument(
        "--no-panels", dest="panels", action="store_const", const=0, help="run no network, draw no people"
    )
    command.add_argument(
        "--panel-rows",
        type=names_with_commas,
        metavar="A,B",
        help="the rows whose networks draw them (default: chosen)",
    )
    add_imports(command, "networks or metrics that the runs were made with")
    add_device(command)
    command.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> None:
    from slimdp.registry import import_modules
    from slimdp.studies import find_studies
    from slimdp.studies.page import ReportSettings, write_report

    import_modules(options.imports)
    studies = find_studies(options.runs, options.study, options.baseline)
    settings = ReportSettings(people=options.panels, rows=options.panel_rows, device=options.device)
    summary = write_report(studies, options.out, options.figures, settings)
    for note in summary.notes:
        print(note)
    if summary.files:
        print(f"{options.figures}: {len(summary.files)} files")
    print(summary.page)
