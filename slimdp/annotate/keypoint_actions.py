"""What a page can do with keypoints: place them, and accept or refuse those that the flow proposes."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from slimdp.annotate.changes import Entry
from slimdp.annotate.people import (
    EditError,
    Person,
    count_help,
    with_guessed_keypoints,
    with_keypoint,
    with_refused_keypoint,
)
from slimdp.annotate.work import Place, Values, Work


class Keypoint(Values):
    """A keypoint at a place; visibility 0 takes it away, 1 is hidden, 2 seen."""

    title: ClassVar[str] = "keypoint"
    person: int
    index: int
    at: Place
    seen: Literal[0, 1, 2] = 2

    def apply(self, work: Work) -> None:
        person = work.person(self.person)
        names = _keypoint_names(work, person)
        mark = (self.at[0], self.at[1], int(self.seen))
        entry = with_keypoint(person.entry, person.keypoints, names, self.index, mark)
        left = [each for each in person.guessed_keypoints if each["index"] != self.index]
        if len(left) < len(person.guessed_keypoints):
            entry = with_guessed_keypoints(entry, left)
            entry = count_help(entry, "keypoints", "corrected" if self.seen else "refused")
        if not self.seen:
            entry = with_refused_keypoint(entry, self.index)
        work.put(person, entry)


class AcceptKeypoints(Values):
    """Proposed keypoints become labels: some, by their numbers, or all (None)."""

    title: ClassVar[str] = "accept keypoints"
    person: int
    keypoints: list[int] | None = None

    def apply(self, work: Work) -> None:
        person = work.person(self.person)
        names = _keypoint_names(work, person)
        guessed = person.guessed_keypoints
        chosen = [each for each in guessed if self.keypoints is None or each["index"] in self.keypoints]
        if not chosen:
            raise EditError("no keypoint is proposed here")
        entry, keypoints = person.entry, person.keypoints
        for each in chosen:
            mark = (float(each["x"]), float(each["y"]), int(each["seen"]))
            entry = with_keypoint(entry, keypoints, names, each["index"], mark)
            keypoints = np.array(entry["keypoints"], dtype=np.float64).reshape(-1, 3)
        entry = with_guessed_keypoints(entry, [each for each in guessed if each not in chosen])
        work.put(person, count_help(entry, "keypoints", "accepted", len(chosen)))


class RefuseKeypoint(Values):
    """A proposed keypoint goes."""

    title: ClassVar[str] = "refuse a keypoint"
    person: int
    index: int

    def apply(self, work: Work) -> None:
        person = work.person(self.person)
        left = [each for each in person.guessed_keypoints if each["index"] != self.index]
        if len(left) == len(person.guessed_keypoints):
            raise EditError("this keypoint is not proposed")
        entry = count_help(with_guessed_keypoints(person.entry, left), "keypoints", "refused")
        work.put(person, with_refused_keypoint(entry, self.index))


def _keypoint_names(work: Work, person: Person) -> tuple[str, ...]:
    """The names of somebody's keypoints; EditError where they are not those of the page.

    A category that does not name its keypoints does from then on: they would mean nothing without.
    """
    session, category = work.session, person.entry["category_id"]
    if not session.has_page_keypoints(person.entry):
        shown = f"the page shows those of category {session.category_entry['id']}"
        raise EditError(f"category {category} has other keypoints, and {shown}")
    names = session.page_keypoints
    if not names:
        raise EditError(
            f"category {category} does not name its keypoints; name them in the file's categories"
        )
    categories: list[Entry] = session.document.content["categories"]
    place = next(place for place, entry in enumerate(categories) if entry["id"] == category)
    if not categories[place].get("keypoints"):
        work.wanted["categories", place] = {**categories[place], "keypoints": list(names)}
    return names
