from __future__ import annotations

import io
import multiprocessing
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_cache.codec import decode, encode
from flow_cache.errors import FlowCacheError
from flow_cache.estimators import DenseInverseSearch, Pair
from flow_cache.plan import plan_fields, plan_video
from flow_cache.precompute import Progress, ProgressDisplay, ProgressFile, precompute, read_progress, together
from flow_cache.runtime.progress import seconds_left
from flow_cache.store import FlowStore
from flow_cache.video import Video, read_image
from tests.flow_cache.contents import contents

MakeFolder = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[2]
FAST = DenseInverseSearch("ultrafast")

# Prints a line for each batch it begins, which tells the parent when to kill it.
SLOW_RUN = """
import sys
from flow_cache import DenseInverseSearch, precompute

class Announcing(DenseInverseSearch):
    def estimate(self, frames, pairs):
        print("batch", flush=True)
        return super().estimate(frames, pairs)

precompute([sys.argv[1]], sys.argv[2], estimator=Announcing("ultrafast"), commit_seconds=0, progress=False)
"""


@given(
    count=st.integers(2, 9),
    steps=st.sets(st.integers(-4, 4).filter(bool), min_size=1),
    wanted=st.one_of(st.none(), st.sets(st.integers(0, 8))),
)
def test_a_plan_holds_the_fields_within_the_video(
    count: int, steps: set[int], wanted: set[int] | None
) -> None:
    expected = {
        (frame, step)
        for frame in range(count)
        for step in steps
        if 0 <= frame + step < count and (wanted is None or {frame, frame + step} & wanted)
    }
    plan = plan_fields(count, steps, wanted)
    assert len(plan) == len(set(plan))
    assert set(plan) == expected
    assert plan == sorted(plan, key=lambda field: max(field[0], sum(field)))


def test_a_range_is_cut_to_each_video() -> None:
    names = tuple(f"{index:06d}" for index in range(6))
    video = Video(Path("walk.mp4"), "walk", 8, 8, names, "")
    whole = plan_video(video, (-1, 2), None)
    assert plan_video(video, (-1, 2), {"walk": range(10**12)}) == whole
    assert plan_fields(6, (-1, 2), range(10**12)) == whole
    some = plan_video(video, (1,), {"walk": range(1, 10**12, 3)})
    assert some == [(0, 1), (1, 1), (3, 1), (4, 1)]  # those that touch frames 1 and 4
    for wanted in (range(6, 100_001), [3, *range(6, 100_001)]):
        with pytest.raises(FlowCacheError, match=r"^frames 6 to 100000 of walk\.mp4; wanted .* 0 to 5$"):
            plan_video(video, (1,), {"walk": wanted})


@pytest.mark.parametrize("processes", [1, 2])
def test_each_field_is_that_of_its_two_frames(
    tmp_path: Path, make_folder: MakeFolder, processes: int
) -> None:
    folders = [make_folder("walk"), make_folder("stop", count=4)]
    summary = precompute(folders, tmp_path / "flow.h5", estimator=FAST, processes=processes, progress=False)
    expected = {}
    for folder in folders:
        frames = [read_image(file)[None] for file in sorted(folder.iterdir())]
        for step in (-3, -2, -1, 1, 2, 3):
            for frame in range(max(0, -step), len(frames) - max(0, step)):
                flow = FAST.estimate(np.concatenate([frames[frame], frames[frame + step]]), [(0, 1)])[0]
                expected[folder.name, frame, step] = decode(encode(flow)).tobytes()
    assert contents(tmp_path / "flow.h5") == expected
    assert (summary.videos, summary.estimated, summary.found) == (("walk", "stop"), 24 + 12, 0)


def test_the_flow_to_the_next_frame_points_the_way_things_move(
    tmp_path: Path, make_folder: MakeFolder
) -> None:
    precompute([make_folder()], tmp_path / "flow.h5", (-1, 1), progress=False)
    with FlowStore(tmp_path / "flow.h5") as store:
        for step in (1, -1):
            inner = store.read("walk", 2, step, (16, 16, 96, 64)).displacement.reshape(2, -1)
            np.testing.assert_allclose(np.median(inner, axis=1), (2 * step, step), atol=0.1)


def test_a_second_run_estimates_only_what_is_missing(tmp_path: Path, make_folder: MakeFolder) -> None:
    folder, out = make_folder(), tmp_path / "flow.h5"
    first = precompute([folder], out, (-1, 1), FAST, frames={"walk": [2]}, progress=False)
    assert sorted(contents(out)) == [("walk", f, s) for f, s in [(1, 1), (2, -1), (2, 1), (3, -1)]]
    assert (first.estimated, first.found) == (4, 0)
    second = precompute([folder], out, (-1, 1, 2), FAST, progress=False)
    assert (second.estimated, second.found) == (10, 4)
    third = precompute([folder], out, (-1, 1, 2), FAST, progress=False)
    assert (third.estimated, third.found) == (0, 14)
    precompute([folder], tmp_path / "fresh.h5", (-1, 1, 2), FAST, progress=False)
    assert contents(out) == contents(tmp_path / "fresh.h5")


