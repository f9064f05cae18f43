from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from flow_cache.runtime.lock import held
from slimdp.config import (
    ConfigError,
    DataSource,
    TaughtSettings,
    TeacherSettings,
    TrainConfig,
    config_to_dict,
)
from slimdp.studies import RunResult, Study
from slimdp.studies.executor import record_failure
from slimdp.studies.records import (
    Evaluated,
    RunRecord,
    ScoredSet,
    begin_run,
    begin_training,
    changes,
    describe_evaluation,
    describe_run,
    end_training,
    read_failure,
    read_record,
    read_result,
    write_failure,
    write_result,
)
from slimdp.studies.settings import EvaluationSettings

RESULT = RunResult(
    row="a",
    seed=0,
    scores={"": {"points.localization.10cm": 2.0}},
    seconds=3.0,
    shared_seconds=1.0,
    machine="2 cores",
    commit="abc",
)
PEOPLE = Evaluated(
    sets={"": ScoredSet(annotations="people.json", images=".", sha256="1234")},
    scores=("points.localization.10cm",),
)


def people(**changes: str) -> Evaluated:
    return PEOPLE.replace(sets={"": PEOPLE.sets[""].replace(**changes)})


def test_a_result_counts_for_the_people_that_it_is_of(tmp_path: Path) -> None:
    assert read_result(tmp_path, PEOPLE) is None
    write_result(tmp_path, RESULT, PEOPLE)
    assert read_result(tmp_path, PEOPLE) == RESULT
    assert read_result(tmp_path, people(annotations="others.json")) is None
    assert read_result(tmp_path, people(sha256="5678")) is None
    assert read_result(tmp_path, PEOPLE.replace(scores=())) == RESULT
    assert read_result(tmp_path, PEOPLE.replace(scores=("gps.AP",))) is None
    # Where the people's file is not at hand, its name must do.
    assert read_result(tmp_path, people(sha256="")) == RESULT


def test_a_result_has_the_sets_that_are_wanted_in_their_order(tmp_path: Path) -> None:
    some, kept = PEOPLE.sets[""], {"points.localization.10cm": 7.0}
    both = PEOPLE.replace(sets={"clips": some, "stills": some.replace(annotations="others.json")})
    write_result(tmp_path, RESULT.replace(scores={"clips": RESULT.on(""), "stills": kept}), both)
    for names in (["stills", "clips"], ["stills"]):  # put in another order, or its first set removed
        found = read_result(tmp_path, both.replace(sets={name: both.sets[name] for name in names}))
        assert found is not None
        assert list(found.scores) == names
        assert found.on("") == found.on("stills") == kept
    more = both.replace(sets={"new": some, **both.sets})
    assert read_result(tmp_path, more) is None  # without one of them it is scored anew


def test_a_result_of_an_earlier_version_is_made_anew(tmp_path: Path) -> None:
    old = {"row": "a", "seed": 0, "scores": {"5cm": 1.0}, "full": {"5cm": 1.0}, "others": {}}
    (tmp_path / "result.json").write_text(json.dumps({"result": old, "evaluated": {}}))
    assert read_result(tmp_path, PEOPLE) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"result": {}}', '{"result": 3, "evaluated": null}'])
def test_a_damaged_result_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(ConfigError, match=r"result\.json.*remove it"):
        read_result(tmp_path, PEOPLE)


def test_the_people_are_known_by_what_is_in_the_file(tmp_path: Path) -> None:
    scored = EvaluationSettings(annotations=str(tmp_path / "people.json"), images=".")
    study = Study(title="", file=Path("study.yaml"), rows=(), seeds=(0,), evaluate={"": scored})
    assert describe_evaluation(study).sets[""].sha256 == ""
    digests = set()
    for text in ("a", "b"):
        (tmp_path / "people.json").write_text(text)
        os.utime(tmp_path / "people.json", ns=(1, len(digests)))
        digests.add(describe_evaluation(study).sets[""].sha256)
    assert len(digests) == 2


