from __future__ import annotations

import argparse

import pytest

from flow_cache.runtime.command_line import CommandParser
from flow_cache.runtime.words import did_you_mean, nearest


@pytest.fixture
def parser() -> CommandParser:
    parser = CommandParser(prog="program")
    commands = parser.add_subparsers(dest="command", required=True)
    predict = commands.add_parser("predict")
    predict.add_argument("checkpoint")
    predict.add_argument("--annotations", required=True)
    predict.add_argument("--kappa", choices=["per-part", "paper"], default="paper")
    commands.add_parser("evaluate")
    return parser


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("pedict", "invalid choice: 'pedict'; did you mean predict?"),
        ("PREDICT", "did you mean predict?"),
        ("dance", "invalid choice: 'dance' (choose from predict, evaluate)"),
        ("--verson predict", "unknown option --verson"),
        # argparse alone says of these two that --annotations is missing.
        ("predict a.pt --anotations b.json", "unknown option --anotations; did you mean --annotations?"),
        ("predict a.pt --anotations=b.json", "unknown option --anotations; did you mean --annotations?"),
        ("predict a.pt --annotations b --kappa papr", "invalid choice: 'papr'; did you mean paper?"),
        ("predict a.pt --annotations b --sheet", "unknown option --sheet\n"),
    ],
)
def test_a_mistyped_word_is_told_with_the_nearest_one(
    parser: CommandParser, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(words.split())
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("predict a --annotations b", {"checkpoint": "a", "annotations": "b"}),
        ("predict a --annot b --kappa=paper", {"annotations": "b", "kappa": "paper"}),
        ("predict --annotations b -- --strange", {"checkpoint": "--strange"}),
    ],
)
def test_what_argparse_takes_is_taken(parser: CommandParser, words: str, found: dict[str, str]) -> None:
    options = vars(parser.parse_args(words.split()))
    assert {name: options[name] for name in found} == found
    assert isinstance(parser, argparse.ArgumentParser)


def test_the_nearest_name_keeps_its_own_case() -> None:
    assert nearest("dis", ["DIS", "raft_small"]) == "DIS"
    assert did_you_mean("raft_smal", ["dis", "raft_small", "raft_large"]) == "; did you mean raft_small?"
    assert did_you_mean("zebra", ["dis"]) == ""
    assert did_you_mean(7, ["dis"]) == ""
