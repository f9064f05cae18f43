from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from slimdp.settings_file import dump_yaml, parse_yaml
from slimdp.studies import RunResult, read_study
from slimdp.studies.results import read_scores, save_scores
from slimdp.studies.study import write_snapshot
from tools.make_table import main

SCORES = {("base", 0): 40.0, ("base", 1): 44.0, ("flow", 0): 43.0, ("flow", 1): 48.0, ("tps", 1): 45.0}


@pytest.fixture
def study(tmp_path: Path) -> Callable[[], list[str]]:
    """A study of three rows and a folder with five of its six results; the arguments that name them."""
    rows = ("base", "tps", "flow")
    for name in rows:
        (tmp_path / f"{name}.yaml").write_text("stages: []\n")
    values = {
        "title": "Table 0",
        "rows": {name: f"{name}.yaml" for name in rows},
        "seeds": [0, 1],
        "evaluate": {"annotations": "a", "images": "b"},
        "paper": {"base": {"10cm": 42.94}, "flow": {"10cm": 45.0}},
    }
    (tmp_path / "study.yaml").write_text(dump_yaml(values))
    commit = "0123456789abcdef with changes"
    results = []
    for (row, seed), at in SCORES.items():
        scores = {
            f"points.localization.{at_cm}cm": at + more for at_cm, more in ((5, -20), (10, 0), (20, 20))
        }
        scores |= {name.replace("localization", "full"): 0.0 for name in scores}
        results.append(
            RunResult(
                row=row,
                seed=seed,
                scores={"": scores},
                seconds=50.0,
                shared_seconds=10.0,
                machine="2 cores",
                commit=commit,
            )
        )
    (tmp_path / "out").mkdir()
    save_scores(tmp_path / "out" / "scores.jsonl", results)
    return lambda: [str(tmp_path / "out"), "--study", str(tmp_path / "study.yaml")]


