from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimdp.__main__ import main
from slimdp.config import ConfigError
from slimdp.settings_file import dump_yaml, read_settings
from slimdp.studies.advice import Spent, advise, cost_of, gain_for_as_much, rising


def spent(row: str, cost: float, *accuracy: float) -> Spent:
    """A row whose seeds 0, 1, ... all cost the same."""
    return Spent(row, dict.fromkeys(range(len(accuracy)), cost), dict(enumerate(accuracy)))


def test_between_two_rows_accuracy_is_straight_over_the_logarithm_of_the_cost() -> None:
    costs, curve = np.array([100.0, 1000.0, 10000.0]), np.array([20.0, 40.0, 50.0])
    assert cost_of(costs, curve, 30.0) == pytest.approx(100 * math.sqrt(10))
    assert cost_of(costs, curve, 40.0) == pytest.approx(1000)
    assert cost_of(costs, curve, 50.0) == pytest.approx(10000)
    assert cost_of(costs, curve, 10.0) == 100.0
    assert cost_of(costs, curve, 50.1) is None
    assert cost_of(costs, np.array([20.0, 20.0, 40.0]), 20.0) == 100.0  # the first place, of a flat piece


def test_means_that_fall_are_pooled_by_their_weights() -> None:
    assert rising([10, 30, 20], [1, 1, 1]).tolist() == [10, 25, 25]
    assert rising([10, 30, 20], [1, 3, 1]).tolist() == [10, 27.5, 27.5]


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=8))
def test_the_cost_of_more_is_never_less(means: list[float]) -> None:
    curve = rising(means, [1.0] * len(means))
    costs = 10.0 ** np.arange(len(means))
    found = [cost_of(costs, curve, wanted) for wanted in (0.0, 25.0, 50.0, 75.0, 100.0)]
    known = [cost for cost in found if cost is not None]
    assert known == sorted(known)
    assert found[len(known) :] == [None] * (len(found) - len(known))


def test_advice_names_the_rows_around_it_and_what_few_seeds_leave_open() -> None:
    rows = [spent("half", 1000, 42.0, 41.0, 40.0), spent("tenth", 100, 22.0, 21.0, 20.0)]
    found = advise("points", rows, 30.0)
    share = 9 / 20  # of the way from 21 to 41 %
    assert found.cost == pytest.approx(100 * 10**share)
    assert found.rows == ("tenth", "half")
    assert not found.at_most
    # The mean of three seeds that scatter by 1 lies 4.303 / sqrt(3) about the true one at most.
    half_width = 4.302653 / math.sqrt(3)
    assert found.low == pytest.approx(100 * 10 ** (share - half_width / 20), rel=0.005)
    assert found.high == pytest.approx(100 * 10 ** (share + half_width / 20), rel=0.005)
    at_once = advise("points", rows, 5.0)
    assert (at_once.cost, at_once.rows, at_once.at_most) == (100, ("tenth",), True)
    assert (at_once.low, at_once.high) == pytest.approx((100, 100))
    single = advise("points", [spent("a", 10, 50.0)], 40.0)
    assert (single.cost, single.low, single.high) == (10, None, None)


@pytest.mark.parametrize("accuracy", [22.0, 35.0, 41.0])
def test_the_interval_holds_what_is_true_as_often_as_it_says(accuracy: float) -> None:
    rng = np.random.default_rng(0)
    costs, true, scatter = np.array([10.0, 100.0, 1000.0]), np.array([20.0, 36.0, 42.0]), (3.0, 1.0, 0.3)
    wanted = cost_of(costs, true, accuracy)
    assert wanted is not None
    held = 0
    for _ in range(400):
        rows = [spent(str(cost), cost, *rng.normal(*each, 3)) for cost, *each in zip(costs, true, scatter)]
        found = advise("points", rows, accuracy)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= wanted * 1.01 and wanted <= found.high * 1.01
    assert 0.92 <= held / 400 <= 0.99


def test_what_seeds_cost_is_part_of_the_interval() -> None:
    accuracy = {0: 50.0, 1: 50.0}
    low, high = (
        Spent("few", {0: 10.0, 1: 12.0}, {0: 20.0, 1: 20.0}),
        Spent("all", {0: 99.0, 1: 99.0}, accuracy),
    )
    found = advise("stills", [low, high], 30.0)
    assert found.low is not None
    assert found.cost is not None
    assert found.high is not None
    assert found.low < 0.9 * found.cost < found.cost < 0.9 * found.high


