"""What disks, kills, damage and other processes do to a store."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from flow_cache.__main__ import main
from flow_cache.errors import DamagedStoreError, FlowCacheError
from flow_cache.inspection import verify_store
from flow_cache.journal import journal_of, recover
from flow_cache.runtime.atomic import clear_left, left_in, temporary_file, temporary_name
from flow_cache.schema import VideoRecord
from flow_cache.store import FlowStore
from flow_cache.store_files import make_if_missing
from flow_cache.writer import FlowWriter

ROOT = Path(__file__).resolve().parents[2]
RECORD = VideoRecord(
    "wälk",
    40,
    32,
    tuple(f"{index:04d}.png" for index in range(8)),
    "videos/wälk",
    "1234",
    "dis",
    "{}",
    "5678",
)


def some_flow(frame: int, record: VideoRecord = RECORD) -> np.ndarray:
    rng = np.random.default_rng(frame)
    return (rng.integers(-900, 900, (2, record.height, record.width)) / 32).astype(np.float32)


def fill(path: Path, frames: range, commit_seconds: float = 60) -> Path:
    with FlowWriter(path, commit_seconds=commit_seconds) as writer:
        writer.add_video(RECORD, (1,))
        for frame in frames:
            writer.write(RECORD.name, frame, 1, some_flow(frame))
    return path


def finished(path: Path) -> list[int]:
    """The frames of the finished fields, after a look at all of them."""
    with FlowStore(path) as store:
        frames = np.flatnonzero(store.finished(RECORD.name, 1)).tolist() if store.videos() else []
        for frame in frames:
            np.testing.assert_array_equal(store.read(RECORD.name, frame, 1).displacement, some_flow(frame))
    return frames


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with the fields of frames 0 to 2."""
    return fill(tmp_path / "flow.h5", range(3))


def kill_in_commit(path: Path, frame: int) -> None:
    """Leave a store as a writer does that is killed when its journal is whole and half applied."""
    child = os.fork()
    if child == 0:
        try:
            writer = FlowWriter(path)
            writer.write(RECORD.name, frame, 1, some_flow(frame))
            pwrite, calls = os.pwrite, iter(range(10**6))

            def half(fd: int, data: memoryview, offset: int) -> int:
                if journal_of(path).exists() and next(calls) == 2:
                    os._exit(9)
                return pwrite(fd, data, offset)

            os.pwrite = half  # type: ignore[assignment]
            writer.commit()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert journal_of(path).exists()


def run_python(code: str, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd or ROOT, env=environment, capture_output=True, text=True)


# ---- other processes and other names -------------------------------------------------------------------


def test_a_second_writer_is_refused_under_any_name(path: Path, tmp_path: Path) -> None:
    link, folder_link = tmp_path / "link.h5", tmp_path / "folder"
    link.symlink_to(path)
    folder_link.symlink_to(tmp_path)
    write = "import sys; from pathlib import Path; from flow_cache import *; FlowWriter(Path(sys.argv[1]))"
    with FlowWriter(path):
        for name in (link, folder_link / "flow.h5", Path("flow.h5"), Path("../" + tmp_path.name) / "flow.h5"):
            other = run_python(write, name, cwd=tmp_path)
            assert other.returncode == 1
            assert f"FlowCacheError: {name} is in use by another process; wait for it" in other.stderr
    assert finished(path) == [0, 1, 2]


@pytest.mark.parametrize("written_as", ["flow.h5", "link.h5", "folder/flow.h5"])
@pytest.mark.parametrize("read_as", ["flow.h5", "link.h5", "folder/flow.h5"])
def test_a_commit_is_completed_under_any_name(
    path: Path, tmp_path: Path, written_as: str, read_as: str
) -> None:
    (tmp_path / "link.h5").symlink_to(path)
    (tmp_path / "folder").symlink_to(tmp_path)
    kill_in_commit(tmp_path / written_as, 5)
    assert finished(tmp_path / read_as) == [0, 1, 2, 5]
    assert sorted(os.listdir(tmp_path)) == ["flow.h5", "folder", "link.h5"]


def test_readers_that_meet_a_journal_at_once_all_read(path: Path) -> None:
    for _ in range(2):
        kill_in_commit(path, 5)
        gate, children = multiprocessing.Event(), []
        for _ in range(6):
            if (child := os.fork()) == 0:
                try:
                    gate.wait()
                    os._exit(0 if finished(path) == [0, 1, 2, 5] else 3)
                finally:
                    os._exit(1)
            children.append(child)
        gate.set()
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 6


