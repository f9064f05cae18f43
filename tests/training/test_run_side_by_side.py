from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from pathlib import Path

import pytest

from slimdp.config import ConfigError, DataSource, TrainConfig
from slimdp.training import TrainRun, train, train_side_by_side
from tests.forked import Forked, fork_workers
from tests.training.weights import same_weights


def named(config: TrainConfig, name: str, seed: int = 0) -> TrainConfig:
    return config.replace(stages=(config.stages[0].replace(name=name),), seed=seed)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("forked", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_runs_side_by_side_are_the_runs_one_by_one(
    small_run: TrainConfig,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    forked: bool,
) -> None:
    if forked:
        fork_workers(monkeypatch)
    first, second = named(small_run, "first"), named(small_run, "second", seed=1)
    runs = [TrainRun(first, tmp_path / "a"), TrainRun(second, tmp_path / "b")]
    together = train_side_by_side(runs, processes=2)
    said = capfd.readouterr().err
    assert "first: step" in said
    assert "second: step" in said
    alone = [train(run.config, tmp_path / f"{run.out.name}_alone") for run in runs]
    for one, other in zip(together, alone, strict=True):
        assert same_weights(one, other)


@pytest.mark.usefixtures("forked_workers")
def test_a_run_that_fails_ends_those_before_it(small_run: TrainConfig, tmp_path: Path) -> None:
    stage = small_run.stages[0].replace(data=(DataSource(annotations="nothing.json", images="."),))
    broken = small_run.replace(stages=(stage,))
    endless = small_run.replace(stages=(small_run.stages[0].replace(steps=20_000),))
    runs = [TrainRun(endless, tmp_path / "a"), TrainRun(broken, tmp_path / "b")]
    before = set(multiprocessing.active_children())
    with pytest.raises(ConfigError, match=r"nothing\.json"):
        train_side_by_side(runs, processes=2)
    assert set(multiprocessing.active_children()) == before


@pytest.mark.usefixtures("forked_workers")
def test_a_killed_run_is_a_plain_error(small_run: TrainConfig, tmp_path: Path) -> None:
    endless = small_run.replace(stages=(small_run.stages[0].replace(steps=20_000),))
    killer = threading.Thread(target=_kill_the_child)
    killer.start()
    with pytest.raises(ChildProcessError, match=r"was killed \(SIGKILL\).*memory"):
        train_side_by_side([TrainRun(endless, tmp_path / "a")])
    killer.join()


def _kill_the_child() -> None:
    while not (children := multiprocessing.active_children()):
        time.sleep(0.01)
    children[0].kill()


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize(("number", "result"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_runs_end_with_the_process_that_started_them(
    small_run: TrainConfig, tmp_path: Path, number: signal.Signals, result: int
) -> None:
    endless = small_run.replace(stages=(small_run.stages[0].replace(steps=20_000),))
    run = TrainRun(endless.replace(log_every=1), tmp_path / "run")
    process = Forked(lambda: len(train_side_by_side([run])))
    while b": step 2/" not in (line := process.readline()):
        assert line, "it ended before it could be ended"
    process.send_signal(number)
    # The worker holds the pipe too: reading to its end waits until the worker is gone.
    process.read()
    assert process.wait() == result


@pytest.mark.parametrize(("count", "processes"), [(0, 1), (1, 0)])
def test_nothing_to_run_is_refused(
    small_run: TrainConfig, tmp_path: Path, count: int, processes: int
) -> None:
    with pytest.raises(ValueError, match="wanted 1 or more"):
        train_side_by_side(count * [TrainRun(small_run, tmp_path)], processes)
