"""The folder of a video's outputs: pieces of some seconds while it is filled, so that a killed run goes on.

OUT/.pieces/settings.json   what decides the outputs: a run with other settings is refused
OUT/.pieces/000000/         a piece: a folder a writer, and what the next piece needs to begin
OUT/video.json              written last, when the pieces were joined: the outputs are whole
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flow_cache.runtime.atomic import atomic_folder, clear_left, write_json
from flow_cache.runtime.json_file import read_json
from flow_cache.runtime.lock import IN_USE, HeldError, held_folder
from slimdp.inference.video_records import (
    FrameMaps,
    FramePose,
    OutputWriter,
    PersonMaps,
    TrackedPerson,
    VideoFrame,
    VideoInfo,
)
from slimdp.settings_file import ConfigError
from slimdp.structures import DensePoseMaps
from slimdp.surface.layout import PartLayout

_PIECES, _SETTINGS, _DONE, _PIECE, _MAPS = ".pieces", "settings.json", "video.json", "piece.json", "maps.npz"
#: Where a video and weights lay, by what is compared of them: they may move, or be named in another way.
_CONTENT = "video_content"
_PLACES = {_CONTENT: "video", "weights_sha256": "weights"}
#: What settings call the network's error bars.
BARS = "error_bars"
_HEADS = ("fine_segm", "u", "v", "coarse_segm")


class OutputFolderError(ConfigError):
    """A folder that a run cannot fill: of other settings, in use, or somebody else's."""


@dataclass(frozen=True)
class ResumePoint:
    """What goes on after a piece: the tracker, and the maps that smoothing still looks at."""

    tracker: dict[str, Any]
    maps: tuple[FrameMaps, ...]  # of the piece's last frames, as the network gave them


@dataclass(frozen=True)
class Piece:
    """A piece that is there."""

    folder: Path
    frames: int  # in all pieces up to its end
    whole: bool  # False: the video ended before frames that its own look ahead to


class OutputFolder:
    """Where a video's outputs go, held against other runs.

    Args:
        path: the folder, made where it is missing.
        settings: what decides the outputs, as JSON.
        content_as: `video_content` under another name of the video's file; None: it is of no name.
        to_go_on: by key of the settings, what says how to go on with the value of an earlier run, such as
            "go on with --weights NAME"; None for a value that it does not know.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        content_as: Callable[[str], str] | None = None,
        to_go_on: Mapping[str, Callable[[Any], str | None]] | None = None,
    ) -> None:
        self.path, self._content_as = path, content_as
        self._to_go_on = to_go_on or {}
        self._settings = json.loads(json.dumps(settings))
        self.pieces_folder = path / _PIECES

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder, and check that it is new, or of the same settings; raises OutputFolderError."""
        if self.path.is_dir() and not self._is_ours() and self._holds_something():
            raise OutputFolderError(
                f"{self.path} exists, and slimdp video did not make it; choose another --out, or remove it"
            )
        try:
            with held_folder(self.path):
                self._forget_what_made_nothing()
                self._check_settings()
                try:
                    yield
                finally:
                    self._forget_what_made_nothing()
        except HeldError as error:
            raise OutputFolderError(f"{self.path} is being filled: {error}") from error

    def finished(self) -> dict[str, Any] | None:
        """What the run that finished wrote; None where none did."""
        file = self.path / _DONE
        return read_json(file, "record of outputs") if file.is_file() else None

    def begin(self) -> list[Piece]:
        """The pieces that are there, in order, without those that are to be made again."""
        self.pieces_folder.mkdir(parents=True, exist_ok=True)
        clear_left(self.pieces_folder)
        if not (settings := self.pieces_folder / _SETTINGS).is_file():
            write_json(settings, self._settings)
        pieces: list[Piece] = []
        while (folder := self._folder(len(pieces))).is_dir():
            if not (folder / _PIECE).is_file():  # a run was killed while it removed the piece
                shutil.rmtree(folder)
                break
            record = read_json(folder / _PIECE, "record of a piece")
            pieces.append(Piece(folder, record["frames"], record["whole"]))
        while pieces and not pieces[-1].whole:
            shutil.rmtree(pieces.pop().folder)
        return pieces

    @contextmanager
    def new_piece(self, index: int) -> Iterator[Path]:
        """A folder that becomes piece `index` at the end of the block, unless that raises."""
        with atomic_folder(self._folder(index)) as folder:
            yield folder

    def piece(self, index: int, frames: int, whole: bool) -> Piece:
        """The piece of a folder that `new_piece` made."""
        return Piece(self._folder(index), frames, whole)

    def finish(self, outputs: Sequence[Path], frames: int, to_the_end: bool) -> None:
        """Say that the outputs are whole, of so many frames, and whether these are all; remove the pieces."""
        names = [str(output.relative_to(self.path)) for output in outputs]
        about = {"frames": frames, "to_the_end": to_the_end, "outputs": names}
        write_json(self.path / _DONE, {**self._settings, **about})
        self.clear_pieces()

    def add_outputs(self, record: Mapping[str, Any], names: Sequence[str], outputs: Sequence[Path]) -> None:
        """Say that a finished run has more outputs, by the names of their writers; remove the pieces."""
        files = [*record["outputs"], *(str(output.relative_to(self.path)) for output in outputs)]
        more = {"write": [*record["write"], *names], "outputs": files}
        write_json(self.path / _DONE, {**record, **more})
        self.clear_pieces()

    def clear_pieces(self) -> None:
        """Remove the pieces, or what a run that was killed in doing so left of them."""
        if self.pieces_folder.is_dir():
            shutil.rmtree(self.pieces_folder)

    def _folder(self, index: int) -> Path:
        return self.pieces_folder / f"{index:06d}"

    def _is_ours(self) -> bool:
        return (self.path / _DONE).is_file() or self.pieces_folder.is_dir()

    def _holds_something(self) -> bool:
        # A run that was killed as it began leaves its lock alone.
        return any(entry.name != IN_USE for entry in self.path.iterdir())

    def _forget_what_made_nothing(self) -> None:
        """A run that ended before its first piece, as without a detector's weights, binds no other."""
        if not any(self.pieces_folder.glob("[0-9]*")):
            self.clear_pieces()

    def _check_settings(self) -> None:
        for file in (self.path / _DONE, self.pieces_folder / _SETTINGS):
            if file.is_file():
                before = read_json(file, "record of outputs")
                for key, value in self._settings.items():
                    if key in _PLACES.values():
                        continue
                    if key in ("write", BARS) and file.name == _DONE:
                        continue  # others are made from what is there, which holds no bars
                    self.require_same(before, key, value)

    def require_same(self, before: Mapping[str, Any], key: str, value: Any) -> None:
        """Raise OutputFolderError unless the record of a run says the same of something."""
        there = before.get(key)
        if there == value or (key == _CONTENT and self._is_renamed(before)):
            return
        said = f"{key} was {json.dumps(there)}, and is {json.dumps(value)} now"
        if (place := _PLACES.get(key)) is not None:
            said = _other_content(place, before.get(place), self._settings[place])
        way = self._to_go_on[key](there) if key in self._to_go_on else None
        first = "" if way is None else f"{way}, "
        raise OutputFolderError(
            f"{self.path} is of another run: {said}; {first}choose another --out, or remove it"
        )

    def _is_renamed(self, before: Mapping[str, Any]) -> bool:
        """Whether the video is that of the record of a run, called otherwise by now."""
        name = Path(str(before.get(_PLACES[_CONTENT]))).name
        return self._content_as is not None and before.get(_CONTENT) == self._content_as(name)


