"""From a run to the files that come with slimdp: weights, hash, settings, card."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from flow_cache.runtime.checksums import file_sha256
from slimdp.config import ConfigError, DataSource, TrainConfig, load_config
from slimdp.data import read_annotations, write_annotations
from slimdp.evaluation import PredictionFile
from slimdp.inference.error_bars import load_error_bars
from slimdp.training import load_checkpoint, train
from slimdp.training.checkpoint import save_checkpoint
from tests.inference.test_error_bars import samples_of
from tools.ship_weights import end_of_run, main, set_hash
from tools.weights_card import Provenance, _head, _licence, _made_before

NAMES = ("nose", "left_wrist", "right_wrist")
COUNTS = {"different_people": 3, "points": 240}


@pytest.fixture
def rendered(ellipses: DataSource, tmp_path: Path) -> Path:
    """A folder as slimdp synthesize leaves it, and the real people at once."""
    folder = tmp_path / "rendered"
    shutil.copytree(ellipses.images, folder)
    found = read_annotations(Path(ellipses.annotations), folder)
    keypoints = np.array([(40.0, 20, 2), (60, 50, 2), (30, 50, 1)])
    people = [dataclasses.replace(p, keypoints=keypoints, keypoint_names=NAMES) for p in found.people]
    for name in ("stills_train.json", "stills_val.json", "people.json"):
        write_annotations(folder / name, [person.image for person in people], people)
    about = {"stills": 3, "seed": 7, "backgrounds": "none", "motions": "none", "style": {"close": 0.4}}
    (folder / "dataset.json").write_text(json.dumps(about | {"counts": {"stills_train.json": COUNTS}}))
    return folder


@pytest.fixture
def config(small_run: TrainConfig, rendered: Path) -> TrainConfig:
    """The small run on the rendered folder, from where that lies."""
    source = DataSource(annotations="rendered/stills_train.json", images="rendered")
    return small_run.replace(stages=tuple(s.replace(data=(source,)) for s in small_run.stages))


def test_one_command_makes_all_of_it(
    config: TrainConfig,
    rendered: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made_up = samples_of(np.random.default_rng(0), 80, 60)  # these people have too few points
    monkeypatch.setattr("tools.ship_weights.error_samples", lambda *given: made_up)
    monkeypatch.chdir(tmp_path)
    end = train(config, tmp_path / "run", bar=False)
    monkeypatch.chdir(rendered)
    code = tmp_path / "code.py"
    code.write_text("#: Theirs.\nSHIPPED: dict[str, str] = {}\nDEFAULT = 1\n")
    places = ["--work", tmp_path / "work", "--folder", tmp_path / "weights", "--code", code]
    words = [tmp_path / "run", "--rendered", rendered, "--real", rendered, "--name", "tiny-64", *places]
    words += ["--root", tmp_path, "--mean-with", tmp_path / "run" / "stage_stills.pt"]
    assert main([str(word) for word in words]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    weights = tmp_path / "weights" / "tiny-64.pt"
    digest = file_sha256(weights).hex()
    assert told["sha256"] == digest
    bars = weights.with_name("tiny-64.error.json")
    entries = f'    "tiny-64.pt": "{digest}",\n    "tiny-64.error.json": "{file_sha256(bars).hex()}",\n'
    assert code.read_text() == f"#: Theirs.\nSHIPPED: dict[str, str] = {{\n{entries}}}\nDEFAULT = 1\n"
    found = load_error_bars(weights)
    assert found is not None
    assert told["under_bars_unseen"] == found.fitted["share_under_on_unseen_people"]
    with PredictionFile(tmp_path / "work" / "real.h5") as file:
        assert next(iter(file)).error_cm is not None
    assert load_checkpoint(weights).config.stages[-1].name == "tiny_64_clips"
    assert end.stat().st_size > weights.stat().st_size
    assert load_config(weights.with_suffix(".yaml"), saved=True) == config
    card = weights.with_suffix(".md").read_text()
    for words_of_it in (
        digest,
        "3 people, 240 points",
        "8 of 8",
        "style.close=0.4",
        "| left_wrist |",
        "| torso front |",
        "ends of the stages stills and clips",
    ):
        assert words_of_it in card
    assert str(tmp_path) not in card
    assert told["real"]["keypoints_count"] == 6  # hidden ones do not count
    assert json.loads((tmp_path / "work" / "scores.json").read_text())["real"]["ratio"]["20cm"] in (1.0, None)


def test_a_run_that_has_not_ended_is_told_and_its_checkpoints_can_be_named(
    small_run: TrainConfig,
    tmp_path: Path,
) -> None:
    train(small_run, tmp_path / "run", bar=False)
    (tmp_path / "run" / "stage_clips.pt").unlink()
    with pytest.raises(ConfigError, match=r"stage_clips\.pt is not there: the run has not ended"):
        end_of_run(tmp_path / "run")
    between = tmp_path / "run" / "checkpoints" / "step_00000007.pt"
    assert end_of_run(between) == between


def test_hours_count_every_step_once(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two crops a step: steps 1 and 2 at 1 s each, 3 and 4 at 2 s by the line of the resumed run."""
    monkeypatch.chdir(tmp_path)
    end = train(config, tmp_path / "run", bar=False)
    checkpoint = tmp_path / "run" / "mine.pt"
    save_checkpoint(checkpoint, dataclasses.replace(load_checkpoint(end), stage=1))
    rows = [(2, 2.0), (4, 0.1), (4, 1.0), (6, 1.0)]
    lines = [{"step": step, "stage": "stills", "images_per_second": speed} for step, speed in rows]
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"step": 4, "stage": "stills"}]))
    made = Provenance.of(tmp_path / "run", checkpoint)
    assert made.hours * 3600 == pytest.approx(2 * 1 + 2 * 2)
    assert made.steps == 4
    # Every process takes that long.
    environment = tmp_path / "run" / "environment.json"
    starts = environment.read_text()
    environment.write_text(json.dumps([{**start, "processes": 2} for start in json.loads(starts)]))
    assert Provenance.of(tmp_path / "run", checkpoint).hours * 3600 == pytest.approx(2 * (2 * 1 + 2 * 2))
    environment.write_text(starts)
    # What it began with is counted whole: another such run, of which 6 steps are told, 2 of them at 2 s.
    both = Provenance.of(tmp_path / "run", checkpoint, [tmp_path / "run"])
    assert both.before == (config,)
    assert both.hours * 3600 == pytest.approx(6 + 2 * 1 + 2 * 2 + 2 * 2)
    # Of one that began after a stage of 4 steps, the first line tells of 2.
    later = [{"step": step, "stage": "stills", "images_per_second": 1.0} for step in (6, 8)]
    metrics.write_text("".join(json.dumps(line) + "\n" for line in later))
    alone = Provenance.of(tmp_path / "run", end)
    assert alone.hours * 3600 == pytest.approx(4 * 2)