def test_a_file_that_is_removed_while_it_is_written_ends_the_run(path: Path) -> None:
    writer = FlowWriter(path)
    writer.write(RECORD.name, 4, 1, some_flow(4))
    path.unlink()
    with pytest.raises(OSError, match="removed or replaced while it was being written"):
        writer.commit()
    writer.close()
    fill(path, range(2))
    assert finished(path) == [0, 1]


def test_a_folder_that_changes_under_the_process_does_no_harm(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    with FlowWriter(Path("flow.h5")) as writer:
        monkeypatch.chdir(tmp_path / "other")
        writer.write(RECORD.name, 4, 1, some_flow(4))
    assert finished(path) == [0, 1, 2, 4]
    assert os.listdir(tmp_path / "other") == []


def test_a_file_system_without_locks_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(FlowCacheError, match=r"flow\.h5 cannot be locked \(Operation not supported\)"):
        FlowWriter(path)


def test_a_file_system_without_hard_links_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = fill(tmp_path / "flow.h5", range(2))
    assert finished(path) == [0, 1]
    assert os.listdir(tmp_path) == ["flow.h5"]


# ---- journals ------------------------------------------------------------------------------------------


def test_a_journal_that_outlived_its_file_is_not_applied_to_the_next(path: Path, tmp_path: Path) -> None:
    kill_in_commit(path, 5)
    journal = journal_of(path).read_bytes()
    path.unlink()
    fill(path, range(1))
    assert finished(path) == [0]
    journal_of(path).write_bytes(journal)  # and where it comes back, it is seen to be of another file
    for opening in (recover, FlowWriter, finished):
        with pytest.raises(FlowCacheError, match=r"flow\.h5\.journal does not belong to .*flow\.h5"):
            opening(path)
    journal_of(path).unlink()
    assert finished(path) == [0]


def test_a_damaged_journal_is_refused_wherever_it_is_damaged(path: Path) -> None:
    kill_in_commit(path, 5)
    content, journal = path.read_bytes(), journal_of(path).read_bytes()
    rng = random.Random(0)
    for _ in range(60):
        damaged = bytearray(journal)
        if rng.random() < 0.5:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        else:
            del damaged[rng.randrange(len(damaged)) :]
        journal_of(path).write_bytes(damaged)
        with pytest.raises(FlowCacheError, match=r"flow\.h5\.journal (is damaged|does not belong)"):
            FlowStore(path).videos()
        assert path.read_bytes() == content
    journal_of(path).write_bytes(journal)
    assert finished(path) == [0, 1, 2, 5]


def test_an_unfinished_journal_counts_for_nothing_and_goes(path: Path) -> None:
    unfinished = journal_of(path).with_name(journal_of(path).name + ".tmp")
    unfinished.write_bytes(b"flow_cache journal 1\nwhat a kill left of")
    assert finished(path) == [0, 1, 2]
    fill(path, range(3, 4))
    assert finished(path) == [0, 1, 2, 3]
    assert os.listdir(path.parent) == ["flow.h5"]


def test_what_killed_writers_left_goes_with_the_next(path: Path) -> None:
    path.unlink()
    of_the_dead = temporary_name(path)
    with temporary_file(path) as (of_the_living, _):
        of_the_dead.write_bytes(b"half")
        (path.parent / ".flow.123.part.h5").write_bytes(b"half")  # of an earlier version
        assert left_in(path.parent) == [of_the_dead]
        clear_left(path.parent)
        fill(path, range(1))
        assert of_the_living.exists()
        assert not of_the_dead.exists()
        assert finished(path.parent) == [0]


# ---- disks ---------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk in memory, or mounts it again with other options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = False

    def mount(options: str) -> Path:
        nonlocal mounted
        options += ",remount" * mounted
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        mounted = True
        return folder

    if shutil.which("mount") is None:
        pytest.skip("no mount command")
    yield mount
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("kilobytes", [4, 8, 16, 24, 32])
@pytest.mark.parametrize("commit_seconds", [0, 60])
def test_a_full_disk(small_disk: Callable[[str], Path], kilobytes: int, commit_seconds: float) -> None:
    path = small_disk(f"size={kilobytes}k") / "flow.h5"
    with pytest.raises(OSError, match=rf"^\[Errno {errno.ENOSPC}\]"):
        fill(path, range(8), commit_seconds)
    kept = finished(path) if path.exists() else []
    assert kept == list(range(len(kept)))
    if commit_seconds == 0 and kilobytes == 32:
        assert len(kept) >= 2
    small_disk("size=1m")
    fill(path, range(len(kept), 8), commit_seconds)
    assert finished(path) == list(range(8))
    assert os.listdir(path.parent) == ["flow.h5"]


def test_a_disk_that_filled_up_gets_back_what_was_not_committed(small_disk: Callable[[str], Path]) -> None:
    path = fill(small_disk("size=32k") / "flow.h5", range(2))
    size = path.stat().st_size
    with pytest.raises(OSError, match="No space left"):
        fill(path, range(2, 8))
    assert path.stat().st_size == size


def test_the_command_line_on_a_full_disk(
    small_disk: Callable[[str], Path], make_folder: Callable[..., Path]
) -> None:
    disk, folder = small_disk("size=64k"), make_folder()
    code = "import sys; from flow_cache.__main__ import main; sys.exit(main(sys.argv[1:]))"
    command = (code, "precompute", folder, "--preset", "ultrafast", "--out", disk / "flow.h5")
    run = run_python(*command, "--commit-seconds", 0)
    assert run.returncode == 2
    assert run.stderr.endswith(f"flow_cache: {disk / 'flow.h5'}: No space left on device\n")
    with FlowStore(disk / "flow.h5") as store:
        kept = sum(int(store.finished("walk", step).sum()) for step in store.steps("walk"))
    small_disk("size=2m")
    run = run_python(*command)
    assert run.returncode == 0
    assert f": {24 - kept} fields of walk estimated, {kept} found" in run.stdout


@pytest.mark.parametrize("readable", [True, False])
def test_a_disk_that_can_only_be_read(small_disk: Callable[[str], Path], readable: bool) -> None:
    path = fill(small_disk("size=1m") / "flow.h5", range(3))
    if not readable:
        kill_in_commit(path, 5)
    small_disk("ro")
    if readable:
        assert finished(path) == [0, 1, 2]
    else:
        with pytest.raises(
            FlowCacheError, match=r"middle of a commit.*\(Read-only file system\): read it once"
        ):
            FlowStore(path).videos()
    with pytest.raises(OSError, match="Read-only file system"):
        FlowWriter(path)
    with pytest.raises(OSError, match="Read-only file system"):
        FlowWriter(path.with_name("new.h5"))
    small_disk("rw")
    assert finished(path) == [0, 1, 2] + [5] * (not readable)


def test_a_quota_ends_the_run_and_keeps_what_was_committed(path: Path) -> None:
    size = path.stat().st_size
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 15_000, size + 15_000))
            fill(path, range(3, 8), commit_seconds=0)
        except OSError as error:
            os._exit(9 if error.errno == errno.EFBIG else 3)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    kept = finished(path)
    assert len(kept) > 3
    assert kept == list(range(len(kept)))
    fill(path, range(len(kept), 8))
    assert finished(path) == list(range(8))


