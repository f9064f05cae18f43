"""Writing a store: one writer a file, and what is finished stays finished whenever the writer is killed."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar

import cv2
import h5py
import numpy as np

from flow_cache.codec import NOT_STORED, UNITS_PER_PX, encode
from flow_cache.errors import FlowCacheError
from flow_cache.journal import JournaledFile
from flow_cache.opening import OF_DAMAGE, damaged
from flow_cache.recovery import journal_of
from flow_cache.schema import (
    FILTERS,
    LIBVER,
    SCHEMA,
    TILE,
    VideoRecord,
    check_schema,
    get_text,
    put_text,
    step_name,
)

COMMIT_SECONDS = 5.0
_FLAGS_A_CHUNK = 4096
P = ParamSpec("P")
T = TypeVar("T")


def _uninterrupted(method: Callable[P, T]) -> Callable[P, T]:
    """Let Ctrl-C take effect after a call: raised inside of HDF5, it is lost, cuts a change short or crashes.

    A whole method, because HDF5 also writes where it seems only to read (it empties its caches) and where
    the last reference to a data set goes (it writes the chunks that it still has).
    """

    @functools.wraps(method)
    def deferring(*args: P.args, **kwargs: P.kwargs) -> T:
        handler = signal.getsignal(signal.SIGINT)
        if handler is None or threading.current_thread() is not threading.main_thread():
            return method(*args, **kwargs)  # only the main thread is interrupted
        came: list[int] = []
        signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
        try:
            result = method(*args, **kwargs)
        finally:
            signal.signal(signal.SIGINT, handler)
        if came:  # not after an error, such as a full disk: that ends the work too, and says more
            signal.raise_signal(signal.SIGINT)
        return result

    return deferring


class FlowWriter:
    """Adds videos and fields to a store file; makes the file if there is none.

    What was written takes effect at a commit: every few seconds, and when the writer closes.

    Args:
        path: the .h5 file.
        filter: how new fields are compressed, a key of `FILTERS`.
        commit_seconds: at most this much work is lost to a kill.

    Raises:
        FlowCacheError: the path is a folder or no flow store, another process uses it, or no such filter.
    """

    def __init__(self, path: Path, filter: str = "zstd", commit_seconds: float = COMMIT_SECONDS) -> None:
        if filter not in FILTERS:
            raise FlowCacheError(f"filter {filter!r}; choices: {', '.join(FILTERS)}")
        self._path = path
        self._filter = FILTERS[filter]
        self._commit_seconds = commit_seconds
        _make_if_missing(path)
        self._bytes = JournaledFile(path)
        self._sound = True  # False while HDF5 changes the file, and from then on if that was cut short
        try:
            self._begin()
        except BaseException:
            self._bytes.close()
            raise

    def __enter__(self) -> FlowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @_uninterrupted
    def add_video(self, record: VideoRecord, steps: tuple[int, ...]) -> None:
        """Make room for the steps of a video; steps that the store has already stay as they are.

        Raises:
            FlowCacheError: the store holds a video of that name with other frames, or flow of it from another
                estimator or other settings.
        """
        with self._naming_damage():
            if record.name in self._file:
                self._check_same(record)
            else:
                self._make_group(record)
            for name in (step_name(step) for step in steps):
                if name not in self._file[record.name]["flow"]:
                    self._make_step(record, name)
        self.commit()

    @_uninterrupted
    def finished(self, video: str, step: int) -> np.ndarray:
        """Which fields of a step are complete: (frames,) bool."""
        with self._naming_damage():
            return self._file[video]["finished"][step_name(step)][:].astype(bool)

    @_uninterrupted
    def write(self, video: str, frame: int, step: int, flow: np.ndarray) -> None:
        """Store a field and mark it finished.

        Args:
            video: its name.
            frame: index of the frame that the field starts from.
            step: frames to the one where it ends.
            flow: (2, H, W) float px, x first; or int16 that `codec.encode` gave.

        Raises:
            FlowCacheError: a displacement cannot be stored, or the shape is not that of the video.
        """
        with self._naming_damage():
            group = self._file[video]
            fields, finished = (group[kind][step_name(step)] for kind in ("flow", "finished"))
        if flow.shape != fields.shape[1:]:
            raise FlowCacheError(
                f"flow of shape {flow.shape} for video {video!r}; wanted {tuple(fields.shape[1:])}"
            )
        stored = flow if flow.dtype == np.int16 else encode(flow)
        with self._changing():
            fields[frame] = stored
            finished[frame] = 1
        if time.monotonic() - self._committed_at > self._commit_seconds:
            self.commit()

    @_uninterrupted
    def commit(self) -> None:
        """Make everything written so far last."""
        with self._changing():
            self._file.flush()
        self._committed_at = time.monotonic()

    @_uninterrupted
    def close(self) -> None:
        """Commit, and let others use the file.

        After a change that was cut short, as by a full disk, the file is left as of the last commit instead,
        for then HDF5's own state cannot be relied upon.
        """
        try:
            if self._sound:
                with self._changing():
                    self._file.close()
                    self._bytes.flush()
            else:
                self._bytes.abandon()
                # What cut the change short is on its way to the caller; what follows from it is not news.
                with contextlib.suppress(OSError, RuntimeError):
                    self._file.close()
        finally:
            self._bytes.close()

    @_uninterrupted
    def _begin(self) -> None:
        with self._naming_damage():
            self._file = _open(self._bytes, self._path)
        self.commit()

    @contextlib.contextmanager
    def _naming_damage(self) -> Iterator[None]:
        try:
            yield
        except (KeyError, RuntimeError) as error:  # an OSError can be another fault, such as a full disk
            raise damaged(self._path, str(error)) from error

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        self._sound = False
        try:
            yield
        except FlowCacheError:
            raise
        except OF_DAMAGE as error:
            if self._bytes.fault is None:
                raise damaged(self._path, str(error)) from error
        if self._bytes.fault:
            raise OSError(self._bytes.fault.errno, self._bytes.fault.strerror, str(self._path))
        self._sound = True

    def _make_group(self, record: VideoRecord) -> None:
        with self._changing():
            _fill_group(self._file.create_group(record.name), record)

    def _make_step(self, record: VideoRecord, name: str) -> None:
        group = self._file[record.name]
        count = len(record.frame_names)
        with self._changing():
            group["flow"].create_dataset(
                name,
                shape=(count, 2, record.height, record.width),
                dtype=np.int16,
                chunks=(1, 2, min(TILE, record.height), min(TILE, record.width)),
                # It never grows: more than one open axis asks HDF5 for its B-tree of version 2, which has
                # checksums and, unlike its array, takes room only for tiles that are there.
                maxshape=(None, 2, None, None),
                fillvalue=NOT_STORED,
                fletcher32=True,
                **self._filter,
            )
            chunk = (min(count, _FLAGS_A_CHUNK),)
            group["finished"].create_dataset(name, (count,), np.uint8, chunks=chunk, fletcher32=True)

    def _check_same(self, record: VideoRecord) -> None:
        attributes = self._file[record.name].attrs
        if get_text(attributes, "source_hash") != record.source_hash:
            raise FlowCacheError(
                f"{self._path} holds flow of a video {record.name!r} whose frames are not those of "
                f"{record.source} (it came from {get_text(attributes, 'source')}); write to another file, "
                "or rename"
            )
        if get_text(attributes, "settings_hash") != record.settings_hash:
            raise FlowCacheError(
                f"{self._path} holds flow of {record.name!r} by {get_text(attributes, 'estimator')} "
                f"{get_text(attributes, 'settings')}; asked for {record.estimator} {record.settings}; "
                "write to another file"
            )


def _fill_group(group: h5py.Group, record: VideoRecord) -> None:
    group.attrs.update(width=record.width, height=record.height, units_per_px=UNITS_PER_PX)
    for key in ("source", "source_hash", "estimator", "settings", "settings_hash"):
        put_text(group.attrs, key, getattr(record, key))
    put_text(group.attrs, "software", f"opencv {cv2.__version__}")
    # A data set, not an attribute: attributes end at 64 KB, about 4000 names.
    names = [name.encode() for name in record.frame_names]
    group.create_dataset(
        "frame_names",
        data=names,
        dtype=h5py.string_dtype("utf-8", max(map(len, names))),
        chunks=(min(len(names), _FLAGS_A_CHUNK),),
        compression="gzip",
        fletcher32=True,
    )
    group.create_group("flow")
    group.create_group("finished")


def _make_if_missing(path: Path) -> None:
    if path.is_dir():
        raise FlowCacheError(f"{path} is a folder; name the file to write, such as {path / 'flow.h5'}")
    if path.exists():
        return
    journal_of(path).unlink(missing_ok=True)  # of a file that was removed
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with h5py.File(unfinished, "w", libver=LIBVER) as file:
            file.attrs["schema"] = SCHEMA
        os.link(unfinished, path)  # unlike a rename, it never replaces what another writer has just made
    except FileExistsError:
        pass
    finally:
        unfinished.unlink(missing_ok=True)


def _open(content: JournaledFile, path: Path) -> h5py.File:
    if content.seek(0, os.SEEK_END) == 0:  # h5py would begin a new file in it
        raise FlowCacheError(f"{path} is no HDF5 file, or a damaged one: it is empty; remove it")
    try:
        file = h5py.File(content, "r+", libver=LIBVER)
    except OSError as error:
        raise FlowCacheError(f"{path} is no HDF5 file, or a damaged one: {error}") from error
    check_schema(file, path)
    return file
