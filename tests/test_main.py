from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import flow_cache
import flow_cache.__main__
import slimdp
from slimdp.__main__ import main
from slimdp.settings_file import ConfigError
from slimdp.synthetic.presets import preset_plan

#: Libraries that take long to import: no help may wait for one.
HEAVY = "av cv2 h5py hdf5plugin jinja2 matplotlib numpy PIL pydantic scipy submitit torch tqdm trimesh"


def test_no_help_and_no_bad_option_waits_for_a_library() -> None:
    """Libraries are imported by the command that runs."""
    code = f"""
import argparse, contextlib, io, sys
import flow_cache.__main__, slimdp.__main__
for program in slimdp.__main__, flow_cache.__main__:
    actions = program._parser()._actions
    commands = [name for a in actions if isinstance(a, argparse._SubParsersAction) for name in a.choices]
    assert len(commands) > 5
    for words in [["--help"], ["--nonsense"], *([name, "--help"] for name in commands)]:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            with contextlib.suppress(SystemExit):
                program.main(words)
        loaded = {{*{HEAVY.split()}}} & set(sys.modules)
        assert not loaded, (program, words, loaded)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_command_is_named_with_its_choices(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["swep"])
    assert ended.value.code == 2
    assert "sweep" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("run", "name"),
    [(main, "slimdp"), (flow_cache.__main__.main, "flow_cache")],
    ids=["slimdp", "flow_cache"],
)
def test_the_version_and_the_help_without_a_command(
    run: Callable[[list[str]], int], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{name} {slimdp.__version__}\n"
    assert slimdp.__version__ == flow_cache.__version__
    with pytest.raises(SystemExit) as ended:
        run([])
    assert ended.value.code == 2
    said = capsys.readouterr()
    assert "--version" in said.out
    assert said.err.endswith("required: COMMAND\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["swep"], "did you mean sweep?"),
        (["flow", "precomput"], "did you mean precompute?"),
        (["predict", "a.pt", "--anotations", "b"], "did you mean --annotations?"),
        (["flow", "inspect", "flow.h5", "--jsn"], "did you mean --json?"),
    ],
)
def test_the_nearest_command_or_option_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("text", ["30/0", "quick", "30/x", ""])
def test_a_rate_that_is_no_number_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["video", "walk", "--out", "out", "--rate", text])
    assert ended.value.code == 2
    wanted = f"--rate: {text!r}, but pictures a second are wanted: 25, 29.97 or 30000/1001"
    assert wanted in capsys.readouterr().err


def test_a_scale_that_is_no_number_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("large", "nan", "9"):
        with pytest.raises(SystemExit):
            main(["predict", "--scales", text])
        assert f"--scales: {text!r}, but a number over 0, at most 8 is wanted" in capsys.readouterr().err


def test_the_nearest_preset_and_setting_are_named() -> None:
    with pytest.raises(ConfigError, match="did you mean tiny"):
        preset_plan("tinny", [])
    with pytest.raises(ConfigError, match=r"unknown key stils; there are: stills, .*; did you mean stills\?"):
        preset_plan("tiny", ["stils=3"])
    with pytest.raises(flow_cache.FlowCacheError, match="did you mean raft_small"):
        flow_cache.make_estimator("raft_smal")


@pytest.mark.parametrize("program", [slimdp.__main__, flow_cache.__main__], ids=["slimdp", "flow_cache"])
def test_help_says_what_every_command_and_option_is_for_and_its_default(program: Any) -> None:
    """In the same words everywhere: `what it is (default: value)`."""
    commands = _commands(program._parser())
    assert len(commands) > 8
    for name, command in commands.items():
        assert name == "flow" or (command.description or "").endswith((".", "]'")), f"{name}: no description"
        for action in command._actions:
            told = f"{name} {action.option_strings or action.metavar}: {action.help!r}"
            assert action.help, told
            assert action.option_strings or str(action.metavar or "").partition(".")[0].isupper(), told
            assert not re.search(r"(?<!%)\(default[ )]", action.help), told
            without = action.const is not None or action.default in (None, False, argparse.SUPPRESS, [], "")
            assert without or re.search(r"\(([^)]*; )?default: ", action.help), told


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return {
        name: command
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, command in action.choices.items()
    }