@pytest.mark.parametrize("batches", [1, 4, 9])
def test_a_killed_run_resumes_to_what_an_undisturbed_run_gives(
    tmp_path: Path, make_folder: MakeFolder, batches: int
) -> None:
    folder, out = make_folder(count=12), tmp_path / "flow.h5"
    command = [sys.executable, "-c", SLOW_RUN, str(folder), str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(batches):
            assert process.stdout.readline() == "batch\n"
        process.kill()
        assert process.wait() == -signal.SIGKILL
    begun = contents(out)  # it opens
    precompute([folder], tmp_path / "fresh.h5", estimator=FAST, progress=False)
    whole = contents(tmp_path / "fresh.h5")
    assert len(begun) < len(whole)
    assert begun.items() <= whole.items()
    resumed = precompute([folder], out, estimator=FAST, progress=False)
    assert (resumed.found, resumed.estimated) == (len(begun), len(whole) - len(begun))
    assert contents(out) == whole
    if batches == 9:
        assert begun  # with a commit after every field, most of the work was kept


def test_a_video_shorter_than_a_step_has_no_room_for_it(
    tmp_path: Path, make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    precompute([make_folder(count=2)], tmp_path / "flow.h5", estimator=FAST, progress=False)
    with FlowStore(tmp_path / "flow.h5") as store:
        assert store.steps("walk") == (-1, 1)
    assert caplog.messages == [
        "no flow over steps that lead out of the video: 'walk' of 2 frames (-3, -2, +2, +3)"
    ]


def test_steps_that_all_lead_out_are_an_error_unless_another_video_is_longer(
    tmp_path: Path, make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    short, out = [make_folder(f"{count}", count) for count in (2, 3, 4, 5)], tmp_path / "flow.h5"
    with pytest.raises(FlowCacheError, match=r"every step leads out: '5' of 5 frames \(-5, \+10\); wanted"):
        precompute(short[3], out, (10, -5), FAST, progress=False)
    with pytest.raises(FlowCacheError, match=r"'2' of 2 .*'3' of 3 .*'4' of 4 frames \(\+9\) and 1 more; w"):
        precompute(short, out, (9,), FAST, progress=False)
    with pytest.raises(FlowCacheError, match=r"every step leads out: '5' of 5 frames \(\+3\)"):
        precompute(short[3], out, (3,), FAST, frames={"5": [2]}, progress=False)
    assert not out.exists()
    assert not caplog.messages
    done = precompute(short, out, (4,), FAST, progress=False)
    assert done.estimated == 1
    assert caplog.messages == [
        "no flow over steps that lead out of the video: "
        "'2' of 2 frames (+4), '3' of 3 frames (+4), '4' of 4 frames (+4)"
    ]
    with FlowStore(out) as store:
        assert [store.steps(name) for name in ("2", "5")] == [(), (4,)]
    precompute(short[0], tmp_path / "empty.h5", (4,), FAST, progress=False, allow_empty=True)


def test_bad_settings_are_refused_before_anything_is_written(tmp_path: Path, make_folder: MakeFolder) -> None:
    folder, out = make_folder(), tmp_path / "flow.h5"
    for steps in ((), (0, 1), (1, 1)):
        with pytest.raises(FlowCacheError, match="none of them 0"):
            precompute([folder], out, steps)
    with pytest.raises(FlowCacheError, match="0 processes"):
        precompute([folder], out, processes=0)
    with pytest.raises(FlowCacheError, match=r"frames 6, 9 of .*walk; wanted .* from 0 to 5"):
        precompute([folder], out, frames={"walk": [1, 6, 9]})
    with pytest.raises(FlowCacheError, match=r"frames none of .*walk; wanted at least one"):
        precompute([folder], out, frames={"walk": []})
    with pytest.raises(FlowCacheError, match=r"frames of unknown videos \['run'\]; given videos: \['walk'\]"):
        precompute([folder], out, frames={"run": [1]})
    with pytest.raises(FlowCacheError, match="given videos: none"):
        precompute([], out)
    with pytest.raises(FlowCacheError, match="walk is given twice"):
        precompute([folder, tmp_path / "walk"], out)
    (folder / "0003.png").write_bytes(b"broken")
    with pytest.raises(FlowCacheError, match=r"0003\.png"):
        precompute([folder], out)
    assert not out.exists()


class Broken(DenseInverseSearch):
    def estimate(self, frames: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
        flow = super().estimate(frames, pairs)
        flow[0, 0, 4, 7] = np.nan
        return flow


def test_a_killed_worker_is_a_plain_error_and_the_store_goes_on(
    tmp_path: Path, make_folder: MakeFolder
) -> None:
    folder, out = make_folder(), tmp_path / "flow.h5"
    killer = threading.Thread(target=_kill_a_child)
    killer.start()
    with pytest.raises(FlowCacheError, match=r"was killed.*fewer processes; the same command goes on"):
        precompute([folder], out, estimator=FAST, processes=2, progress=False)
    killer.join()
    summary = precompute([folder], out, estimator=FAST, progress=False)
    assert summary.found + summary.estimated > 0
    with FlowStore(out) as store:
        assert store.finished(folder.name, 1)[:-1].all()


def _kill_a_child() -> None:
    while not (children := multiprocessing.active_children()):
        time.sleep(0.01)
    children[0].kill()


def test_a_field_that_cannot_be_stored_is_named(tmp_path: Path, make_folder: MakeFolder) -> None:
    match = r"video 'walk', frame 0, step \+1, by dis: 1 displacements .* along x at pixel \(7, 4\): nan px"
    with pytest.raises(FlowCacheError, match=match):
        precompute([make_folder()], tmp_path / "flow.h5", (1,), Broken(), progress=False)
    assert contents(tmp_path / "flow.h5") == {}


def test_a_frame_that_breaks_while_the_run_is_on_it_ends_the_run_and_keeps_the_rest(
    tmp_path: Path, make_folder: MakeFolder
) -> None:
    folder, out = make_folder(), tmp_path / "flow.h5"

    class Breaking(DenseInverseSearch):
        def estimate(self, frames: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
            cv2.imwrite(str(folder / "0004.png"), np.zeros((20, 20, 3), np.uint8))
            return super().estimate(frames, pairs)

    with pytest.raises(FlowCacheError, match=r"frame 0004\.png is 20 x 20 px"):
        precompute([folder], out, (1,), Breaking(), progress=False)
    assert sorted(contents(out)) == [("walk", 0, 1), ("walk", 1, 1), ("walk", 2, 1)]


def test_what_a_slow_batch_gave_is_committed_before_the_next(tmp_path: Path, make_folder: MakeFolder) -> None:
    out, seen = tmp_path / "flow.h5", []

    class Slow(DenseInverseSearch):
        frames_a_batch = 3

        def estimate(self, frames: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
            time.sleep(0.4)
            shutil.copy(out, tmp_path / "as_after_a_kill.h5")
            seen.append(len(contents(tmp_path / "as_after_a_kill.h5")))
            return super().estimate(frames, pairs)

    precompute([make_folder(count=9)], out, (-1, 1), Slow("ultrafast"), commit_seconds=0.2, progress=False)
    assert seen == [0, 6, 12]  # three frames complete two fields each


def test_a_video_that_the_store_knows_is_not_decoded_to_look_through_it(
    tmp_path: Path, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders, out = [make_folder("walk"), make_folder("run")], tmp_path / "flow.h5"
    precompute(folders[:1], out, (1,), FAST, progress=False)
    decoded = []
    decode_image = cv2.imdecode

    def counting(content: np.ndarray, flags: int) -> np.ndarray:
        decoded.append(1)
        return decode_image(content, flags)

    monkeypatch.setattr(cv2, "imdecode", counting)
    precompute(folders[:1], out, (1,), FAST, progress=False)
    assert not decoded
    precompute(folders, out, (1,), FAST, progress=False)
    assert len(decoded) == 1 + 6 + 6  # its size, looking through it, and its flow
    cv2.imwrite(str(folders[0] / "0003.png"), np.zeros((96, 128, 3), np.uint8))
    with pytest.raises(FlowCacheError, match=r"frames are not those of .*name this one otherwise: NAME="):
        precompute(folders[:1], out, (1,), FAST, progress=False)


def test_a_store_in_use_is_refused_before_videos_are_looked_through(
    tmp_path: Path, make_folder: MakeFolder
) -> None:
    folder, out = make_folder(), tmp_path / "flow.h5"
    precompute([folder], out, (1,), FAST, progress=False)
    (folder / "0003.png").write_bytes(b"broken")  # which looking through would find
    with FlowStore(out) as store:
        store.videos()
        with pytest.raises(FlowCacheError, match="is in use by another process"):
            precompute([folder], out, (1,), FAST, progress=False)


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
