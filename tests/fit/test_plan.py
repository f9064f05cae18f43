"""The commands of a run and the settings of its training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from flow_cache.video import VideoSource, name_sources
from slimdp.__main__ import main
from slimdp.config import ConfigError, TrainConfig, config_to_dict, load_config
from slimdp.data import read_annotations
from slimdp.data.labelled_frames import extract_labelled_frames
from slimdp.evaluation import PredictionFile
from slimdp.fit.page import score_labelled
from slimdp.fit.plan import FitPlan, FitSettings
from slimdp.models import MODELS
from slimdp.settings_file import dump_yaml
from slimdp.training.checkpoint import Checkpoint, build_model, save_checkpoint
from slimdp.training.distributed import ALONE
from slimdp.training.stage_data import check_stages
from tests.fit.conftest import EXPERIMENTS, SMALL, small_config
from tests.training.test_picture_network import BoxedSettings


def plan_of(
    walk: Path, out: Path, weights: Path | None = None, reach: int = 0, **settings: object
) -> FitPlan:
    videos = tuple(name_sources([walk / "walk"]))
    plan = FitPlan(walk / "labels.json", videos, out, FitSettings(**settings), weights, reach)  # type: ignore[arg-type]
    extract_labelled_frames(plan.labels, plan.videos, plan.data, plan.reach)
    return plan


def test_without_carried_labels_there_is_no_flow(walk: Path, weights: Path, tmp_path: Path) -> None:
    plan = plan_of(walk, tmp_path, weights)
    assert [step.command[0] for step in plan.steps()] == ["frames", "doctor", "train", "predict", "video"]
    config = plan.train_config()
    assert [source.annotations for source in config.stages[0].data] == [str(tmp_path / "data/labels.json")]
    assert (config.model, config.crop) == (small_config().model, small_config().crop)
    assert (config.stages[0].steps, config.stages[0].learning_rate) == (100, 1e-3)
    train = next(step for step in plan.steps() if step.command[0] == "train")
    assert train.line.endswith(f"--resume --initial {weights} --device auto")
    assert train.done == tmp_path / "train" / "stage_fit.pt"


@pytest.mark.parametrize(
    ("people", "steps", "share"), [(1, 100, 0.3), (2, 100, 0.3), (7, 350, 0.3), (21, 500, 0.143)]
)
def test_weights_learn_longer_from_more_people_and_go_back_less(
    walk: Path, weights: Path, tmp_path: Path, people: int, steps: int, share: float
) -> None:
    """Those without points teach nothing, and carried labels are many."""
    plan = plan_of(walk, tmp_path, weights, reach=3)
    values = json.loads(plan.labelled.read_text())
    (one,) = values["annotations"]
    bare = {key: value for key, value in one.items() if not key.startswith("dp_")}
    values["annotations"] = [{**one, "id": 1 + k} for k in range(people)] + [{**bare, "id": 1 + people}]
    plan.labelled.write_text(json.dumps(values))
    alone, carried = (replace(plan, reach=reach).train_config().stages[0] for reach in (0, 3))
    assert (alone.steps, alone.initial_share) == (steps, share)
    assert (carried.steps, carried.initial_share) == (500, share)


def test_carried_labels_go_far_along_the_flow(walk: Path, tmp_path: Path) -> None:
    plan = plan_of(walk, tmp_path, reach=30)
    names = ["frames", "doctor", "flow", "propagate", "train", "predict", "video"]
    assert [step.command[0] for step in plan.steps()] == names
    propagate = plan.steps()[3].command
    steps = next(word for word in propagate if word.startswith("--steps=")).removeprefix("--steps=")
    assert [int(step) for step in steps.split(",")] == [s for s in range(-30, 31, 3) if s]
    sources = plan.train_config().stages[0].data
    assert [Path(source.annotations).name for source in sources] == ["labels.json", "propagated.json"]


def said_of(plan: FitPlan) -> None:
    """The files of people that a network was sure of, without their content."""
    for video in plan.videos:
        folder = plan.found(video) / "people"
        folder.mkdir(parents=True)
        (folder / "predictions.h5").touch()


def test_a_network_that_teaches_itself_is_trained_twice(walk: Path, weights: Path, tmp_path: Path) -> None:
    plan = plan_of(walk, tmp_path, weights, self_train=True)
    steps = plan.steps()
    names = ["frames", "doctor", "train", "video", "train", "predict", "video"]
    assert [step.command[0] for step in steps] == names
    first, found, again, predicted, shown = steps[2:]
    assert f"--weights {first.done} --detector auto --anchors {plan.labelled} --anchors-of walk" in found.line
    assert found.line.endswith("--write people")
    assert again.line.endswith(f"self --resume --initial {first.done} --device auto")
    assert again.done == plan.checkpoint == tmp_path / "self" / "stage_fit_2.pt"
    assert all(str(plan.checkpoint) in step.command for step in (predicted, shown))


def test_a_network_of_whole_pictures_is_asked_what_it_can_answer(
    walk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told whom to look at, and learns from no pictures that are turned."""
    monkeypatch.setitem(MODELS, "boxed", BoxedSettings)
    values = {**config_to_dict(small_config()), "model": {"name": "boxed"}, "loss": {}}
    values["augment"]["rotation_deg"] = 0
    config, weights = TrainConfig.parse(values), tmp_path / "stage_stills.pt"
    save_checkpoint(weights, Checkpoint(config, stage=1, step=0, model=build_model(config).state_dict()))
    plan = plan_of(walk, tmp_path / "out", weights, self_train=True)
    predicts = [step for step in (*plan.probe_steps(), *plan.steps()) if step.command[0] == "predict"]
    assert len(predicts) == 2
    assert all("--given-boxes" in step.command for step in predicts)
    check_stages(plan.train_config(), ALONE)
    assert main([*map(str, predicts[1].command[:1]), str(weights), *predicts[1].command[2:]]) == 0
    labelled = read_annotations(plan.labelled, plan.data)
    assert score_labelled(plan, plan.predictions, labelled)["10cm"] >= 0
    with PredictionFile(plan.predictions) as predictions:
        assert predictions.keys() == tuple((person.image.id, person.id) for person in labelled.people)


