"""A video in an open file of a store: each fact is compared with the layout before it is used."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import h5py
import numpy as np

from flow_cache.codec import NOT_STORED, UNITS_PER_PX, sum_rows, whole_tiles
from flow_cache.runtime import hdf5
from flow_cache.runtime.hdf5 import Hdf5ContentError
from flow_cache.schema import (
    LARGEST_TILE,
    MOST_FRAMES,
    MOST_PIXELS,
    SCHEMA,
    VideoRecord,
    every_field,
    group_name,
    step_name,
)

_TEXT_ATTRIBUTES = ("source", "source_hash", "estimator", "settings", "settings_hash")
_STEP = re.compile(r"[+-][1-9][0-9]{0,8}")
#: Names of frames that are looked at together, and the longest of them.
_NAMES_AT_ONCE, _LONGEST_NAME = 4096, 4096


class StoredStep(NamedTuple):
    """The fields of one step of a video; looking them up takes longer than to read a crop."""

    fields: h5py.Dataset  # (F, 2, H, W) int16
    finished: np.ndarray  # (F,) bool
    rows: int | None  # after how many rows the differences of rows begin anew; None for plain values

    def read(self, frame: int, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Some pixels of a field in fixed point: (2, height, width) int16."""
        above = y % self.rows if self.rows else 0  # differences are summed from the first row of the tile on
        below = whole_tiles(above + height, self.rows or 1)
        stored = np.zeros((2, below, width), np.int16)
        here, there = self.fields.id.get_space(), h5py.h5s.create_simple((1, *stored.shape))
        here.select_hyperslab((frame, 0, y - above, x), (1, 2, above + height, width))
        there.select_hyperslab((0, 0, 0, 0), (1, 2, above + height, width))
        self.fields.id.read(there, here, stored)
        if self.rows:
            sum_rows(stored, self.rows)
        return stored[:, above : above + height]

    def tiles(self) -> dict[int, list[tuple[int, int]]]:
        """Where the tiles lie that are in the file: x, y px of each, by frame."""
        found: dict[int, list[tuple[int, int]]] = {}

        def add(tile: h5py.h5d.StoreInfo) -> None:
            frame, _, y, x = tile.chunk_offset
            found.setdefault(frame, []).append((x, y))

        self.fields.id.chunk_iter(add)
        return found


@dataclass(eq=False)
class VideoFacts:
    """What was checked of a video, and holds as long as its file does not change.

    An object is equal to itself alone: those who keep what they read under it find nothing of a file before
    its change.
    """

    width: int  # px
    height: int  # px
    frame_count: int
    first_layout: bool
    #: Of a step what `StoredStep` has as finished and rows; None where there is no room for it.
    steps: dict[int, tuple[np.ndarray, int | None] | None] = field(default_factory=dict)