def test_a_card_says_whose_weights_a_backbone_began_with(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    end = train(config, tmp_path / "run", bar=False)
    made = dataclasses.replace(
        Provenance.of(tmp_path / "run", end), pretrained="blazepose, x.tflite, sha256 ab"
    )
    for told in (_head(end, made), _licence(made)):
        assert "began with weights" in told
    assert "MediaPipe under Apache-2.0" in _licence(made)
    nothing = dataclasses.replace(made, pretrained=None)
    assert "began with" not in _head(end, nothing) + _licence(nothing)


def test_code_without_entries_is_told(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("SHIPPED = 1\n")
    with pytest.raises(ConfigError, match="has no entries SHIPPED"):
        set_hash(tmp_path / "code.py", "a.pt", "0" * 64)


def test_a_card_keeps_what_earlier_ones_told_of_the_making() -> None:
    def card(digest: str, commit: str, more: str = "") -> str:
        rows = "| | |\n|---|---|\n| network | fpn |\n| data: a/b.json | 3 stills |\n"
        rows += f"| settings | `w.yaml`, beside this page: 5 steps |\n| commit | {commit} |\n"
        return (
            f"# w\n\nSHA-256 `{digest}`\n\n## How they were made\n\n{rows}{more}\n## What they reach\n\nx\n"
        )

    told = _made_before(card("aa", "1111"))
    assert told == (
        "### The weights that these went on from\n\nSHA-256 `aa`\n\n| | |\n|---|---|\n"
        "| data: a/b.json | 3 stills |\n| settings | 5 steps |\n| commit | 1111 |\n"
    )
    again = _made_before(card("bb", "2222", f"\n{told}"))
    assert again.startswith(told.replace("aa", "bb").replace("1111", "2222"))
    assert again.endswith(told)
    assert again.count("### ") == 2
    with pytest.raises(ValueError, match=r"no part '## How they were made'; name the NAME\.md"):
        _made_before("# nothing")
