from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from slimdp.config import (
    AugmentSettings,
    ConfigError,
    CropSettings,
    DataSource,
    ModelSettings,
    StageSettings,
    TrainConfig,
    config_to_dict,
    load_config,
)
from slimdp.data import AnnotationError
from slimdp.geometry import map_from_crop, sample_at_points
from slimdp.losses import supervised_loss
from slimdp.training import (
    Checkpoint,
    CheckpointError,
    NonFiniteLossError,
    load_checkpoint,
    load_model,
    stage_file,
    train,
)
from slimdp.training import run as run_module
from slimdp.training.stage_data import read_stages


def same_weights(first: Path, second: Path) -> bool:
    one, other = load_checkpoint(first).model, load_checkpoint(second).model
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def straight(small_run: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Path]:
    """A run of two stages that nothing stopped: its settings and its folder."""
    config = dataclasses.replace(small_run, checkpoint_every=1)
    out = tmp_path_factory.mktemp("straight") / "run"
    assert train(config, out) == out / "stage_clips.pt"
    return config, out


def test_a_run_leaves_its_files_and_nothing_half_written(straight: tuple[TrainConfig, Path]) -> None:
    config, out = straight
    names = sorted(p.name for p in out.iterdir())
    assert names == ["config.yaml", "last.pt", "stage_clips.pt", "stage_stills.pt", "tensorboard"]
    assert load_config(out / "config.yaml") == config
    assert same_weights(out / "last.pt", out / "stage_clips.pt")
    assert not same_weights(out / "stage_stills.pt", out / "stage_clips.pt")
    end = load_checkpoint(out / "stage_stills.pt")
    assert (end.stage, end.step, end.optimizer) == (1, 0, None)
    model, _ = load_model(out / "stage_clips.pt")
    assert model(torch.rand(1, 3, 64, 64))[-1].part_logits.isfinite().all()


class Stopped(RuntimeError):
    """Somebody pulled the plug."""


# The run saves after steps 1 to 3 of a stage, then the stage's file and last.pt: five times a stage.
@pytest.mark.parametrize("saves", [1, 3, 4, 5, 7, 9])
def test_a_resumed_run_ends_with_the_same_bits(
    straight: tuple[TrainConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saves: int
) -> None:
    config, whole = straight
    done = []
    really_save = run_module.save_checkpoint

    def save_and_stop(path: Path, checkpoint: Checkpoint) -> None:
        really_save(path, checkpoint)
        done.append(path.name)
        if len(done) == saves:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "save_checkpoint", save_and_stop)
        with pytest.raises(Stopped):
            train(config, tmp_path / "run")
    assert len(done) == saves
    # What the process drew at random since must not matter, nor how many workers there are now.
    torch.manual_seed(99)
    torch.rand(3)
    train(dataclasses.replace(config, log_every=1), tmp_path / "run", resume=True)
    for name in ("stage_stills.pt", "stage_clips.pt", "last.pt"):
        assert same_weights(whole / name, tmp_path / "run" / name)


def test_a_run_killed_in_the_middle_of_a_checkpoint_resumes(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, whole = straight
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(config_to_dict(config)))
    script = (
        "import os, signal, sys, torch\n"
        "from pathlib import Path\n"
        "from slimdp.config import load_config\n"
        "from slimdp.training import train\n"
        "torch.set_num_threads(1)\n"
        "save, count = torch.save, []\n"
        "def half(content, path):\n"
        "    save(content, path)\n"
        "    count.append(path)\n"
        "    if len(count) == 3:\n"
        "        os.truncate(path, os.path.getsize(path) // 2)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "torch.save = half\n"
        "train(load_config(Path('settings.yaml')), Path('run'))\n"
    )
    killed = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    last = load_checkpoint(tmp_path / "run" / "last.pt")
    assert (last.stage, last.step) == (0, 2)
    train(config, tmp_path / "run", resume=True)
    assert same_weights(whole / "stage_clips.pt", tmp_path / "run" / "stage_clips.pt")