def test_what_no_row_reaches_is_said_with_the_best_one() -> None:
    rows = [spent("a", 10, 50.0, 50.0), spent("b", 20, 30.0, 45.0)]
    found = advise("images", rows, 70.0)
    assert (found.cost, found.rows) == (None, ())
    assert found.best is not None
    assert found.best.row == "a"
    # Reached in the mean of two seeds, but perhaps not in that of all.
    close = advise("images", [spent("a", 10, 50.0, 50.0), spent("b", 20, 70.0, 55.0)], 60.0)
    assert close.cost is not None
    assert close.high == math.inf
    # Not reached, though it might be; and beyond all doubt.
    close = advise("images", [spent("a", 10, 50.0, 50.0), spent("b", 20, 70.0, 55.0)], 63.0)
    assert close.cost is None
    assert close.low is not None
    assert 10 < close.low < 20
    assert advise("images", [spent("a", 10, 50.0, 50.1), spent("b", 20, 60.0, 60.1)], 70.0).low == math.inf


def test_of_rows_that_cost_the_same_the_best_is_bought() -> None:
    scores = {"parts_1": 45.0, "parts_5": 50.0, "full": 60.0, "parts_50": 58.0}
    rows = [spent(name, 100, score) for name, score in scores.items()]
    for order in (rows, rows[::-1]):
        found = advise("parts", [spent("few", 10, 40.0), *order], 50.0)
        assert found.cost == pytest.approx(10 * math.sqrt(10))
        assert found.rows == ("few", "full")


def test_the_answer_and_its_interval_are_of_the_same_seeds() -> None:
    found = advise("points", [spent("p1", 10, 40.0, 41.0, 60.0), spent("p5", 50, 50.0, 51.0)], 48.0)
    assert found.cost is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.cost <= found.high
    assert found == advise("points", [spent("p1", 10, 40.0, 41.0), spent("p5", 50, 50.0, 51.0)], 48.0)


def test_what_is_pooled_does_not_reach_further_than_its_mean() -> None:
    rows = [spent("a", 1, 40.0), spent("b", 5, 51.0), spent("c", 9, 47.0)]
    found = advise("points", rows, 50.0)
    assert found.cost is None
    assert found.best is not None
    assert (found.best.row, found.most) == ("b", 49.0)


def test_a_row_is_compared_with_another_way_for_as_much_seed_by_seed() -> None:
    stills = [spent("few", 100, 20.0, 30.0), spent("all", 10000, 60.0, 50.0)]
    gain = gain_for_as_much(spent("points", 1000, 45.0, 42.0), stills)  # where stills have 40 %
    assert gain is not None
    assert gain.mean == pytest.approx(3.5)
    assert gain.deviation == pytest.approx(3 / math.sqrt(2))
    # Every seed has costs of its own, and counts where there is something to compare it with.
    stills[0] = Spent("few", {0: 100, 1: 2000}, {0: 20.0, 1: 30.0})
    gain = gain_for_as_much(spent("points", 1000, 45.0, 42.0), stills)
    assert gain is not None
    assert (gain.mean, gain.deviation) == (pytest.approx(5.0), None)
    assert gain_for_as_much(Spent("other seeds", {7: 1000}, {7: 45.0}), stills) is None
    tied = [spent("poor", 100, 20.0), spent("good", 100, 30.0), spent("all", 10000, 50.0)]
    for others in (tied, tied[::-1]):
        gain = gain_for_as_much(spent("points", 100, 45.0), others)
        assert gain is not None
        assert gain.mean == pytest.approx(15)
    assert gain_for_as_much(spent("cheap", 99, 45.0), stills) is None
    assert gain_for_as_much(spent("dear", 10001, 45.0), stills) is None


@pytest.mark.parametrize("rows", [[], [spent("a", 0, 1.0)], [Spent("a", {}, {})]])
def test_rows_that_say_nothing_are_refused(rows: list[Spent]) -> None:
    with pytest.raises(ConfigError, match="points: wanted rows with scores whose labels cost something"):
        advise("points", rows, 50.0)


def write_results(folder: Path) -> None:
    """A study of two ways, and its scores, by hand."""
    folder.mkdir()
    names = ("full", "points_10", "images_10")
    (folder / "row.yaml").write_text("stages: []\n")
    figure = {
        "title": "t",
        "x": "clicks",
        "curves": {"points": [names[1], "full"], "images": [names[2], "full"]},
    }
    study = {
        "title": "Budgets",
        "rows": dict.fromkeys(names, "row.yaml"),
        "evaluate": {"annotations": "a.json", "images": "."},
        "figures": [figure],
    }
    (folder / "study.yaml").write_text(dump_yaml(study))
    results = []
    for name, score, clicks in zip(names, (60.0, 50.0, 30.0), (10000, 1000, 1000)):
        for seed in (0, 1):
            scores = {"5cm": score - 20, "10cm": score + seed / 10, "20cm": score + 20}
            costs = {"clicks": clicks, "annotator_seconds": 6.0 * clicks}
            common = {"seconds": 1.0, "shared_seconds": 2.0, "machine": "m", "commit": "c"}
            results.append({"row": name, "seed": seed, "scores": scores, "full": scores, **common, **costs})
    (folder / "results.json").write_text(json.dumps(results))