# ---- damage --------------------------------------------------------------------------------------------


def everything(path: Path) -> dict[object, object]:
    with FlowStore(path) as store:
        found: dict[object, object] = {}
        for video in store.videos():
            found[video] = store.record(video)
            for step in store.steps(video):
                found[video, step] = (
                    store.finished(video, step).tobytes(),
                    store.planned(video, step).tobytes(),
                )
                for frame in np.flatnonzero(store.finished(video, step)).tolist():
                    found[video, step, frame] = store.read(video, frame, step).displacement.tobytes()
    return found


def check_damage(path: Path, places: Iterator[int] | range, seed: int) -> set[str]:
    """Flip a bit at each place; what is read must be right, or an error."""
    content, right, rng = path.read_bytes(), everything(path), random.Random(seed)
    outcomes = set()
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            assert everything(path) == right, place
            outcomes.add("no part of the content")
        except FlowCacheError as fault:
            outcomes.add(type(fault).__name__ if str(path) in str(fault) else f"unnamed: {fault}")
    path.write_bytes(content)
    return outcomes


def test_a_flipped_bit_never_changes_what_is_read(path: Path) -> None:
    places = range(3, path.stat().st_size, 61)
    assert check_damage(path, places, 1) == {"no part of the content", "DamagedStoreError"}


