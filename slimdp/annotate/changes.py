"""What an edit changes in an annotation file, small enough to keep every one, and the way back.

A file is taken as lists of entries with ids. A `Change` is of one entry: a field that changed is kept as the
piece of its list or text that differs, so that a click among hundreds of points takes some 200 bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

#: A field that the entry does not have, before or after.
_ABSENT = {"absent": True}
Entry = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """What happens to one entry of a list of the file."""

    table: str  # "images", "annotations" or "categories"
    place: int  # in that list
    kind: str  # "add", "remove" or "edit"
    content: dict[str, Any]  # the entry that comes or goes; or by field what differs

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `change_from_json` makes the change again."""
        return asdict(self)


@dataclass(frozen=True)
class Edit:
    """One step of undo: what was done, and where the page was."""

    title: str
    image: int  # the number that the picture had; it has another one where others came or went since
    changes: tuple[Change, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `edit_from_json` makes the edit again."""
        changes = [change.as_json() for change in self.changes]
        return {"title": self.title, "image": self.image, "changes": changes}


def edit_from_json(content: Mapping[str, Any]) -> Edit:
    """The edit of plain values; raises KeyError or TypeError where they are none."""
    changes = tuple(Change(**change) for change in content["changes"])
    return Edit(str(content["title"]), int(content["image"]), changes)


def difference(table: str, place: int, before: Entry | None, after: Entry | None) -> Change | None:
    """What turns an entry into another one; None stands for an entry that is not there. None: nothing."""
    if before is None:
        return None if after is None else Change(table, place, "add", deepcopy(after))
    if after is None:
        return Change(table, place, "remove", deepcopy(before))
    fields = {
        name: _compare(before.get(name, _ABSENT), after.get(name, _ABSENT))
        for name in [*before, *(name for name in after if name not in before)]
        if before.get(name, _ABSENT) != after.get(name, _ABSENT)
    }
    return Change(table, place, "edit", fields) if fields else None


def apply_change(content: Mapping[str, list[Entry]], change: Change, back: bool = False) -> None:
    """Do a change, or undo it (`back`), in the lists of a file; entries are replaced, never written into."""
    entries = content[change.table]
    if change.kind == "edit":
        entries[change.place] = _edited(entries[change.place], change.content, back)
    elif (change.kind == "add") != back:
        entries.insert(change.place, deepcopy(change.content))
    else:
        del entries[change.place]


def _edited(entry: Entry, fields: Mapping[str, Any], back: bool) -> Entry:
    edited = dict(entry)
    for name, differs in fields.items():
        if "at" in differs:
            at, out, new = differs["at"], differs["out"], differs["in"]
            if back:
                out, new = new, out
            value = entry[name]
            edited[name] = value[:at] + new + value[at + len(out) :]
        else:
            value = differs["was" if back else "is"]
            if value == _ABSENT:
                del edited[name]
            else:
                edited[name] = deepcopy(value)
    return edited


def _compare(before: Any, after: Any) -> dict[str, Any]:
    """The piece of a list or text that differs, or both values."""
    if not (type(before) is type(after) and isinstance(before, list | str)):
        return {"was": deepcopy(before), "is": deepcopy(after)}
    shorter, at = min(len(before), len(after)), 0
    while at < shorter and before[at] == after[at]:
        at += 1
    end = 0
    while end < shorter - at and before[-1 - end] == after[-1 - end]:
        end += 1
    piece = slice(at, len(before) - end), slice(at, len(after) - end)
    return {"at": at, "out": deepcopy(before[piece[0]]), "in": deepcopy(after[piece[1]])}
