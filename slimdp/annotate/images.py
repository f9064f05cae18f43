"""Which entry of a file's `images` is which picture that is shown, and whether it speaks of that very one.

A name with its folders, from the labels' folder on, says where a picture lies. Two sources may be called
alike all the same: folders elsewhere, of which names have the last folder or none, and video files, of which
they have the name alone. So an entry of a picture elsewhere has `dp_file_sha256`, and `info.dp_videos` has
the fingerprint of each video file; without it, or where it differs, a frame that lies beside the labels is
compared with the video.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from operator import is_
from pathlib import Path, PurePosixPath
from typing import Any

from flow_cache.video import folder_names
from slimdp.annotate.changes import Entry
from slimdp.annotate.document import Document, DocumentError
from slimdp.annotate.frame_ids import first_number, numbers_of
from slimdp.annotate.media import Media, Picture
from slimdp.annotate.people import EditError
from slimdp.data.frame_numbers import FrameNumberError
from slimdp.structures import ImageRecord

_LOG = logging.getLogger(__name__)
#: Signs of a hash: enough to tell pictures apart.
_DIGEST = 16


class ImageEntries:
    """The entries of the pictures of `media`; DocumentError where labels are of others with their names."""

    def __init__(self, document: Document, media: Media) -> None:
        self.document, self.media = document, media
        self._indexed, self._known = -1, _Index([], {})
        self._by_number = not media.source.files
        self._numbered: list[Entry] = []  # the images, and below the frames' numbers by place in them
        self._numbers: dict[int, int] = {}
        self._digests: dict[int, str] = {}
        self._real: dict[str, str] = {}  # by the names of entries
        self._first = 0  # the number that the file gives to the first frame of a video file
        if media.source.files:
            self._check_pictures()
        else:
            self._first = first_number(document, media)
            self._check_video()

    def numbers(self) -> dict[Any, int]:
        """The number of the picture by the id of its entry."""
        return {entry.get("id"): number for number, entry in self._matched()}

    def of_no_frame(self) -> list[Entry]:
        """The images of the file that are no frames of the video file; none where that is a folder."""
        if self.media.source.files:
            return []
        frames = {id(entry) for _, entry in self._matched()}
        return [entry for entry in self._entries if id(entry) not in frames]

    def place(self, number: int) -> int | None:
        """By the name with its folders; else a frame of a video file by its number, and a picture by where it
        lies, or by its bare name where one entry alone has that and does not speak of another video."""
        known, picture = self._index(), self.media.pictures[number]
        place = known.by_file.get(picture.file_name)
        if place is not None:
            return place
        if picture.frame is not None:
            return known.by_frame.get((picture.video, picture.frame + self._first))
        alike = known.by_name.get(PurePosixPath(picture.file_name).name, [])
        lies = [self.media.file(number), Path(os.path.abspath(self.media.source.files[number]))]
        of_path = [(len(parts), -at) for at, parts in alike if len(parts) > 1 and _ends(lies, parts)]
        bare = [at for at, _ in alike] if len(alike) == 1 and len(alike[0][1]) == 1 else []
        found = [-max(of_path)[1]] if of_path else [at for at in bare if self._may_be(picture, at)]
        if not found:  # a name that leads to it by other ways, or of a folder that was renamed
            found = [
                at for at in (self._lying_there(number), self._known_bytes(number, alike)) if at is not None
            ]
        return next((at for at in found if self._has_bytes_of(number, self._entries[at])), None)

    def record(self, number: int) -> ImageRecord | None:
        """The file's record of a picture; None where it has none, EditError for one of another size."""
        place = self.place(number)
        if place is None:
            return None
        entry, (width, height) = self._entries[place], self.media.size(number)
        said = entry.get("width"), entry.get("height")
        if None not in said and said != (width, height):
            raise EditError(
                f"{entry.get('file_name')} has {width} x {height} px, but the labels are of "
                f"{said[0]} x {said[1]} px; these are not the pictures of these labels"
            )
        video = None if entry.get("vid_id") is None else str(entry["vid_id"])
        return ImageRecord(int(entry["id"]), Path(), str(entry["file_name"]), width, height, video)

    def new(self, number: int) -> Entry:
        """An entry for a picture that the file does not have yet; EditError where its frame has no number
        that agrees with those of the others."""
        picture, (width, height) = self.media.pictures[number], self.media.size(number)
        identity = 1 + max((int(entry["id"]) for entry in self._entries), default=0)
        entry: Entry = {"id": identity, "file_name": picture.file_name, "width": width, "height": height}
        entry["is_labeled"] = True
        if self.media.elsewhere:
            entry["dp_file_sha256"] = self._digest(number)
        if picture.video is not None:
            video = self._video(picture.video, number)
            entry |= {"vid_id": video, "has_no_densepose": False, "nframes": len(self.media)}
            if picture.frame is not None:
                entry["frame_id"] = picture.frame + self._first
                self._check_number(entry)
        return entry

    def _check_number(self, entry: Entry) -> None:
        """EditError where readers would number the frame of a new entry, or others beside it, otherwise."""
        wanted = {**self._index().numbers, len(self._entries): entry["frame_id"]}
        try:
            found = numbers_of([*self._entries, entry])
        except FrameNumberError as error:
            raise EditError(f"this frame has no number of its own among those of the file: {error}") from None
        if found != wanted:
            raise EditError(
                f"{self.document.path.name}: the frames of {entry['vid_id']!r} are numbered by the names of "
                "their pictures, which frame_id contradicts, so that no frame can be added; give each image "
                f"its frame's number as frame_id, {self._first} for the first frame of the video"
            )

    @property
    def _entries(self) -> list[Entry]:
        entries: list[Entry] = self.document.content["images"]
        return entries

    def _index(self) -> _Index:
        if self._indexed != self.document.version:
            # Frames' numbers take long in a large file, and most edits are of annotations alone.
            entries, same = self._entries, len(self._entries) == len(self._numbered)
            if self._by_number and not (same and all(map(is_, entries, self._numbered))):
                self._numbered, self._numbers = [*entries], numbers_of(entries)
            self._indexed, self._known = self.document.version, _Index(entries, self._numbers)
        return self._known

    def _matched(self) -> Iterator[tuple[int, Entry]]:
        """The pictures that the file has, by number, each with its entry."""
        for number in range(len(self.media)):
            place = self.place(number)
            if place is not None:
                yield number, self._entries[place]

    def _lying_there(self, number: int) -> int | None:
        """The entry whose name leads from the labels to the very file, whatever links and `..` are in it."""
        known = self._index()
        if known.by_real is None:
            for name in known.by_file.keys() - self._real.keys():
                self._real[name] = os.path.realpath(self.document.path.parent / name)
            known.by_real = {self._real[name]: place for name, place in known.by_file.items()}
        return known.by_real.get(os.path.realpath(self.media.source.files[number]))

    def _known_bytes(self, number: int, alike: Sequence[tuple[int, tuple[str, ...]]]) -> int | None:
        """The entry of its bare name that is known by its bytes, as of a folder that was renamed."""
        known = [at for at, _ in alike if self._entries[at].get("dp_file_sha256") is not None]
        return next((at for at in known if self._has_bytes_of(number, self._entries[at])), None)

    def _may_be(self, picture: Picture, place: int) -> bool:
        video = self._entries[place].get("vid_id")
        return None in (video, picture.video) or str(video) == picture.video

    # ---- the video of a new entry

    def _video(self, name: str, number: int) -> Any:
        """The `vid_id` of other frames of this video, else a name that no other video of the file has."""
        known = next((e["vid_id"] for _, e in self._matched() if e.get("vid_id") is not None), None)
        if known is not None:
            return known
        folder = PurePosixPath(self.media.pictures[number].file_name).parent
        others = [e for e in self._entries if PurePosixPath(str(e.get("file_name"))).parent != folder]
        taken = {str(entry.get("vid_id")) for entry in others}
        # The end of its path, so that its flow is found by it.
        names = [name, *reversed(folder_names(self.media.file(number).parent))]
        return next((each for each in names if each not in taken), name)

    # ---- the same by name, but another one

    def _digest(self, number: int) -> str:
        if number not in self._digests:
            self._digests[number] = self.media.file_sha256(number)[:_DIGEST]
        return self._digests[number]

    def _has_bytes_of(self, number: int, entry: Entry) -> bool:
        known = entry.get("dp_file_sha256")
        return known is None or known == self._digest(number)

    def _check_pictures(self) -> None:
        matched = list(self._matched())
        for number, entry in matched:
            if not self._has_bytes_of(number, entry):
                raise DocumentError(
                    f"{self.document.path}: its {entry['file_name']} is another picture than "
                    f"{self.media.file(number)}, which is called so too; name another file by --out, or "
                    "begin one in a folder above the pictures of both, so that their names say where they lie"
                )
        names = [PurePosixPath(picture.file_name).name for picture in self.media.pictures]
        alike = [name for name in names if name in self._index().by_name]
        if alike and not matched:
            other = self._entries[self._index().by_name[alike[0]][0][0]]["file_name"]
            _LOG.warning(
                "%s has pictures of the same names, such as %s, but of another folder or video than %s; they "
                "are taken for others", self.document.path, other, self.media.file(names.index(alike[0])),
            )  # fmt: skip

    def _check_video(self) -> None:
        info, name = self.document.content.get("info"), self.media.source.info.name
        videos = info.get("dp_videos") if isinstance(info, dict) else None
        videos = videos if isinstance(videos, dict) else {}
        fingerprint = self.media.source.fingerprint()[:_DIGEST]
        if videos.get(name) != fingerprint:
            self._compare_video(name, known=name in videos)
        if isinstance(info, dict):
            info["dp_videos"] = {**videos, name: fingerprint}  # written with the next edit

    def _compare_video(self, name: str, known: bool) -> None:
        """DocumentError where labels are of another video; `known`: it had another fingerprint."""
        matched = [(number, str(entry["file_name"])) for number, entry in self._matched()]
        for number, file_name in matched:
            kept, own = PurePosixPath(file_name).parts, PurePosixPath(self.media.pictures[number].file_name)
            file = self.media.root / file_name
            # By this tool, though the labels may have been called otherwise then.
            if (
                kept[-2:] == own.parts[-2:]
                and kept[-3:-2]
                and kept[-3].endswith("_frames")
                and file.is_file()
            ):
                if self.media.shows(number, file):
                    return
                raise self._of_another_video(name, f"{file} shows something else than its frame {number}")
        if known and matched:
            raise self._of_another_video(
                name, f"none of its labelled frames is at {self.media.file(0).parent}"
            )

    def _of_another_video(self, name: str, why: str) -> DocumentError:
        return DocumentError(
            f"{self.document.path}: its labels of {name!r} are of another video than "
            f"{self.media.source.info.path}: {why}; give one of the two another name, or name another file "
            "by --out"
        )


class _Index:
    """Places of images by what they are called."""

    def __init__(self, entries: Sequence[Entry], numbers: Mapping[int, int]) -> None:
        self.by_file: dict[str, int] = {}
        self.by_real: dict[str, int] | None = None  # by where names lead to, once that is asked
        self.by_frame: dict[tuple[str | None, int], int] = {}  # by video, and the number of the frame in it
        self.numbers = numbers  # of frames, by place
        self.by_name: dict[str, list[tuple[int, tuple[str, ...]]]] = {}  # with the parts of their names
        for place, entry in enumerate(entries):
            name = str(entry.get("file_name"))
            path = PurePosixPath(name)
            self.by_file.setdefault(name, place)
            self.by_name.setdefault(path.name, []).append((place, path.parts))
        for place, number in numbers.items():
            self.by_frame.setdefault((str(entries[place]["vid_id"]), number), place)


def _ends(paths: Sequence[Path], parts: tuple[str, ...]) -> bool:
    """Whether one of some paths ends in the parts of a name."""
    return any(path.parts[-len(parts) :] == parts for path in paths)
