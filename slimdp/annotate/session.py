"""One file being labelled: its document, pictures and views, what the page is told, and who may edit.

All of it is called from the server's threads, several at once. Labels, and who edits them, are read and
changed under its lock; media and views are asked without it, and media have a lock of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from flow_cache.coco import coco_records
from slimdp.annotate.ask import next_asked
from slimdp.annotate.changes import Entry
from slimdp.annotate.document import Document, keypoints_fit
from slimdp.annotate.images import ImageEntries
from slimdp.annotate.loading import importing
from slimdp.annotate.media import Media
from slimdp.annotate.people import HIDDEN, EditError, Person, is_flat, read_box, read_person
from slimdp.annotate.views import ViewImages, coarse_colours
from slimdp.data.annotation_file import read_categories
from slimdp.data.box_frame import sample_coarse
from slimdp.data.person_entry import CategoryLabels
from slimdp.inference.video_records import Detector
from slimdp.structures import ImageRecord
from slimdp.surface import BodySurface
from slimdp.surface.people import COCO_KEYPOINTS, PEOPLE

#: A page that was not heard of for so long has gone, s.
PAGE_GONE_S = 20.0
#: Lines between keypoints, by their names.
SKELETON = (
    ("left_ear", "left_eye"), ("left_eye", "nose"), ("nose", "right_eye"), ("right_eye", "right_ear"),
    ("head_top", "head_bottom"), ("head_bottom", "left_shoulder"), ("head_bottom", "right_shoulder"),
    ("left_shoulder", "right_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"), ("left_shoulder", "left_hip"),
    ("right_shoulder", "right_hip"), ("left_hip", "right_hip"), ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"), ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
)  # fmt: skip


class OtherPageError(Exception):
    """Another page edits the file."""


class Session:
    """What the server serves; `weights` is a checkpoint for proposals, None for none.

    Raises DocumentError where the file has labels of other pictures that are called alike.
    """

    def __init__(
        self,
        document: Document,
        media: Media,
        surface: BodySurface,
        weights: str | None = None,
        detector: str = "auto",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.document, self.media, self.surface = document, media, surface
        self.views = ViewImages(surface)
        self.weights, self.detector_words = weights, detector
        self._detector: Detector | None = None
        self._lock = threading.RLock()
        self._clock = clock
        self._page, self._heard = "", -PAGE_GONE_S
        self._take_document()

    def _take_document(self) -> None:
        """Find pictures and categories in what the document has just read."""
        document = self.document
        self._images = ImageEntries(document, self.media)
        self._categories_of = -1
        self._read_categories()

    def _read_categories(self) -> None:
        """Read the categories again where an edit may have changed them, as one that names keypoints does."""
        document = self.document
        if self._categories_of == document.version:
            return
        with self._lock:  # not in the middle of an edit
            categories = coco_records(document.path, document.content, "categories", "category")
            # By category id what labels speak of, and the ids of those that are shown, as all readers do.
            labels, shown, _ = read_categories(document.path, categories, self.surface.layout)
            self._known_labels, self._known_shown = labels, shown
            self._offered: dict[Any, tuple[str, ...]] = {}
            self._categories_of = document.version

    @property
    def _labels(self) -> dict[Any, CategoryLabels]:
        self._read_categories()
        return self._known_labels

    @property
    def _shown(self) -> set[object]:
        self._read_categories()
        return self._known_shown

    # ---- who edits

    @contextmanager
    def by(self, page: str) -> Iterator[None]:
        """Do something for a page; OtherPageError where another one has the file."""
        with self._lock:
            if page != self._page:
                raise OtherPageError
            self._heard = self._clock()
            try:
                yield
            finally:  # a detector or a network may have taken long, while the page's pings waited
                self._heard = self._clock()

    def claim(self, page: str, take: bool = False) -> None:
        """Let a page edit; OtherPageError where another one does that is still there, unless it is taken.

        A page that begins sees the file as it is: where another program has changed it, it is read again,
        which raises AnnotationError as when it was opened.
        """
        with self._lock:
            there = self._clock() - self._heard < PAGE_GONE_S
            if self._page not in ("", page) and there and not take:
                raise OtherPageError
            if self.document.changed_outside():
                self.document.load(self._take_document)
            self._page, self._heard = page, self._clock()

    def leave(self, page: str) -> None:
        """A page has gone."""
        with self._lock:
            if page == self._page:
                self._page = ""

    # ---- what the page is told

    def about(self) -> dict[str, Any]:
        """What stays the same: pictures, parts, keypoints, views."""
        layout, names = self.surface.layout, self.page_keypoints
        index = {name: number for number, name in enumerate(names)}
        bones = [[index[a], index[b]] for a, b in SKELETON if a in index and b in index]
        return {
            "file": self.document.path.name,
            "pictures": [PurePosixPath(picture.file_name).name for picture in self.media.pictures],
            "video": self.media.is_video,
            "category": layout.category,
            "parts": list(layout.coarse_parts),
            "colours": coarse_colours(layout).tolist(),
            "fineParts": list(layout.part_names),
            "coarseOf": layout.coarse_of_part.tolist(),
            "keypoints": list(names),
            "skeleton": bones,
            "network": self.weights is not None,
        }

    def overview(self) -> list[dict[str, int]]:
        """By picture: people, points, and points that still wait."""
        with self._lock:
            return [_summary(entries) for entries in self.entries()]

    def state(self, number: int) -> dict[str, Any]:
        """All that is known of a picture."""
        with self._lock:
            width, height = self.media.size(number)
            document = self.document
            return {
                "picture": number, "width": width, "height": height,
                "undo": document.undo_title, "redo": document.redo_title, "edits": document.edits,
                "people": [self._told(person) for _, person in self.people(number)],
            }  # fmt: skip

    def _told(self, person: Person) -> dict[str, Any]:
        label = np.zeros(len(person.points), np.uint8)
        if person.coarse is not None and len(person.points):
            label = sample_coarse(person.coarse, person.box, person.points, outside=0)[0]
        uv = [None if np.isnan(pair).any() else pair for pair in np.round(person.uv, 4).tolist()]
        asked = [
            {**each, "at": place}
            for each, place in zip(person.asked, np.round(person.asked_points(), 2).tolist())
        ]
        keypoints = person.keypoints if self.has_page_keypoints(person.entry) else None
        return {
            "id": person.entry["id"], "track": person.entry.get("track_id"),
            "box": np.round(person.box, 2).tolist(),
            "mask": None if person.coarse is None else _runs(person.coarse),
            "points": np.round(person.points, 2).tolist(), "part": person.part.tolist(), "uv": uv,
            "coarse": label.tolist(), "asked": asked, "next": next_asked(person.asked),
            "keypoints": None if keypoints is None else keypoints.tolist(),
            "guessedKeypoints": person.guessed_keypoints,
            "help": person.entry.get("dp_help", {}), "crowd": bool(person.entry.get("iscrowd")),
        }  # fmt: skip

    # ---- undo

    def undo(self) -> int | None:
        """Take the last edit back; the number of its picture, None where there is nothing.

        EditError where its picture is not among those that are open: nobody would see what goes.
        """
        with self._lock:
            return self.document.undo(partial(self._number_of, "undo"))

    def redo(self) -> int | None:
        """Do again what was undone last; as `undo`."""
        with self._lock:
            return self.document.redo(partial(self._number_of, "redo"))

    def _number_of(self, verb: str, image: Any, before: int) -> int:
        """The number of the picture of an image's id; `before` is the number it had when it was edited."""
        images: list[Entry] = self.document.content["images"]
        if before < len(self.media):  # mostly still that, and a whole folder takes long to match
            place = self.image_place(before)
            if place is not None and images[place].get("id") == image:
                return before
        number = self._images.numbers().get(image)
        if number is None:
            named = (entry.get("file_name") for entry in images if entry.get("id") == image)
            raise EditError(
                f"the edit to {verb} is of {next(named, f'image {image}')}, which is not open; "
                f"nothing was changed: run slimdp annotate on that picture's folder or video to {verb} it"
            )
        return number

    # ---- people and pictures of the file

    def entries(self) -> list[list[Entry]]:
        """By picture: the file's entries of the people whom readers take, none of other categories."""
        with self._lock:
            found: list[list[Entry]] = [[] for _ in range(len(self.media))]
            numbers = self._images.numbers()
            for entry in self.document.content["annotations"]:
                number = numbers.get(entry.get("image_id"))
                if number is not None and self._is_shown(entry):
                    found[number].append(entry)
            return found

    def boxes(self) -> dict[int, list[np.ndarray]]:
        """By picture with people: their boxes (4,) x, y, width, height px; no picture is decoded."""
        return {
            number: [self._box(entry) for entry in entries]
            for number, entries in enumerate(self.entries())
            if entries
        }

    def _box(self, entry: Entry) -> np.ndarray:
        return read_box(entry, self._labels[entry["category_id"]], self.document.path)

    def _is_shown(self, entry: Entry) -> bool:
        return entry.get("category_id") in self._shown and not is_flat(entry)

    @property
    def category(self) -> CategoryLabels:
        """What labels of somebody who is new speak of."""
        return self._labels[self.category_entry["id"]]

    @property
    def category_entry(self) -> Entry:
        """The category of somebody who is new: of those that readers take for people the first."""
        categories: list[Entry] = self.document.content["categories"]
        return next(entry for entry in categories if entry["id"] in self._shown)

    @property
    def page_keypoints(self) -> tuple[str, ...]:
        """The names of the keypoints that the page shows."""
        return self.keypoint_names(self.category_entry["id"])

    def has_page_keypoints(self, entry: Entry) -> bool:
        """Whether the category of an entry has the keypoints that the page shows."""
        return self.keypoint_names(entry["category_id"]) == self.page_keypoints

    def keypoint_names(self, category: Any) -> tuple[str, ...]:
        """The names of a category's keypoints.

        Where the file has none, as COCO's files of instances, those that it would begin with, of people
        COCO's; none where people have keypoints of another number already.
        """
        named = self._labels[category].keypoint_names
        if named:
            return named
        if category not in self._offered:
            layout, annotations = self.surface.layout, self.document.content["annotations"]
            names = COCO_KEYPOINTS if layout == PEOPLE else layout.keypoints
            of_category = [entry for entry in annotations if entry.get("category_id") == category]
            self._offered[category] = names if keypoints_fit(of_category, len(names)) else ()
        return self._offered[category]

    def people(self, number: int) -> list[tuple[int, Person]]:
        """Who is in a picture, each with its place among the file's annotations."""
        record = self.image_record(number)
        if record is None:
            return []
        return [
            (place, read_person(entry, record, self._labels[entry["category_id"]], self.document.path))
            for place, entry in enumerate(self.document.content["annotations"])
            if entry.get("image_id") == record.id and self._is_shown(entry)
        ]

    def image_record(self, number: int) -> ImageRecord | None:
        """The file's record of a picture; None where it has none."""
        return self._images.record(number)

    def image_place(self, number: int) -> int | None:
        """The place of a picture among the file's images."""
        return self._images.place(number)

    def images_of_no_frame(self) -> list[Entry]:
        """The images of the file that are no frames of the video file; none where a folder is shown."""
        return self._images.of_no_frame()

    def new_image(self, number: int) -> Entry:
        """An entry for a picture that the file does not have yet."""
        return self._images.new(number)

    def detector(self) -> Detector:
        """What finds people; EditError where there is none."""
        if self._detector is None:
            # Here, so that the page need not wait for torch, which takes longer to load than all else.
            with importing():
                from slimdp.inference.detectors import DetectorRequest, make_detector
                from slimdp.training import load_model

            try:
                request = DetectorRequest(frames=self.media.source, load=load_model)
                self._detector, _ = make_detector(self.detector_words, request)
            except ValueError as error:
                raise EditError(str(error)) from None
        return self._detector


def _summary(entries: Sequence[Entry]) -> dict[str, int]:
    """How many people of a picture, points of theirs, and points that still wait."""
    waiting = [each for entry in entries for each in entry.get("dp_asked") or ()]
    return {
        "people": len(entries),
        "points": sum(len(entry.get("dp_x") or ()) for entry in entries),
        "waiting": sum(each["state"] != HIDDEN for each in waiting),
    }


def _runs(coarse: np.ndarray) -> list[int]:
    """A mask as [label, length, label, length, ...], row by row."""
    flat = coarse.ravel()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    length = np.diff(np.append(starts, len(flat)))
    runs: list[int] = np.column_stack([flat[starts], length]).ravel().tolist()
    return runs
