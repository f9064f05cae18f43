"""The people of a picture while an action changes them, and what all actions have in common."""

from __future__ import annotations

from typing import Annotated, ClassVar, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from flow_cache.coco import FARTHEST_PX
from slimdp.annotate.changes import Entry
from slimdp.annotate.people import EditError, Person, new_person, whole_number
from slimdp.annotate.session import Session

Number = Annotated[float, Field(ge=-FARTHEST_PX, le=FARTHEST_PX, allow_inf_nan=False)]
Place = tuple[Number, Number]


class Work:
    """The people of a picture while an action changes them."""

    def __init__(self, session: Session, number: int) -> None:
        self.session, self.number = session, number
        self.size = session.media.size(number)
        self.wanted: dict[tuple[str, int], Entry | None] = {}
        self._people = session.people(number)
        self._new = len(session.document.content["annotations"])

    @property
    def people(self) -> list[Person]:
        """Everybody in the picture, as before the action."""
        return [person for _, person in self._people]

    @property
    def image(self) -> np.ndarray:
        """The picture (H, W, 3) uint8 RGB."""
        return self.session.media.read(self.number)

    def person(self, identity: int) -> Person:
        """Somebody by the annotation's id; EditError for nobody."""
        for person in self.people:
            if person.entry["id"] == identity:
                return person
        raise EditError(f"nobody with the id {identity} is in this picture; the page will load it again")

    def put(self, person: Person, entry: Entry | None) -> None:
        """What becomes of somebody's entry; None removes it.

        Somebody whose box was read from keypoints or from MPII's scale has it in `bbox` from then on: labels
        lie in its frame, and keypoints that move must not move them.
        """
        if entry is not None and entry.get("bbox") is None:
            box, given_by = person.box.tolist(), int(person.box_source)
            entry = {**entry, "bbox": box, "box_source": given_by}
        place = next(place for place, each in self._people if each.entry is person.entry)
        self.wanted["annotations", place] = entry

    def add(self, box: np.ndarray, more: Entry | None = None, track: int | None = None) -> Entry:
        """A new person in a box (4,) xywh px, with more fields; in a video by default with a new track."""
        known, media = self.session.document.content["annotations"], self.session.media
        added = sum(table == "annotations" and place >= self._new for table, place in self.wanted)
        # Entries of other categories were not checked.
        identity = 1 + added + max((whole_number(entry.get("id")) or 0 for entry in known), default=0)
        if track is None and media.is_video:
            track = self.new_track()
        category = int(self.session.category_entry["id"])
        entry = new_person(identity, self.image_id(), category, box, track, self.size)
        self.wanted["annotations", self._new + added] = entry | (more or {})
        return entry

    def new_track(self) -> int:
        """A track that nobody of the file has, and nobody whom the action has added."""
        wanted = [entry for (table, _), entry in self.wanted.items() if table == "annotations" and entry]
        entries = [*self.session.document.content["annotations"], *wanted]
        tracks = (whole_number(entry.get("track_id")) for entry in entries)
        return 1 + max((track for track in tracks if track is not None), default=-1)

    def image_id(self) -> int:
        """The id of the picture's entry, which is made where there is none."""
        place = self.session.image_place(self.number)
        images = self.session.document.content["images"]
        if place is None:
            entry = self.wanted.setdefault(("images", len(images)), self.session.new_image(self.number))
            assert entry is not None
            return int(entry["id"])
        entry = images[place]
        marks = {"is_labeled": True, "has_no_densepose": False}
        changed = {**entry, **{name: value for name, value in marks.items() if name in entry}}
        if changed != entry:
            self.wanted["images", place] = changed
        return int(entry["id"])


class Action(Protocol):
    """A record of `ACTIONS`."""

    title: ClassVar[str]

    def apply(self, work: Work) -> None: ...


class Values(BaseModel):
    """What a page sends with an action, strictly checked."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
