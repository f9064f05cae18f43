"""How a command is parsed, run and ended: its files are checked before it works, an error is a line.

    add_input(command, "--annotations", required=True, help="...")
    add_output(command, "--out", required=True, help="...")
    check_files(options)  # after parsing: no output replaces an input, or another output

Standard output and error may be closed (daemons), full, or too narrow for a name.
"""

from __future__ import annotations

import argparse
import io
import os
import select
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn

from flow_cache.runtime.atomic import is_stream, writable_file
from flow_cache.runtime.progress import shown
from flow_cache.runtime.words import did_you_mean, nearest

#: Exit codes: a fault of the input; an interruption, and a closed pipe, as a shell counts them.
BAD_INPUT, INTERRUPTED, READER_LEFT = 2, 130, 141
_STDOUT, _STDERR = 1, 2


def open_standard_streams() -> None:
    """Let closed standard streams lead nowhere, and those that cannot encode a character write its number.

    Else the next file to be opened would take the number of a closed one, and get what is printed.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)  # as processes expect it that this one starts
    os.close(descriptor)
    for name, number in (("stdout", _STDOUT), ("stderr", _STDERR)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", closefd=False, encoding="utf-8"))  # noqa: SIM115
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def in_a_line(error: BaseException) -> str:
    """What a command says of an error that ends it; a failing standard output goes nowhere from then on."""
    try:
        sys.stdout.flush()
    except OSError as fault:
        _lead_nowhere()
        return f"standard output: {fault.strerror}"
    if isinstance(error, MemoryError):
        said = f" ({error})" if str(error) else ""
        return f"not enough memory{said}; close other programs, or give it smaller or fewer inputs"
    if isinstance(error, UnicodeEncodeError):
        return f"{error.object!r} is no UTF-8, as names of files and folders must be here; rename it"
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        named = map(str, filter(None, (error.filename, error.filename2)))
        return f"{' and '.join(named)}: {error.strerror}"  # without its number
    return str(error)


def reader_left() -> bool:
    """Whether it was the standard output that broke, and no pipe to another process; then it goes nowhere."""
    there = select.poll()
    there.register(_STDOUT, 0)  # errors are told unasked
    if broken := bool(there.poll(0)):
        _lead_nowhere()
    return broken


def _lead_nowhere() -> None:
    """Python would complain, as it ends, of what is still to be printed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDOUT)
    os.close(nowhere)


_DECLARED = "declared_files"

#: Of an input folder and the parsed options: whether a file in the folder is input.
Reads = Callable[[Path, argparse.Namespace], bool]
OutputRole = Literal["file", "store", "folder"]
Role = OutputRole | Literal["input"]


class FileOption(NamedTuple):
    """An option of a command that names files."""

    dest: str  # its attribute among the parsed options
    name: str  # as users write it
    role: Role
    reads: Reads = lambda file, options: False  # of an input folder: which files in it are input
    words: tuple[str, ...] = ()  # values that name no file


def add_input(
    command: argparse._ActionsContainer,
    *names: str,
    reads: Reads = lambda file, options: True,
    words: tuple[str, ...] = (),
    **settings: Any,
) -> None:
    """Add an option (or argument) that names a file or folder to read, which no output may replace.

    `reads` says of a file in a folder whether it is input; by default every one is. `words` are values that
    name no file, such as `open` for a surface. The others are those of `add_argument`; `type` is Path.
    """
    _declare(command, command.add_argument(*names, **{"type": Path, **settings}), "input", reads, words)


def add_output(
    command: argparse._ActionsContainer, *names: str, role: OutputRole = "file", **settings: Any
) -> None:
    """Add an option that names what a command writes; arguments as of `add_input`.

    A `file` is replaced by a whole new one, and may be a pipe; a `store` is added to; a `folder` is filled.
    """
    _declare(command, command.add_argument(*names, **{"type": Path, **settings}), role)


def _declare(command: argparse._ActionsContainer, action: argparse.Action, role: Role, *how: Any) -> None:
    name = action.option_strings[0] if action.option_strings else str(action.metavar or action.dest).upper()
    before = command.get_default(_DECLARED) or ()
    command.set_defaults(**{_DECLARED: (*before, FileOption(action.dest, name, role, *how))})