@pytest.mark.slow
def test_no_flipped_bit_at_all_changes_what_is_read(path: Path) -> None:
    check_damage(path, range(path.stat().st_size), 2)


def test_a_store_that_was_cut_off_is_refused_wherever(path: Path) -> None:
    content = path.read_bytes()
    for size in [*range(0, 200, 7), *range(200, len(content), 397), len(content) - 1]:
        path.write_bytes(content[:size])
        with pytest.raises(FlowCacheError, match=r"flow\.h5 is no HDF5 file, or a damaged one"):
            FlowStore(path).videos()
        with pytest.raises(FlowCacheError, match=r"flow\.h5 is no HDF5 file, or a damaged one"):
            FlowWriter(path)
        assert path.read_bytes() == content[:size]


def test_a_writer_names_damage_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # it matters to a loss of power alone
    content = path.read_bytes()
    for place in range(5, len(content), 149):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with contextlib.suppress(FlowCacheError):  # every other error fails the test
            fill(path, range(3, 4))


def test_verify_names_a_damaged_field_and_the_command_line_ends_with_2(path: Path) -> None:
    damage_tile(path, "wälk", (1, 0, 0, 0))
    with FlowStore(path) as store:
        found = verify_store(store)
        assert (found.read, len(found.damaged), found.sound) == (3, 1, False)
        assert found.damaged[0].startswith("wälk, frame 1, step +1: Can't")
        with pytest.raises(DamagedStoreError, match=r"flow\.h5 is damaged.*read\('wälk', 1, 1\)") as caught:
            store.read("wälk", 1, 1)
        assert isinstance(caught.value, OSError)
    code = "import sys; from flow_cache.__main__ import main; sys.exit(main(sys.argv[1:]))"
    run = run_python(code, "verify", path, "--sample", 0)
    assert run.returncode == 2
    assert "wälk, frame 1, step +1" in run.stdout
    assert "1 damaged" in run.stdout
    assert "Traceback" not in run.stderr


def damage_tile(path: Path, video: str, place: tuple[int, int, int, int]) -> None:
    with h5py.File(path, "r") as file:
        tile = file[video]["flow/+1"].id.get_chunk_info_by_coord(place)
    with open(path, "r+b") as file:
        file.seek(tile.byte_offset + tile.size // 2)
        file.write(b"\x55\x55")


def test_damaged_fields_are_forgotten_and_estimated_again(
    tmp_path: Path, make_folder: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path, fill_it = tmp_path / "flow.h5", ["precompute", str(make_folder()), "--steps", "1", "--out"]
    assert main([*fill_it, str(path)]) == 0
    right, size = everything(path), path.stat().st_size
    for place in ((1, 0, 0, 0), (3, 0, 64, 64)):  # the latter reaches beyond the frame
        damage_tile(path, "walk", place)
    assert main(["verify", str(path)]) == 2
    assert main(["verify", str(path), "--forget"]) == 0
    assert "5 fields read, 2 damaged" in capsys.readouterr().out
    with FlowStore(path) as store:
        assert store.finished("walk", 1).tolist() == [True, False, True, False, True, False]
    assert main(["verify", str(path)]) == 0
    assert main([*fill_it, str(path)]) == 0
    assert "2 fields of walk estimated, 3 found" in capsys.readouterr().out
    assert everything(path) == right
    assert main(["verify", str(path)]) == 0
    assert path.stat().st_size < 2 * size


def test_a_filter_that_is_missing_is_named(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["wälk/flow/+1"]
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_chunk((1, 2, 32, 40))
        layout.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((8, 2, 32, 40))
        flow = file["wälk/flow"]
        fields = h5py.h5d.create(flow.id, b"+1", h5py.h5t.NATIVE_INT16, space, layout)
        fields.write_direct_chunk((1, 0, 0, 0), b"compressed by a filter of tomorrow")
    with FlowStore(path) as store, pytest.raises(FlowCacheError, match="filter 32099, which is not loaded"):
        store.read("wälk", 1, 1)


def test_a_store_that_finds_no_room_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/flow\.h5'"):
        make_if_missing(tmp_path / "flow.h5")
    assert list(tmp_path.iterdir()) == []