def test_boxes_of_one_video_are_nothing_to_another(walk: Path, weights: Path, tmp_path: Path) -> None:
    plan = plan_of(walk, tmp_path, weights)
    other = VideoSource(walk / "walk", "ride")
    steps = replace(plan, videos=(*plan.videos, other)).steps()
    assert ["--anchors" in step.command for step in steps[-2:]] == [True, False]


def test_the_second_training_takes_what_the_first_one_was_told(
    walk: Path, weights: Path, tmp_path: Path
) -> None:
    plan = plan_of(walk, tmp_path, weights, self_train=True)
    config = plan.train_config()
    (stage,) = config.stages
    changed = config.replace(stages=(stage.replace(steps=7),))
    (tmp_path / "settings.yaml").write_text(dump_yaml(config_to_dict(changed)))
    assert plan.self_config().stages[0].data == stage.data, "nobody was found"
    said_of(plan)
    again = plan.self_config().stages[0]
    assert (again.name, again.steps, again.data[0]) == ("fit_2", 7, stage.data[0])
    people = tmp_path / "found" / "walk" / "people"
    assert again.data[1].annotations == str(people / "people.json")
    assert again.data[1].taught is not None
    assert again.data[1].taught.predictions == str(people / "predictions.h5")
    assert again.loss is not None
    assert [again.loss[name].weight for name in ("taught_part", "part", "uv")] == [1, 1, 10]
    assert "taught_uv" not in again.loss


def test_a_short_reach_goes_to_its_end(walk: Path, tmp_path: Path) -> None:
    assert "--steps=-2,2" in plan_of(walk, tmp_path, reach=2).steps()[3].command


def test_settings_can_be_changed_and_are_checked(walk: Path, weights: Path, tmp_path: Path) -> None:
    plan = plan_of(walk, tmp_path, weights, overrides=("stages.0.steps=7",))
    assert plan.train_config().stages[0].steps == 7
    with pytest.raises(ConfigError, match=r"stages\.0\.stps"):
        plan_of(walk, tmp_path, weights, overrides=("stages.0.stps=7",)).train_config()


