"""The commands as a user types them, on rendered people, from nothing to scores."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flow_cache.video_file import VideoFile
from slimdp.__main__ import main
from slimdp.data import read_annotations
from slimdp.quickstart.run import label_one_frame_each
from slimdp.settings_file import dump_yaml, read_settings
from slimdp.structures import LabelSource
from slimdp.surface import PEOPLE
from slimdp.synthetic.dataset import PRESETS, SetPlan, synthesize
from slimdp.training import TrainRun, train
from tests.made_once import TEST_SEED

EXPERIMENTS = sorted(
    path for path in (Path(__file__).parents[1] / "experiments").rglob("*.yaml") if path.name != "study.yaml"
)
#: Rows that several tables have, and what they build on, are the same run: one of them will do.
DIFFERENT = {dump_yaml(read_settings(path)): path for path in reversed(EXPERIMENTS)}


def _said(value: Any, key: str = "") -> Iterator[str]:
    """The keys of settings, with values that are words; those that are numbers or files are left out."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _said(each, f"{key}.{name}")
    elif isinstance(value, list):
        for each in value:
            yield from _said(each, key)
    else:
        word = isinstance(value, bool) or (isinstance(value, str) and "/" not in value)
        yield f"{key}={value}" if word and not key.endswith("stages.name") else key


def _with_marks() -> Iterator[Any]:
    """All different experiments; those that say nothing that one before them does not say are slow."""
    said = {path: set(_said(read_settings(path))) for path in DIFFERENT.values()}
    known: set[str] = set()
    for path in sorted(said, key=lambda path: (-len(said[path]), path)):
        marks = () if said[path] - known else (pytest.mark.slow,)
        known |= said[path]
        yield pytest.param(path, marks=marks, id=f"{path.parent.name}/{path.name}")


#: Settings that make a network quick, and let it begin without weights of others, whose package is an extra.
NARROW = {
    "hourglass": ["model.features=16"],
    "fpn": ["model.channels=16", "model.weights=none"],
    "fcn": ["model.channels=16", "model.weights=none"],
    "direct": ["model.channels=32", "model.tower=1", "model.weights=none", "model.backbone=resnet18"],
    "region": [
        f"model.{setting}"
        for setting in ("channels=16", "layers=1", "head_channels=16", "box_features=16", "weights=none")
    ],
}