def check_files(options: argparse.Namespace) -> None:
    """Check the declared files of a parsed command line.

    Raises FileExistsError where an output is an input (by any name), or a file in an input folder, another
    output or a device; IsADirectoryError, NotADirectoryError, PermissionError where it cannot be written.
    """
    declared: tuple[FileOption, ...] = getattr(options, _DECLARED, ())
    paths = [
        (option, path)
        for option in declared
        for path in _paths(getattr(options, option.dest, None))
        if str(path) not in option.words
    ]
    outputs = [(option, path) for option, path in paths if option.role != "input"]
    for index, (option, path) in enumerate(outputs):
        named = f"{option.name} {path}"
        if not _check_place(named, option.role, path):
            continue
        for source, there in paths:
            if source.role == "input":
                _check_not_replaced(named, path, there)
                if option.role == "file" and _holds(there, path) and source.reads(_real(path), options):
                    lost = f"a file of {source.name} {there}, which would be lost"
                    raise FileExistsError(f"{named} is {lost}; choose another name, or remove it first")
        for other, there in outputs[:index]:
            if _clash(option, path, other, there):
                both = f"{named} and {other.name} {there} cannot both be written"
                raise FileExistsError(f"{both}; give each a name of its own")


def check_apart(output: Path, source: Path) -> None:
    """Raise FileExistsError if writing the file `output` would replace `source`, or a file in that folder."""
    if is_stream(output):
        return
    _check_not_replaced(str(output), output, source)
    if _holds(source, output):
        raise FileExistsError(f"{output} is a file of {source}, which would be lost; choose another name")


def _check_not_replaced(named: str, output: Path, source: Path) -> None:
    if _same(output, source) and not (output.is_dir() and source.is_dir()):
        raise FileExistsError(f"{named} is an input file, {source}, which would be lost; choose another name")


def _holds(folder: Path, file: Path) -> bool:
    return file.is_file() and folder.is_dir() and _real(folder) in _real(file).parents


def _paths(value: Any) -> Iterator[Path]:
    """The paths in the value of an option, which may be one, none, several, or pairs of them."""
    if isinstance(value, str) and "=" in value and not Path(value).exists():  # NAME=PATH
        yield Path(value.partition("=")[2])
    elif isinstance(value, (str, Path)):
        yield Path(value)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _paths(each)


def _check_place(named: str, role: Role, path: Path) -> bool:
    """Raise OSError where something cannot be written; False for a stream, which replaces nothing."""
    if is_stream(path):
        if role != "file":
            raise FileExistsError(f"{named} is a pipe or a device, but a {role} is wanted")
        return False
    if role == "file":
        writable_file(path)
    elif role == "folder" and path.is_dir():
        return True  # some commands only look into it
    elif role == "folder" and path.exists():
        raise NotADirectoryError(f"{named} is a file, but the name of a folder is wanted")
    nearest = next(place for place in _real(path).parents if place.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(f"{named}: {nearest} is a file, so nothing can be written in it")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(f"{named}: nothing can be written in {nearest}")
    return True


def _clash(option: FileOption, path: Path, other: FileOption, there: Path) -> bool:
    """Whether of two outputs one would replace the other, or lie in it though it is a file."""
    if is_stream(there) or option.role == other.role == "folder":
        return False
    in_other = other.role != "folder" and _real(there) in _real(path).parents
    in_this = option.role != "folder" and _real(path) in _real(there).parents
    return _same(path, there) or in_other or in_this


def _same(first: Path, second: Path) -> bool:
    """Whether two names lead to one file or folder, there already or to be made."""
    try:
        return os.path.samefile(first, second)
    except OSError:
        return _real(first) == _real(second)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


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
        options = [option for action in self._actions for option in action.option_strings]
        has_commands = any(isinstance(action, argparse._SubParsersAction) for action in self._actions)
        for word in args or ():
            if word == "--" or (has_commands and not word.startswith("-")):
                break  # what follows is no option, or one of the command
            name = word.partition("=")[0]
            if name.startswith("--") and not any(option.startswith(name) for option in options):
                near = nearest(name[2:], [option[2:] for option in options if option.startswith("--")])
                self.error(f"unknown option {name}" + (f"; did you mean --{near}?" if near else ""))
        return super().parse_known_args(args, namespace)

    def help_and_exit(self) -> NoReturn:
        """Print the help, and end as where something is missing: no command was given."""
        self.print_help()
        self.exit(2, f"{self.prog}: error: the following arguments are required: COMMAND\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            said = f"invalid choice: {value!r}{did_you_mean(value, names)} (choose from {', '.join(names)})"
            raise argparse.ArgumentError(action, said)
