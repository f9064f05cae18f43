"""COCO files as both packages read them (docs/data.md); errors name the file, the record and the field."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.runtime.json_file import read_json, short

#: Whatever a file says in px that lies farther out is a mistake: the largest pictures are a tenth as wide.
FARTHEST_PX = 1_000_000
#: A box that is narrower or lower has no extent, px.
LEAST_PX = 1e-3
#: What files call people, in small letters.
PERSON_NAMES = frozenset(["person", "persons", "people", "pedestrian", "pedestrians", "human", "humans"])
#: How far past a limit a coordinate may be before it is an error rather than rounding.
ROUNDING = 1e-3
_WHOLE = range(-(2**63), 2**63)
_NUMBERS = {int, float}


class AnnotationError(ValueError):
    """An annotation file that cannot be used, and where in it."""


@dataclass(frozen=True)
class Record:
    """One JSON object of an annotation file, with its place for the errors."""

    file: Path
    place: str  # e.g. "annotation 12"
    content: dict[str, Any]
    fault: type[ValueError] = AnnotationError  # what is raised

    def error(self, field: str, problem: str) -> ValueError:
        """An error that says where; raise it."""
        return self.fault(f"{self.file}: {self.place}: {field}: {problem}")

    def alone(self, field: str) -> Record:
        """The record with one of its fields alone."""
        return replace(self, content={field: self.content.get(field)})

    def has(self, field: str) -> bool:
        """Whether the field is there and not null."""
        return self.content.get(field) is not None

    def get(self, field: str) -> Any:
        """A field that must be there."""
        if not self.has(field):
            raise self.error(field, "missing, but it is required")
        return self.content[field]

    def integer(self, field: str) -> int:
        """A whole number that must be there."""
        value = self.get(field)
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole:
            raise self.error(field, f"{short(value)}, but a whole number is wanted")
        if int(value) not in _WHOLE:
            raise self.error(field, f"{short(value)}, but a whole number below 2**63 is wanted")
        return int(value)

    def identity(self, field: str) -> int | str:
        """A whole number or a text that must be there."""
        value = self.get(field)
        return value if isinstance(value, str) else self.integer(field)

    def flag(self, field: str, absent: bool) -> bool:
        """A flag: true, false, 1 or 0. Null counts as absent; a text or another number is an error."""
        value = self.content.get(field)
        if value is None:
            return absent
        if not isinstance(value, bool | int | float) or value not in (0, 1):
            raise self.error(field, f"{short(value)}, but 0, 1, false or true is wanted")
        return bool(value)

    def text(self, field: str) -> str:
        """A string, not empty, that must be there."""
        value = self.get(field)
        if not isinstance(value, str) or not value:
            raise self.error(field, f"{short(value)}, but a text is wanted")
        if not value.isprintable() and any(ord(sign) < 32 or 0xD800 <= ord(sign) < 0xE000 for sign in value):
            raise self.error(field, f"{short(value)}, a text with signs that no name of a file has")
        return value

    def numbers(self, field: str, count: int | None = None) -> np.ndarray:
        """A list of finite numbers, of `count` of them where it is given: (N,) float64."""
        return self.as_numbers(field, self.get(field), count)

    def as_numbers(self, field: str, value: Any, count: int | None = None) -> np.ndarray:
        """The same for a value found inside a field."""
        if not isinstance(value, list):
            raise self.error(field, f"a {type(value).__name__}, but a list of numbers is wanted")
        if not _NUMBERS.issuperset(map(type, value)):
            first, entry = next((i, entry) for i, entry in enumerate(value) if type(entry) not in _NUMBERS)
            raise self.error(field, f"not a flat list of numbers: entry {first} is {short(entry)}")
        if count is not None and len(value) != count:
            raise self.error(field, f"{len(value)} numbers, but {count} are wanted")
        try:
            array = np.array(value, dtype=np.float64)
        except OverflowError:  # a whole number of hundreds of digits
            raise self.error(field, "a number beyond all floats, but finite ones are wanted") from None
        finite = np.isfinite(array)
        if not finite.all():
            first = int(finite.argmin())
            raise self.error(field, f"entry {first} is {array[first]}, but a finite number is wanted")
        return array

    def pixels(self, field: str, count: int | None = None) -> np.ndarray:
        """The same for places and lengths in px: (N,) float64, none farther than `FARTHEST_PX`."""
        return self.as_pixels(field, self.get(field), count)

    def as_pixels(self, field: str, value: Any, count: int | None = None) -> np.ndarray:
        """The same for a value found inside a field."""
        array = self.as_numbers(field, value, count)
        if array.size and max(array.max(), -array.min()) > FARTHEST_PX:
            first = int(np.abs(array).argmax())
            raise self.error(
                field, f"entry {first} is {array[first]:g} px, but at most {FARTHEST_PX:,.0f} px are wanted"
            )
        return array

    def sound_box(self) -> np.ndarray:
        """`bbox` (4,) x, y, width, height px, not negative; it may have no extent, as in COCO."""
        box = self.pixels("bbox", 4)
        if (box[2:] < 0).any():
            size = f"{box[2]:g} x {box[3]:g}"
            raise self.error("bbox", f"a width and height of {size}, but none must be negative")
        return box

    def in_range(
        self, field: str, low: float, high: float, count: int | None = None, slack: float = 0.0
    ) -> np.ndarray:
        """A list of numbers in low..high; those past it by at most `slack` are rounding and clipped."""
        array = self.numbers(field, count)
        if not array.size or (array.min() >= low and array.max() <= high):
            return array
        outside = (array < low - slack) | (array > high + slack)
        if outside.any():
            first = int(outside.argmax())
            raise self.error(field, f"entry {first} is {array[first]:g}, outside {low:g}..{high:g}")
        return array.clip(low, high)

    def in_range_or_null(self, field: str, low: float, high: float, count: int, slack: float) -> np.ndarray:
        """The same for a list of which any entry may be null: NaN there."""
        value = self.get(field)
        if not isinstance(value, list) or None not in value:
            return self.in_range(field, low, high, count, slack)
        filled = [low if entry is None else entry for entry in value]
        array = replace(self, content={field: filled}).in_range(field, low, high, count, slack)
        array[[entry is None for entry in value]] = np.nan
        return array

    def whole_in_range(self, field: str, low: int, high: int, count: int | None = None) -> np.ndarray:
        """A list of whole numbers in low..high: (N,) int64."""
        array = self.in_range(field, low, high, count)
        whole = array.astype(np.int64)
        if (bad := np.flatnonzero(array != whole)).size:
            raise self.error(field, f"entry {bad[0]} is {array[bad[0]]:g}, but a whole number is wanted")
        return whole


def read_coco(path: Path, kind: str, fault: type[ValueError] = AnnotationError) -> dict[str, Any]:
    """The object of a COCO file; raises `fault` where there is none."""
    try:
        content = read_json(path, kind, fault)
    except FileNotFoundError as error:
        raise fault(str(error)) from None
    if not isinstance(content, dict):
        raise fault(f"{path}: a JSON {type(content).__name__} at the top, but an object is wanted")
    return content


def coco_records(
    path: Path, content: dict[str, Any], field: str, kind: str, fault: type[ValueError] = AnnotationError
) -> Iterator[Record]:
    """The objects of a top-level list, each named by its id where it has one."""
    entries = content.get(field)
    if not isinstance(entries, list):
        raise fault(f"{path}: {field}: missing or no list, but a list of objects is wanted")
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise fault(f"{path}: {field}[{position}]: no object")
        yield Record(path, name_entry(entry, field, kind, position), entry, fault)


def name_entry(entry: Mapping[str, Any], field: str, kind: str, position: int) -> str:
    """What errors call an entry of a list: by its id, and its image, where it has them."""
    name = f"{kind} {short(entry['id'])}" if "id" in entry else f"{field}[{position}]"
    return f"{name} of image {short(entry['image_id'])}" if "image_id" in entry else name


def category_of(record: Record, said: int | str | None, listed: Collection[int | str]) -> int | str | None:
    """The id of an annotation's category, where it says `said` and `categories` lists these ids.

    Without a word it is the only listed one; None where no categories are listed. Raises the record's error
    where it says nothing of several, or an id that is not listed. A negative one need not be: converters of
    tracking sets mark with -1 what nobody shall count.
    """
    if said is None and len(listed) < 2:
        return next(iter(listed), None)
    if not listed or said in listed or (isinstance(said, int) and said < 0):
        return said
    some = ", ".join(map(short, list(listed)[:8])) + (", ..." if len(listed) > 8 else "")
    if said is None:
        raise record.error("category_id", f"missing, but `categories` lists several ({some}); say which")
    problem = f"{short(said)} is none of the ids of `categories` ({some})"
    raise record.error("category_id", f"{problem}; correct it, or list the category")


class NoPersonError(ValueError):
    """Several categories, and none of them is said to be people."""


def person_categories(categories: Sequence[Mapping[str, object]]) -> tuple[set[object], str]:
    """The ids of the categories of people, and a sentence to be said where names alone do not tell, or "".

    Those with one of `PERSON_NAMES` as their name, in any case; else those of such a supercategory; else the
    only one there is. None where the file has no categories: all are people then. Raises NoPersonError where
    none of several is of people.
    """
    for field in ("name", "supercategory"):
        names = [str(entry.get(field)).strip().casefold() for entry in categories]
        found = {entry.get("id") for entry, name in zip(categories, names) if name in PERSON_NAMES}
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
