"""Runs that were stopped, killed or out of disk, and what they come to when they go on."""

from __future__ import annotations

import dataclasses
import io
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from slimdp.config import ConfigError, DataSource, TrainConfig, ValidationSettings
from slimdp.training import Checkpoint, CheckpointError, load_checkpoint, train
from slimdp.training import checkpoint_writer as writer_module
from slimdp.training import run as run_module
from slimdp.training.checkpoint import save_checkpoint
from slimdp.training.run_folder import read_metrics
from tests.made_once import TEST_SEED
from tests.threads import one_thread_here
from tests.training.weights import same_weights

#: Forked processes have everything imported; they are killed for real all the same.
FORK = multiprocessing.get_context("fork")
# A forked process has one thread of torch: what equals it bit for bit has one too.
pytestmark = pytest.mark.usefixtures("one_thread")


class Stopped(RuntimeError):
    """Somebody pulled the plug."""


def train_until(
    saves: int, monkeypatch: pytest.MonkeyPatch, config: TrainConfig, out: Path, initial: Path | None = None
) -> list[str]:
    """Train until so many files are saved; returns their names."""
    done: list[str] = []

    def save_and_stop(path: Path, checkpoint: Checkpoint) -> None:
        save_checkpoint(path, checkpoint)
        done.append(path.name)
        if len(done) == saves:
            raise Stopped

    with monkeypatch.context() as patch:
        for module in (writer_module, run_module):
            patch.setattr(module, "save_checkpoint", save_and_stop)
        with pytest.raises(Stopped):
            train(config, out, initial=initial)
    return done


