from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slimdp.__main__ import main
from slimdp.config import ConfigError
from slimdp.settings_file import dump_yaml, read_mapping
from slimdp.studies import Study, read_study
from slimdp.studies.settings import FigureSettings
from slimdp.studies.study import read_snapshots, study_key, write_snapshot

FIGURES = """
paper: {fast: {10cm: 42.94}}
figures:
  - {title: Over stacks, x: stacks, curves: {all: [plain, fast, other]}}
  - title: Over anything
    x: clicks a picture
    curves: {two: [plain, fast]}
    at: {plain: 1, fast: 10}
    log: true
"""


def test_a_snapshot_is_the_study(make_study: Callable[..., Study], tmp_path: Path) -> None:
    make_study(tmp_path / "some", more=FIGURES)
    study = read_study(tmp_path / "some" / "study.yaml", ["stages.0.steps=9"])
    write_snapshot(study, tmp_path / "out")
    for file in (tmp_path / "some").iterdir():  # nothing is read from there again
        file.unlink()
    assert read_snapshots(tmp_path / "out") == [study]
    assert study.figures[1] == FigureSettings(
        title="Over anything",
        x="clicks a picture",
        curves={"two": ("plain", "fast")},
        at={"plain": 1.0, "fast": 10.0},
        log=True,
    )
    (file,) = (tmp_path / "out").iterdir()
    before = file.stat().st_mtime_ns
    write_snapshot(study, tmp_path / "out")
    assert file.stat().st_mtime_ns == before
    file.write_text(file.read_text()[:-20])
    with pytest.raises(ConfigError, match=r"_study_some\.json is damaged.*--study"):
        read_snapshots(tmp_path / "out")


def test_studies_are_called_by_their_folders_or_files(
    make_study: Callable[..., Study],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert study_key(Path("experiments/table6/study.yaml")) == "table6"
    assert study_key(Path("experiments/points.yaml")) == "points"
    study = make_study(tmp_path / "some")
    (tmp_path / "some" / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "some" / "deeper")
    assert study_key(Path("../study.yaml")) == "some"
    for other in ("mine", "yours"):
        study.file.with_name(f"{other}.yaml").write_bytes(study.file.read_bytes())
    # Two files in one folder are two studies to a sweep as well.
    assert main(["sweep", "../mine.yaml", "../yours.yaml", "--status", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.count("0 of 6 rows and seeds are done") == 2
    (tmp_path / "twice").mkdir()
    same = study.file.rename(tmp_path / "twice" / "mine.yaml")
    assert main(["sweep", "../mine.yaml", str(same), "--status"]) == 2
    assert "two studies called mine; sweep them one by one" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        ("{title: a, x: stacks, curves: {b: [nobody]}}", "unknown row nobody; there are: plain, fast, other"),
        ("{title: a, x: weeks, curves: {b: [plain, fast]}, at: {plain: 1}}", "lacks fast"),
        ("{title: a, x: weeks, curves: {b: [plain]}, at: {plain: 0}, log: true}", "over 0 are wanted"),
        ("{title: a, x: stacks, curves: {}}", "1 to 7 curves are wanted"),
        ("{title: a, x: stacks, curves: {b: []}}", "each of some rows"),
        (
            "{title: a, x: clicks, curves: {b: [plain]}, paper: true}",
            "paper = true, but x = 'clicks' are those",
        ),
        (
            "{title: a, x: stacks, curves: {b: [plain, fast], c: [other]}, paper: true}",
            "`paper` has all rows of none of its curves; it lacks, curve by curve: plain; other",
        ),
    ],
)
def test_wrong_figures(make_study: Callable[..., Study], tmp_path: Path, figure: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"study.yaml: .*figures.0.*{words}|study.yaml: .*{words}"):
        make_study(tmp_path, more=f"figures: [{figure}]\npaper: {{fast: {{10cm: 42.94}}}}\n")


def test_the_papers_numbers_are_those_of_the_set_that_a_figure_is_on(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    make_study(tmp_path)
    values = read_mapping(tmp_path / "study.yaml")
    people = values["evaluate"]
    with_paper = {**people, "paper": {"plain": {"10cm": 50.0}}}
    figure = {"title": "a", "x": "stacks", "curves": {"b": ["plain"]}, "paper": True}
    for first, second, scored_on, known in (
        (with_paper, people, "", True),
        (with_paper, people, "first", True),
        (with_paper, people, "second", False),
        (people, with_paper, "second", True),
        (people, with_paper, "", False),
    ):
        sets = {"first": first, "second": second}
        changes = {"evaluate": sets, "figures": [{**figure, "scored_on": scored_on}]}
        (tmp_path / "study.yaml").write_text(dump_yaml({**values, **changes}))
        if known:
            assert read_study(tmp_path / "study.yaml").figures[0].paper
        else:
            with pytest.raises(
                ConfigError, match=r"figures\.0: paper = true, but `paper` has all rows of none"
            ):
                read_study(tmp_path / "study.yaml")
