from __future__ import annotations

import contextlib
import json
import os
import pickle
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flow_cache import store_files
from flow_cache.errors import FlowCacheError
from flow_cache.schema import VideoRecord
from flow_cache.store import FlowStore
from flow_cache.store_files import INDEX, open_file
from flow_cache.writer import FlowWriter

RECORD = VideoRecord("a", 20, 10, ("0.png", "1.png", "2.png"), "videos/a", "1234", "dis", "{}", "5678")


def make_shard(path: Path, video: str, frame: int = 0) -> Path:
    with FlowWriter(path) as writer:
        writer.add_video(replace(RECORD, name=video), (1,))
        writer.write(video, frame, 1, np.full((2, 10, 20), len(video), np.float32))
    return path


def age(*paths: Path) -> None:
    """Wait until a change of these files would show."""
    while time.time_ns() - max(os.stat(path).st_ctime_ns for path in paths) < 2 * store_files.GRAIN_NS:
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three shards, enough for an index here, of which one at a time stays open."""
    monkeypatch.setattr(store_files, "_FEWEST_FILES", 2)
    monkeypatch.setattr(store_files, "GRAIN_NS", 10**7)
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    for video in ("a", "bb", "ccc"):
        make_shard(tmp_path / f"{video}.h5", video)
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are opened, as they are."""
    names: list[str] = []

    def noting(path: Path) -> object:
        names.append(path.name)
        return open_file(path)

    monkeypatch.setattr(store_files, "open_file", noting)
    return names


def test_the_second_look_opens_nothing(folder: Path, opened: list[str]) -> None:
    age(*folder.glob("*.h5"))
    assert FlowStore(folder).videos() == ("a", "bb", "ccc")
    assert sorted(opened) == ["a.h5", "bb.h5", "ccc.h5"]
    assert (folder / INDEX).exists()
    opened.clear()
    with FlowStore(folder) as store:
        assert store.videos() == ("a", "bb", "ccc")
        assert opened == []
        assert store.read("bb", 0, 1).displacement[0, 0, 0] == 2
        assert opened == ["bb.h5"]


def test_what_changed_is_looked_at_again(folder: Path, opened: list[str]) -> None:
    age(*folder.glob("*.h5"))
    FlowStore(folder).videos()
    make_shard(folder / "bb.h5", "dddd")  # grows
    (folder / "ccc.h5").unlink()
    make_shard(folder / "e.h5", "eeeee")
    opened.clear()
    assert FlowStore(folder).videos() == ("a", "bb", "dddd", "eeeee")
    assert sorted(opened) == ["bb.h5", "e.h5"]
    size = (folder / "a.h5").stat().st_size
    (folder / "a.h5").unlink()
    make_shard(folder / "a.h5", "A")  # another file of the same name and size
    assert (folder / "a.h5").stat().st_size == size
    assert FlowStore(folder).videos() == ("A", "bb", "dddd", "eeeee")


def test_what_changed_just_before_the_index_is_not_trusted(folder: Path, opened: list[str]) -> None:
    store_files.GRAIN_NS = 10**12  # restored with the fixture's patch
    FlowStore(folder).videos()
    opened.clear()
    FlowStore(folder).videos()
    assert sorted(opened) == ["a.h5", "bb.h5", "ccc.h5"]


@pytest.mark.parametrize("content", [b"", b"00000000\n{}", b"\xff\xfe", json.dumps({"version": 1}).encode()])
def test_a_damaged_index_counts_for_nothing(folder: Path, content: bytes) -> None:
    (folder / INDEX).write_bytes(content)
    assert FlowStore(folder).videos() == ("a", "bb", "ccc")
    age(*folder.glob("*.h5"))
    index = (folder / INDEX).read_bytes()
    for place in range(0, len(index), 7):
        flipped = bytearray(index)
        flipped[place] ^= 1
        (folder / INDEX).write_bytes(flipped)
        assert FlowStore(folder).videos() == ("a", "bb", "ccc")


def test_a_folder_that_takes_no_index_is_read_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes, durable: bool) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(store_files, "write_bytes", refuse)
    for _ in range(2):
        assert FlowStore(folder).videos() == ("a", "bb", "ccc")
    assert not (folder / INDEX).exists()


def test_hidden_files_are_no_shards(folder: Path) -> None:
    (folder / ".a.123.part.h5").write_bytes(b"half")
    (folder / "old.h5").mkdir()
    assert FlowStore(folder).videos() == ("a", "bb", "ccc")
    for path in folder.glob("[abc]*.h5"):
        path.unlink()
    with pytest.raises(FlowCacheError, match=r"a folder without \.h5 files"):
        FlowStore(folder)


def test_few_files_are_open_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_files.OpenFiles.__init__, "__defaults__", (1,))
    with FlowStore(folder) as store:
        for video in ("a", "bb", "ccc", "a"):
            assert store.read(video, 0, 1).displacement[0, 0, 0] == len(video)
            writable = []
            for name in ("a", "bb", "ccc"):  # a file that is open refuses a writer
                with contextlib.suppress(FlowCacheError):
                    FlowWriter(folder / f"{name}.h5").close()
                    writable.append(name)
            assert len(writable) == 2
            assert video not in writable


def test_a_file_that_is_opened_again_is_looked_at_anew_if_it_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_files.OpenFiles.__init__, "__defaults__", (1,))
    age(*folder.glob("*.h5"))
    with FlowStore(folder) as store:
        assert store.finished("a", 1).tolist() == [True, False, False]
        store.read("bb", 0, 1)
        assert store.finished("a", 1).tolist() == [True, False, False]
        store.read("bb", 0, 1)
        make_shard(folder / "a.h5", "a", frame=1)
        assert store.finished("a", 1).tolist() == [True, True, False]
        store.read("bb", 0, 1)
        (folder / "a.h5").unlink()
        make_shard(folder / "a.h5", "other")
        with pytest.raises(FlowCacheError, match="holds video 'a' no longer: it was written anew"):
            store.read("a", 0, 1)


def test_flow_kept_in_memory_is_not_that_of_a_file_before_its_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_files.OpenFiles.__init__, "__defaults__", (1,))
    age(*folder.glob("*.h5"))
    with FlowStore(folder, keep_bytes=2**20) as store:
        before = store.read("a", 0, 1).displacement
        store.read("bb", 0, 1)  # closes the file of the other
        with FlowWriter(folder / "a.h5") as writer:
            writer.write("a", 0, 1, np.full((2, 10, 20), 7, np.float32))
        after = store.read("a", 0, 1).displacement
    assert (before[0, 0, 0], after[0, 0, 0]) == (1, 7)


def test_threads_and_copies_share_what_is_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_files.OpenFiles.__init__, "__defaults__", (1,))
    wrong: list[object] = []

    def read(store: FlowStore, video: str) -> None:
        for _ in range(20):
            if store.read(video, 0, 1).displacement[0, 0, 0] != len(video):
                wrong.append(video)

    with FlowStore(folder) as store, pickle.loads(pickle.dumps(store)) as copy:
        threads = [
            threading.Thread(target=read, args=(one, video))
            for one in (store, copy)
            for video in ("a", "bb", "ccc")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
    for name in ("a", "bb", "ccc"):
        FlowWriter(folder / f"{name}.h5").close()  # nothing stayed open
