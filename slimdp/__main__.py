"""The command line: parse, call, print. `slimdp COMMAND --help` says what each one takes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from flow_cache.arguments import with_negative_values
from flow_cache.runtime.command_line import CommandParser, open_standard_streams, run_command
from slimdp import __version__
from slimdp.commands import (
    advise,
    annotate,
    budget,
    chart,
    data,
    evaluate,
    export,
    fit,
    propagate,
    quality,
    report,
    suggest,
    sweep,
    train,
    video,
)
from slimdp.shipped import shipped_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 from a doctor who found errors, 2 for a fault of the input
    or no command, which prints the help, 130 when interrupted."""
    open_standard_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["flow"]:
        from flow_cache.__main__ import main as flow_main

        return flow_main(given[1:])
    if given[:1] == ["propagate"]:
        given = with_negative_values(given)
    parser = _parser()
    if not given:
        parser.help_and_exit()
    options = parser.parse_args(given)
    # The project's errors of input are ValueErrors, and a diverging training is a FloatingPointError. Of the
    # processes that torchrun started, the first shows how far it is.
    return run_command(
        options,
        f"slimdp {options.command}",
        (ValueError, FloatingPointError),
        shows=os.environ.get("RANK", "0") == "0",
    )


# The commands import what they need when they run: `--help` and bad options answer at once.
def _parser() -> CommandParser:
    parser = CommandParser(
        prog="slimdp",
        description="Thrifty dense human pose from video.",
        epilog=f"What help and errors call docs/ is {shipped_folder('docs')}, and experiments/ is "
        f"{shipped_folder('experiments')}, wherever no file of yours has that name.",
    )
    parser.set_defaults(main=main)  # for commands that run others
    parser.add_argument("--version", action="version", version=f"slimdp {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for module in (
        annotate,
        fit,
        train,
        video,
        export,
        sweep,
        report,
        advise,
        data,
        chart,
        suggest,
        budget,
        propagate,
        evaluate,
        quality,
    ):
        module.add_commands(commands)
    commands.add_parser("flow", help="optical flow: what python -m flow_cache does")
    return parser


if __name__ == "__main__":
    sys.exit(main())
