"""How a command is parsed, run and ended: errors in a line, and what a mistyped word was meant to be."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from flow_cache.runtime.file_options import check_files
from flow_cache.runtime.nearest import did_you_mean, nearest
from flow_cache.runtime.progress import shown
from flow_cache.runtime.standard_streams import READER_LEFT, in_a_line, reader_left

#: Exit codes: a fault of the input, and an interruption (as a shell counts it).
BAD_INPUT, INTERRUPTED = 2, 130


def run_command(
    options: argparse.Namespace,
    name: str,
    faults: tuple[type[Exception], ...],
    shows: bool = True,
    interrupted: str = "",
) -> int:
    """Check the files of a parsed command and run it; returns its exit code.

    Args:
        options: with `run`, which is called with them, and may return an exit code.
        name: of the command, before what is said of an error.
        faults: what is a fault of the input, beside OSError and MemoryError: its plain message is what a user
            needs, and the exit code 2.
        shows: whether to show how far it is.
        interrupted: what to say of Ctrl-C, whose exit code is 130, unless the interrupt has words of its own.
    """
    known: tuple[type[Exception], ...] = (*faults, OSError, MemoryError)
    try:
        with shown(shows):
            check_files(options)
            code: int | None = options.run(options)
        sys.stdout.flush()
    except known as error:
        if isinstance(error, BrokenPipeError) and reader_left():
            return READER_LEFT
        print(f"{name}: {in_a_line(error)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt as interrupt:
        said = str(interrupt) or "; ".join(filter(None, ["interrupted", interrupted]))
        print(f"{name}: {said}", file=sys.stderr)
        return INTERRUPTED
    return code or 0


class CommandParser(argparse.ArgumentParser):
    """argparse's, with the nearest command, choice or option in the error; its commands parse so too.

    From Python 3.14 on argparse can do that for choices, not for options.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Refuse unknown options first: of a mistyped one that is required, argparse says it is missing."""
        if args is not None:
            self._refuse_unknown_options(args)
        return super().parse_known_args(args, namespace)

    def help_and_exit(self) -> NoReturn:
        """Print the help, and end as where something is missing: no command was given."""
        self.print_help()
        self.exit(2, f"{self.prog}: error: the following arguments are required: COMMAND\n")

    def _refuse_unknown_options(self, words: Sequence[str]) -> None:
        options = [option for action in self._actions for option in action.option_strings]
        has_commands = any(isinstance(action, argparse._SubParsersAction) for action in self._actions)
        for word in words:
            if word == "--" or (has_commands and not word.startswith("-")):
                return  # what follows is no option, or one of the command
            name = word.partition("=")[0]
            if name.startswith("--") and not any(option.startswith(name) for option in options):
                near = nearest(name[2:], [option[2:] for option in options if option.startswith("--")])
                self.error(f"unknown option {name}" + (f"; did you mean --{near}?" if near else ""))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(
                action,
                f"invalid choice: {value!r}{did_you_mean(value, names)} (choose from {', '.join(names)})",
            )