def test_the_table_its_files_and_what_is_missing(
    study: Callable[[], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        "--out",
        str(tmp_path / "t.md"),
        "--csv",
        str(tmp_path / "t.csv"),
        "--scores",
        str(tmp_path / "t.jsonl"),
    ]
    assert main([*study(), *files]) == 0
    said = capsys.readouterr().out
    assert (tmp_path / "t.md").read_text() == said
    assert "**Table 0**" in said
    lines = {line.split("|")[1].strip(): line for line in said.splitlines() if line.startswith("|")}
    assert "| 42.0 ± 2.8 |" in said
    assert "+3.5 ± 0.7" in lines["flow"]
    assert "+2.06" in lines["flow"]
    assert "5 runs of one process each, 5 min in all; 2 cores; commit 0123456789ab with changes" in said
    command = f"slimdp sweep {tmp_path / 'study.yaml'} --out {tmp_path / 'out'} --rows tps --seeds 0"
    assert said.splitlines()[-1].strip() == command
    kept = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert [(row["row"], row["seed"]) for row in kept] == [("base", 0), ("base", 1), ("flow", 0), ("flow", 1)]
    with open(tmp_path / "t.csv", newline="") as file:
        cells = {row["row"]: row for row in csv.DictReader(file)}
    assert list(cells) == ["base", "tps", "flow"]
    assert float(cells["flow"]["10cm_gain"]) == 3.5
    assert cells["tps"]["10cm_sd"] == ""


def test_every_set_has_a_table_with_the_papers_numbers_on_it(
    study: Callable[[], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = parse_yaml((tmp_path / "study.yaml").read_text())
    clips = {**values["evaluate"], "paper": {"base": {"10cm": 71.52}}}
    values |= {
        "evaluate": {"stills": values["evaluate"], "clips": clips},
        "paper_full": {"tps": {"5cm": 49.89}},
    }
    (tmp_path / "study.yaml").write_text(dump_yaml(values))
    results = read_scores([tmp_path / "out"])
    for number, result in enumerate(results):
        sets = {"stills": result.scores[""]}
        if number < len(results) - 1:  # the last one was scored before there were clips
            sets["clips"] = {name: value / 2 for name, value in result.scores[""].items()}
        results[number] = result.replace(scores=sets)
    save_scores(tmp_path / "out" / "scores.jsonl", results)
    assert main(study()) == 0
    stills, clips = capsys.readouterr().out.split("On clips:")
    assert "On stills:" in stills
    assert "42.94" in stills
    assert "| 21.0 ± 1.4 |" in clips
    assert "71.52" in clips
    assert "42.94" not in clips
    lines = {line.split("|")[1].strip(): line for line in clips.splitlines()[:8] if line.startswith("|")}
    assert "tps" not in lines
    assert main([*study(), "--full"]) == 0
    full = capsys.readouterr().out
    assert "49.89" in full
    assert "42.94" not in full


def test_some_rows_and_their_share_of_a_gap(
    study: Callable[[], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*study(), "--rows", "tps", "--ceiling", "flow"]) == 0
    said = capsys.readouterr().out
    shares = said[said.index("share of the way from base to flow") :].splitlines()
    assert [cell.strip() for cell in shares[2].split("|")] == ["", "tps", "29", "29", "29", ""]  # 1 of 3.5
    assert main([*study(), "--rows", "tps,dance"]) == 2
    assert "--rows dance: no such row; there are: base, tps, flow" in capsys.readouterr().err


def test_groups_have_baselines_of_their_own_unless_one_is_named(
    study: Callable[[], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = parse_yaml((tmp_path / "study.yaml").read_text())
    values["groups"] = [
        {"title": "Still", "baseline": "base", "rows": ["base"]},
        {"title": "Moved", "baseline": "tps", "rows": ["tps", "flow"]},
    ]
    (tmp_path / "study.yaml").write_text(dump_yaml(values))
    for more, heading, gained in (
        ([], "| gained ", "+3.0"),  # of seed 1, which tps has too
        (["--baseline", "base"], "| over base ", "+3.5 ± 0.7"),
        (["--rows", "flow"], "| gained ", "+3.0"),
    ):
        assert main([*study(), *more]) == 0
        said = capsys.readouterr().out
        gains = said[said.index(heading) :]
        (line,) = (line for line in gains.splitlines() if line.startswith("| flow "))
        assert line.split("|")[3].strip() == gained
        assert ("**Moved, over tps**" in gains) == ("--baseline" not in more)
        assert ("| base " in said) == ("--rows" not in more)  # it is nobody's baseline there


def test_what_is_missing_is_made_by_the_study_that_the_folder_keeps(
    study: Callable[[], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read = read_study(tmp_path / "study.yaml", ["log_every=3"])
    write_snapshot(read.replace(shared="../common"), tmp_path / "out")
    start = f"slimdp sweep {tmp_path / 'study.yaml'} --set log_every=3 --out {tmp_path / 'out'}"
    start += f" --shared {tmp_path / 'common'}"
    for results, missing in ((None, " --rows tps --seeds 0"), ("", "")):
        if results is not None:
            (tmp_path / "out" / "scores.jsonl").write_text(results)
        assert main([str(tmp_path / "out")]) == 0
        said = capsys.readouterr().out
        assert said.splitlines()[-1].strip() == start + missing
        assert ("42.94" in said) == (results is None)  # the paper's numbers too


def test_without_a_study_rows_come_as_they_are(
    study: Callable[[], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([study()[0], "--baseline", "flow"]) == 0
    said = capsys.readouterr().out
    assert "over flow" in said
    assert "Missing" not in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nowhere.json"], "no such folder or file"), (["out", "--baseline", "best"], "unknown row best")],
)
def test_what_is_not_there_is_a_plain_message(
    study: Callable[[], list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    assert main([str(tmp_path / arguments[0]), *arguments[1:]]) == 2
    assert words in capsys.readouterr().err
