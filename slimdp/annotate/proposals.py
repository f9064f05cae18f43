"""Proposals that save clicks: labels that the flow carries to a frame, and answers of a trained network.

A proposed point is no label before it is accepted: it waits among those that are asked, with a guess, and a
proposed keypoint waits beside the keypoints. Outlines of parts are put in place, and listed as pending until
they change, or points are chosen in them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flow_cache import FlowChain, FlowPair, make_estimator
from flow_cache.runtime.words import counted
from slimdp.annotate.ask import points_to_ask
from slimdp.annotate.carried import carried_fields, is_box_kept, make_guess, with_carried
from slimdp.annotate.changes import Entry
from slimdp.annotate.loading import importing
from slimdp.annotate.people import (
    HIDDEN,
    EditError,
    Person,
    coarse_fields,
    with_asked,
)
from slimdp.annotate.people_match import Located, match_people
from slimdp.annotate.session import Session
from slimdp.annotate.suggestions import is_labelled
from slimdp.annotate.work import Work
from slimdp.config import CropSettings
from slimdp.data.box_frame import FRAME
from slimdp.motion import FallingConfidence, LabelTransfer, TransferSettings, transfer_person
from slimdp.structures import ImageRecord, LabelSource, PersonAnnotation

if TYPE_CHECKING:
    from slimdp.annotate.network import NetworkAnswer

#: Frames from a labelled one to the one that its labels are carried to, at most.
REACH = 24


def propose(session: Session, number: int, kind: str, person: object) -> None:
    """Put proposals into the file as one edit: `kind` is flow, for a whole frame, or network, for a person.

    Raises EditError where there is nothing to propose from.
    """
    if kind == "flow":
        _from_flow(session, number)
    elif kind == "network" and isinstance(person, int):
        _from_network(session, number, person)
    else:
        raise EditError("proposals come from flow, or from the network for a person")


# ---- along the flow


def _from_flow(session: Session, number: int) -> None:
    labelled = _nearest_labelled(session, number)
    if labelled is None:
        first = f"no labelled frame within {REACH} frames of this one; label one first"
        raise EditError(first + _not_of_this_video(session))
    chain = _chain(session, labelled, number)
    size = session.media.size(number)
    record = _record(session, number, size)
    people_0 = _annotations(session, labelled)
    everybody = list(people_0.values())
    transfers = {
        place: LabelTransfer(
            person_0,
            chain,
            number - labelled,
            TransferSettings(confidence=FallingConfidence()),
            CropSettings(),
            [other for other in everybody if other is not person_0],
        )
        for place, person_0 in people_0.items()
    }
    moved = {
        place: transfer_person(transfer, record).person_1 if transfer.person_0.has_labels else None
        for place, transfer in transfers.items()
    }
    work = Work(session, number)
    same = _who_is_there(work, transfers, moved)
    carried = 0
    for place, person_1 in moved.items():
        before, track = same[place], people_0[place].track
        if person_1 is None or (before is not None and before.entry.get("dp_x")):
            continue
        entry = None
        if before is not None:
            if is_box_kept(before):
                person_1 = _into_box(transfers[place], record, before.box)
            entry = with_carried(before, person_1, session.has_page_keypoints(before.entry))
            if entry is None:
                continue
        if track is None:  # from here on the file says that these two are one
            known = None if before is None else before.entry.get("track_id")
            track = work.new_track() if known is None else known
            entry_0 = session.document.content["annotations"][place]
            work.wanted["annotations", place] = {**entry_0, "track_id": track}
        if before is None or entry is None:
            work.add(person_1.box, carried_fields(person_1), track)
        else:
            work.put(before, {**entry, "track_id": track})
        carried += 1
    if not carried:
        raise EditError("the flow carries nobody here who has no labels yet")
    session.media.keep(number)
    session.document.edit("carry labels along the flow", number, work.wanted)


def _nearest_labelled(session: Session, number: int) -> int | None:
    """The nearest frame with points of somebody, an earlier one where two are as near; else with outlines."""
    if not session.media.is_video:
        raise EditError("flow carries labels between the frames of a video; these are pictures")
    entries = session.entries()
    near = [other for away in range(1, REACH + 1) for other in (number - away, number + away)]
    near = [other for other in near if 0 <= other < len(entries)]
    for has_labels in (_has_points, is_labelled):
        for other in near:
            if any(has_labels(entry) for entry in entries[other]):
                return other
    return None


def _not_of_this_video(session: Session) -> str:
    """Which images of the file are no frames of the video, for whoever means them to be some."""
    others = session.images_of_no_frame()
    if not others:
        return ""
    other = min(others, key=lambda entry: entry.get("vid_id") is not None)
    video = "no vid_id" if other.get("vid_id") is None else f"vid_id {str(other['vid_id'])!r}"
    return (
        f". Not taken for frames of this video: {counted(len(others), 'image')} of "
        f"{session.document.path.name}, such as {other.get('file_name')} ({video}). Its frames have the "
        f"vid_id {session.media.source.info.name!r}, and their numbers as frame_id"
    )


def _has_points(entry: Entry) -> bool:
    return bool(entry.get("dp_x"))


def _into_box(transfer: LabelTransfer, record: ImageRecord, box: np.ndarray) -> PersonAnnotation:
    """The person with labels moved into a box (4,) xywh px that is there already."""
    person_0 = replace(transfer.person_0, track=0)
    none = np.zeros(0, np.int64)
    there = PersonAnnotation(0, record, box, np.zeros((0, 2)), none, np.zeros((0, 2)), none, none, track=0)
    person_1 = transfer_person(replace(transfer, person_0=person_0, people_1=[there]), record).person_1
    assert person_1 is not None  # there is a box
    return person_1


def _who_is_there(
    work: Work, transfers: dict[int, LabelTransfer], moved: dict[int, PersonAnnotation | None]
) -> dict[int, Person | None]:
    """Who everybody of the labelled frame is in the other one; None for who is not there."""
    there = [person for person in work.people if not person.entry.get("iscrowd")]
    people_0 = [
        Located(transfer.person_0.track, _follow_box(transfer) if person_1 is None else person_1.box)
        for transfer, person_1 in zip(transfers.values(), moved.values(), strict=True)
    ]
    people_1 = [Located(person.entry.get("track_id"), person.box) for person in there]
    tracks = [[entry.get("track_id") for entry in entries] for entries in work.session.entries()]
    pictures = [{track for track in of_picture if track is not None} for of_picture in tracks]
    found = match_people(people_0, people_1, pictures)
    return {place: None if at is None else there[at] for place, at in zip(transfers, found, strict=True)}


def _follow_box(transfer: LabelTransfer) -> np.ndarray:
    """Where somebody without labels goes: the box (4,) xywh px, moved as the middle of it mostly moves."""
    box = transfer.person_0.box
    share = np.stack(np.meshgrid(*[np.linspace(0.25, 0.75, 7)] * 2), axis=-1).reshape(-1, 2)
    points_0 = box[:2] + share * box[2:]
    moved = transfer.move(points_0)
    if not moved.kept.any():
        return box
    shift = np.median((moved.points_1 - points_0)[moved.kept], axis=0)
    return np.concatenate([box[:2] + shift, box[2:]])


def _chain(session: Session, start: int, end: int) -> FlowChain:
    """The flow from frame to frame, each estimated there and back."""
    estimator = make_estimator("dis")
    step = 1 if end > start else -1
    pairs = []
    # Read forward, as a video file is decoded.
    frames = {n: session.media.read(n) for n in range(min(start, end), max(start, end) + 1)}
    for frame in range(start, end, step):
        both = np.stack([frames[frame], frames[frame + step]])
        there, back = estimator.estimate(both, [(0, 1), (1, 0)])
        pairs.append(FlowPair(there, back))
    return FlowChain(tuple(pairs))


def _annotations(session: Session, number: int) -> dict[int, PersonAnnotation]:
    """Everybody in a picture, as the label transfer takes them, by the place among the file's annotations."""
    size = session.media.size(number)
    record = _record(session, number, size)
    found = {}
    for place, person in session.people(number):
        if person.entry.get("iscrowd"):
            continue
        known = ~np.isnan(person.uv).any(axis=1) if len(person.points) else np.zeros(0, bool)
        count = int(known.sum())
        found[place] = PersonAnnotation(
            id=int(person.entry["id"]),
            image=record,
            box=person.box,
            points=person.points[known],
            part=person.part[known],
            uv=person.uv[known].astype(np.float32),
            source=np.full(count, int(LabelSource.ANNOTATOR)),
            step=np.zeros(count, np.int64),
            track=person.entry.get("track_id"),
            coarse=person.coarse,
            keypoints=person.keypoints if session.has_page_keypoints(person.entry) else None,
            layout=session.surface.layout,
        )
    return found


