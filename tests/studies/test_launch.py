"""Whole sweeps in processes of their own: shared stages, failures, changes, and being killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shlex
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flow_cache.runtime.lock import held
from slimdp.__main__ import main
from slimdp.config import ConfigError, DataSource
from slimdp.data import read_annotations
from slimdp.evaluation import point_errors, summarize, table_row
from slimdp.inference import predict_people
from slimdp.studies import HeldError, Study, find_studies, plan_runs, read_study, sweep, sweep_status
from slimdp.studies.prepare import prepare
from slimdp.studies.results import keep_before
from slimdp.studies.settings import ColumnSettings
from slimdp.studies.swept import progress_of
from slimdp.surface import load_surface
from slimdp.training import NonFiniteLossError, load_model, stage_file, train
from slimdp.training.stage_data import source_labels
from tests.forked import Forked, fork_workers
from tests.studies.conftest import ROWS
from tests.studies.here import PoolHere, carry_out_here, results_of, scores_of
from tests.training.weights import same_weights

# As the processes of a sweep, with whose runs they are compared bit for bit.
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def swept(
    make_study: Callable[..., Study], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Study, Path, list[str]]:
    """A study that ran to its end: the study, its folder, and what was said."""
    folder = tmp_path_factory.mktemp("swept")
    study, said = make_study(folder / "study"), []
    with pytest.MonkeyPatch.context() as patch:
        fork_workers(patch)
        summary = sweep(study, folder / "out", jobs=1, log=said.append)
    assert (summary.failures, summary.blocked) == ({}, ())
    return study, folder / "out", said


@pytest.fixture
def copied(swept: tuple[Study, Path, list[str]], tmp_path: Path) -> tuple[Study, Path]:
    """The same study, and a copy of its folder to go on in."""
    study, whole, _ = swept
    return study, Path(shutil.copytree(whole, tmp_path / "out"))


def test_every_run_has_its_score_in_the_order_of_the_table(
    swept: tuple[Study, Path, list[str]], labels: DataSource
) -> None:
    _, out, said = swept
    rows = results_of(out)
    assert [(row["row"], row["seed"]) for row in rows] == [(row, seed) for seed in (0, 1) for row in ROWS]
    assert list(rows[0]) == [
        "row", "seed", "scores", "seconds", "shared_seconds", "machine", "commit", "clicks",
        "annotator_seconds", "trained_at", "pretrained",
    ]  # fmt: skip
    people = read_annotations(labels.annotations, labels.images).people
    for row in rows:
        model, config = load_model(out / row["row"] / f"seed_{row['seed']}" / "stage_clips.pt")
        predictions = predict_people(model, people, config.crop)
        wanted = summarize(point_errors(predictions, people, load_surface("open")))
        assert row["scores"][""] == {
            f"points.{form}.{name}": value
            for form in ("localization", "full")
            for name, value in table_row(wanted[form]).items()
        }
        assert row["seconds"] >= 0  # of scoring, to the tenth
        assert row["shared_seconds"] > 0
        assert row["trained_at"] == [row["commit"]]
        steps = (out / row["row"] / f"seed_{row['seed']}" / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in steps] == list(range(1, 13))
        assert "torch" in row["machine"]
        assert os.uname().nodename not in row["machine"].split()
    assert len({tuple(row["scores"][""].values()) for row in rows}) > 3  # and not all points missed
    assert len([line for line in said if ": 5 cm " in line]) == 6
    assert "stage stills of plain, fast, seed 0: started" in said


def test_shared_stages_change_no_bit(swept: tuple[Study, Path, list[str]], tmp_path: Path) -> None:
    study, out, _ = swept
    assert len(list((out / "shared").glob("*/seed_*/stage_stills.pt"))) == 4  # for 6 rows and seeds
    for row, seed, config in study.configs():
        if seed == 1:
            alone = train(config, tmp_path / row)
            assert same_weights(alone, stage_file(out / row / "seed_1", "clips")), row
    assert not (out / "plain" / "seed_1" / "stage_stills.pt").exists()
    assert not list(out.rglob("checkpoints"))


def test_what_is_done_is_not_done_again(swept: tuple[Study, Path, list[str]], tmp_path: Path) -> None:
    study, out, _ = swept
    passing = (".lock", ".results.lock", "scores.jsonl", "_study_study.json")
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*.*") if file.name not in passing}
    said: list[str] = []
    summary = sweep(study, out, results=tmp_path / "elsewhere.jsonl", log=said.append)
    assert said == []
    assert len(summary.results) == 6
    assert before.items() <= {file: file.stat().st_mtime_ns for file in out.rglob("*.*")}.items()
    assert (tmp_path / "elsewhere.jsonl").read_bytes() == (out / "scores.jsonl").read_bytes()


def test_a_folder_has_its_scores_also_where_they_are_asked_for_elsewhere(copied: tuple[Study, Path]) -> None:
    study, out = copied
    other = study.replace(
        rows=tuple(row.replace(name=f"my_{row.name}") for row in study.rows[:1]),
        file=study.file.with_name("other.yaml"),
        seeds=(0,),
    )
    carry_out_here(other, out)
    (out / "scores.jsonl").rename(out.parent / "elsewhere.jsonl")  # as an earlier version left them
    sweep(study, out, results=out.parent / "elsewhere.jsonl", log=pytest.fail)
    assert [row["row"] for row in results_of(out)] == [*ROWS, *ROWS, "my_plain"]
    assert (out.parent / "elsewhere.jsonl").read_bytes() == (out / "scores.jsonl").read_bytes()
    swept = {found.key: found for found in find_studies([out])}
    assert {key: progress_of(found)[:2] for key, found in swept.items()} == {"study": (6, 6), "other": (1, 1)}


def test_more_seeds_and_fewer_rows_join_the_results(copied: tuple[Study, Path]) -> None:
    study, out = copied
    carry_out_here(study.including([5]), out, rows=["other"], seeds=[5])
    summary = sweep(study, out, rows=["other"], seeds=[5], log=pytest.fail)
    assert [(each.row, each.seed) for each in summary.results][-1] == ("other", 5)
    assert len(summary.results) == len(results_of(out)) == 7
    status = sweep_status(study, out, seeds=[0, 5]).splitlines()
    assert status[0].split() == ["points", "within", "10", "cm", "crops", "seed", "0", "seed", "5"]
    assert "missing" in next(line for line in status if line.startswith("plain"))
    assert "4 of 6 rows and seeds are done" in status
    assert "to train: 3 stages, 36 crops; stages in common count once" in status
    sweep(study, out, log=pytest.fail)
    assert len(results_of(out)) == 7  # a seed that the study does not have stays


def test_two_studies_in_one_folder_keep_their_scores(copied: tuple[Study, Path]) -> None:
    study, out = copied
    renamed = tuple(row.replace(name=f"my_{row.name}") for row in study.rows[:1])
    other = study.replace(rows=renamed, file=study.file.with_name("other.yaml"), seeds=(0,))
    carry_out_here(other, out)
    assert len(results_of(out)) == 7
    sweep(study, out, log=pytest.fail)
    assert [row["row"] for row in results_of(out)] == [*ROWS, *ROWS, "my_plain"]
    (found,) = find_studies([out], study.file)  # and each is reported without the other
    assert len(found.results) == 6


def test_a_row_that_was_taken_out_of_a_study_leaves_its_scores(copied: tuple[Study, Path]) -> None:
    study, out = copied
    fewer, said = study.replace(rows=study.rows[:2]), []
    before = (out / "scores.jsonl").read_bytes()
    sweep(fewer, out, log=said.append)
    assert said == [f"{out / 'scores.jsonl'} has fewer scores now; as it was: {out / 'scores.jsonl.before'}"]
    assert (out / "scores.jsonl.before").read_bytes() == before
    assert {row["row"] for row in results_of(out)} == {row.name for row in study.rows[:2]}
    assert len(find_studies([out])[0].results) == 4


def test_scores_on_other_people_are_named_and_kept_beside_the_file(copied: tuple[Study, Path]) -> None:
    """Some rows are scored on other people; the scores of the rest went from the file without a word."""
    study, out = copied
    scores, said = out / "scores.jsonl", []
    before = scores.read_bytes()
    some = study.evaluate[""]
    elsewhere = study.replace(evaluate={"": some.replace(images=f"{some.images}/.")})
    carry_out = [state.folder for state in prepare(elsewhere, out, ["plain"], [0], "cpu").todo]
    assert len(carry_out) == 1  # nothing is trained
    sweep(elsewhere, out, rows=["plain"], seeds=[0], jobs=1, device="cpu", log=said.append)
    left_out = [f"{row}/seed_{seed}" for seed in (0, 1) for row in ROWS][1:]
    assert said[0] == (
        f"scored on other people or without a column that is new, so left out of {scores}: "
        f"{', '.join(left_out)}"
    )
    assert said[1] == f"{scores} has fewer scores now; as it was: {scores}.before"
    assert (out / "scores.jsonl.before").read_bytes() == before
    assert [(row["row"], row["seed"]) for row in results_of(out)] == [("plain", 0)]


def test_what_a_file_of_scores_was_is_kept_under_a_new_name(tmp_path: Path) -> None:
    file = tmp_path / "scores.jsonl"
    kept = [keep_before(file, content) for content in (b"a\n", b"b\n", b"a\n", b"c\n")]
    names = [".before", ".before_2", ".before", ".before_3"]
    assert [place.name for place in kept] == [f"scores.jsonl{name}" for name in names]
    assert [place.read_bytes() for place in kept] == [b"a\n", b"b\n", b"a\n", b"c\n"]


def test_scores_of_another_way_to_score_are_made_anew(
    copied: tuple[Study, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    study, out = copied
    monkeypatch.setattr("slimdp.studies.records.SCORING", 99)
    assert [run.row for run in prepare(study, out, seeds=[0], device="cpu").todo] == list(ROWS)


def test_seeds_may_draw_other_labels(make_study: Callable[..., Study], tmp_path: Path) -> None:
    few = "base: base.yaml\nstages: {0: {data: {0: {budget: {points: 0.1, seed: %s}}}}}\n"
    study = make_study(tmp_path / "study", {"drawn": few % "null", "zero": few % "0"}, seeds=(0, 3))
    runs = [run for run in plan_runs(study) if run.row is None]
    assert [run.rows for run in runs] == [("drawn", "zero")] * 2 + [("drawn",)] * 2 + [("zero",)] * 2
    prepared = prepare(study, tmp_path / "out", device="cpu")
    assert prepared.clicks.keys() == {"drawn/seed_0", "zero/seed_0", "drawn/seed_3", "zero/seed_3"}
    labels = [run.config.stages[0].data[0] for run in runs if run.seed == 3]
    drawn, zero = (source_labels(each, {}).people for each in labels[::2])
    assert [len(person.points) for person in drawn] != [len(person.points) for person in zero]


def test_changed_settings_are_refused_by_name(
    swept: tuple[Study, Path, list[str]], make_study: Callable[..., Study], tmp_path: Path
) -> None:
    _, out, _ = swept
    rows = {**ROWS, "other": ROWS["other"].replace("1e-2", "2e-2")}
    changed = make_study(tmp_path / "study", rows)
    with pytest.raises(ConfigError) as caught:
        sweep(changed, out)
    message = str(caught.value)
    assert "other/seed_0: stages.0.learning_rate: 0.01, 0.02" in message
    assert "other/seed_1: " in message
    assert "plain/seed_0" not in message
    assert f"rm -r {out / 'other' / 'seed_0'} " in message
    status = sweep_status(changed, out)
    assert next(line for line in status.splitlines() if line.startswith("other")).count("other settings") == 2
    assert "other/seed_0 was made with other settings (key: there, now): stages.0.learning_rate" in status
    # What did not change is still to be had.
    said: list[str] = []
    assert len(sweep(changed, out, rows=["plain", "fast"], log=said.append).results) == 4
    scores = out / "scores.jsonl"
    assert said == [
        f"made with other settings, so left out of {scores}: other/seed_0, other/seed_1",
        f"{scores} has fewer scores now; as it was: {scores}.before",
    ]
    sweep(read_study(swept[0].file), out)  # the file of scores is whole again


def test_what_is_to_be_removed_is_named_for_the_shell(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    out = tmp_path / "my runs"
    rows = {"plain": "base: base.yaml\n"}
    carry_out_here(make_study(tmp_path / "study", rows, (0,)), out)
    changed = make_study(tmp_path / "study", {"plain": "base: base.yaml\nmodel: {stacks: 2}\n"}, (0,))
    with pytest.raises(ConfigError) as caught:
        sweep(changed, out)
    words = shlex.split(str(caught.value).rpartition("rm -r ")[2])
    assert words == [str(out / "plain" / "seed_0")]


def test_scores_of_another_folder_are_not_overwritten(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    study = make_study(tmp_path / "study", {"plain": "base: base.yaml\n"}, (0,))
    scores = tmp_path / "scores.json"
    carry_out_here(study, tmp_path / "first")
    sweep(study, tmp_path / "first", results=scores, log=pytest.fail)
    before = scores.read_bytes()
    with pytest.raises(ConfigError, match=r"its scores are of another folder and would be lost.*--results"):
        prepare(study, tmp_path / "second", results=scores)
    assert not (tmp_path / "second").exists()
    sweep(study, tmp_path / "first", results=scores, log=pytest.fail)  # its own are written anew
    assert scores.read_bytes() == before


def test_rows_that_are_the_same_are_trained_once_and_scored_again_for_other_people(
    make_study: Callable[..., Study], tmp_path: Path, labels: DataSource
) -> None:
    rows = {"plain": "base: base.yaml\n", "twin": "base: base.yaml\nworkers: 0\n"}
    study, out = make_study(tmp_path / "study", rows, (0,)), tmp_path / "out"
    carry_out_here(study, out)
    first = sweep(study, out, log=pytest.fail).results
    assert first[0].scores == first[1].scores
    (end,) = (out / "shared").rglob("stage_clips.pt")
    before = end.stat().st_mtime_ns
    content = json.loads(Path(labels.annotations).read_text())
    content["annotations"] = content["annotations"][:1]
    (tmp_path / "fewer.json").write_text(json.dumps(content))
    some = study.evaluate[""].replace(annotations=str(tmp_path / "fewer.json"))
    fewer = study.replace(evaluate={"": some})
    assert "0 of 2 rows and seeds are done\nto train: nothing" in sweep_status(fewer, out)
    carry_out_here(fewer, out)
    second = sweep(fewer, out, log=pytest.fail).results
    assert second[0].scores == second[1].scores != first[0].scores
    assert end.stat().st_mtime_ns == before
    # Its end is another row's, but its settings are its own.
    changed = make_study(
        tmp_path / "changed", {name: text + "seed: 0\nloss: {uv: 1}\n" for name, text in rows.items()}, (0,)
    )
    with pytest.raises(ConfigError, match=r"twin/seed_0: loss\.uv: 10\.0, 1\.0"):
        sweep(changed, out)


def test_two_studies_train_what_they_have_in_common_once(
    make_study: Callable[..., Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_study(tmp_path / "first", {"plain": "base: base.yaml\n"}, (0,))
    second = make_study(tmp_path / "second", {"same": "base: base.yaml\n", "other": ROWS["other"]}, (0,))
    out = tmp_path / "out"
    command = ["sweep", str(first.file), str(second.file), "--out", str(out), "--status"]
    assert main(command) == 0
    assert capsys.readouterr().out.count("to train: 2 stages, 24 crops") == 1
    carry_out_here(first.replace(shared="../shared"), out / "first")
    trained = {end: end.stat().st_mtime_ns for end in (out / "shared").rglob("stage_*.pt")}
    assert len(trained) == 2
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "1 of 1 rows and seeds are done\nto train: nothing" in said
    assert "0 of 2 rows and seeds are done\nto train: 2 stages, 24 crops" in said
    again = [*command[:2], "--out", str(out / "first"), "--shared", str(out / "shared"), "--status"]
    assert main(again) == 0
    assert "1 of 1 rows and seeds are done" in capsys.readouterr().out
    carry_out_here(second.replace(shared="../shared"), out / "second", rows=["same"])
    assert {end: end.stat().st_mtime_ns for end in (out / "shared").rglob("stage_*.pt")} == trained
    assert scores_of(out / "second")[0][2:] == scores_of(out / "first")[0][2:]


def test_every_set_is_scored_and_a_new_one_without_training(
    make_study: Callable[..., Study], tmp_path: Path, labels: DataSource
) -> None:
    study, out = make_study(tmp_path / "study", {"plain": "base: base.yaml\n"}, (0,)), tmp_path / "out"
    carry_out_here(study, out)
    (before,) = results_of(out)
    assert list(before["scores"]) == [""]
    assert before["clicks"] == 3 * (80 + 3 + 1)  # of each person: points, outlines of coarse parts, a box
    content = json.loads(Path(labels.annotations).read_text())
    content["annotations"] = content["annotations"][:1]
    (tmp_path / "fewer.json").write_text(json.dumps(content))
    fewer = study.evaluate[""].replace(annotations=str(tmp_path / "fewer.json"))
    both = study.replace(evaluate={**study.evaluate, "fewer": fewer})
    assert "to train: nothing" in sweep_status(both, out)
    carry_out_here(both, out)
    (after,) = results_of(out)
    assert after["scores"][""] == before["scores"][""]
    assert list(after["scores"]) == ["", "fewer"]
    carry_out_here(study.replace(evaluate={"": fewer}), tmp_path / "alone")
    (alone,) = results_of(tmp_path / "alone")
    assert after["scores"]["fewer"] == alone["scores"][""]
    nowhere = fewer.replace(annotations="nowhere.json")
    with pytest.raises(ConfigError, match=r"evaluate\.fewer: nowhere\.json"):
        sweep(study.replace(evaluate={**study.evaluate, "fewer": nowhere}), out)


def test_columns_of_any_metric_are_scored_without_training(copied: tuple[Study, Path]) -> None:
    study, out = copied
    named = {"10cm": "points.localization.10cm", "AP": "gps.AP", "time": "seconds_an_image"}
    columns = {name: ColumnSettings(score=score) for name, score in named.items()}
    other = study.replace(columns=columns)
    assert "to train: nothing" in sweep_status(other, out)
    before = results_of(out)
    carry_out_here(other, out, rows=["plain"], seeds=[0])
    (first, *_) = results_of(out)
    assert list(first["scores"][""]) == [*named.values(), "points.full.10cm"]
    for name in ("points.localization.10cm", "points.full.10cm"):
        assert first["scores"][""][name] == before[0]["scores"][""][name]
    assert 0 <= first["scores"][""]["gps.AP"] <= 100
    assert first["scores"][""]["seconds_an_image"] > 0
    (swept,) = find_studies([out])
    (row,) = swept.rows()
    assert list(row.scores) == list(named)
    assert (
        row.scores["time"].text(form=columns["time"].form) == f"{first['scores']['']['seconds_an_image']:.3g}"
    )


def test_a_run_of_somebody_else_is_refused(make_study: Callable[..., Study], tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", seeds=(0,))
    config = study.rows[2].config(0)
    train(config.replace(stages=config.stages[:1]), tmp_path / "out" / "other" / "seed_0")
    with pytest.raises(ConfigError, match=r"other/seed_0: no sweep\.json"):
        sweep(study, tmp_path / "out")


def test_two_sweeps_do_not_share_a_folder(
    swept: tuple[Study, Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    study, out, _ = swept
    with held(out / ".lock"):
        with pytest.raises(HeldError, match=f"another sweep is at work in .*process {os.getpid()}"):
            sweep(study, out)
        assert main(["sweep", str(study.file), "--out", str(out)]) == 2
        assert "another sweep is at work" in capsys.readouterr().err
        assert main(["sweep", str(study.file), "--out", str(out), "--status"]) == 0
        assert "6 of 6 rows and seeds are done" in capsys.readouterr().out


def test_all_that_is_wrong_is_named_before_anything_is_trained(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    rows = {
        "plain": "base: base.yaml\n",
        "nowhere": "base: base.yaml\nstages: {1: {data: {0: {annotations: nowhere.json}}}}\n",
        "strange": "base: base.yaml\nsurface: nowhere\n",
    }
    study = make_study(tmp_path / "study", rows, (0,))
    study = study.replace(evaluate={"": study.evaluate[""].replace(annotations="nobody.json")})
    with pytest.raises(ConfigError) as caught:
        sweep(study, tmp_path / "out")
    message = str(caught.value)
    for words in ("evaluate: nobody.json", "row nowhere: stages.1.data.0.annotations = 'nowhere.json'"):
        assert words in message
    assert "row strange: surface = 'nowhere'" in message
    assert "row plain" not in message
    assert not [file for file in (tmp_path / "out").rglob("*") if file.name not in (".lock", "scores.jsonl")]


def test_of_several_studies_all_are_checked_before_the_first_is_begun(
    make_study: Callable[..., Study], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = make_study(tmp_path / "good", {"plain": "base: base.yaml\n"}, (0,))
    wrong = make_study(tmp_path / "wrong", {"bad": "base: base.yaml\nsurface: nowhere\n"}, (0,))
    out = tmp_path / "out"
    assert main(["sweep", str(good.file), str(wrong.file), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert f"{wrong.file}: nothing was begun" in said
    assert "row bad: surface = 'nowhere'" in said
    assert not out.exists()


def test_a_failed_run_takes_no_other_along(
    make_study: Callable[..., Study],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A shared stage and a row whose losses are not finite."""
    monkeypatch.setattr("slimdp.studies.executor.WorkerPool", PoolHere)
    wild = "{learning_rate: 1e30, warmup: 0.0}"
    rows = {
        "plain": "base: base.yaml\n",
        "wild": f"base: base.yaml\nstages: {{1: {wild}}}\n",
        "one": f"base: base.yaml\nstages: {{0: {wild}}}\n",
        "two": f"base: base.yaml\nstages: {{0: {wild}, 1: {{steps: 3}}}}\n",
    }
    study, out = make_study(tmp_path / "study", rows, (0,)), tmp_path / "out"
    command = ["sweep", str(study.file), "--out", str(out), "--jobs", "1"]
    assert main(command) == 1
    said = capsys.readouterr().out
    assert [row["row"] for row in results_of(out)] == ["plain"]
    assert "stage clips of wild, seed 0 FAILED: NonFiniteLossError: stage 'clips', step" in said
    assert "not run, for what they begin with failed: wild/seed_0, one/seed_0, two/seed_0" in said
    (place,) = re.findall(r"stage clips of wild, seed 0 FAILED: .*; log: (.*)", said)
    log = Path(place).read_text()
    assert "Traceback" in log
    assert "NonFiniteLossError" in log
    status = sweep_status(study, out)
    assert "failed" in next(line for line in status.splitlines() if line.startswith("wild"))
    assert "stage clips of wild, seed 0 failed: NonFiniteLossError" in status
    # The next call tries it again: it goes on before the step that went astray, and fails again.
    with pytest.raises(NonFiniteLossError):
        carry_out_here(study, out, rows=["wild"])
    assert "0 of 1 rows and seeds are done" in sweep_status(study, out, rows=["wild"])


