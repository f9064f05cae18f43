from __future__ import annotations

import io
from pathlib import Path

import pytest

from flow_cache.progress import Progress, ProgressDisplay, ProgressFile, read_progress, together
from flow_cache.runtime.progress import seconds_left


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_counts_what_the_run_itself_did_and_in_pixels() -> None:
    # 60 of 100 fields were there; of the rest 10 small ones took 5 s, and the others are large.
    progress = Progress(100, 60, 10, "walk", area_left=4000, area_estimated=1000)
    assert progress.standing.done == 70
    assert seconds_left(progress.standing, 5.0) == 20.0
    assert seconds_left(Progress(100, 60, 0, "walk", area_left=5000).standing, 5.0) is None


def test_a_field_more_moves_its_area() -> None:
    progress = Progress(3, 1, 0, "walk", area_left=300).plus("run", 100)
    assert progress == Progress(3, 1, 1, "run", area_left=200, area_estimated=100)


def test_lines_where_there_is_no_terminal_come_ever_more_rarely() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(1000, 200, 0, "walk", area_left=8000)
    with ProgressDisplay(stream, clock) as display:
        for _ in range(201):
            display(progress.standing)
            clock.now += 1.0
            progress = progress.plus("run", 10)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "walk: 200/1000 fields"
    assert lines[1] == "run: 201/1000 fields, 1.0 a second, 13:19 left"
    assert [int(line.split()[1].split("/")[0]) - 200 for line in lines] == [0, 1, 3, 7, 15, 31, 63, 123, 183]


def test_waiting_for_processes_to_start_is_not_counted_as_slowness() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress(20, 0, 0, "walk", area_left=20)
    with ProgressDisplay(stream, clock) as display:
        for _ in range(9):
            display(progress.standing)
            clock.now += 1.0
        clock.now += 7.0
        display(Progress(20, 0, 4, "walk", area_left=16, area_estimated=4).standing)
    assert stream.getvalue().splitlines()[-1] == "walk: 4/20 fields, 0.5 a second, 00:32 left"


def test_a_bar_over_all_videos_on_a_terminal() -> None:
    stream, clock = Terminal(), Clock()
    with ProgressDisplay(stream, clock) as display:
        display(Progress(8, 2, 0, "walk", area_left=60).standing)
        clock.now += 10
        display(Progress(8, 2, 3, "run", area_left=30, area_estimated=30).standing)
    last = stream.getvalue().split("\r")[-1]
    assert last.startswith("run:  62%|")
    assert "5/8 fields, 0.3 a second, 00:10 left" in last


def test_a_run_with_nothing_to_do_says_nothing() -> None:
    stream = io.StringIO()
    with ProgressDisplay(stream) as display:
        display(Progress(8, 8, 0, "walk", area_left=0).standing)
    assert stream.getvalue() == ""


def test_a_progress_file_is_written_once_a_second_and_at_the_end(tmp_path: Path) -> None:
    path, clock = tmp_path / "jobs" / "progress.json", Clock()
    assert read_progress(path) is None
    file = ProgressFile(path, clock)
    file.write("running")
    said = read_progress(path)
    assert said is not None
    assert str(said) == "running, is looking through its videos"
    clock.now += 50  # looking through them
    progress = Progress(8, 2, 0, "walk", area_left=60)
    for _ in range(3):
        file(progress)
        clock.now += 0.4
        progress = progress.plus("walk", 10)
    said = read_progress(path)
    assert said is not None
    assert (said.state, said.progress) == ("running", Progress(8, 2, 0, "walk", area_left=60))
    file.write("finished")
    said = read_progress(path)
    assert said is not None
    assert said.progress == Progress(8, 2, 2, "walk", area_left=40, area_estimated=20)
    assert said.seconds == pytest.approx(1.2)
    assert str(said) == "finished, walk: 4/8 fields, 1.7 a second, 00:02 left"


def test_several_runs_as_one() -> None:
    first, second = Progress(8, 8, 0, "walk", 0), Progress(6, 1, 2, "run", 30, 20)
    assert together([first, second]) == Progress(14, 9, 2, "run", 30, 20)
    assert together([second, first]).video == "run"
