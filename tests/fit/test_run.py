"""The order of the commands, what is passed over, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from flow_cache.video import name_sources
from slimdp.__main__ import main
from slimdp.config import ConfigError, load_config
from slimdp.data import read_annotations
from slimdp.fit import FitSettings, FitStopped, fit
from slimdp.settings_file import read_settings
from slimdp.training.checkpoint import Checkpoint, build_model, load_checkpoint, save_checkpoint
from tests.fit.conftest import EXPERIMENTS, LABELLED, SMALL


class Commands:
    """Takes the place of slimdp: notes commands, makes what they make, and fails where it is told to."""

    def __init__(self, out: Path, fails: str = "", really: tuple[str, ...] = ()) -> None:
        self.out, self.fails, self.really, self.ran = out, fails, ("frames", *really), list[str]()

    def __call__(self, words: Sequence[str]) -> int:
        self.ran.append(words[0])
        if words[0] == self.fails:
            return 2
        if words[0] in self.really or any(word.endswith("probe.h5") for word in words):
            return main(words)
        if words[0] in ("propagate", "predict"):
            Path(words[words.index("--out") + 1]).touch()
        if words[0] == "train":
            folder = Path(words[words.index("--out") + 1])
            folder.mkdir(exist_ok=True)
            config = load_config(Path(words[1]))
            end = folder / f"stage_{config.stages[-1].name}.pt"
            save_checkpoint(end, Checkpoint(config, len(config.stages), 0, model={}))
        if words[0] == "video":
            Path(words[words.index("--out") + 1]).mkdir(parents=True, exist_ok=True)
        return 0


@pytest.fixture(autouse=True)
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slimdp.fit.run.write_fit_page", lambda plan: plan.out / "report.html")


def run(walk: Path, out: Path, commands: Commands, **settings: object) -> Path:
    told = FitSettings(**settings)  # type: ignore[arg-type]
    return fit(walk / "labels.json", name_sources([walk / "walk"]), out, commands, told)


ALL = ["frames", "doctor", "flow", "propagate", "train", "predict", "video"]


def test_what_failed_is_done_by_the_next_call_and_what_is_done_is_not(walk: Path, tmp_path: Path) -> None:
    commands = Commands(tmp_path, fails="train")
    with pytest.raises(FitStopped, match="train"):
        run(walk, tmp_path, commands, weights="scratch", reach=3)
    assert commands.ran == ALL[:5]
    commands = Commands(tmp_path)
    assert run(walk, tmp_path, commands, weights="scratch", reach=3) == tmp_path / "report.html"
    assert commands.ran == [
        "frames",
        "doctor",
        "flow",
        "train",
        "predict",
        "video",
    ]  # these resume themselves
    log = (tmp_path / "fit.log").read_text()
    assert f"slimdp train {tmp_path / 'settings.yaml'}" in log


def test_a_network_that_teaches_itself_goes_on_where_it_was_stopped(walk: Path, tmp_path: Path) -> None:
    told = {"weights": "scratch", "reach": 0, "self_train": True}
    with pytest.raises(FitStopped, match="find people in the frames of walk"):
        run(walk, tmp_path, Commands(tmp_path, fails="video"), **told)
    assert not (tmp_path / "settings_self.yaml").exists()
    commands = Commands(tmp_path)
    run(walk, tmp_path, commands, **told)
    assert commands.ran == ["frames", "doctor", "video", "train", "predict", "video"]
    assert read_settings(tmp_path / "settings_self.yaml")["stages"][0]["name"] == "fit_2"
    with pytest.raises(ConfigError, match="self_train: True, False"):
        run(walk, tmp_path, commands, **{**told, "self_train": False})


def test_other_settings_are_another_run(walk: Path, tmp_path: Path) -> None:
    run(walk, tmp_path, Commands(tmp_path), weights="scratch", reach=3)
    with pytest.raises(ConfigError, match="reach: 3, 6"):
        run(walk, tmp_path, Commands(tmp_path), weights="scratch", reach=6)


def test_labels_can_be_mended_after_a_run_that_they_stopped(walk: Path, tmp_path: Path) -> None:
    with pytest.raises(FitStopped):
        run(walk, tmp_path, Commands(tmp_path, fails="frames"), weights="scratch", reach=3)
    run(walk, tmp_path, commands := Commands(tmp_path), weights="scratch", reach=6)
    assert commands.ran == ALL
    with pytest.raises(ConfigError, match="reach: 6, 3"):
        run(walk, tmp_path, Commands(tmp_path), weights="scratch", reach=3)


def test_pictures_that_changed_are_another_run(walk: Path, tmp_path: Path) -> None:
    """Even where the labelled frames were removed: what was learned from the old ones is still there."""
    shutil.copytree(walk, tmp_path / "own")
    run(tmp_path / "own", tmp_path / "run", Commands(tmp_path / "run"), weights="scratch", reach=3)
    last = sorted((tmp_path / "own" / "walk").iterdir())[-1]
    last.write_bytes(last.read_bytes()[:-1] + b"\xd8")
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"video_content\.walk: "):
            run(tmp_path / "own", tmp_path / "run", Commands(tmp_path / "run"), weights="scratch", reach=3)
        shutil.rmtree(tmp_path / "run" / "data", ignore_errors=True)


def test_a_run_of_an_older_version_is_refused(walk: Path, tmp_path: Path) -> None:
    run(walk, tmp_path, Commands(tmp_path), weights="scratch", reach=3)
    about = json.loads((tmp_path / "fit.json").read_text())
    del about["video_content"]
    (tmp_path / "fit.json").write_text(json.dumps(about))
    with pytest.raises(ConfigError, match="a run of an older version, which took no note of what its videos"):
        run(walk, tmp_path, Commands(tmp_path), weights="scratch", reach=3)


def test_settings_that_were_changed_by_hand_are_kept(walk: Path, tmp_path: Path) -> None:
    with pytest.raises(FitStopped):
        run(walk, tmp_path, Commands(tmp_path, fails="train"), weights="scratch", reach=3)
    file = tmp_path / "settings.yaml"
    file.write_text(file.read_text().replace("steps: 1500", "steps: 7"))
    run(walk, tmp_path, Commands(tmp_path), weights="scratch", reach=3)
    assert read_settings(file)["stages"][0]["steps"] == 7


def change(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def test_settings_that_were_changed_after_the_training_are_refused(walk: Path, tmp_path: Path) -> None:
    told = {"weights": "scratch", "reach": 0}
    run(walk, tmp_path, Commands(tmp_path), **told)
    change(tmp_path / "settings.yaml", "log_every: 25", "log_every: 10")  # of which nothing is learned
    run(walk, tmp_path, commands := Commands(tmp_path), **told)
    assert commands.ran == ["frames", "doctor", "video"]
    change(tmp_path / "settings.yaml", "steps: 1500", "steps: 4000")
    with pytest.raises(ConfigError, match=rf"stages\.0\.steps: 1500, 4000;.*rm -r {tmp_path / 'train'}$"):
        run(walk, tmp_path, Commands(tmp_path), **told)


def test_what_came_of_a_network_is_made_anew_when_it_is_trained_again(walk: Path, tmp_path: Path) -> None:
    told = {"weights": "scratch", "reach": 0, "self_train": True}
    run(walk, tmp_path, Commands(tmp_path), **told)
    later = ["video", "train", "predict", "video"]
    change(tmp_path / "settings.yaml", "steps: 1500", "steps: 4000")
    shutil.rmtree(tmp_path / "train")
    with pytest.raises(FitStopped):  # and also where this is stopped in between
        run(walk, tmp_path, Commands(tmp_path, fails="predict"), **told)
    assert not (tmp_path / "predictions.h5").exists()
    run(walk, tmp_path, commands := Commands(tmp_path), **told)
    assert commands.ran == ["frames", "doctor", "video", "predict", "video"]
    assert read_settings(tmp_path / "settings_self.yaml")["stages"][0]["steps"] == 4000
    assert load_checkpoint(tmp_path / "self" / "stage_fit_2.pt").config.stages[0].steps == 4000
    log = (tmp_path / "fit.log").read_text()
    for made in ("found/walk", "self", "settings_self.yaml", "predictions.h5", "video/walk"):
        assert (tmp_path / f"{made}.before").exists()
        assert log.count(f"== {tmp_path / made} is of another network") == 1
    change(tmp_path / "settings_self.yaml", "steps: 4000", "steps: 2000")
    with pytest.raises(ConfigError, match=rf"settings_self\.yaml was changed.*rm -r {tmp_path / 'self'}$"):
        run(walk, tmp_path, Commands(tmp_path), **told)
    shutil.rmtree(tmp_path / "self")
    run(walk, tmp_path, commands := Commands(tmp_path), **told)
    assert commands.ran == ["frames", "doctor", *later]


@pytest.mark.parametrize(("percent", "carries"), [(68.4, False), (30.0, True)])
def test_what_the_weights_know_decides_whether_labels_are_carried(
    walk: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, percent: float, carries: bool
) -> None:
    monkeypatch.setattr("slimdp.fit.run.known_percent", lambda plan: percent)
    commands = Commands(tmp_path)
    run(walk, tmp_path, commands, weights=str(weights))
    assert ("propagate" in commands.ran) == carries
    assert commands.ran[:2] == ["frames", "predict"]
    assert f"{percent:.0f} % of the labelled points" in (tmp_path / "fit.log").read_text()
    run(walk, tmp_path, commands, weights=str(weights))  # the same decision, and so the same run


def test_a_look_at_what_the_weights_know_comes_before_all_else(
    walk: Path, weights: Path, tmp_path: Path
) -> None:
    commands = Commands(tmp_path)
    run(walk, tmp_path, commands, weights=str(weights))
    assert commands.ran == ["frames", "predict", *ALL], "weights that have learned nothing know nothing"
    assert "% of the labelled points within 10 cm" in (tmp_path / "fit.log").read_text()


def test_a_given_reach_needs_no_look_at_the_weights(walk: Path, weights: Path, tmp_path: Path) -> None:
    commands = Commands(tmp_path)
    run(walk, tmp_path, commands, weights=str(weights), reach=0)
    assert commands.ran == ["frames", "doctor", "train", "predict", "video"]


def test_what_of_the_weights_loss_is_left_out_is_said(walk: Path, tmp_path: Path) -> None:
    config = load_config(
        EXPERIMENTS / "stills_64.yaml", [*SMALL, "motion={kind: tps}", "loss.equivariance=1"]
    )
    weights, out = tmp_path / "weights.pt", tmp_path / "run"
    save_checkpoint(weights, Checkpoint(config, 1, 0, model=build_model(config).state_dict()))
    run(walk, out, Commands(out), weights=str(weights), reach=0)
    assert "the weights were trained with loss.equivariance, which needs" in (out / "fit.log").read_text()


def test_weights_that_are_not_there_are_named_before_any_work(walk: Path, tmp_path: Path) -> None:
    commands = Commands(tmp_path)
    with pytest.raises(ConfigError, match="no weights at"):
        run(walk, tmp_path, commands, weights=str(tmp_path / "none.pt"))
    assert commands.ran == []


def test_labels_of_another_video_end_the_command(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    for number in range(2):
        (tmp_path / "run" / f"{number}.jpg").write_bytes((walk / "walk" / f"{number:06d}.jpg").read_bytes())
    words = ["fit", str(walk / "labels.json"), str(tmp_path / "run"), "--weights", "scratch", "--reach", "3"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "has no picture 000005.jpg" in said
    assert "it stopped there (take the labelled frames, and 3 to either side)" in said
    assert "Traceback" not in said


def test_an_impossible_reach_is_refused(walk: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reach = -1"):
        run(walk, tmp_path, Commands(tmp_path), reach=-1)


def one_frame(walk: Path, folder: Path) -> Path:
    """The labelled frame of a video as a video of its own, `one`, and labels.json of both beside it."""
    (folder / "one").mkdir(parents=True)
    shutil.copy(walk / "walk" / f"{LABELLED:06d}.jpg", folder / "one")
    content = json.loads((walk / "labels.json").read_text())
    (image,), (person,) = content["images"], content["annotations"]
    other = {**image, "id": 2, "vid_id": "one", "file_name": f"one/{LABELLED:06d}.jpg"}
    people = [person, {**person, "id": 2, "image_id": 2}]
    content |= {"images": [image, other], "annotations": people}
    (folder / "both.json").write_text(json.dumps(content))
    (folder / "one.json").write_text(json.dumps(content | {"images": [other], "annotations": people[1:]}))
    return folder / "one"


def test_a_video_of_one_frame_is_fitted_without_carrying(walk: Path, tmp_path: Path) -> None:
    one, out = one_frame(walk, tmp_path / "own"), tmp_path / "run"
    commands = Commands(out)
    fit(tmp_path / "own" / "one.json", name_sources([one]), out, commands, FitSettings(weights="scratch"))
    assert commands.ran == ["frames", "doctor", "train", "predict", "video"]
    assert (
        "no labelled video has a second frame, and so no labels are carried" in (out / "fit.log").read_text()
    )
    (source,) = read_settings(out / "settings.yaml")["stages"][0]["data"]
    assert source["annotations"] == str(out / "data" / "labels.json")


def test_labels_of_other_videos_are_carried_past_one_of_one_frame(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, out = one_frame(walk, tmp_path / "own"), tmp_path / "run"
    commands = Commands(out, really=("doctor", "flow", "propagate"))
    told = FitSettings(weights="scratch", reach=3)
    fit(tmp_path / "own" / "both.json", name_sources([walk / "walk", one]), out, commands, told)
    assert commands.ran == [*ALL, "video"]
    assert "1 labelled frame without flow, and with no picture beside it" in capsys.readouterr().out
    carried = read_annotations(out / "propagated.json", out / "data")
    frames = [(person.image.video, person.image.frame) for person in carried.people]
    assert sorted(frames, key=str) == [("one", 0), *(("walk", LABELLED + step) for step in (-3, 0, 3))]


def test_frames_command_says_what_it_took(
    walk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["frames", str(walk / "labels.json"), str(walk / "walk"), "--out", str(tmp_path / "out")]
    assert main([*words, "--around", "2"]) == 0
    assert "1 labelled frame with 1 person" in capsys.readouterr().out
    assert len(list((tmp_path / "out" / "images" / "walk").iterdir())) == 5