def _one_by_one(runs: Sequence[TrainRun]) -> list[Path]:
    return [train(run.config, run.out, initial=run.initial, bar=False) for run in runs]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `slimdp quickstart --preset smoke` leaves, of fewer pictures and made in this process alone."""
    out = tmp_path_factory.mktemp("quickstart") / "smoke"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            PRESETS, "smoke", PRESETS["smoke"].replace(stills=6, train_clips=2, val_clips=1, size=128)
        )
        patch.setattr("os.cpu_count", lambda: 1)
        patch.setattr("slimdp.quickstart.run.train_side_by_side", _one_by_one)
        assert main(["quickstart", "--preset", "smoke", "--seed", str(TEST_SEED), "--out", str(out)]) == 0
    return out


@pytest.mark.slow
def test_the_quickstart_runs_in_processes_of_its_own(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "slimdp",
        "quickstart",
        "--preset",
        "smoke",
        "--out",
        str(tmp_path / "out"),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert "with propagation, localization only" in finished.stdout


@pytest.fixture(scope="module")
def exact_flow(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The true flow of the same videos, which the quickstart does without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.cpu_count", lambda: 1)
        plan = SetPlan.parse(
            {key: value for key, value in read_set(smoke / "data").items() if key in SetPlan.model_fields}
        )
        out = tmp_path_factory.mktemp("exact") / "data"
        return synthesize(out, plan.replace(stills=0, val_clips=0), TEST_SEED, quiet=True) / "flow_exact"


def read_set(data: Path) -> dict[str, Any]:
    about: dict[str, Any] = json.loads((data / "dataset.json").read_text())
    return about


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_quickstart_writes_scores_in_their_form(smoke: Path) -> None:
    scores = json.loads((smoke / "scores.json").read_text())
    assert set(scores) == {"without_propagation", "with_propagation", "seconds"}
    for variant in ("without_propagation", "with_propagation"):
        assert list(scores[variant]) == ["5cm", "10cm", "20cm"]
        assert 0 <= scores[variant]["5cm"] <= scores[variant]["10cm"] <= scores[variant]["20cm"] <= 100
        everything = json.loads((smoke / f"scores_{variant}.json").read_text())["points"]
        assert set(everything) == {"full", "localization"}
        assert everything["localization"]["10cm"] == pytest.approx(scores[variant]["10cm"], abs=0.01)
    assert {"render", "flow", "propagate", "train_stills", "train_clips"} <= set(scores["seconds"])


def test_quickstart_draws_and_logs(smoke: Path) -> None:
    image = cv2.imread(str(smoke / "predictions.png"))
    assert image.shape[1] > 600
    assert image.std() > 20
    page = (smoke / "report.html").read_text()
    assert page.count("data:video/mp4;base64,") == 1
    scores = json.loads((smoke / "scores.json").read_text())
    assert all(
        f"{scores[variant]['10cm']:.1f}" in page for variant in ("without_propagation", "with_propagation")
    )
    with VideoFile(smoke / "video.mp4") as film:
        frames = [film.pixels(frame) for frame in film.frames()]
    every_frame = read_annotations(smoke / "data" / "clips_train_every_frame.json", smoke / "data")
    assert len(frames) == len({person.image.id for person in every_frame.people})
    original = cv2.imread(str(every_frame.people[0].image.file))[..., ::-1]
    side = original.shape[0]
    left = frames[0][-4 - side : -4, 4 : 4 + side].astype(int)  # under the titles, within the sheet's rim
    assert np.abs(left - original).mean() < 8
    for run_name in ("train_stills", "train_with_propagation"):
        events = EventAccumulator(str(smoke / run_name / "tensorboard"))
        events.Reload()
        tags = events.Tags()
        assert any("stack0/uv" in tag for tag in tags["scalars"])
        assert tags["images"]


def test_quickstart_leaves_only_whole_files(smoke: Path) -> None:
    assert not [path for path in smoke.rglob("*") if ".part" in path.name]
    with h5py.File(smoke / "predictions_with_propagation.h5") as file:
        assert len(file["annotation_id"]) > 0


def test_the_labelled_frame_is_the_nearest_to_the_middle_that_shows_somebody(
    smoke: Path, tmp_path: Path
) -> None:
    """As somebody would choose one who labels a video."""
    (tmp_path / "data").symlink_to(smoke / "data")
    for middle, wanted in ((3, 3), (100, 6), (0, 0)):
        label_one_frame_each(tmp_path, middle)
        found = read_annotations(tmp_path / "labels.json", smoke / "data")
        videos = {person.image.video: person.image.frame for person in found.people}
        assert set(videos.values()) == {wanted}
        assert len(videos) == 2
        assert sum(image.labelled for image in found.images) == 2
        assert len(found.images) == 14
    label_one_frame_each(tmp_path, 3)
    usual = read_annotations(smoke / "data" / "clips_train.json", smoke / "data")
    found = read_annotations(tmp_path / "labels.json", smoke / "data")
    for one, other in zip(found.people, usual.people, strict=True):
        np.testing.assert_allclose(one.points, other.points)


def test_propagated_labels_say_where_they_came_from(smoke: Path) -> None:
    before = read_annotations(smoke / "labels.json", smoke / "data")
    after = read_annotations(smoke / "propagated.json", smoke / "data")
    assert len(after.people) > 2 * len(before.people)
    for person in after.people:
        expected = (
            LabelSource.ANNOTATOR
            if person.image.labelled and not person.step.any()
            else LabelSource.PROPAGATED
        )
        assert (person.source == expected).all()
        assert (np.abs(person.step) <= 3).all()


def test_a_folder_in_use_is_refused_and_left_alone(smoke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(smoke.rglob("*"))
    code, _, error = run(capsys, "quickstart", "--preset", "smoke", "--out", smoke)
    assert code == 2
    assert "not an empty folder" in error
    assert sorted(smoke.rglob("*")) == before


def test_the_stages_run_one_by_one(smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """flow, propagate, train, predict, evaluate, draw: each from the files of the one before."""
    data, flow = smoke / "data", tmp_path / "flow.h5"
    clips = sorted((data / "images" / "clips").glob("train_*"))
    assert run(capsys, "flow", "precompute", *clips, "--out", flow)[0] == 0
    labels = ("--annotations", data / "clips_train.json", "--images", data)
    propagated = tmp_path / "propagated.json"
    assert run(capsys, "propagate", *labels, "--flow", flow, "--reach", 1, "--out", propagated)[0] == 0
    assert {int(s) for p in read_annotations(propagated, data).people for s in p.step} == {-1, 0, 1}
    settings = [f"stages.0.data.0.annotations={data / 'stills_train.json'}", f"stages.0.data.0.images={data}"]
    settings += [f"stages.1.data.0.annotations={propagated}", f"stages.1.data.0.images={data}"]
    settings += ["stages.0.steps=2", "stages.1.steps=2"]
    options = [word for setting in settings for word in ("--set", setting)]
    smoke_yaml = next(path for path in EXPERIMENTS if path.name == "smoke.yaml")
    code, said, error = run(capsys, "train", smoke_yaml, *options, "--out", tmp_path / "run")
    assert code == 0, error
    checkpoint = said.strip().splitlines()[-1]
    val = ("--annotations", data / "clips_val.json", "--images", data)
    predictions = tmp_path / "predictions.h5"
    assert run(capsys, "predict", checkpoint, *val, "--flip-test", "--out", predictions)[0] == 0
    code, said, _ = run(
        capsys, "evaluate", "--predictions", predictions, *val, "--out", tmp_path / "scores.json"
    )
    assert code == 0
    assert any(name in said for name in PEOPLE.part_names[1:])  # of the parts that somebody shows
    assert "localization" in json.loads((tmp_path / "scores.json").read_text())["points"]
    for extra in ((), ("--predictions", predictions)):
        assert run(capsys, "draw", *val, *extra, "--out", tmp_path / "sheet.png")[0] == 0
        assert cv2.imread(str(tmp_path / "sheet.png")).std() > 10


@pytest.mark.parametrize("settings", list(_with_marks()))
def test_every_experiment_trains_for_two_steps(
    settings: Path,
    smoke: Path,
    exact_flow: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from slimdp.config import load_config

    teacher = None
    if any(stage.teacher is not None for stage in load_config(settings).stages):
        of_crops = next(
            path for path in EXPERIMENTS if path.parent.name == "densepose" and path.stem == "teacher"
        )
        options = options_of_two_steps(of_crops, smoke, exact_flow, None)
        code, said, error = run(capsys, "train", of_crops, *options, "--out", tmp_path / "teacher")
        assert code == 0, error
        teacher = Path(said.strip().splitlines()[-1])
    options = options_of_two_steps(settings, smoke, exact_flow, teacher)
    code, _, error = run(capsys, "train", settings, *options, "--out", tmp_path / "run")
    assert code == 0, error


def options_of_two_steps(settings: Path, smoke: Path, exact_flow: Path, teacher: Path | None) -> list[str]:
    """What makes a small run on the smoke set of any settings."""
    from slimdp.config import load_config

    config = load_config(settings)
    changes = ["crop.size=64", *NARROW[config.model.name], "workers=0"]
    places = {f"stages.{number}": stage.data for number, stage in enumerate(config.stages)}
    for number, stage in enumerate(config.stages):
        place = f"stages.{number}"
        changes += [f"{place}.steps=2", f"{place}.batch=2"]
        if stage.motion is not None:  # laid over the run's when it was read
            changes += [f"{place}.motion.flow={smoke / 'flow.h5'}"]
            changes += [f"{place}.motion.exact={exact_flow}"]
            changes += [f"{place}.motion.frame_offsets=[-1,1]"]  # of its short clips
        if stage.teacher is not None:
            changes += [f"{place}.teacher.weights={teacher}"]
    if config.validation is not None:
        places["validation"] = config.validation.data
    for place, sources in places.items():
        for index, source in enumerate(sources):
            # Budgets of a set are made of its files (`slimdp budget`), and so are surrogates of its labels.
            key, name = f"{place}.data.{index}", Path(source.annotations).name
            name = re.sub("_one_frame|_every_frame", "", name)
            name = re.sub("_(exact|fitted)[.]", "_train.", name)
            changes += [f"{key}.annotations={smoke / 'data' / name}", f"{key}.images={smoke / 'data'}"]
    return [word for change in changes for word in ("--set", change)]


def test_bad_input_is_named_before_any_training(
    smoke: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(smoke / "data", data)
    settings = next(path for path in EXPERIMENTS if path.name == "smoke.yaml")

    def train(*changes: str) -> str:
        options = [
            f"stages.0.data.0.annotations={data / 'stills_train.json'}",
            f"stages.0.data.0.images={data}",
        ]
        options += [
            f"stages.1.data.0.annotations={data / 'clips_train.json'}",
            f"stages.1.data.0.images={data}",
        ]
        words = [word for setting in [*options, *changes] for word in ("--set", setting)]
        code, _, error = run(capsys, "train", settings, *words, "--out", tmp_path / "run")
        assert code == 2
        assert "Traceback" not in error
        assert not list((tmp_path).glob("run/*.pt"))
        return error

    assert "model.featurs" in train("model.featurs=64")
    assert "stages.0.steps" in train("stages.0.steps=many")
    assert "no such file" in train(f"stages.0.data.0.annotations={data / 'nothing.json'}")
    original = json.loads((data / "clips_train.json").read_text())
    frame = next(data.glob("images/clips/train_00000/000000.jpg"))
    whole = frame.read_bytes()
    frame.write_bytes(whole[: len(whole) // 2])
    assert "000000.jpg" in train()
    frame.unlink()
    assert "000000.jpg" in train()
    frame.write_bytes(whole)
    for field, value, wanted in (("dp_I", 25, "dp_I"), ("dp_x", 400.0, "dp_x"), ("dp_U", 1.5, "dp_U")):
        broken = json.loads(json.dumps(original))
        broken["annotations"][0][field][0] = value
        (data / "clips_train.json").write_text(json.dumps(broken))
        assert wanted in (error := train())
        assert "clips_train.json" in error
    (data / "clips_train.json").write_text('{"images": [')
    assert "clips_train.json" in train()
    nobody = {**original, "annotations": []}
    (data / "clips_train.json").write_text(json.dumps(nobody))
    assert "clips_train.json" in train()


def test_help_and_unknown_commands_answer(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code in ((["--help"], 0), (["dance"], 2), (["train"], 2)):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == code
    assert "quickstart" in capsys.readouterr().out
