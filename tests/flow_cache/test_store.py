from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest

from flow_cache import journal
from flow_cache.codec import NOT_STORED, encode
from flow_cache.errors import FlowCacheError, MissingFlowError
from flow_cache.schema import FILTERS, VideoRecord
from flow_cache.store import FlowStore
from flow_cache.writer import FlowWriter

ROOT = Path(__file__).resolve().parents[2]
RECORD = VideoRecord(
    name="a",
    width=150,
    height=100,
    frame_names=tuple(f"{index:06d}.jpg" for index in range(5)),
    source="videos/a",
    source_hash="1234",
    estimator="dis",
    settings="{}",
    settings_hash="5678",
)
AROUND = '{"margin": 0.5, "boxes": 1, "boxes_hash": "0123456789"}'


def some_flow(seed: int, record: VideoRecord = RECORD) -> np.ndarray:
    """Displacements that fixed point keeps exactly."""
    units = np.random.default_rng(seed).integers(-900, 900, (2, record.height, record.width))
    return (units / 32).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with video a: the fields of step +2 from frames 1 and 2, and the room for step -1."""
    with FlowWriter(tmp_path / "flow.h5") as writer:
        writer.add_video(RECORD, (-1, 2))
        writer.write("a", 1, 2, some_flow(1))
        writer.write("a", 2, 2, some_flow(2))
    return tmp_path / "flow.h5"


@pytest.mark.parametrize("filter", FILTERS)
def test_what_was_written_is_read(tmp_path: Path, filter: str) -> None:
    with FlowWriter(tmp_path / "flow.h5", filter) as writer:
        writer.add_video(RECORD, (-1,))
        writer.write("a", 3, -1, some_flow(1))
    with FlowStore(tmp_path / "flow.h5") as store:
        assert store.videos() == ("a",)
        assert store.frames("a") == RECORD.frame_names
        assert store.steps("a") == (-1,)
        assert store.size("a") == (150, 100)
        assert store.record("a") == RECORD
        assert store.finished("a", -1).tolist() == [False, False, False, True, False]
        assert not store.finished("a", 2).any()
        field = store.read("a", 3, -1)
    assert field.displacement.dtype == np.float32
    assert field.origin == (0, 0)
    np.testing.assert_array_equal(field.displacement, some_flow(1))


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((70, 10, 30, 20), (70, 10, 100, 30)),
        ((63.5, 63.5, 1, 1), (63, 63, 65, 65)),  # touches four tiles
        ((-20, -5, 40.2, 30), (0, 0, 21, 25)),
        ((140, 90, 500, 500), (140, 90, 150, 100)),
    ],
)
def test_a_box_reads_the_pixels_that_it_touches(
    path: Path, box: tuple[float, ...], pixels: tuple[int, ...]
) -> None:
    left, top, right, bottom = pixels
    with FlowStore(path) as store:
        field = store.read("a", 2, 2, box)
    assert field.origin == (left, top)
    np.testing.assert_array_equal(field.displacement, some_flow(2)[:, top:bottom, left:right])


def test_a_box_decodes_its_own_tiles_alone(path: Path) -> None:
    with h5py.File(path, "r+") as file:  # damage the stored bytes of every tile of frame 1 but one
        fields = file["a/flow/+2"].id
        for index in range(fields.get_num_chunks()):
            where = fields.get_chunk_info(index).chunk_offset
            if where[0] == 1 and where[2:] != (64, 64):
                fields.write_direct_chunk(where, b"damaged")
    with FlowStore(path) as store:
        box = (64, 64, 40, 30)
        np.testing.assert_array_equal(store.read("a", 1, 2, box).displacement, some_flow(1)[:, 64:94, 64:104])
        with pytest.raises(OSError, match="filter"):
            store.read("a", 1, 2, (63, 64, 40, 30))


def test_a_store_of_the_first_layout_is_read_and_gone_on_with(tmp_path: Path) -> None:
    """Layout 1 kept plain fixed point with shuffled zstd, and NOT_STORED in tiles that nobody wrote."""
    path = tmp_path / "flow.h5"
    with FlowWriter(path) as writer:
        writer.add_video(RECORD, (-1,))
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = 1
        del file["a/flow/-1"], file["a/planned"], file["a"].attrs["around"]
        fields = file.create_dataset(
            "a/flow/-1", (5, 2, 100, 150), np.int16, chunks=(1, 2, 64, 64), fillvalue=-32768,
            fletcher32=True, shuffle=True, **hdf5plugin.Zstd(clevel=3),
        )  # fmt: skip
        fields[3, :, :64, :64] = np.rint(some_flow(1)[:, :64, :64] * 32)
        file["a/finished/-1"][3] = 1
    with FlowWriter(path) as writer:
        writer.add_video(RECORD, (2,))
        writer.write("a", 2, -1, some_flow(2))
        writer.write("a", 1, 2, some_flow(3))
    with FlowStore(path) as store:
        box = (20, 30, 100, 60)
        assert np.isnan(store.read("a", 3, -1).displacement[:, 64:]).all()
        np.testing.assert_array_equal(
            store.read("a", 3, -1, (20, 30, 44, 34)).displacement, some_flow(1)[:, 30:64, 20:64]
        )
        np.testing.assert_array_equal(
            store.read("a", 2, -1, box).displacement, some_flow(2)[:, 30:90, 20:120]
        )
        np.testing.assert_array_equal(store.read("a", 1, 2, box).displacement, some_flow(3)[:, 30:90, 20:120])


def test_tiles_that_nobody_wrote_are_unknown(path: Path) -> None:
    with h5py.File(path, "r+") as file:  # a field that is finished, and has no tile at all
        file["a/finished/+2"][0] = 1
    with FlowStore(path) as store:
        assert np.isnan(store.read("a", 0, 2).displacement).all()
        assert np.isnan(store.read("a", 0, 2, (70, 80, 9, 9)).displacement).all()


def test_bad_boxes_are_refused(path: Path) -> None:
    with FlowStore(path) as store:
        for box in ((200, 10, 5, 5), (10, 10, 0, 5), (-9, 0, 9, 9)):
            with pytest.raises(FlowCacheError, match="has no pixel in a frame of 150 x 100 px"):
                store.read("a", 1, 2, box)
        for box in ((1, 2, 3), (1, 2, 3, float("nan"))):
            with pytest.raises(FlowCacheError, match="wanted four finite numbers"):
                store.read("a", 1, 2, box)


def test_a_missing_field_says_how_to_get_it(path: Path) -> None:
    file = re.escape(str(path))
    run = rf" in {file}; run: python -m flow_cache precompute videos/a --out {file}$"
    with FlowStore(path) as store:
        for frame, step in ((0, 2), (3, -1), (0, 3)):  # not written; not begun; no room
            field = rf"no flow for video 'a', frame {frame}, step \{step:+d}"
            with pytest.raises(MissingFlowError, match=field + run):
                store.read("a", frame, step)
        for frame, step in ((3, 2), (0, -1), (-1, 2), (5, -1)):
            with pytest.raises(MissingFlowError, match="would leave the video, whose frames are 0 to 4"):
                store.read("a", frame, step)
        with pytest.raises(MissingFlowError, match=r"no flow for video 'b' .*it has: a.*precompute b --out"):
            store.read("b", 0, 1)


@pytest.mark.parametrize(
    ("changes", "step", "told"),
    [
        ({"settings": '{"preset": "fast"}'}, 1, "videos/a --preset fast --out FILE$"),
        ({"settings": '{"preset": "medium"}'}, 4, "videos/a --steps=4 --out FILE$"),
        (
            {
                "estimator": "raft_small",
                "settings": '{"weights": "sha256:12", "iterations": 20}',
                "around": AROUND,
            },
            1,
            "videos/a --estimator raft_small --weights CHECKPOINT --iterations 20"
            " --around BOXES.json --margin 0.5 --out FILE$",
        ),
        ({"estimator": "imported flo"}, 1, "its flow is imported flo, which precompute cannot add to$"),
    ],
)
def test_the_command_for_a_missing_field_is_the_one_that_made_the_others(
    tmp_path: Path, changes: dict[str, str], step: int, told: str
) -> None:
    path = tmp_path / "flow.h5"
    with FlowWriter(path) as writer:
        writer.add_video(replace(RECORD, **changes), (2,))
    with (
        FlowStore(path) as store,
        pytest.raises(MissingFlowError, match=told.replace("FILE", re.escape(str(path)))),
    ):
        store.read("a", 0, step)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_an_open_store_reads_in_other_processes(path: Path, start: str) -> None:
    store = FlowStore(path)
    here = store.read("a", 1, 2).displacement
    with multiprocessing.get_context(start).Pool(2) as pool:
        fields = pool.starmap(store.read, [("a", 1, 2), ("a", 2, 2)] * 4)
    for index, field in enumerate(fields):
        np.testing.assert_array_equal(field.displacement, some_flow(1 + index % 2))
    np.testing.assert_array_equal(store.read("a", 1, 2).displacement, here)
    # The children are gone; this process still holds the file against a writer.
    with pytest.raises(FlowCacheError, match="in use"):
        FlowWriter(path)
    store.close()
    FlowWriter(path).close()


def test_an_open_store_is_pickled_closed(path: Path) -> None:
    with FlowStore(path) as store:
        store.videos()
        copy = pickle.loads(pickle.dumps(store))
    with copy:
        assert copy.videos() == ("a",)


def test_a_second_writer_and_a_reader_are_refused_while_one_writes(path: Path) -> None:
    look = f"from flow_cache import *; FlowStore({str(path)!r}).videos()"
    write = f"from pathlib import Path; from flow_cache import *; FlowWriter(Path({str(path)!r}))"
    with FlowWriter(path):
        for code, message in ((look, "is being written by another process"), (write, "is in use by another")):
            other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
            assert other.returncode == 1
            assert f"flow_cache.errors.FlowCacheError: {path} {message}" in other.stderr
    FlowStore(path).videos()


def test_a_folder_of_files_is_one_store(path: Path, tmp_path: Path) -> None:
    second = replace(RECORD, name="b")
    with FlowWriter(tmp_path / "more.h5") as writer:
        writer.add_video(second, (1,))
        writer.write("b", 0, 1, some_flow(3))
    with FlowStore(tmp_path) as store:
        assert store.videos() == ("a", "b")
        np.testing.assert_array_equal(store.read("a", 1, 2).displacement, some_flow(1))
        np.testing.assert_array_equal(store.read("b", 0, 1).displacement, some_flow(3))
        assert store.file("b") == tmp_path / "more.h5"
    with FlowWriter(tmp_path / "again.h5") as writer:
        writer.add_video(second, (1,))
    with pytest.raises(FlowCacheError, match=r"video 'b' is in .*again\.h5 and in .*more\.h5"):
        FlowStore(tmp_path).videos()


def write_three(path: Path) -> Iterator[int]:
    """Writes, and commits one by one, three fields of a new video b."""
    with FlowWriter(path, commit_seconds=0) as writer:
        writer.add_video(replace(RECORD, name="b"), (1,))
        for frame in range(3):
            writer.write("b", frame, 1, some_flow(frame))
            yield frame


def kept_of_three(path: Path) -> list[int]:
    """The fields of video b that are finished, after a look at all that are."""
    with FlowStore(path) as store:
        np.testing.assert_array_equal(store.read("a", 2, 2).displacement, some_flow(2))
        if "b" not in store.videos():
            return []
        frames = np.flatnonzero(store.finished("b", 1)).tolist()
        for frame in frames:
            np.testing.assert_array_equal(store.read("b", frame, 1).displacement, some_flow(frame))
        return frames


@pytest.mark.parametrize("change", ["pwrite", "fsync", "replace", "ftruncate"])
def test_a_full_disk_leaves_the_last_commit(path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    before, seen, messages = path.read_bytes(), set(), set()
    change_disk = getattr(os, change)
    for limit in range(1, 1000):
        path.write_bytes(before)
        calls, returned = count(1), []

        def full(*arguments: object, calls: count = calls, limit: int = limit) -> object:
            if next(calls) >= limit:
                raise OSError(errno.ENOSPC, "No space left on device")
            return change_disk(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(journal.os, change, full)
            try:
                for frame in write_three(path):
                    returned.append(frame)
            except OSError as error:
                messages.add(str(error))
        # The commit that failed is whole or absent, by where in it the disk was full.
        assert kept_of_three(path) in (returned, [*returned, len(returned)])
        seen.add(len(returned))
        if next(calls) <= limit:
            break
    assert messages == {f"[Errno 28] No space left on device: '{path}'"}
    assert seen == {0, 1, 2, 3}


@pytest.fixture
def answered_interrupts() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, even where the suite runs in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("answered_interrupts")
@pytest.mark.parametrize("where", [(journal.os, "pwrite"), (journal.JournaledFile, "seek")])
def test_ctrl_c_waits_for_a_call_to_end(
    path: Path, monkeypatch: pytest.MonkeyPatch, where: tuple[object, str]
) -> None:
    before, seen = path.read_bytes(), set()
    real = getattr(*where)
    for limit in range(1, 1000):
        path.write_bytes(before)
        calls, returned = count(1), []

        def interrupted(*arguments: object, calls: count = calls, limit: int = limit) -> object:
            if next(calls) == limit:
                signal.raise_signal(signal.SIGINT)
            return real(*arguments)

        interrupts = 0
        with monkeypatch.context() as patch:
            patch.setattr(*where, interrupted)
            try:
                for frame in write_three(path):
                    returned.append(frame)
            except KeyboardInterrupt:
                interrupts = 1
        came = next(calls) > limit
        assert interrupts == came
        assert kept_of_three(path) in (returned, [*returned, len(returned)])
        seen.add(len(returned))
        if not came:
            break
    assert seen == {0, 1, 2, 3}


def test_a_video_keeps_its_fields_when_steps_are_added(path: Path) -> None:
    with FlowWriter(path, "gzip") as writer:
        writer.add_video(RECORD, (2, 3))
        assert writer.finished("a", 2).tolist() == [False, True, True, False, False]
        writer.write("a", 0, 3, some_flow(4))
    with FlowStore(path) as store:
        assert store.steps("a") == (-1, 2, 3)
        np.testing.assert_array_equal(store.read("a", 1, 2).displacement, some_flow(1))
        np.testing.assert_array_equal(store.read("a", 0, 3).displacement, some_flow(4))


def test_what_was_planned_is_told_from_what_has_room(path: Path) -> None:
    with FlowStore(path) as store:
        assert store.planned("a", 2).tolist() == [True, True, True, False, False]
        assert store.planned("a", -1).tolist() == [False, True, True, True, True]
        assert not store.planned("a", 3).any()
    with FlowWriter(path) as writer:
        writer.add_video(RECORD, (-2, 3), [(0, 3), (4, -2)])
        writer.add_video(RECORD, (3,), [(1, 3)])
        writer.add_video(RECORD, (-2,), [])
    with FlowStore(path) as store:
        assert store.planned("a", 3).tolist() == [True, True, False, False, False]
        assert store.planned("a", -2).tolist() == [False, False, False, False, True]
        assert not store.finished("a", 3).any()


def test_a_store_of_version_1_is_read_and_written_on(path: Path) -> None:
    with h5py.File(path, "r+") as file:  # all that version 2 added
        file.attrs["schema"] = 1
        del file["a/planned"], file["a"].attrs["around"]
    before = path.read_bytes()
    with FlowStore(path) as store:
        assert store.record("a") == RECORD
        assert store.planned("a", 2).tolist() == [True, True, True, False, False]
        assert not store.planned("a", 3).any()
        np.testing.assert_array_equal(store.read("a", 1, 2).displacement, some_flow(1))
    assert path.read_bytes() == before
    with FlowWriter(path) as writer:
        with pytest.raises(FlowCacheError, match="of whole frames; asked for flow around 1 boxes"):
            writer.add_video(replace(RECORD, around=AROUND), (2,))
        writer.add_video(RECORD, (1, 2), [(0, 1), (0, 2)])
        writer.write("a", 0, 2, some_flow(3))
    with h5py.File(path) as file:
        assert file.attrs["schema"] == 2
    with FlowStore(path) as store:
        assert store.record("a") == RECORD
        assert store.planned("a", -1).tolist() == [False, True, True, True, True]
        assert store.planned("a", 1).tolist() == [True, False, False, False, False]
        np.testing.assert_array_equal(store.read("a", 2, 2).displacement, some_flow(2))


def test_pixels_that_are_not_stored_are_not_valid(path: Path) -> None:
    stored = encode(some_flow(5))
    stored[:, :, 40:] = NOT_STORED
    with FlowWriter(path) as writer:
        writer.write("a", 0, 2, stored)
    with FlowStore(path) as store:
        field = store.read("a", 0, 2)
        assert (field.valid == (np.arange(150) < 40)).all()
        np.testing.assert_array_equal(field.displacement[:, :, :40], some_flow(5)[:, :, :40])
        assert np.isnan(field.displacement[:, :, 40:]).all()
        crop = store.read("a", 0, 2, (100, 10, 20, 30))
        assert crop.valid.shape == (30, 20)
        assert not crop.valid.any()
        assert store.read("a", 1, 2).valid.all()
        # Two fields of six tiles, and one that has its left column alone.
        assert store.tiles_stored("a") == (6 + 6 + 2, 18)


def test_a_field_that_is_written_again_is_only_the_new_one(path: Path) -> None:
    stored = encode(some_flow(5))
    stored[:, :, 40:] = NOT_STORED
    with FlowWriter(path) as writer:
        writer.write("a", 1, 2, stored)
    with FlowStore(path) as store:
        assert (store.read("a", 1, 2).valid == (np.arange(150) < 40)).all()


def test_a_closed_store_sees_what_was_written_since(path: Path) -> None:
    store = FlowStore(path)
    with pytest.raises(MissingFlowError):
        store.read("a", 0, 2)
    store.close()
    with FlowWriter(path) as writer:
        writer.write("a", 0, 2, some_flow(6))
    np.testing.assert_array_equal(store.read("a", 0, 2).displacement, some_flow(6))
    store.close()


def test_what_a_store_keeps_in_memory_goes_when_it_closes(path: Path) -> None:
    store = FlowStore(path, keep_bytes=2**20)
    store.read("a", 1, 2)
    store.close()
    with FlowWriter(path) as writer:
        writer.write("a", 1, 2, some_flow(6))
    np.testing.assert_array_equal(store.read("a", 1, 2).displacement, some_flow(6))
    store.close()


def test_other_frames_or_settings_under_one_name_are_refused(path: Path) -> None:
    with FlowWriter(path) as writer:
        with pytest.raises(FlowCacheError, match="whose frames are not those of videos/a"):
            writer.add_video(replace(RECORD, source_hash="9"), (1,))
        other = replace(RECORD, settings='{"preset": "fast"}', settings_hash="9")
        with pytest.raises(FlowCacheError, match=r"by dis \{\}; asked for dis \{\"preset\": \"fast\"\}"):
            writer.add_video(other, (1,))
        with pytest.raises(FlowCacheError, match=r"shape \(2, 5, 5\) for video 'a'; wanted \(2, 100, 150\)"):
            writer.write("a", 0, 2, np.zeros((2, 5, 5), np.float32))


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        FlowCacheError, match=r"no flow store at .*none\.h5: missing; run: python -m flow_cache"
    ):
        FlowStore(tmp_path / "none.h5")
    with pytest.raises(FlowCacheError, match=r"a folder without \.h5 files"):
        FlowStore(tmp_path)
    with pytest.raises(FlowCacheError, match=r"is a folder; name the file"):
        FlowWriter(tmp_path)
    with pytest.raises(FlowCacheError, match="filter 'zip'; choices: zstd, lz4, blosc2, gzip"):
        FlowWriter(tmp_path / "flow.h5", "zip")
    text, foreign = tmp_path / "text.h5", tmp_path / "foreign.h5"
    text.write_text("not HDF5")
    with h5py.File(foreign, "w") as file:
        file["x"] = 1
    for opening in (lambda file: FlowStore(file).videos(), FlowWriter):
        with pytest.raises(FlowCacheError, match=r"text\.h5 is no HDF5 file"):
            opening(text)
        with pytest.raises(FlowCacheError, match=r"foreign\.h5 is an HDF5 file, but no flow store"):
            opening(foreign)
    with h5py.File(foreign, "r+") as file:
        file.attrs["schema"] = 99
    with pytest.raises(FlowCacheError, match=r"layout version 99; wanted .* layout version 1 or 2"):
        FlowStore(foreign).videos()
    assert text.read_text() == "not HDF5"
    assert sorted(os.listdir(tmp_path)) == ["foreign.h5", "text.h5"]


def test_a_video_is_named_by_several_folders(tmp_path: Path) -> None:
    names = ("SEQ-02/img1", "SEQ-04/img1", "img1")
    with FlowWriter(tmp_path / "flow.h5") as writer:
        for seed, name in enumerate(names):
            writer.add_video(replace(RECORD, name=name), (1,))
            writer.write(name, 0, 1, some_flow(seed))
            assert writer.finished(name, 1)[0]
    with FlowStore(tmp_path / "flow.h5") as store:
        assert store.videos() == names
        assert [store.record(name).name for name in names] == list(names)
        for seed, name in enumerate(names):
            np.testing.assert_array_equal(store.read(name, 0, 1).displacement, some_flow(seed))
