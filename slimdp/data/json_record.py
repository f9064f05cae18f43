"""Checks of what an annotation file says; every error names the file, the record and the field."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flow_cache.coco import FARTHEST_PX
from flow_cache.runtime.json_file import short

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

    def error(self, field: str, problem: str) -> AnnotationError:
        """An error that says where; raise it."""
        return AnnotationError(f"{self.file}: {self.place}: {field}: {problem}")

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
        bad = np.flatnonzero(array != whole)
        if bad.size:
            raise self.error(field, f"entry {bad[0]} is {array[bad[0]]:g}, but a whole number is wanted")
        return whole