def test_workers_change_nothing(straight: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = straight
    train(dataclasses.replace(config, workers=2), tmp_path / "run")
    assert same_weights(whole / "stage_clips.pt", tmp_path / "run" / "stage_clips.pt")


def test_another_seed_changes_the_weights(straight: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = straight
    train(dataclasses.replace(config, seed=1), tmp_path / "run")
    assert not same_weights(whole / "stage_clips.pt", tmp_path / "run" / "stage_clips.pt")


def test_a_run_leaves_the_random_state_and_the_flags_of_its_caller(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, _ = straight
    torch.manual_seed(5)
    wanted = torch.rand(4)
    torch.manual_seed(5)
    train(dataclasses.replace(config, stages=config.stages[:1]), tmp_path / "run")
    assert torch.equal(torch.rand(4), wanted)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_finished_run_resumes_to_its_result(straight: tuple[TrainConfig, Path]) -> None:
    config, out = straight
    before = (out / "stage_clips.pt").stat().st_mtime_ns
    assert train(config, out, resume=True) == stage_file(out, "clips")
    assert (out / "stage_clips.pt").stat().st_mtime_ns == before


def test_resuming_where_nothing_is_begins(straight: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = straight
    train(dataclasses.replace(config, stages=config.stages[:1]), tmp_path / "run", resume=True)
    assert same_weights(whole / "stage_stills.pt", tmp_path / "run" / "stage_stills.pt")


def test_a_folder_with_a_run_is_not_overwritten(straight: tuple[TrainConfig, Path]) -> None:
    config, out = straight
    with pytest.raises(CheckpointError, match="already holds a run"):
        train(config, out)


def test_resuming_with_other_settings_is_refused(straight: tuple[TrainConfig, Path]) -> None:
    config, out = straight
    with pytest.raises(ConfigError, match=r"loss\.uv: 10\.0, 1\.0"):
        train(dataclasses.replace(config, loss=dataclasses.replace(config.loss, uv=1.0)), out, resume=True)


def test_two_runs_share_their_first_stage(straight: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = straight
    train(config, tmp_path / "run", initial=whole / "stage_stills.pt")
    assert same_weights(whole / "stage_clips.pt", tmp_path / "run" / "stage_clips.pt")
    assert not (tmp_path / "run" / "stage_stills.pt").exists()


def test_a_shared_stage_must_have_the_same_settings(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, whole = straight
    stages = (dataclasses.replace(config.stages[0], steps=5), config.stages[1])
    with pytest.raises(ConfigError, match=r"stages\.0\.steps: 4, 5"):
        train(dataclasses.replace(config, stages=stages), tmp_path / "run", initial=whole / "stage_stills.pt")
    assert not (tmp_path / "run").exists()


def test_weights_alone_are_taken_where_no_stage_is_shared(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, whole = straight
    finer = dataclasses.replace(config.stages[0], name="finer", steps=1, learning_rate=1e-12)
    train(dataclasses.replace(config, stages=(finer,)), tmp_path / "run", initial=whole / "stage_clips.pt")
    before, after = (
        load_checkpoint(p).model for p in (whole / "stage_clips.pt", tmp_path / "run" / "stage_finer.pt")
    )
    assert torch.allclose(before["stem.0.weight"], after["stem.0.weight"], atol=1e-9)
    small = dataclasses.replace(config, stages=(finer,), model=ModelSettings(1, 12))
    with pytest.raises(CheckpointError, match="do not fit"):
        train(small, tmp_path / "other", initial=whole / "stage_clips.pt")


def test_the_middle_of_a_stage_is_no_beginning(straight: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = straight
    middle = dataclasses.replace(load_checkpoint(whole / "stage_stills.pt"), step=1)
    run_module.save_checkpoint(tmp_path / "middle.pt", middle)
    with pytest.raises(CheckpointError, match="not the end of a stage"):
        train(config, tmp_path / "run", initial=tmp_path / "middle.pt")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"annotations": "nowhere.json"}, r"stages\.1\.data\.0\.annotations = 'nowhere\.json': no such file"),
        ({"images": "nowhere"}, r"stages\.1\.data\.0\.images = 'nowhere': no such folder"),
    ],
)
def test_missing_data_is_named_before_anything_is_written(
    small_run: TrainConfig, ellipses: DataSource, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    broken = dataclasses.replace(small_run.stages[1], data=(dataclasses.replace(ellipses, **change),))
    config = dataclasses.replace(small_run, stages=(small_run.stages[0], broken))
    with pytest.raises(ConfigError, match=words):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_picture_is_named_before_anything_is_written(
    small_run: TrainConfig, ellipses: DataSource, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    source = dataclasses.replace(ellipses, images=str(empty))
    stages = (small_run.stages[0], dataclasses.replace(small_run.stages[1], data=(source,)))
    with pytest.raises(AnnotationError, match=r"ellipse_1\.png"):
        train(dataclasses.replace(small_run, stages=stages), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["warp", "cuda:99"])
def test_a_device_that_is_not_there_is_named(small_run: TrainConfig, tmp_path: Path, device: str) -> None:
    with pytest.raises(ConfigError, match=f"device = '{device}'"):
        train(small_run, tmp_path / "run", device=device)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(small_run: TrainConfig, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="run"):
        train(small_run, tmp_path / "run")


def test_a_file_in_place_of_the_folder_is_named(small_run: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(OSError, match="run"):
        train(small_run, tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_batch(
    small_run: TrainConfig, tmp_path: Path
) -> None:
    wild = dataclasses.replace(small_run.stages[0], learning_rate=1e30, warmup=0.0)
    with pytest.raises(NonFiniteLossError) as caught:
        train(dataclasses.replace(small_run, stages=(wild,)), tmp_path / "run")
    message = str(caught.value)
    assert "stage 'stills', step 1" in message
    people = read_stages(dataclasses.replace(small_run, stages=(wild,)))[0].batch_people(1)
    assert len(people) == 2
    for person in people:
        assert f"{person.image.file} (annotation {person.id})" in message


def test_it_learns_one_picture_by_heart(ellipses: DataSource, tmp_path: Path) -> None:
    config = TrainConfig(
        stages=(StageSettings("heart", (ellipses,), steps=80, batch=3, learning_rate=6e-3),),
        model=ModelSettings(stacks=1, features=32),
        crop=CropSettings(size=64),
        augment=AugmentSettings(scale=0, rotation_deg=0, shift=0, flip=False, colour=0),
        average_decay=0.9,
        log_every=40,
        pictures_every=80,
    )
    final = train(config, tmp_path / "run")

    batch = next(read_stages(config)[0].batches(0, workers=0))
    model, _ = load_model(final)
    with torch.no_grad():
        predictions = model(batch.image)
    points = map_from_crop(batch.points)
    logits, u, v = (
        sample_at_points(maps, points, batch.point_crop)
        for maps in (predictions[-1].part_logits, predictions[-1].u, predictions[-1].v)
    )
    right = logits.argmax(dim=1) == batch.part
    channel = (batch.part - 1).unsqueeze(1)
    error = (torch.cat([u.gather(1, channel), v.gather(1, channel)], dim=1) - batch.uv).abs().amax(dim=1)
    assert len(right) > 200
    assert (right & (error < 0.1)).float().mean().item() > 0.9
    background = predictions[-1].part_logits.argmax(dim=1)[batch.coarse == 0] == 0
    assert background.float().mean().item() > 0.9
    total, _ = supervised_loss(predictions, batch, config.loss)
    assert total.item() < 1.0  # even scores cost log 25 + log 25 + log 15 = 9.1
