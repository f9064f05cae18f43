"""The command line: python -m flow_cache precompute, and what is done with a store."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from flow_cache import __version__
from flow_cache.arguments import with_negative_values
from flow_cache.commands import add_commands
from flow_cache.errors import FlowCacheError
from flow_cache.runtime.command_line import CommandParser, open_standard_streams, run_command
from flow_cache.runtime.job_array import JobError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 2 for a fault of the input or no command, 130 when
    interrupted."""
    open_standard_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    if not given:
        parser.help_and_exit()
    options = parser.parse_args(with_negative_values(given))
    faults = FlowCacheError, JobError, UnicodeEncodeError
    return run_command(options, "flow_cache", faults, interrupted="the same command goes on from here")


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m flow_cache",
        description="Estimate, check, store and read the optical flow of videos (docs/flow.md).",
    )
    parser.add_argument("--version", action="version", version=f"flow_cache {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_commands(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