class StoredVideo:
    """One video of an open file of a layout that this code reads.

    `facts` are what an earlier object for the same video of the same file, unchanged, came to hold. Raises
    Hdf5ContentError, here or in a call, where the file holds something else than the layout has there.
    """

    def __init__(self, file: h5py.File, name: str, facts: VideoFacts | None = None) -> None:
        self.name = name
        self._file = file
        self.facts = facts or _check_video(file, hdf5.subgroup(file["/"], group_name(name)))
        self._steps: dict[int, StoredStep] = {}

    def frames(self) -> tuple[str, ...]:
        """The names of the frames in order."""
        names = hdf5.dataset(self._group(), "frame_names")
        kind = names.id.get_type()
        if kind.get_class() != h5py.h5t.STRING:
            raise Hdf5ContentError(f"{names.name} is no text")
        of_any_length = kind.is_variable_str()
        if not of_any_length:
            if kind.get_size() > _LONGEST_NAME:
                raise Hdf5ContentError(f"{names.name}: names of {kind.get_size()} bytes")
            hdf5.require_all_held(names)
        # Text of variable length can lie in the file once and be referred to a million times.
        at_once = 64 if of_any_length else _NAMES_AT_ONCE
        where = names.name  # HDF5 takes longer to tell it than to read a name
        found: list[str] = []
        for start in range(0, self.facts.frame_count, at_once):
            for name in names[start : start + at_once]:
                if len(name) > _LONGEST_NAME:
                    raise Hdf5ContentError(f"{where}[{len(found)}] has {len(name)} bytes")
                try:
                    found.append(name.decode())
                except UnicodeDecodeError as error:
                    raise Hdf5ContentError(f"{where}[{len(found)}] is not UTF-8: {name!r}") from error
        return tuple(found)

    def record(self) -> VideoRecord:
        """What is known of the video and of how its flow was made."""
        group = self._group()
        known: dict[str, Any] = {key: hdf5.text(group, key) for key in _TEXT_ATTRIBUTES}
        if not isinstance(_parsed(known["settings"]), dict):
            raise Hdf5ContentError(f"{group.name}@settings is {known['settings']!r}; wanted JSON: {{...}}")
        around = "" if self.facts.first_layout else hdf5.text(group, "around")
        _require_region(group, around)
        return VideoRecord(
            self.name, self.facts.width, self.facts.height, self.frames(), **known, around=around
        )

    def steps(self) -> tuple[int, ...]:
        """The steps that there is room for, sorted."""
        found: set[int] = set()
        for kind in self._kinds():  # one that lost its fields, but not its flags, is damage, and to be seen
            group = self._kind(kind)
            for name in hdf5.member_names(group):
                if not _STEP.fullmatch(name):
                    raise Hdf5ContentError(f"{hdf5.place(group, name)} is no step, such as +2 or -1")
                found.add(int(name))
        return tuple(sorted(found))

    def step(self, step: int) -> StoredStep | None:
        """The fields of a step; None where there is no room for it."""
        if step not in self._steps:
            known = self.facts.steps
            if step not in known:
                known[step] = self._check_step(step)
            if (facts := known[step]) is None:
                return None
            fields = self._file[f"{group_name(self.name)}/flow/{step_name(step)}"]
            self._steps[step] = StoredStep(fields, *facts)
        return self._steps[step]

    def size(self) -> tuple[int, int]:
        """Width and height of the frames, px."""
        return self.facts.width, self.facts.height

    def finished(self, step: int) -> np.ndarray:
        """Which fields of a step are there: (F,) bool."""
        found = self.step(step)
        return np.zeros(self.facts.frame_count, bool) if found is None else found.finished.copy()

    def planned(self, step: int) -> np.ndarray:
        """Which fields of a step were asked for: (F,) bool; in layout 1 all that stay within the video."""
        if self.step(step) is None:
            return np.zeros(self.facts.frame_count, bool)
        if self.facts.first_layout:
            return every_field(self.facts.frame_count, step).astype(bool)
        return self._flags("planned", step)

    def bytes_stored(self) -> int:
        """What the fields take on disk, without the index."""
        return sum(self._fields(step).id.get_storage_size() for step in self.steps())

    def tiles_stored(self) -> tuple[int, int]:
        """How many tiles of the finished fields are in the file, and of how many."""
        stored = possible = 0
        for step in self.steps():
            fields = self._fields(step)
            stored += fields.id.get_num_chunks()
            possible += int(self.finished(step).sum()) * tiles_a_field(fields)
        return stored, possible

    def stored_tiles(self, step: int) -> tuple[dict[int, list[tuple[int, int]]], int]:
        """Where the tiles of a step lie that the file has, x, y px by frame, and how many a field has."""
        fields = self.step(step)
        return ({}, 0) if fields is None else (fields.tiles(), tiles_a_field(fields.fields))

    def _group(self) -> h5py.Group:
        return hdf5.subgroup(self._file["/"], group_name(self.name))

    def _kinds(self) -> tuple[str, ...]:
        return ("flow", "finished") if self.facts.first_layout else ("flow", "finished", "planned")

    def _kind(self, kind: str) -> h5py.Group:
        return hdf5.subgroup(self._group(), kind)

    def _check_step(self, step: int) -> tuple[np.ndarray, int | None] | None:
        # Only a name that is nowhere is no room; one that was lost, or cannot be read, is damage.
        there = [hdf5.has_member(self._kind(kind), step_name(step)) for kind in self._kinds()]
        if not any(there):
            return None
        rows = _rows_of_differences(self._fields(step))
        return self._flags("finished", step), rows

    def _fields(self, step: int) -> h5py.Dataset:
        fields = hdf5.dataset(self._kind("flow"), step_name(step))
        hdf5.require_array(fields, (self.facts.frame_count, 2, self.facts.height, self.facts.width), np.int16)
        chunks = fields.chunks
        if chunks is None or chunks[:2] != (1, 2) or max(chunks[2:]) > LARGEST_TILE:
            raise Hdf5ContentError(
                f"{fields.name} is in tiles {chunks}; wanted (1, 2, rows, columns), at most {LARGEST_TILE} px"
            )
        return fields

    def _flags(self, kind: str, step: int) -> np.ndarray:
        flags = hdf5.dataset(self._kind(kind), step_name(step))
        hdf5.require_array(flags, (self.facts.frame_count,), np.uint8)
        hdf5.require_all_held(flags)
        found = flags[:]
        if found.max() > 1:
            raise Hdf5ContentError(f"{flags.name}[{int(found.argmax())}] is {found.max()}; wanted 0 or 1")
        return found.astype(bool)


