from __future__ import annotations

import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from flow_cache.runtime.lock import HeldError, held, held_folder, is_held

FORK = multiprocessing.get_context("fork")


def _hold(file: Path) -> None:
    with held(file):
        time.sleep(600)


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "folder" / ".lock"
    assert not is_held(file)
    assert not file.exists()
    with held(file):
        assert is_held(file)
        with pytest.raises(HeldError, match=f"process {os.getpid()} on .* holds"), held(file):
            pass
        assert is_held(file)
    assert not is_held(file)


def test_the_end_of_a_process_frees_it_however_it_ends(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    process = FORK.Process(target=_hold, args=(file,))
    process.start()
    while not is_held(file):
        time.sleep(0.005)
    with pytest.raises(HeldError, match=f"process {process.pid} on .* holds"), held(file):
        pass
    ended: list[bool] = []

    def end_it() -> None:
        ended.append(True)
        process.kill()

    threading.Timer(0.2, end_it).start()
    with held(file, wait=True):
        assert ended  # the lock is free a moment before the process is seen to be dead
        assert file.read_text().startswith(f"{os.getpid()} on ")
    process.join()


def test_those_who_hold_it_together_keep_out_others_alone(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    with held(file, together=True), held(file, together=True), pytest.raises(HeldError), held(file):
        pass
    with held(file), pytest.raises(HeldError), held(file, together=True):
        pass


def test_a_held_folder_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with held_folder(folder):
        with pytest.raises(HeldError, match=f"process {os.getpid()} on"), held_folder(folder):
            pytest.fail("held twice")
        assert folder.exists()
    assert not folder.exists()  # nothing was written into it
    with held_folder(folder):
        (folder / "a").touch()
    with held_folder(folder):
        pass
    assert (folder / "a").exists()


def test_a_lock_whose_holder_removed_it_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with held(file):
        file.unlink()
        with held(file), pytest.raises(HeldError), held(file):  # of the new file
            pytest.fail("held twice")


def test_processes_that_the_holder_forked_do_not_hold(tmp_path: Path) -> None:
    started, end = FORK.Event(), FORK.Event()
    with held(tmp_path / "lock"):
        child = FORK.Process(target=lambda: (started.set(), end.wait(30)))
        child.start()
        assert started.wait(30)
    with held(tmp_path / "lock"):
        pass
    with held(tmp_path / "lock"):  # the child's end frees nothing of its parent
        end.set()
        child.join()
        assert is_held(tmp_path / "lock")
