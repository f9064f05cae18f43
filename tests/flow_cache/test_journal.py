from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_cache import journal
from flow_cache.errors import FlowCacheError
from flow_cache.journal import PAGE, JournaledFile, journal_of, recover

COMMITS = 3

OFFSETS = st.integers(0, 4 * PAGE)
ACTIONS = st.one_of(
    st.tuples(st.just("write"), OFFSETS, st.binary(min_size=1, max_size=2 * PAGE)),
    st.tuples(st.just("truncate"), OFFSETS, st.just(b"")),
    st.tuples(st.just("commit"), st.just(0), st.just(b"")),
)


@settings(max_examples=60, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=12))
def test_it_is_a_file_whose_changes_happen_at_commits(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "file"
    now = committed = bytes(range(256)) * 20
    path.write_bytes(now)
    file = JournaledFile(path)
    for action, offset, data in actions:
        if action == "write":
            offset = min(offset, len(now))
            now = now[:offset] + data + now[offset + len(data) :]
            file.seek(offset)
            assert file.write(data) == len(data)
        elif action == "truncate":
            now = now[:offset]
            file.truncate(len(now))
        else:
            file.flush()
            committed = now
        file.seek(0)
        assert file.read() == now
        assert path.read_bytes()[: len(committed)] == committed
    file.close()
    assert path.read_bytes()[: len(committed)] == committed
    assert not journal_of(path).exists()


def write_in_commits(path: Path, done: Path) -> None:
    """Makes COMMITS commits to an HDF5 file; `done` counts those that have returned."""
    content = JournaledFile(path)
    with h5py.File(content, "r+") as file:
        file.flush()
        for number in range(1, COMMITS + 1):
            group = file.create_group(f"video{number}")
            group.attrs["number"] = number
            tiles = group.create_dataset("tiles", (40, 32), "i4", chunks=(8, 16), compression="gzip")
            tiles[:] = np.full((40, 32), number) + np.arange(32)
            file["last"][...] = number
            file.flush()
            done.write_text(str(number))
    content.flush()
    content.close()


def run_until_call(limit: int, torn: bool, act: Callable[[], None]) -> bool:
    """Runs `act` in a fork that dies, as by a kill, at its `limit`-th change to the disk.

    A torn write leaves the first half of its bytes. Returns whether it died.
    """
    child = os.fork()
    if child == 0:
        calls = 0

        def dying(change: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **keywords: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == limit:
                    if torn and change is os_pwrite:
                        fd, data, offset = arguments
                        os_pwrite(fd, data[: len(data) // 2], offset)
                    os._exit(9)
                return change(*arguments, **keywords)

            return call

        os_pwrite = os.pwrite
        os.fsync = lambda fd: None  # it matters to a loss of power alone, and takes its time
        for name in ("pwrite", "ftruncate", "replace"):
            setattr(journal.os, name, dying(getattr(os, name)))
        journal.Path.unlink = dying(Path.unlink)  # type: ignore[method-assign]
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 9)
    return os.waitstatus_to_exitcode(status) == 9


@pytest.mark.parametrize("torn", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_kill_at_any_change_to_the_disk_leaves_one_of_the_commits(tmp_path: Path, torn: bool) -> None:
    empty = tmp_path / "empty.h5"
    with h5py.File(empty, "w") as file:
        file["last"] = 0
    seen = set()
    for limit in range(1, 10_000):
        path, done = tmp_path / "file.h5", tmp_path / "done"
        shutil.copy(empty, path)
        done.write_text("0")
        killed = run_until_call(limit, torn, lambda path=path, done=done: write_in_commits(path, done))
        if journal_of(path).exists():
            recover(path)
        with h5py.File(path, "r") as file:
            last = int(file["last"][()])
            assert last in (int(done.read_text()), int(done.read_text()) + 1)
            assert sorted(file) == sorted(["last", *(f"video{n}" for n in range(1, last + 1))])
            for number in range(1, last + 1):
                expected = np.broadcast_to(np.arange(32) + number, (40, 32))
                np.testing.assert_array_equal(file[f"video{number}/tiles"][:], expected)
        seen.add(last)
        if not killed:
            break
    assert limit > 10 * COMMITS
    assert seen == set(range(COMMITS + 1))


def test_what_a_killed_writer_appended_is_given_back(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file["last"] = 0
    size = path.stat().st_size
    with open(path, "ab") as garbage:
        garbage.write(b"x" * 50_000)
    content = JournaledFile(path)
    with h5py.File(content, "r+") as file:
        file.flush()
        assert path.stat().st_size == size
    content.close()


def test_the_file_is_locked_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    first = JournaledFile(path)
    with pytest.raises(FlowCacheError, match="is in use by another process"):
        JournaledFile(path)
    first.close()
    JournaledFile(path).close()


def test_a_damaged_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    journal_of(path).write_bytes(b"flow_cache journal 1\nand then nonsense that is long enough")
    with pytest.raises(FlowCacheError, match=r"file\.journal is damaged"):
        JournaledFile(path)
    assert path.read_bytes() == b"content"
