"""What a page can do: each action is a record of strictly checked values, and what it makes of the entries.

An action is one step of undo. It changes nothing where it raises EditError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, ValidationError

from slimdp.annotate.ask import points_to_ask
from slimdp.annotate.keypoint_actions import AcceptKeypoints, Keypoint, RefuseKeypoint
from slimdp.annotate.outlines import draw_polygon, draw_stroke, grab_body, grab_part, paint
from slimdp.annotate.people import (
    HIDDEN,
    OPEN,
    SKIPPED,
    EditError,
    Person,
    count_help,
    with_answer,
    with_asked,
    with_box,
    with_coarse,
    without_help,
    without_point,
)
from slimdp.annotate.people_match import SAME_PERSON
from slimdp.annotate.session import Session
from slimdp.annotate.views import VIEWS, nearest_corner
from slimdp.annotate.work import Action, Number, Place, Values, Work
from slimdp.geometry import box_overlaps
from slimdp.structures import IGNORE

#: Pages are told places to 0.01 px.
_ROUNDING_PX = 0.02
Places = Annotated[list[Place], Field(min_length=1, max_length=5000)]
Where = Literal["over", "under", "inside"]


def act(session: Session, number: int, name: str, values: Mapping[str, Any]) -> None:
    """Do an action by its name and write the file; EditError where it cannot be done, and why."""
    kind = ACTIONS.get(name)
    if kind is None:
        raise EditError(f"no action {name!r:.40}")
    try:
        action = kind.model_validate_json(json.dumps(values))  # type: ignore[attr-defined]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise EditError(f"{name}: {where}: {first['msg']}") from None
    work = Work(session, number)
    action.apply(work)
    if any(table == "annotations" and entry is not None for (table, _), entry in work.wanted.items()):
        session.media.keep(number)
    session.document.edit(action.title, number, work.wanted)


# ---- boxes


class DrawBox(Values):
    """A new person in a box, or another box for somebody."""

    title: ClassVar[str] = "box"
    box: tuple[Number, Number, Number, Number]
    person: int | None = None

    def apply(self, work: Work) -> None:
        box = np.array(self.box, dtype=np.float64)
        if self.person is None:
            work.add(box)
        else:
            person = work.person(self.person)
            work.put(person, with_box(person, box, work.size))


class Detect(Values):
    """A box for everybody whom the detector finds and who has none."""

    title: ClassVar[str] = "find people"

    def apply(self, work: Work) -> None:
        found = work.session.detector().detect(work.image, work.number)
        fresh = [] if found is None else [box for box in found.xywh if not _known(box, work.people)]
        if not fresh:
            raise EditError("the detector finds nobody without a box here; draw one")
        for box in fresh:
            work.add(box)


class RemovePerson(Values):
    """Somebody goes, with all labels."""

    title: ClassVar[str] = "remove a person"
    person: int

    def apply(self, work: Work) -> None:
        work.put(work.person(self.person), None)


def _known(box: np.ndarray, people: list[Person]) -> bool:
    boxes = np.array([person.box for person in people]).reshape(-1, 4)
    return bool((box_overlaps(box[None], boxes) > SAME_PERSON).any())


# ---- outlines


class _Outline(Values):
    person: int
    part: int  # 0 erases

    def checked(self, work: Work, least: int = 0) -> Person:
        """The person; EditError for a part that is none."""
        most = len(work.session.surface.layout.coarse_parts)
        if not (least <= self.part <= most or self.part == IGNORE):
            raise EditError(f"part {self.part}, but {least} to {most} are wanted")
        return work.person(self.person)

    def put(self, work: Work, person: Person, coarse: np.ndarray) -> None:
        """The mask, with proposals of parts that it changes counted as corrected."""
        entry = with_coarse(person, coarse)
        pending = list((person.entry.get("dp_help") or {}).get("pending_parts", []))
        changed = [part for part in pending if self._changes(part, person.coarse, coarse)]
        for part in changed:
            entry = count_help(entry, "parts", "corrected" if (coarse == part).any() else "refused")
        if changed:
            left = [part for part in pending if part not in changed]
            entry["dp_help"] = {**entry["dp_help"], "pending_parts": left}
        work.put(person, entry)

    def _changes(self, part: int, before: np.ndarray | None, coarse: np.ndarray) -> bool:
        """Whether this corrects a part: it is drawn, or what is erased, or grabbed as a whole, is of it."""
        if self.part not in (0, IGNORE) or before is None:
            return part == self.part
        return bool(((before == part) != (coarse == part)).any())


class Polygon(_Outline):
    """The inside of a polygon becomes a part."""

    title: ClassVar[str] = "polygon"
    points: Places
    where: Where = "over"

    def apply(self, work: Work) -> None:
        person = self.checked(work)
        if len(self.points) < 3:
            raise EditError("a polygon of fewer than 3 corners")
        drawn = draw_polygon(np.array(self.points), person.box)
        self.put(work, person, paint(person.coarse, drawn, self.part, self.where))


class Brush(_Outline):
    """A stroke of the brush becomes a part."""

    title: ClassVar[str] = "brush"
    points: Places
    radius: Annotated[float, Field(gt=0, le=4000, allow_inf_nan=False)]
    where: Where = "over"

    def apply(self, work: Work) -> None:
        person = self.checked(work)
        drawn = draw_stroke(np.array(self.points), self.radius, person.box)
        self.put(work, person, paint(person.coarse, drawn, self.part, self.where))


class Grab(_Outline):
    """GrabCut: the outline of a part, or of the whole person (0), follows the picture."""

    title: ClassVar[str] = "GrabCut"

    def apply(self, work: Work) -> None:
        person = self.checked(work)
        if self.part == 0:
            self.put(work, person, grab_body(work.image, person.box, person.coarse))
            return
        if person.coarse is None or not (person.coarse == self.part).any():
            raise EditError("draw the part roughly first: GrabCut brings its outline to the edges nearby")
        self.put(work, person, grab_part(work.image, person.box, person.coarse, self.part))


class ClearPart(_Outline):
    """A part's outline goes."""

    title: ClassVar[str] = "clear a part"

    def apply(self, work: Work) -> None:
        person = self.checked(work, least=1)
        if person.coarse is None or not (person.coarse == self.part).any():
            raise EditError("this part has no outline")
        self.put(work, person, np.where(person.coarse == self.part, 0, person.coarse).astype(np.uint8))


