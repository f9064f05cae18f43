from __future__ import annotations

import errno
import io
import sys
from pathlib import Path

import pytest

from flow_cache.runtime import progress
from flow_cache.runtime.progress import (
    ProgressDisplay,
    Standing,
    Tracker,
    line_of,
    log_line,
    logged_to,
    shown,
    timed,
    tracked,
)


class Clock:
    """Seconds that only grow, a step at each look."""

    def __init__(self, step: float = 0.0) -> None:
        self.now, self.step = 100.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of every display; `tracked` gives it on by its default."""
    ticking = Clock()

    def display(**settings: float) -> ProgressDisplay:
        return ProgressDisplay(clock=ticking, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(progress, "ProgressDisplay", display)
    return ticking


def test_a_loop_tells_its_rate_and_the_time_left_and_its_end(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown():
        for _ in tracked(range(10), "predict", "people"):
            clock.now += 1.0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "predict: 1/10 people, 1.0 a second, 00:09 left",
        "predict: 2/10 people, 1.0 a second, 00:08 left",
        "predict: 4/10 people, 1.0 a second, 00:06 left",
        "predict: 8/10 people, 1.0 a second, 00:02 left",
        "predict: 10/10 people in 00:10",
    ]


def test_lines_come_once_a_minute_in_the_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with shown():
        for _ in tracked(range(600), "predict", "people"):
            clock.now += 1.0
    done = [int(line.split()[1].split("/")[0]) for line in capsys.readouterr().err.splitlines()]
    assert done == [1, 2, 4, 8, 16, 32, 64, *range(124, 600, 60), 600]


def test_what_takes_less_than_a_second_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with shown():
        for _ in tracked(range(9), "predict", "people"):
            clock.now += 0.1
    assert capsys.readouterr().err == ""


def test_a_library_that_is_not_a_command_says_nothing(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in tracked(range(9), "predict", "people"):
        clock.now += 9.0
    with timed("building"):
        log_line("a line")
    with shown(), shown(False):
        log_line("of the second of two processes")
    with shown():
        assert list(tracked([1, 2], "quiet", "numbers", speaks=False)) == [1, 2]
    assert capsys.readouterr().err == ""


def test_work_without_a_known_end_has_no_time_left() -> None:
    assert line_of(Standing("read", "people", 30), 10.0) == "read: 30 people, 3.0 a second"
    assert line_of(Standing("read", "people", 0), 10.0) == "read: 0 people"


def test_more_than_was_announced_is_no_share_of_it() -> None:
    assert line_of(Standing("video", "frames", 3, 4, 0), 1.0).startswith("video: 3/4 frames")
    assert line_of(Standing("video", "frames", 3, 1, 0), 1.0).startswith("video: 3 frames")


def test_slow_work_tells_seconds_each() -> None:
    assert line_of(Standing("render", "clips", 2, 4), 100.0) == "render: 2/4 clips, 50 s each, 01:40 left"


def test_what_was_found_is_not_counted_as_speed(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with shown(), Tracker("render", "frames", total=100, found=90) as tracker:
        clock.now += 1.0
        tracker.advance(5)
    assert "render: 95/100 frames, 5.0 a second, 00:01 left" in capsys.readouterr().err


def test_a_loop_that_is_left_early_has_no_end(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with shown():
        for number in tracked(range(10), "predict", "people"):
            clock.now += 1.0
            if number == 1:
                break
    assert capsys.readouterr().err.splitlines() == ["predict: 1/10 people, 1.0 a second, 00:09 left"]


def test_steps_say_that_they_begin_and_what_they_took(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(), timed("building the body"):
        pass
    assert capsys.readouterr().err.splitlines() == ["building the body ...", "building the body: 0.0 s"]


def test_lines_are_kept_in_a_log(clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with shown(), logged_to(tmp_path / "log"):
        log_line("begins")
        for _ in tracked(range(2), "predict", "people"):
            clock.now += 1.0
    kept = [line.split(" ", 2)[2] for line in (tmp_path / "log").read_text().splitlines()]
    assert kept == capsys.readouterr().err.splitlines()
    assert kept[-1] == "predict: 2/2 people in 00:02"


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, closed(), Full()], ids=["none", "closed", "full"])
def test_a_broken_error_stream_ends_no_work(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    done = []
    with shown():
        log_line("a line")
        for number in tracked(range(3), "predict", "people"):
            clock.now += 2.0
            done.append(number)
    assert done == [0, 1, 2]