def test_the_settings_are_those_that_train_reads(walk: Path, weights: Path, tmp_path: Path) -> None:
    config = plan_of(walk, tmp_path, weights).train_config()
    (tmp_path / "settings.yaml").write_text(dump_yaml(config.plain()))
    assert load_config(tmp_path / "settings.yaml") == config


def test_a_backbone_that_learned_slowly_does_so_when_it_is_fitted(walk: Path, tmp_path: Path) -> None:
    config = load_config(EXPERIMENTS / "people_192_end.yaml", ["model.channels=8", "crop.size=64"])
    weights = tmp_path / "weights.pt"
    save_checkpoint(weights, Checkpoint(config, 1, 0, model=build_model(config).state_dict()))
    (stage,) = plan_of(walk, tmp_path, weights).train_config().stages
    assert stage.backbone_rate == 0.1


def weights_with(out: Path, *overrides: str) -> Path:
    """The end of a training with other settings."""
    config = load_config(EXPERIMENTS / "stills_64.yaml", [*SMALL, *overrides])
    save_checkpoint(out, Checkpoint(config, 1, 0, model=build_model(config).state_dict()))
    return out


def test_terms_that_need_pairs_or_a_teacher_are_left_out(walk: Path, tmp_path: Path) -> None:
    """A fit has no second pictures, and nobody teaches it."""
    told = (
        "motion={kind: tps, propagate: true}",
        "loss.equivariance=1.0",
        "loss.taught_part=2",
        "loss.part=3",
    )
    weights = weights_with(tmp_path / "weights.pt", *told)
    plan = plan_of(walk, tmp_path, weights, self_train=True)
    config = plan.train_config()
    check_stages(config, ALONE)
    assert set(plan.unserved_terms) == {"equivariance", "taught_part"}
    assert [config.loss[name].weight for name in ("equivariance", "taught_part", "part", "uv")] == [
        0,
        0,
        3,
        10,
    ]
    asked = ("motion={kind: tps, propagate: true}", "loss.equivariance=0.5")  # who wants pairs can have them
    config = plan_of(walk, tmp_path, weights, overrides=asked).train_config()
    check_stages(config, ALONE)
    assert config.loss["equivariance"].weight == 0.5


def test_weights_that_a_teacher_alone_taught_learn_the_labels_by_the_usual_loss(
    walk: Path, tmp_path: Path
) -> None:
    weights = weights_with(tmp_path / "weights.pt", "loss={part: 0, uv: 0, taught_part: 1, taught_uv: 10}")
    loss = plan_of(walk, tmp_path, weights).train_config().loss
    assert [loss[name].weight for name in ("taught_part", "taught_uv", "part", "uv")] == [0, 0, 1, 10]


def test_commands_that_read_weights_import_what_they_need(walk: Path, weights: Path, tmp_path: Path) -> None:
    plan = plan_of(walk, tmp_path, weights, imports=("my_network", "my_detector"))
    words = " --imports my_network --imports my_detector"
    lines = {step.command[0]: step.line for step in plan.steps()}
    assert [name for name, line in lines.items() if words in line] == ["predict", "video"]
    assert words in plan.probe_steps()[1].line


def test_networks_run_where_the_run_is_told(walk: Path, weights: Path, tmp_path: Path) -> None:
    steps = plan_of(walk, tmp_path, weights, device="cuda:1").steps()
    on_it = [step.command[0] for step in steps if "--device cuda:1" in step.line]
    assert on_it == ["train", "predict", "video"]


def test_weights_that_were_fitted_before_are_fitted_again(walk: Path, tmp_path: Path) -> None:
    """A stage of a name that the weights know would count as done."""
    config = small_config()
    config = config.replace(stages=(config.stages[0].replace(name="fit"),))
    file = tmp_path / "stage_fit.pt"
    save_checkpoint(file, Checkpoint(config, stage=1, step=0, model=build_model(config).state_dict()))
    assert plan_of(walk, tmp_path, file).stages == ("fit_2", "fit_3")


def test_a_line_is_what_a_shell_reads(walk: Path, tmp_path: Path) -> None:
    plan = plan_of(walk, tmp_path / "my run", reach=0)
    assert f"'{tmp_path / 'my run' / 'data'}'" in plan.frames_step().line