def test_the_command_prints_the_cheapest_way_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(tmp_path / "runs")
    command = ["advise", str(tmp_path / "runs" / "results.json"), "--accuracy"]
    assert main([*command, "55.5"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert " ".join(lines[0]) == "Budgets: 55.5 % within 10 cm"
    assert lines[3] == ["points", "3,510", "3,030", "to", "4,060", "points_10", "to", "full"]
    assert lines[4][:2] == ["images", "7,050"]
    assert lines[7][:2] == ["points", "5.85"]  # hours
    assert main([*command, "70", "--at", "5cm"]) == 0
    said = capsys.readouterr().out
    assert "not reached" in said
    assert "the best is full: 40.0 % for 10,000" in said
    assert "the best is full: 40.0 % for 16.7" in said
    assert main([*command, "60"]) == 0
    assert "14.3 or more" in capsys.readouterr().out
    assert main([*command, "50"]) == 0
    assert "at most 1,000" in capsys.readouterr().out
    assert main([*command[:-1], "--over", "images"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[3] == ["points", "points_10", "1,000", *["50.0", "±", "0.1", "+20.0", "±", "0.0"]]
    assert main([*command[:-1], "--over", "pictures"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "--over pictures: no such way" in said.err
    assert "there are: points, images" in said.err
    for wrong, words in (
        (["50", "--on", "track"], "it has: one without a name"),
        (["50", "--at", "30cm"], "--at 30cm: no such column"),
    ):
        assert main([*command, *wrong]) == 2
        assert words in capsys.readouterr().err


def test_only_a_percentage_of_which_more_is_better_is_an_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seconds an image were taken for percent, and the slower network for the better one."""
    write_results(tmp_path / "runs")
    file, results = tmp_path / "runs" / "study.yaml", str(tmp_path / "runs" / "results.json")
    study = read_settings(file)
    columns = {"near": "points.localization.5cm", "far": "points.localization.20cm"}
    columns |= {"seconds": "seconds_an_image", "swapped": "keypoints.swapped"}
    file.write_text(dump_yaml({**study, "columns": columns}))
    assert main(["advise", results, "--accuracy", "35"]) == 0
    assert "Budgets: 35 % within 5 cm" in capsys.readouterr().out  # of the first column, as there is no 10cm
    for column in ("seconds", "swapped"):
        for question in (["--accuracy", "35"], ["--over", "images"]):
            assert main(["advise", results, *question, "--at", column]) == 2
            said = capsys.readouterr()
            assert said.out == ""
            assert f"column {column} of " in said.err
            assert "choose one that is: --at near or far" in said.err
    file.write_text(dump_yaml({**study, "columns": {"seconds": "seconds_an_image"}}))
    assert main(["advise", results, "--accuracy", "35"]) == 2
    assert "(s an image, s); it has no column that is" in capsys.readouterr().err


def test_the_first_set_has_its_name_and_curves_of_one_name_are_kept_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(tmp_path / "runs")
    file = tmp_path / "runs" / "study.yaml"
    study = read_settings(file)
    study["evaluate"] = {"coco": study["evaluate"]}
    study["figures"] += [{"title": "again", "x": "clicks", "curves": {"points": ["full"]}}]
    # Over hours the same rows are the same way, whatever it is called there.
    study["figures"] += [{"title": "h", "x": "hours", "curves": {"stills": ["full", "images_10"]}}]
    file.write_text(dump_yaml(study))
    results = str(tmp_path / "runs" / "results.json")
    assert main(["advise", results, "--accuracy", "55.5", "--on", "coco"]) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()[3:6]] == ["points", "images", "again:"]
    assert "stills" not in said


def test_a_row_that_cost_nothing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_results(tmp_path / "runs")
    file = tmp_path / "runs" / "results.json"
    rows = json.loads(file.read_text())
    for row in rows:
        if row["row"] == "points_10":
            row["clicks"] = 0
    file.write_text(json.dumps(rows))
    assert main(["advise", str(file), "--accuracy", "50"]) == 0
    assert "left out, for they cost nothing: points_10\n" in capsys.readouterr().out
    file.write_text(json.dumps([{**row, "clicks": 0} for row in rows]))
    assert main(["advise", str(file), "--accuracy", "50"]) == 0
    assert "every row that is known costs no clicks" in capsys.readouterr().out
