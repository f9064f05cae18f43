"""Writing a store: one writer a file, and what is finished stays finished whenever the writer is killed."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from flow_cache import schema
from flow_cache.choices import COMMIT_SECONDS
from flow_cache.codec import encode, runs, tiles_with_pixels, to_row_differences
from flow_cache.errors import FlowCacheError
from flow_cache.journal import JournaledFile
from flow_cache.runtime.hdf5 import Hdf5ContentError, has_member, uninterrupted
from flow_cache.runtime.words import listed
from flow_cache.schema import VideoRecord, group_name, step_name
from flow_cache.store_files import OF_DAMAGE, damaged, make_if_missing, open_for_writing
from flow_cache.stored_video import StoredStep, StoredVideo

_NO_FILTERS = 0xFFFFFFFF  # a mask of those that a tile did not go through


class FlowWriter:
    """Adds videos and fields to a store file; makes the file if there is none.

    What was written takes effect at a commit: every few seconds, and when the writer closes. At most
    `commit_seconds` of work are lost to a kill; new fields are compressed by `filter`, a key of `FILTERS`.
    Raises FlowCacheError for a folder, no flow store, one that another process uses, or no such filter.
    """

    def __init__(self, path: Path, filter: str = "zstd", commit_seconds: float = COMMIT_SECONDS) -> None:
        if filter not in schema.FILTERS:
            raise FlowCacheError(f"filter {filter!r}; choices: {listed(schema.FILTERS, filter)}")
        self._path = path
        self._filter = schema.FILTERS[filter]
        self._commit_seconds = commit_seconds
        make_if_missing(path)
        self._bytes = JournaledFile(path)
        self._steps: dict[tuple[str, int], tuple[StoredStep, h5py.Dataset]] = {}
        self._sound = True  # False while HDF5 changes the file, and from then on if that was cut short
        try:
            self._begin()
        except BaseException:
            self._bytes.close()
            raise

    def __enter__(self) -> FlowWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @uninterrupted
    def add_video(
        self, record: VideoRecord, steps: tuple[int, ...], planned: Iterable[tuple[int, int]] | None = None
    ) -> None:
        """Make room for the steps of a video; steps that the store has already stay as they are.

        `planned` are the fields (frame, step) that will be written, beside those that were planned before;
        None for every field of these steps. Raises FlowCacheError for a name with %2F, and where the store
        holds a video of that name with other frames, or flow of it from another estimator, with other
        settings or around other boxes.
        """
        schema.check_video_name(record.name, record.source)
        count = len(record.frame_names)
        wanted = {
            step: np.zeros(count, np.uint8) if planned is not None else schema.every_field(count, step)
            for step in steps
        }
        for frame, step in planned or ():
            wanted[step][frame] = 1
        with self._naming_damage():
            if has_member(self._file["/"], group_name(record.name)):
                self._check_same(StoredVideo(self._file, record.name).record(), record)
            with self._changing():
                self._make_room(record, wanted)
        self._commit_when_due()

    @uninterrupted
    def finished(self, video: str, step: int) -> np.ndarray:
        """Which fields of a step are complete: (frames,) bool."""
        with self._naming_damage():
            return self._open_step(video, step)[1][:].astype(bool)

    def unfinished(self, video: str, fields: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Those of some fields (frame, step) that are not complete."""
        fields = list(fields)
        finished = {step: self.finished(video, step) for step in {step for _, step in fields}}
        return [(frame, step) for frame, step in fields if not finished[step][frame]]

    @uninterrupted
    def write(self, video: str, frame: int, step: int, flow: np.ndarray) -> None:
        """Store the flow of a video from a frame to the one `step` later, and mark it finished.

        `flow` is (2, H, W) float px, x first; or int16 that `encode` or `encode_known` gave, of which tiles
        without a stored pixel take no space. Raises FlowCacheError for what cannot be stored.
        """
        with self._naming_damage():
            opened, finished = self._open_step(video, step)
            there = bool(finished[frame])
        fields = opened.fields
        if flow.shape != (wanted := fields.shape[1:]):
            raise FlowCacheError(f"flow of shape {flow.shape} for video {video!r}; wanted {tuple(wanted)}")
        stored = flow if flow.dtype == np.int16 else encode(flow)
        tiles = tiles_with_pixels(stored)
        if opened.rows:
            stored = to_row_differences(stored, opened.rows)
        with self._changing():
            if tiles.all() or there:  # what is there goes, even where it was another tile
                fields[frame] = stored
            else:
                for y, x in runs(tiles):
                    fields[frame, :, y, x] = stored[:, y, x]
            finished[frame] = 1
        self._commit_when_due()

    @uninterrupted
    def forget(self, video: str, frame: int, step: int) -> None:
        """Mark a field as not there, and free it of damage, for it to be written again.

        HDF5 reads a tile at the edge of a frame before it writes it, which fails where it is damaged: an
        empty one takes its place as it is, past all filters.
        """
        with self._naming_damage():
            opened, finished = self._open_step(video, step)
        fields, (_, _, height, width) = opened.fields, opened.fields.shape
        empty = np.full(fields.chunks, fields.fillvalue, np.int16).tobytes()
        _, _, rows, columns = fields.chunks
        with self._changing():
            for y, x in itertools.product(range(0, height, rows), range(0, width, columns)):
                place = (frame, 0, y, x)
                if fields.id.get_chunk_info_by_coord(place).byte_offset is not None:
                    fields.id.write_direct_chunk(place, empty, filter_mask=_NO_FILTERS)
            finished[frame] = 0
        self._commit_when_due()

    @uninterrupted
    def commit(self) -> None:
        """Make everything written so far last."""
        with self._changing():
            self._file.flush()
        self._committed_at = time.monotonic()

    @uninterrupted
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

    @uninterrupted
    def _begin(self) -> None:
        with self._naming_damage():
            self._file = open_for_writing(self._bytes, self._path)
            with self._changing():
                schema.upgrade(self._file)
        self.commit()

    def _open_step(self, video: str, step: int) -> tuple[StoredStep, h5py.Dataset]:
        """The fields of a step, and the data set (F,) uint8 of which are finished; both were checked."""
        if (video, step) not in self._steps:
            found = StoredVideo(self._file, video).step(step)
            if found is None:
                raise FlowCacheError(f"{self._path} has no room for step {step_name(step)} of {video!r}")
            finished = self._file[f"{group_name(video)}/finished/{step_name(step)}"]
            self._steps[video, step] = found, finished
        return self._steps[video, step]

    @contextlib.contextmanager
    def _naming_damage(self) -> Iterator[None]:
        try:
            yield
        except (*OF_DAMAGE, Hdf5ContentError) as error:
            # An OSError with a number, or of the file below, is another fault, such as a full disk.
            if self._bytes.fault is not None or getattr(error, "errno", None) is not None:
                raise
            raise damaged(self._path, error) from error

    def _commit_when_due(self) -> None:
        if time.monotonic() - self._committed_at > self._commit_seconds:
            self.commit()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        self._sound = False
        try:
            yield
        except FlowCacheError:
            raise
        except (*OF_DAMAGE, Hdf5ContentError) as error:
            if self._bytes.fault is None:
                raise damaged(self._path, error) from error
        if self._bytes.fault:
            raise OSError(self._bytes.fault.errno, self._bytes.fault.strerror, str(self._path))
        self._sound = True

    def _make_room(self, record: VideoRecord, planned: Mapping[int, np.ndarray]) -> None:
        if not has_member(self._file["/"], group_name(record.name)):
            schema.make_group(self._file, record)
        video, group = StoredVideo(self._file, record.name), self._file[group_name(record.name)]
        for step, flags in planned.items():
            if video.step(step) is None:
                schema.make_step(group, step_name(step), self._filter)
            before, wanted = StoredVideo(self._file, record.name).planned(step), flags.astype(bool)
            if (wanted & ~before).any():  # else a run that goes on would commit a change of nothing
                group["planned"][step_name(step)][:] = before | wanted

    def _check_same(self, held: VideoRecord, asked: VideoRecord) -> None:
        name, there = asked.name, schema.region_in_words(held.around)
        if held.source_hash != asked.source_hash:
            other = (
                f"a video {name!r} whose frames are not those of {asked.source} (it came from "
                f"{held.source}); if they are two videos, name this one otherwise: NAME={asked.source}; if "
                "its frames have changed, write to another file"
            )
        elif held.settings_hash != asked.settings_hash:
            wanted = f"{asked.estimator} {asked.settings}"
            other = f"{name!r} by {held.estimator} {held.settings}; asked for {wanted}; write to another file"
        elif held.around != asked.around:
            wanted = schema.region_in_words(asked.around)
            other = f"{name!r} {there}; asked for flow {wanted}; write to another file, or ask as before"
        else:
            return
        raise FlowCacheError(f"{self._path} holds flow of {other}")
