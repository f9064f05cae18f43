from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimdp.config import (
    CropSettings,
    DataSource,
    StageSettings,
    TrainConfig,
    ValidationSettings,
    config_to_dict,
)
from slimdp.models import HourglassSettings
from slimdp.motion import TpsMotion
from slimdp.studies import PlannedRun, Study, StudyRow, plan_runs
from slimdp.studies.plan import select
from slimdp.studies.settings import EvaluationSettings


def study_of(rows: dict[str, TrainConfig], seeds: tuple[int, ...] = (0,)) -> Study:
    return Study(
        title="",
        file=Path("study.yaml"),
        rows=tuple(
            StudyRow(name=name, values=config_to_dict(config), where=name) for name, config in rows.items()
        ),
        seeds=seeds,
        evaluate={"": EvaluationSettings(annotations="people.json", images=".")},
    )


def config_of(stages: str) -> TrainConfig:
    """A stage for each letter; the same letter at the same place is the same stage."""
    source = DataSource(annotations="labels.json", images=".")
    return TrainConfig(
        stages=tuple(
            StageSettings(name=f"{number}{letter}", data=(source,), steps=1)
            for number, letter in enumerate(stages)
        )
    )


def letters(config: TrainConfig) -> str:
    return "".join(stage.name[-1] for stage in config.stages)


def trained(run: PlannedRun) -> str:
    """The stage that a run trains."""
    return letters(run.config)[-1] if run.trains else ""


def planned(*rows: str) -> tuple[PlannedRun, ...]:
    return plan_runs(study_of({f"{number}": config_of(row) for number, row in enumerate(rows)}))


def test_rows_that_part_after_a_stage_share_it() -> None:
    runs = planned("ax", "ay", "bz")
    assert [trained(run) for run in runs] == ["a", "x", "", "y", "", "b", "z", ""]
    a, x, first, y, second, b, z, third = runs
    assert (a.rows, a.upstream, a.initial(Path("out"))) == (("0", "1"), (), None)
    assert [run.upstream for run in (x, y, z)] == [(a,), (a,), (b,)]
    assert [run.upstream for run in (first, second, third)] == [(a, x), (a, y), (b, z)]
    assert [run.folder for run in (first, second, third)] == [Path(n, "seed_0") for n in ("0", "1", "2")]
    assert x.initial(Path("out")) == Path("out") / a.folder / "stage_0a.pt"
    assert x.checkpoint(Path("out")) == Path("out") / x.folder / "stage_1x.pt"
    assert first.checkpoint(Path("out")) == x.checkpoint(Path("out"))
    assert a.name == "stage 0a of 0, 1, seed 0"
    assert first.name == "0/seed_0"


def test_where_stages_are_trained_may_be_said() -> None:
    study = study_of({"row": config_of("a")})
    stage, row = plan_runs(study.replace(shared="../elsewhere"))
    assert stage.checkpoint(Path("out/study")).parent.parent.parent == Path("out/elsewhere")
    assert row.folder == Path("row/seed_0")


def test_rows_that_are_added_move_nothing() -> None:
    few = {run.folder: run.config for run in planned("ab")}
    many = {run.folder: run.config for run in planned("ab", "a", "abc", "c")}
    assert few.items() <= many.items()
    assert len(many) == 4 + 4  # a, ab, abc, c, and the rows


@settings(deadline=None)
@given(st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=6))
def test_every_row_trains_its_stages_once_and_nothing_twice(rows: list[str]) -> None:
    runs = planned(*rows)
    place = {run.folder: number for number, run in enumerate(runs)}
    assert len(place) == len(runs)
    for run in runs:
        whole = letters(run.config)
        assert all(place[before.folder] < place[run.folder] for before in run.upstream)
        if run.row is not None:
            assert whole == rows[int(run.row)]
            assert "".join(map(trained, run.upstream)) == whole
        else:
            assert "".join(map(trained, (*run.upstream, run))) == whole
            assert run.rows == tuple(str(n) for n, row in enumerate(rows) if row.startswith(whole))
    done = Counter(letters(run.config) for run in runs if run.trains)
    assert dict(done) == {row[:end]: 1 for row in rows for end in range(1, len(row) + 1)}


def test_the_work_of_a_run_follows_from_what_it_sees_and_from_its_network() -> None:
    (source,) = config_of("a").stages[0].data
    base = TrainConfig(
        stages=(StageSettings(name="a", data=(source,), steps=10, batch=8),),
        model=HourglassSettings(stacks=1, features=64),
        crop=CropSettings(size=64),
    )

    def work(config: TrainConfig) -> float:
        return plan_runs(study_of({"row": config}))[0].work

    assert work(base) == 80
    assert work(base.replace(motion=TpsMotion(propagate=True))) == 240
    assert work(base.replace(model=HourglassSettings(stacks=2, features=64))) == pytest.approx(80 * 2.4 / 1.4)
    assert work(base.replace(crop=CropSettings(size=128))) == 320
    stage, row = plan_runs(study_of({"row": base}))
    assert (stage.crops, row.crops, row.work) == (80, 0, 0)


def test_what_teaches_the_same_is_shared_and_nothing_else() -> None:
    same = config_of("ax")
    people = ValidationSettings(data=(DataSource(annotations="val.json", images="."),))
    free = same.replace(log_every=7, workers=3, validation=people, seed=9)
    wide = same.replace(model=same.model.replace(features=64))
    runs = plan_runs(study_of({"same": same, "free": free, "wide": wide}))
    assert [run.rows for run in runs if run.trains] == [("same", "free")] * 2 + [("wide",)] * 2


def test_seeds_share_nothing_but_the_name_of_the_folder() -> None:
    rows = {"p": config_of("ax"), "q": config_of("ay")}
    runs = plan_runs(study_of(rows, seeds=(4, 2)))
    assert [run.seed for run in runs] == [4] * 5 + [2] * 5
    first, second = (run for run in runs if trained(run) == "a")
    assert first.folder.parent == second.folder.parent
    assert first.folder.name == "seed_4"
    assert second.config.seed == 2


def test_a_choice_of_rows_keeps_what_they_begin_with(
    make_study: Callable[..., Study], tmp_path: Path
) -> None:
    runs = plan_runs(make_study(tmp_path))
    assert len([run for run in runs if run.rows == ("plain", "fast")]) == 2  # one a seed
    few = select(runs, ["fast"], [1])
    assert [run.row for run in few] == [None, None, "fast"]
    assert few[2].upstream == few[:2]
    assert [run.name for run in select(runs, ["other"], [0])] == [
        "stage stills of other, seed 0", "stage clips of other, seed 0", "other/seed_0",
    ]  # fmt: skip