def test_changed_settings_and_labels_are_named(base_config: TrainConfig, tmp_path: Path) -> None:
    labels = tmp_path / "labels.json"
    labels.write_text("one")
    source = DataSource(annotations=str(labels), images=".")
    config = base_config.replace(stages=tuple(stage.replace(data=(source,)) for stage in base_config.stages))
    there = describe_run(config)
    assert changes(there, describe_run(config)) == []
    assert changes(there, describe_run(config.replace(workers=2, checkpoint_every=9))) == []
    first = config.stages[0].replace(steps=7)
    now = describe_run(config.replace(seed=1, stages=(first, config.stages[1])))
    assert changes(there, now) == ["stages.0.steps: 6, 7", "seed: 0, 1"]
    labels.write_text("another")
    (line,) = changes(there, describe_run(config))
    assert line.startswith(f"labels in {labels}: ")
    labels.unlink()
    assert changes(there, describe_run(config)) == []
    unknown = there.replace(settings={**there.settings, "colour": "red"})
    assert "unknown key colour" in changes(unknown, describe_run(config))[0]


def test_weights_and_answers_that_a_run_learns_from_are_known(
    base_config: TrainConfig, tmp_path: Path
) -> None:
    files = [tmp_path / name for name in ("teacher.pt", "said.h5", "backbone.pth")]
    for file in files:
        file.write_text("one")
    (source,), (first, last) = base_config.stages[0].data, base_config.stages
    taught = source.replace(taught=TaughtSettings(predictions=str(files[1])))

    def run(teacher: str, weights: str) -> RunRecord:
        stages = first, last.replace(teacher=TeacherSettings(weights=teacher), data=(taught,))
        values = config_to_dict(base_config.replace(stages=stages))
        values.update(model={"name": "fcn", "weights": weights}, loss={})
        return describe_run(TrainConfig.parse(values))

    def now() -> RunRecord:
        return run(str(files[0]), str(files[2]))

    there = now()
    assert changes(there, now()) == []
    assert changes(there.replace(files={}), now()) == [], "an older sweep took no note of them"
    wanted = ("teacher ", "predictions ", "model.weights ")
    for file, what in zip(files, wanted, strict=True):
        file.write_text("another")
        (line,) = changes(there, now())
        assert line.startswith(f"{what}{file}: ")
        file.write_text("one")
    files[0].unlink()
    assert changes(there, now()) == []
    # The key of the stage that teaches in a plan, and a name of published weights.
    assert list(run("0123456789ab", "none").files) == [f"predictions {files[1]}"]


def test_the_seconds_of_attempts_add_up(base_config: TrainConfig, tmp_path: Path) -> None:
    now, last = describe_run(base_config), tmp_path / "last.pt"
    begin_run(tmp_path, now)
    begin_training(tmp_path, 100.0, "a")  # killed before its first checkpoint
    begin_training(tmp_path, 1000.0, "a")
    last.touch()
    os.utime(last, (1060.0, 1060.0))  # killed some time after this checkpoint
    begin_training(tmp_path, 2000.0, "b")  # killed before its next checkpoint
    begin_training(tmp_path, 3000.0, "b")
    end_training(tmp_path, 7.0)
    record = read_record(tmp_path)
    assert record is not None
    assert (record.seconds, record.started) == (67.0, None)
    assert changes(record, now) == []
    begin_training(tmp_path, 4000.0, "a")
    end_training(tmp_path, 1.0)
    record = read_record(tmp_path)
    assert record is not None
    assert record.seconds == 68.0
    assert list(record.commits) == ["a", "b"]


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    for text in ("{", "[]", "{}"):
        (tmp_path / "sweep.json").write_text(text)
        with pytest.raises(ConfigError, match=r"sweep\.json.*remove"):
            read_record(tmp_path)


def test_a_failure_is_noted_for_a_process_that_could_not(tmp_path: Path) -> None:
    known = write_failure(tmp_path, FloatingPointError("the loss is nan"))
    assert record_failure(tmp_path, FloatingPointError("as it came to the parent")).error.endswith("parent")
    assert read_failure(tmp_path) == known
    killed = record_failure(tmp_path, ChildProcessError("killed"))  # in another try
    assert read_failure(tmp_path) == killed
    (tmp_path / "failed.json").unlink()
    with held(tmp_path / ".lock"):  # somebody has taken it up
        assert record_failure(tmp_path, ChildProcessError("killed")) == killed
    assert read_failure(tmp_path) is None
    nowhere = tmp_path / "sweep.json"
    nowhere.write_text("a file, where nothing can be written")
    assert record_failure(nowhere, ValueError("x")).error == "ValueError: x"


def test_a_failure_is_kept_until_the_next_try(base_config: TrainConfig, tmp_path: Path) -> None:
    failure = write_failure(tmp_path, FloatingPointError("the loss is nan"))
    assert failure.error == "FloatingPointError: the loss is nan"
    assert read_failure(tmp_path) == failure
    begin_run(tmp_path, describe_run(base_config))
    assert read_failure(tmp_path) is None