# ---- points


class Ask(Values):
    """The outlines are done: points are asked in every part that lacks some."""

    title: ClassVar[str] = "choose points"
    person: int

    def apply(self, work: Work) -> None:
        person = work.person(self.person)
        entry = person.entry
        pending = (entry.get("dp_help") or {}).get("pending_parts", [])
        if pending:
            entry = count_help(entry, "parts", "accepted", len(pending))
        entry = without_help(entry, "pending_parts", "pending_box")
        fresh = points_to_ask(person)
        if fresh:
            entry = with_asked(entry, [*person.asked, *fresh])
        if entry is not person.entry:
            work.put(person, entry)
        elif person.coarse is None:
            raise EditError("outline some parts first: points are chosen inside of them")


class PlacePoint(Values):
    """A click on a view: the answer to a point that is asked, or another one for a point that has one.

    `shown` is where the page showed that point, x, y px of the picture: another edit may have moved all
    numbers meanwhile, and the answer would be one to a point that nobody has seen.
    """

    title: ClassVar[str] = "point"
    person: int
    asked: int | None = None
    point: int | None = None
    shown: Place | None = None
    coarse: int
    view: Annotated[int, Field(ge=0, lt=VIEWS)]
    at: Place
    snap: bool = False

    def apply(self, work: Work) -> None:
        person = work.person(self.person)
        if not 1 <= self.coarse <= len(work.session.surface.layout.coarse_parts):
            raise EditError(f"no part {self.coarse}")
        hit = work.session.views.of(self.coarse).hit(self.view, *self.at)
        if hit is None:
            raise EditError("beside the part; click on it")
        face, barycentric = hit
        if self.snap:
            barycentric = nearest_corner(barycentric)
        part, uv = work.session.surface.chart(np.array([face]), barycentric[None])
        u, v = np.clip(uv[0], 0, 1).tolist()
        entry = person.entry
        if self.point is not None:
            _check(self.point, len(person.points), "point")
            self._check_shown(f"point {self.point}", person.points[self.point])
            entry = with_answer(entry, self.point, (0, 0), int(part[0]), (u, v))
        else:
            each = _asked(person, self.asked)
            self._check_shown(f"asked point {self.asked}", person.asked_points()[self.asked])
            if each["part"] != self.coarse:
                parts = work.session.surface.layout.coarse_parts
                raise EditError(
                    f"asked point {self.asked} lies on part {parts[each['part'] - 1]!r}, but the click is on "
                    f"{parts[self.coarse - 1]!r}; click on a view of the first"
                )
            entry = with_answer(entry, None, (each["x"], each["y"]), int(part[0]), (u, v))
            if "guess" in each:
                entry = count_help(entry, "points", "corrected")
            entry = with_asked(entry, [other for other in person.asked if other is not each])
        work.put(person, entry)

    def _check_shown(self, name: str, place: np.ndarray) -> None:
        """EditError where the point does not lie, x, y px, where the page showed it."""
        if self.shown is None or np.abs(place - self.shown).max() <= _ROUNDING_PX:
            return
        lies, shown = ([round(float(value), 2) for value in at] for at in (place, self.shown))
        raise EditError(
            f"{name} lies at {lies} px now, but the page showed it at {shown} px; look at which point is "
            "asked, and click again"
        )


