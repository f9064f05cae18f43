from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from slimdp.config import DataSource, StageSettings, TrainConfig, ValidationSettings, config_to_dict
from slimdp.sweep import PlannedRun, Study, StudyRow, plan_runs
from slimdp.sweep.plan import select
from slimdp.sweep.study import EvaluationSettings


def study_of(rows: dict[str, TrainConfig], seeds: tuple[int, ...] = (0,)) -> Study:
    return Study(
        title="",
        file=Path("study.yaml"),
        rows=tuple(StudyRow(name, config_to_dict(config), name) for name, config in rows.items()),
        seeds=seeds,
        evaluate=EvaluationSettings("people.json", "."),
        paper={},
    )


def config_of(stages: str) -> TrainConfig:
    """A stage for each letter; the same letter at the same place is the same stage."""
    source = DataSource("labels.json", ".")
    return TrainConfig(
        tuple(StageSettings(f"{number}{letter}", (source,), steps=1) for number, letter in enumerate(stages))
    )


def letters(config: TrainConfig) -> str:
    return "".join(stage.name[-1] for stage in config.stages)


def trained(run: PlannedRun) -> str:
    """The stages that a run trains itself."""
    return letters(run.config)[run.stages_before :]


def planned(*rows: str) -> tuple[PlannedRun, ...]:
    return plan_runs(study_of({f"{number}": config_of(row) for number, row in enumerate(rows)}))


def test_rows_that_part_after_a_stage_share_it() -> None:
    runs = planned("ax", "ay", "bz")
    shared, *rows = runs
    assert (shared.row, shared.rows, trained(shared), shared.before) == (None, ("0", "1"), "a", ())
    assert [trained(run) for run in rows] == ["x", "y", "bz"]
    assert [run.before for run in rows] == [(shared,), (shared,), ()]
    assert [run.folder for run in rows] == [Path(name, "seed_0") for name in ("0", "1", "2")]
    assert rows[0].initial(Path("out")) == Path("out") / shared.folder / "stage_0a.pt"
    assert rows[0].checkpoint(Path("out")) == Path("out/0/seed_0/stage_1x.pt")


def test_rows_that_stay_together_share_several_stages_as_one_run() -> None:
    shared, *rows = planned("abx", "aby")
    assert trained(shared) == "ab"
    assert [trained(run) for run in rows] == ["x", "y"]


def test_sharing_is_a_tree() -> None:
    runs = planned("abx", "aby", "acz", "ac", "ac")
    assert [(trained(run), run.rows) for run in runs if run.row is None] == [
        ("a", ("0", "1", "2", "3", "4")),
        ("b", ("0", "1")),
        ("c", ("2", "3", "4")),
    ]
    by_row = {run.row: run for run in runs if run.row is not None}
    assert [trained(by_row[row]) for row in "01234"] == ["x", "y", "z", "", ""]
    # A row that ends where others go on has nothing to train, and its end is theirs.
    assert not by_row["3"].trains
    assert by_row["3"].checkpoint(Path("o")) == by_row["2"].initial(Path("o"))


@given(st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=6))
def test_every_row_trains_its_stages_once_and_nothing_twice(rows: list[str]) -> None:
    runs = planned(*rows)
    place = {run.folder: number for number, run in enumerate(runs)}
    assert len(place) == len(runs)
    done: Counter[str] = Counter()
    for run in runs:
        whole = letters(run.config)
        done.update(whole[:end] for end in range(run.stages_before + 1, len(whole) + 1))
        assert all(place[before.folder] < place[run.folder] for before in run.before)
        if run.row is not None:
            assert whole == rows[int(run.row)]
            assert "".join(map(trained, (*run.before, run))) == whole
        else:
            assert run.rows == tuple(str(n) for n, row in enumerate(rows) if row.startswith(whole))
            assert len(run.rows) > 1
    assert dict(done) == {row[:end]: 1 for row in rows for end in range(1, len(row) + 1)}


def test_what_teaches_the_same_is_shared_and_nothing_else() -> None:
    same = config_of("ax")
    people = ValidationSettings((DataSource("val.json", "."),))
    free = replace(same, log_every=7, workers=3, validation=people, seed=9)
    wide = replace(same, model=replace(same.model, features=64))
    runs = plan_runs(study_of({"same": same, "free": free, "wide": wide}))
    assert [run.rows for run in runs if run.row is None] == [("same", "free")]
    assert [trained(run) for run in runs if run.row is not None] == ["", "", "ax"]


def test_seeds_share_nothing_but_the_name_of_the_folder() -> None:
    rows = {"p": config_of("ax"), "q": config_of("ay")}
    runs = plan_runs(study_of(rows, seeds=(4, 2)))
    assert [run.seed for run in runs] == [4, 4, 4, 2, 2, 2]
    first, second = (run for run in runs if run.row is None)
    assert first.folder.parent == second.folder.parent
    assert first.folder.name == "seed_4"
    assert second.config.seed == 2


def test_a_choice_of_rows_keeps_what_they_begin_with(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    runs = plan_runs(make_study(tmp_path))
    names = {run.name for run in runs if run.row is None}
    assert len(names) == 2  # one a seed
    few = select(runs, ["fast"], [1])
    assert [run.row for run in few] == [None, "fast"]
    assert few[1].before == (few[0],)
    assert [run.name for run in select(runs, ["other"], [0])] == ["other/seed_0"]