def _check_video(file: h5py.File, group: h5py.Group) -> VideoFacts:
    units = hdf5.integer(group, "units_per_px", 1, 2**31)
    if units != UNITS_PER_PX:
        raise Hdf5ContentError(f"{group.name}: flow in 1/{units} px; wanted 1/{UNITS_PER_PX} px")
    width, height = (hdf5.integer(group, side, 1, MOST_PIXELS) for side in ("width", "height"))
    if width * height > MOST_PIXELS:
        raise Hdf5ContentError(f"{group.name}: frames of {width} x {height} px; at most {MOST_PIXELS} px")
    names = hdf5.dataset(group, "frame_names")
    if names.id.rank != 1 or not 1 <= names.id.shape[0] <= MOST_FRAMES:
        raise Hdf5ContentError(f"{names.name} has shape {names.id.shape}; wanted 1 to {MOST_FRAMES} names")
    first_layout = hdf5.integer(file["/"], "schema", 1, SCHEMA) == 1
    if first_layout and hdf5.has_member(group, "planned"):
        raise Hdf5ContentError(f"/@schema is 1, but {group.name}/planned is there, of layout 2")
    return VideoFacts(width, height, int(names.id.shape[0]), first_layout)


def tiles_a_field(fields: h5py.Dataset) -> int:
    """How many tiles a whole field has."""
    _, _, height, width = fields.shape
    _, _, rows, columns = fields.chunks
    return math.ceil(height / rows) * math.ceil(width / columns)


def _rows_of_differences(fields: h5py.Dataset) -> int | None:
    """`StoredStep.rows`; what says so may be lost, or contradict the value of unwritten tiles."""
    key = "row_differences"
    by_rows = hdf5.has_attribute(fields, key) and bool(hdf5.integer(fields, key, 0, 1))
    if fields.fillvalue != (0 if by_rows else NOT_STORED):
        raise Hdf5ContentError(
            f"{fields.name}@row_differences is {'1' if by_rows else '0 or missing'}, and tiles that nobody "
            f"wrote read as {fields.fillvalue}; wanted 1 with 0, or none with {NOT_STORED}"
        )
    return int(fields.chunks[2]) if by_rows else None


def _require_region(group: h5py.Group, around: str) -> None:
    """Raise Hdf5ContentError unless `around` is "" or what `PeopleBoxes.identity` gives."""
    region = _parsed(around)
    wanted: dict[str, Any] = {"margin": (int, float), "boxes": int, "boxes_hash": str}
    fits = isinstance(region, dict) and all(isinstance(region.get(key), kind) for key, kind in wanted.items())
    if around and not (fits and math.isfinite(region["margin"])):
        raise Hdf5ContentError(f"{group.name}@around is {around!r}; wanted JSON of margin, boxes, boxes_hash")


def _parsed(content: str) -> Any:
    """The value of a JSON text; None for any other."""
    with suppress(ValueError, RecursionError):
        return json.loads(content)