# The run saves after steps 1 to 3 of a stage, then the stage's file: four times a stage.
@pytest.mark.parametrize(
    "saves", [3, 4, *(pytest.param(saves, marks=pytest.mark.slow) for saves in (1, 6, 7))]
)
def test_a_resumed_run_ends_with_the_same_bits(
    straight: tuple[TrainConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saves: int
) -> None:
    config, whole = straight
    done = train_until(saves, monkeypatch, config, tmp_path / "run")
    assert len(done) == saves
    # What the process drew at random since must not matter, nor how many workers there are now.
    torch.manual_seed(99)
    torch.rand(3)
    train(config.replace(log_every=1), tmp_path / "run", resume=True)
    for name in ("stage_stills.pt", "stage_clips.pt", "last.pt"):
        assert same_weights(whole / name, tmp_path / "run" / name)


# What the stage began with is saved first, then steps 1 to 3, then the stage's file.
@pytest.mark.parametrize("saves", [3, *(pytest.param(saves, marks=pytest.mark.slow) for saves in (1, 5))])
def test_a_stage_goes_part_of_the_way_back_to_what_it_began_with(
    straight: tuple[TrainConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saves: int
) -> None:
    config, whole = straight
    stills, clips = config.stages
    config = config.replace(stages=(stills, clips.replace(initial_share=0.25)))
    done = train_until(saves, monkeypatch, config, tmp_path / "run", whole / "stage_stills.pt")
    assert done[0] == "began_clips.pt"
    train(config, tmp_path / "run", resume=True, initial=whole / "stage_stills.pt")
    began, far, part = (
        load_checkpoint(file).model
        for file in (whole / "stage_stills.pt", whole / "stage_clips.pt", tmp_path / "run" / "stage_clips.pt")
    )
    assert not all(torch.equal(began[name], far[name]) for name in far)
    for name, value in far.items():
        wanted = 0.75 * value + 0.25 * began[name] if value.is_floating_point() else value
        torch.testing.assert_close(part[name], wanted)
    assert not list((tmp_path / "run").glob("began_*"))


def test_a_stage_that_begins_with_nothing_has_no_way_back(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, _ = straight
    first, *others = config.stages
    config = config.replace(stages=(first.replace(initial_share=0.25), *others))
    with pytest.raises(ConfigError, match=r"initial_share = 0\.25, but the stage begins with weights"):
        train(config, tmp_path / "run")


def _train_and_die_half_way_through_a_checkpoint(config: TrainConfig, out: Path) -> None:
    """In a process of its own."""
    save, count = torch.save, []

    def half(content: object, file: io.FileIO) -> None:
        save(content, file)
        count.append(file)
        if len(count) == 3:
            file.truncate(file.tell() // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half
    train(config, out)


def test_a_run_killed_in_the_middle_of_a_checkpoint_resumes(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, whole = straight
    out = tmp_path / "run"
    process = FORK.Process(target=_train_and_die_half_way_through_a_checkpoint, args=(config, out))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    last = load_checkpoint(out / "last.pt")
    assert (last.stage, last.step) == (0, 2)
    assert [p for p in (out / "checkpoints").iterdir() if ".part" in p.name]
    train(config, out, resume=True)
    assert same_weights(whole / "stage_clips.pt", out / "stage_clips.pt")
    assert not [p for p in out.rglob("*") if ".part" in p.name]


@pytest.fixture(scope="module")
def busy(
    small_run: TrainConfig, ellipses: DataSource, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainConfig, Path]:
    """A run with all that may go on beside training, which nothing stopped: its settings and its folder."""
    stills, clips = small_run.stages
    config = small_run.replace(
        seed=TEST_SEED,
        stages=(
            stills.replace(steps=16, batch=4, accumulate=2),
            clips.replace(steps=12),
        ),
        validation=ValidationSettings(data=(ellipses,), every=5),
        workers=2,
        log_every=1,
        checkpoint_every=4,
    )
    out = tmp_path_factory.mktemp("busy") / "run"
    with one_thread_here():
        train(config, out)
    return config, out


def _go_on(config: TrainConfig, out: Path) -> None:
    """In this process or a forked one, whose threads were those of the one that it was forked from."""
    torch.set_num_threads(1)
    train(config, out, resume=True, bar=False)


def _steps_logged(out: Path) -> int:
    file = out / "metrics.jsonl"
    return max((row["step"] for row in read_metrics(file)), default=0) if file.is_file() else 0


@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_a_run_killed_at_any_step_ends_with_the_same_bits(
    busy: tuple[TrainConfig, Path], tmp_path: Path, kills: int
) -> None:
    config, whole = busy
    out, rng = tmp_path / "run", np.random.default_rng()
    killed = []
    for target in sorted(rng.choice(np.arange(1, 26), kills, replace=False).tolist()):
        process = FORK.Process(target=_go_on, args=(config, out))
        process.start()
        while process.is_alive() and _steps_logged(out) < target:
            time.sleep(rng.uniform(0.001, 0.02))
        process.kill()
        process.join()
        killed.append((target, process.exitcode))
    assert all(code == -signal.SIGKILL for _, code in killed), killed
    _go_on(config, out)
    for name in ("stage_stills.pt", "stage_clips.pt", "last.pt", "best.pt"):
        assert same_weights(whole / name, out / name), (name, killed)
    assert load_checkpoint(out / "best.pt").best_score == load_checkpoint(whole / "best.pt").best_score
    rows, wanted = (_without_speed(read_metrics(folder / "metrics.jsonl")) for folder in (out, whole))
    assert rows == wanted, killed


def _without_speed(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in rows]


def test_the_best_weights_are_those_of_the_best_score(busy: tuple[TrainConfig, Path]) -> None:
    _, out = busy
    rows = [row for row in read_metrics(out / "metrics.jsonl") if "validation/full 5cm" in row]
    assert [row["step"] for row in rows] == [5, 10, 15, 16, 20, 25, 28]
    scores = {row["step"]: row["validation/localization 10cm"] for row in rows}
    best = load_checkpoint(out / "best.pt")
    step = best.step + 16 * best.stage
    assert best.best_score == scores[step] == max(scores.values())
    assert load_checkpoint(out / "last.pt").best_score == best.best_score


def test_other_people_to_validate_begin_a_new_best(busy: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = busy
    shutil.copytree(whole, tmp_path / "run")
    shutil.copy(whole / "stage_stills.pt", tmp_path / "run" / "last.pt")
    assert config.validation is not None
    fewer = config.replace(validation=config.validation.replace(people=1))
    train(fewer.replace(workers=0), tmp_path / "run", resume=True)
    best = load_checkpoint(tmp_path / "run" / "best.pt")
    assert best.stage == 1
    assert best.config == fewer.replace(workers=0)


def test_a_broken_checkpoint_names_those_before_it(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, whole = straight
    shutil.copytree(whole, tmp_path / "run")
    last = tmp_path / "run" / "last.pt"
    last.unlink()
    last.write_bytes(b"noise")
    with pytest.raises(
        CheckpointError, match=r"last\.pt is broken.*others to copy over it: .*step_00000006\.pt"
    ):
        train(config, tmp_path / "run", resume=True)


def test_a_checkpoint_of_another_network_is_refused(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    """Settings that fit, weights that do not."""
    config, _ = straight
    other = run_module.build_model(config.replace(model=config.model.replace(features=16)))
    save_checkpoint(tmp_path / "run" / "last.pt", Checkpoint(config, 0, 1, other.state_dict()))
    before = (tmp_path / "run" / "last.pt").read_bytes()
    with pytest.raises(CheckpointError, match=r"last\.pt do not fit the model"):
        train(config, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "last.pt").read_bytes() == before


@contextmanager
def small_files() -> Iterator[None]:
    """In the block no file of this process may grow beyond 20 KB: the system refuses it, as a full disk does.

    Nor may logs of whoever runs the tests: no fixture, which would last until they are written.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(straight[1] / "last.pt")
    path = tmp_path / "last.pt"
    save_checkpoint(path, checkpoint)
    before = path.read_bytes()
    assert len(before) > 20_000
    too_large = r"last\.pt could not be written: File too large; .*--resume"
    with pytest.raises(CheckpointError, match=too_large), small_files():
        save_checkpoint(path, dataclasses.replace(checkpoint, step=1))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount command here: a small disk cannot be made")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_a_run_that_goes_on_once_there_is_room(
    straight: tuple[TrainConfig, Path], small_disk: Path
) -> None:
    config, whole = straight
    out, ballast = small_disk / "run", small_disk / "ballast"
    train(config.replace(stages=config.stages[:1]), small_disk / "size")
    used = sum(path.stat().st_size for path in (small_disk / "size").rglob("*.pt"))
    shutil.rmtree(small_disk / "size")
    space = shutil.disk_usage(small_disk).free
    ballast.write_bytes(bytes(space - used))  # room for some checkpoints, not for all and the log
    with pytest.raises((CheckpointError, OSError), match="No space left") as caught:
        train(config, out)
    assert isinstance(caught.value, CheckpointError), caught.value
    assert "intact" in str(caught.value)
    assert load_checkpoint(out / "last.pt").step > 0
    ballast.unlink()
    train(config, out, resume=True)
    assert same_weights(out / "stage_clips.pt", whole / "stage_clips.pt")