def _record(session: Session, number: int, size: tuple[int, int]) -> ImageRecord:
    picture = session.media.pictures[number]
    file = session.media.file(number)
    return ImageRecord(number, file, picture.file_name, *size, video=picture.video or "video", frame=number)


# ---- by a network


def _from_network(session: Session, number: int, identity: int) -> None:
    """Outlines where there are none, and a guess for every point that waits without one."""
    with importing():
        from slimdp.annotate.network import ask_network

    work = Work(session, number)
    person = work.person(identity)
    answer = ask_network(session, work.image, person.box)
    entry = person.entry
    if person.coarse is None or not person.coarse.any():
        coarse = answer.coarse(person.box)
        parts = sorted({int(c) for c in np.unique(coarse)} - {0})
        if not parts:
            raise EditError("the network sees nobody in this box")
        entry = {**entry, **coarse_fields(coarse, entry)}
        entry["dp_help"] = {**entry.get("dp_help", {}), "pending_parts": parts}
        work.put(person, entry)
    else:
        asked = [*person.asked, *points_to_ask(person)]
        waiting = [each for each in asked if each["state"] != HIDDEN and "guess" not in each]
        if not waiting:
            raise EditError("every point has an answer or a proposal already")
        guesses = _guesses(answer, person, waiting)
        asked = [{**each, "guess": guesses[id(each)]} if id(each) in guesses else each for each in asked]
        work.put(person, with_asked(entry, asked))
    session.document.edit("proposals of the network", number, work.wanted)


def _guesses(answer: NetworkAnswer, person: Person, waiting: list[dict[str, Any]]) -> dict[int, Any]:
    """What the network says of points that wait, each within its own coarse part."""
    scale = person.box[2:] / FRAME
    places = person.box[:2] + np.array([[each["x"], each["y"]] for each in waiting]) * scale
    coarse = np.array([each["part"] for each in waiting])
    part, uv, sure = answer.at(places, coarse)
    rows = zip(waiting, part.tolist(), uv.tolist(), sure.tolist())
    return {id(each): make_guess(p, u, v, c, "network") for each, p, (u, v), c in rows}
