"""Every command of both packages declares the files that it reads and writes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_cache import __main__ as flow_cache_main
from slimdp import __main__ as slimdp_main

#: Options that take text which is a path now and then, or names of files that another one is about.
_OTHERWISE = {("jobs", "out")}


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for main in (slimdp_main, flow_cache_main):
        for action in main._parser()._actions:
            if isinstance(action, argparse._SubParsersAction):
                yield from action.choices.items()


COMMANDS = list(commands())


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_option_that_names_a_file_says_whether_it_is_read_or_written(
    name: str, command: argparse.ArgumentParser
) -> None:
    declared = {option.dest: option.role for option in command.get_default("declared_files") or ()}
    for action in command._actions:
        if action.type is Path and (name, action.dest) not in _OTHERWISE:
            assert action.dest in declared, f"{name} {action.dest}: add_input or add_output"
    # What calibrate writes lies beside the checkpoint, under its name.
    if name not in ("advise", "calibrate", "flow", "jobs", "inspect", "verify"):
        assert set(declared.values()) - {"input"}, f"{name} writes something"


@pytest.mark.parametrize("name", ["folder", "a.json", "link", "hard"])
def test_a_command_says_in_a_line_that_its_output_is_its_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "a.json").write_text("labels")
    (tmp_path / "link").symlink_to("a.json")
    (tmp_path / "hard").hardlink_to(tmp_path / "a.json")
    (tmp_path / "folder").mkdir()
    words = ["results", "--predictions", str(tmp_path / "a.json"), "--out", str(tmp_path / name)]
    assert slimdp_main.main(words) == 2
    said = capsys.readouterr().err
    assert ("is a folder" if name == "folder" else "which would be lost") in said
    assert said.count("\n") == 1
    assert (tmp_path / "a.json").read_text() == "labels"