class Mark(Values):
    """A point that is asked is skipped, not visible, or to be asked again."""

    title: ClassVar[str] = "put a point aside"
    person: int
    asked: int
    state: Literal["open", "skipped", "hidden"]

    def apply(self, work: Work) -> None:
        person = work.person(self.person)
        each = _asked(person, self.asked)
        # A point that is skipped again goes behind the others once more, or it would be asked for ever.
        if self.state in (OPEN, SKIPPED) or each["state"] != self.state:
            changed = {**each, "state": self.state}
            entry = with_asked(person.entry, [changed if other is each else other for other in person.asked])
            if self.state == HIDDEN and "guess" in each:
                changed.pop("guess")
                entry = count_help(entry, "points", "refused")
            if self.state == SKIPPED:  # behind the others
                entry = with_asked(entry, [*(o for o in person.asked if o is not each), changed])
            work.put(person, entry)


class TakeBack(Values):
    """A point that has an answer is asked again."""

    title: ClassVar[str] = "take an answer back"
    person: int
    point: int

    def apply(self, work: Work) -> None:
        person = work.person(self.person)
        _check(self.point, len(person.points), "point")
        x, y = person.entry["dp_x"][self.point], person.entry["dp_y"][self.point]
        coarse = int(work.session.surface.layout.coarse_of_part[person.part[self.point]])
        again = {"x": x, "y": y, "part": coarse, "state": OPEN}
        work.put(person, with_asked(without_point(person.entry, self.point), [again, *person.asked]))


class Accept(Values):
    """Guesses become answers: some of the points that are asked, or all that have one (None)."""

    title: ClassVar[str] = "accept"
    person: int
    asked: list[int] | None = None

    def apply(self, work: Work) -> None:
        person = work.person(self.person)
        chosen = person.asked if self.asked is None else [_asked(person, index) for index in self.asked]
        chosen = [each for each in chosen if "guess" in each and each["state"] != HIDDEN]
        if not chosen:
            raise EditError("no proposal to accept")
        entry = person.entry
        for each in chosen:
            guess = each["guess"]
            entry = with_answer(entry, None, (each["x"], each["y"]), guess["part"], (guess["u"], guess["v"]))
        entry = count_help(entry, "points", "accepted", len(chosen))
        taken = {id(each) for each in chosen}
        work.put(person, with_asked(entry, [each for each in person.asked if id(each) not in taken]))


class Refuse(Values):
    """A guess goes; the point is asked without one."""

    title: ClassVar[str] = "refuse"
    person: int
    asked: int

    def apply(self, work: Work) -> None:
        person = work.person(self.person)
        each = _asked(person, self.asked)
        if "guess" not in each:
            raise EditError("no proposal to refuse")
        bare = {name: value for name, value in each.items() if name != "guess"} | {"refused": True}
        entry = with_asked(person.entry, [bare if other is each else other for other in person.asked])
        work.put(person, count_help(entry, "points", "refused"))


def _asked(person: Person, index: int | None) -> dict[str, Any]:
    asked = person.asked
    if index is None or not 0 <= index < len(asked):
        raise EditError(f"no point {index} is asked; the page will load it again")
    return asked[index]


def _check(index: int, count: int, what: str) -> None:
    if not 0 <= index < count:
        raise EditError(f"no {what} {index} of {count}")


#: By the name that pages use.
ACTIONS: dict[str, type[Action]] = {
    "box": DrawBox, "detect": Detect, "remove": RemovePerson, "polygon": Polygon, "brush": Brush,
    "grab": Grab, "clear": ClearPart, "keypoint": Keypoint, "accept_keypoints": AcceptKeypoints,
    "refuse_keypoint": RefuseKeypoint, "ask": Ask, "place": PlacePoint, "mark": Mark,
    "take_back": TakeBack, "accept": Accept, "refuse": Refuse,
}  # fmt: skip