def _other_content(what: str, there: Any, now: str) -> str:
    """What to say of a video or weights of another content than at their place in the record of a run."""
    if there == now:
        return f"{what}: {now} has other content now"
    was, are = ("were", "are") if what.endswith("s") else ("was", "is")
    return f"{what} {was} {there}, and {are} {now} now"


def written(
    poses: Iterable[FramePose],
    writers: Sequence[OutputWriter],
    place: Path,
    info: VideoInfo,
    layout: PartLayout,
) -> Iterator[FramePose]:
    """The same poses, each written by all writers into folders of theirs at a place."""
    with ExitStack() as stack:
        takers = []
        for writer in writers:
            (own := place / writer.name).mkdir()
            takers.append(stack.enter_context(writer.piece(own, info, layout)))
        for pose in poses:
            for take in takers:
                take(pose)
            yield pose


def join_outputs(
    writers: Sequence[OutputWriter], places: Sequence[Path], out: Path, info: VideoInfo, layout: PartLayout
) -> list[Path]:
    """Make the outputs of all writers from their folders at the places of the pieces."""
    return [writer.join([place / writer.name for place in places], out, info, layout) for writer in writers]


def write_piece_record(folder: Path, frames: int, whole: bool, resume: ResumePoint | None) -> None:
    """What the next piece needs, beside a piece's outputs."""
    if resume is not None:
        arrays: dict[str, np.ndarray] = {}
        everyone = [person for of_frame in resume.maps for person in of_frame.people]
        for number, person in enumerate(everyone):
            for head in _HEADS:
                arrays[f"{number}.{head}"] = getattr(person.maps, head).numpy()
        people = [[_person_record(person) for person in of_frame.people] for of_frame in resume.maps]
        np.savez(folder / _MAPS, **arrays)  # type: ignore[arg-type]
        first = resume.maps[0].frame.index if resume.maps else frames
        content: dict[str, Any] = {"tracker": resume.tracker, "first": first, "people": people}
        write_json(folder / "resume.json", content)
    write_json(folder / _PIECE, {"frames": frames, "whole": whole})


def read_resume_point(piece: Piece, frames: Mapping[int, VideoFrame]) -> ResumePoint:
    """The resume point beside a piece; `frames` are decoded frames by index, those that the maps are of."""
    content = read_json(piece.folder / "resume.json", "record of a piece")
    maps, number = [], 0
    with np.load(piece.folder / _MAPS, allow_pickle=False) as arrays:
        for position, entries in enumerate(content["people"]):
            people = []
            for entry in entries:
                heads = {head: torch.from_numpy(arrays[f"{number}.{head}"]) for head in _HEADS}
                people.append(_person_of(entry, DensePoseMaps(**heads)))
                number += 1
            maps.append(FrameMaps(frames[content["first"] + position], tuple(people)))
    return ResumePoint(content["tracker"], tuple(maps))


def _person_record(person: PersonMaps) -> dict[str, Any]:
    tracked = person.person
    return {
        "tracked": {**asdict(tracked), "box": np.asarray(tracked.box).tolist()},
        "crop_from_image": person.crop_from_image.tolist(),
        "stride": person.stride,
    }


def _person_of(entry: dict[str, Any], maps: DensePoseMaps) -> PersonMaps:
    tracked = TrackedPerson(**{**entry["tracked"], "box": np.array(entry["tracked"]["box"])})
    return PersonMaps(tracked, np.array(entry["crop_from_image"]), maps, entry["stride"])
