"""Which boxes of a COCO file can be, and whose are people's: the one rule of both packages (docs/data.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: Whatever a file says in px that lies farther out is a mistake: the largest pictures are a tenth as wide.
FARTHEST_PX = 1_000_000
#: A box that is narrower or lower has no extent, px.
LEAST_PX = 1e-3
#: What files call people, in small letters.
PERSON_NAMES = frozenset({
    "person", "persons", "people", "pedestrian", "pedestrians", "human", "humans",
})  # fmt: skip


class NoPersonError(ValueError):
    """Several categories, and none of them is said to be people."""


def person_categories(categories: Sequence[Mapping[str, object]]) -> tuple[set[object], str]:
    """The ids of the categories of people, and a sentence to be said where names alone do not tell, or "".

    Those with one of `PERSON_NAMES` as their name, in any case; else those of such a supercategory; else the
    only one there is. None where the file has no categories: all are people then. Categories have an id, a
    name and a supercategory, as far as the file has them. Raises NoPersonError where none of several is of
    people.
    """
    for field in ("name", "supercategory"):
        found = {entry.get("id") for entry in categories if _is_person(entry.get(field))}
        if found:
            return found, ""
    if len(categories) < 2:
        names = [str(entry.get("name")) for entry in categories]
        said = f"the only category is {names[0]!r:.40}; its entries are taken for people" if names else ""
        return {entry.get("id") for entry in categories}, said
    names = [repr(entry.get("name"))[:40] for entry in categories]
    some = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    raise NoPersonError(
        f"none of the {len(names)} categories ({some}) is named person; name those that are people so, or "
        'give them "supercategory": "person"'
    )


def _is_person(name: object) -> bool:
    return isinstance(name, str) and name.strip().casefold() in PERSON_NAMES