@pytest.mark.slow
def test_a_killed_process_fails_its_run_alone(make_study: Callable[..., Study], tmp_path: Path) -> None:
    study, out = make_study(tmp_path / "study", seeds=(0,)), tmp_path / "out"
    said: list[str] = []

    def kill_it(line: str) -> None:
        said.append(line)
        if line == "stage stills of other, seed 0: started":
            multiprocessing.active_children()[0].kill()

    summary = sweep(study, out, rows=["other", "plain"], jobs=1, log=kill_it)
    assert [each.row for each in summary.results] == ["plain"]
    assert "SIGKILL" in summary.failures["stage stills of other, seed 0"].error
    assert not multiprocessing.active_children()


def _start(study: Study, out: Path, *more: str) -> Forked:
    return Forked(lambda: main(["sweep", str(study.file), "--out", str(out), *more]))


def _children(process: int) -> list[int]:
    """The processes that train."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _checkpoints(out: Path) -> int:
    return len(list(out.rglob("*.pt"))) + len(list(out.rglob("result.json")))


def assert_same_results(out: Path, whole: Path, seeds: tuple[int, ...] = (0, 1)) -> None:
    assert scores_of(out) == [row for row in scores_of(whole) if row[1] in seeds]
    ends = [file.relative_to(whole) for seed in seeds for file in whole.rglob(f"seed_{seed}/stage_*.pt")]
    assert ends
    assert sorted(file.relative_to(out) for file in out.rglob("stage_*.pt")) == sorted(ends)
    for end in ends:
        assert same_weights(out / end, whole / end), end
    assert not [file for file in out.rglob("*") if ".part" in file.name]


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_sweep_that_is_ended_leaves_nobody_and_goes_on(
    swept: tuple[Study, Path, list[str]], tmp_path: Path, number: signal.Signals
) -> None:
    study, whole, _ = swept
    out = tmp_path / "out"
    process = _start(study, out, "--seeds", "0", "--jobs", "1")
    while _checkpoints(out) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    children = _children(process.pid)
    assert children
    process.send_signal(number)
    process.read()  # the children hold the pipe too: this ends when all of them are gone
    assert process.wait() == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert not [child for child in children if Path(f"/proc/{child}/exe").exists()]
    carry_out_here(study, out, seeds=[0])
    assert len(results_of(out)) == 3
    assert_same_results(out, whole, seeds=(0,))


@pytest.mark.slow
def test_a_sweep_killed_again_and_again_ends_with_the_same_results(
    swept: tuple[Study, Path, list[str]], tmp_path: Path
) -> None:
    """Now the parent, now one of its children, at any moment."""
    study, whole, _ = swept
    out, rng, kills = tmp_path / "out", np.random.default_rng(), []
    for _ in range(40):
        process = _start(study, out, "--jobs", "2")
        wanted = _checkpoints(out) + int(rng.integers(1, 4))
        while process.poll() is None and _checkpoints(out) < wanted:
            time.sleep(rng.uniform(0.001, 0.02))
        children = _children(process.pid) if process.poll() is None else []
        if children and rng.random() < 0.5:
            victim = int(rng.choice(children))
            kills.append("child")
            os.kill(victim, signal.SIGKILL)
        elif process.poll() is None:
            kills.append("parent")
            process.send_signal(signal.SIGKILL)
        said = process.read()
        if process.wait() == 0:
            break
        assert process.returncode in (1, -signal.SIGKILL), said.decode()
    else:
        pytest.fail(f"it did not end: {kills}")
    print(f"killed: {', '.join(kills)}")
    assert kills
    assert_same_results(out, whole)
