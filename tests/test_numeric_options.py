"""Options that take numbers: what cannot be is refused by the parser, under the name of the option."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from slimdp.__main__ import _parser, main


def options_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from options_of(command)
        else:
            yield action


def test_every_number_has_limits() -> None:
    """float takes "nan" and int takes "-1", of which commands complained late, or not at all."""
    options = list(options_of(_parser()))
    assert len(options) > 200
    assert [option.option_strings for option in options if option.type in (int, float)] == []


WANTED = {
    "a number over 0": ("0", "-1", "nan", "inf", "wide"),
    "a number of 0 or more": ("-0.5", "nan", "inf", "wide"),
    "a share from 0 to 1": ("-0.1", "1.1", "nan"),
    "a share between 0 and 1": ("0", "1", "1.5", "nan"),
    "a percentage over 0": ("0", "101", "nan"),
    "a whole number of 0 or more": ("-1", "1.5", "nan", "many"),
    "a whole number of 1 or more": ("0", "-3", "1.5", "many"),
    "a whole number from 0 to 65535": ("-1", "65536"),
}
OPTIONS = [
    ("merge --tolerance-px", "a number of 0 or more"),
    ("merge --apart-cm", "a number of 0 or more"),
    ("exam --people", "a whole number of 1 or more"),
    ("exam --seed", "a whole number of 0 or more"),
    ("annotators --tolerance-px", "a number of 0 or more"),
    ("annotators --simulate", "a number of 0 or more"),
    ("annotators --seed", "a whole number of 0 or more"),
    ("evaluate --seed", "a whole number of 0 or more"),
    ("stability --jump-cm", "a number of 0 or more"),
    ("stability --step", "a whole number of 1 or more"),
    ("stability --threshold-px", "a number over 0"),
    ("stability --first-frame", "a whole number of 0 or more"),
    ("advise --accuracy", "a percentage over 0"),
    ("annotate --port", "a whole number from 0 to 65535"),
    ("budget --keep-points", "a share from 0 to 1"),
    ("budget --videos", "a whole number of 1 or more"),
    ("calibrate --level", "a share between 0 and 1"),
    ("chart --scale", "a number over 0"),
    ("chart --regions", "a whole number of 1 or more"),
    ("draw --columns", "a whole number of 1 or more"),
    ("draw --least-score", "a number of 0 or more"),
    ("fit --reach", "a whole number of 0 or more"),
    ("propagate --reach", "a whole number of 1 or more"),
    ("propagate --least-probability", "a share from 0 to 1"),
    ("quickstart --seed", "a whole number of 0 or more"),
    ("report --panels", "a whole number of 0 or more"),
    ("suggest --count", "a whole number of 1 or more"),
    ("surface --height", "a whole number of 1 or more"),
    ("sweep --jobs", "a whole number of 1 or more"),
    ("synthesize --processes", "a whole number of 1 or more"),
    ("video --every", "a whole number of 1 or more"),
    ("video --score", "a share from 0 to 1"),
]


@pytest.mark.parametrize(("option", "wanted"), OPTIONS)
def test_a_number_that_cannot_be_is_refused(
    option: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, name = option.split(" ")
    for text in WANTED[wanted]:
        with pytest.raises(SystemExit) as ended:
            main([command, name, text])
        assert ended.value.code == 2
        assert f"argument {name}: {text!r}, but {wanted} is wanted" in capsys.readouterr().err


def test_numbers_with_commas_are_checked_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    for words, wanted in (
        (["sweep", "--seeds", "0,-1"], "--seeds: '0,-1', but whole numbers of 0 or more with commas"),
        (["evaluate", "--thresholds", "5,nan"], "--thresholds: '5,nan', but positive numbers with commas"),
    ):
        with pytest.raises(SystemExit):
            main(words)
        assert wanted in capsys.readouterr().err
