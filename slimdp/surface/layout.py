"""What the rest may know of a surface: how it is cut into parts, its left and right, and distances along it.

Parts are numbered from 1 in the order of the layout, and so are coarse parts; 0 is background.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

#: Tolerance of GPS where a layout states none: half a point at 0.30 m (DensePose, 2.3).
PAPER_KAPPA_M = 0.255
#: Labels are bytes, and 255 is the unknown one (`slimdp.structures.IGNORE`).
_MOST_PARTS = 254
#: How `layout_from_json` reads the records below.
_STRICT = {"extra": "forbid", "strict": True}


@dataclass(frozen=True)
class Part:
    """A part of a surface, with a chart of its own."""

    name: str
    coarse_part: str  # the name of the coarse part that it belongs to
    mirror: str = ""  # the part that it becomes in a mirrored image; "" in a layout without symmetry
    kappa_m: float = PAPER_KAPPA_M  # metres, the tolerance of GPS

    __pydantic_config__ = _STRICT


@dataclass(frozen=True)
class PartLayout:
    """The parts of a category, all that networks, losses, labels and images know of a surface.

    Raises ValueError for a name that is empty, unknown or used twice; a coarse part without parts; mirror
    images that are not each other's.
    """

    category: str  # as annotation files name it
    parts: tuple[Part, ...]
    coarse_parts: tuple[str, ...]  # the regions that annotators outline
    keypoints: tuple[str, ...] = ()  # left and right ones begin with "left_" and "right_"

    __pydantic_config__ = _STRICT

    def __post_init__(self) -> None:
        parts = self.part_names[1:]
        named = {"category": (self.category,), "part": parts, "coarse part": self.coarse_parts}
        for what, names in (named | {"keypoint": self.keypoints}).items():
            for place, name in enumerate(names):
                if not name or name in names[:place]:
                    raise ValueError(f"{what} {name!r}: a name of its own is wanted")
        if not 1 <= len(self.parts) <= _MOST_PARTS:
            raise ValueError(f"{len(self.parts)} parts, but 1..{_MOST_PARTS} are wanted")
        for part in self.parts:
            if part.coarse_part not in self.coarse_parts:
                raise ValueError(f"part {part.name!r}: no coarse part {part.coarse_part!r}")
            if not part.kappa_m > 0:
                raise ValueError(f"part {part.name!r}: kappa_m = {part.kappa_m:g}, but more than 0 is wanted")
        empty = set(range(1, 1 + len(self.coarse_parts))) - set(self.coarse_of_part.tolist())
        if empty:
            raise ValueError(f"coarse part {self.coarse_parts[min(empty) - 1]!r} has no part")
        if any(part.mirror for part in self.parts):
            self._check_mirrors()

    def __hash__(self) -> int:  # of all parts it would take as long as to read a person
        return hash((self.category, len(self.parts)))

    def _check_mirrors(self) -> None:
        by_name = {part.name: part for part in self.parts}
        for part in self.parts:
            if part.mirror not in by_name or by_name[part.mirror].mirror != part.name:
                raise ValueError(f"part {part.name!r}: {part.mirror!r} has another mirror image")
        coarse = self.coarse_of_part
        if (self.flip_coarse[coarse] != coarse[self.flip_part]).any():
            raise ValueError("parts of one coarse part have mirror images in several")

    @property
    def part_names(self) -> tuple[str, ...]:
        """The names of the labels 0..P."""
        return ("background", *(part.name for part in self.parts))

    @cached_property
    def coarse_of_part(self) -> np.ndarray:
        """The coarse label of each label 0..P, (P + 1,) int64."""
        return np.array([0, *(1 + self.coarse_parts.index(part.coarse_part) for part in self.parts)])

    def require_symmetric(self) -> PartLayout:
        """This layout; raises ValueError where mirror images of its labels are not known."""
        if not self.parts[0].mirror:
            raise ValueError(f"{self.category}: no left and right is known; train and predict without flips")
        return self

    @cached_property
    def flip_part(self) -> np.ndarray:
        """The label of each label's mirror image, (P + 1,) int64, its own inverse; ValueError without."""
        names = self.require_symmetric().part_names
        return np.array([0, *(names.index(part.mirror) for part in self.parts)])

    @cached_property
    def flip_coarse(self) -> np.ndarray:
        """The same for coarse labels, (C + 1,) int64."""
        flipped = np.zeros(1 + len(self.coarse_parts), dtype=np.int64)
        flipped[self.coarse_of_part] = self.coarse_of_part[self.flip_part]
        return flipped

    @cached_property
    def kappa_m(self) -> np.ndarray:
        """The tolerance of GPS by label, (P + 1,) metres, NaN for background."""
        return np.array([np.nan, *(part.kappa_m for part in self.parts)])

    def check_same_labels(self, other: PartLayout, what: str, others: str) -> None:
        """Raise ValueError naming the difference where numbers of another layout mean other parts."""
        if (self.part_names, self.coarse_parts) != (other.part_names, other.coarse_parts):
            difference = f"{what} speaks of {_told(self)}, but {others} of {_told(other)}"
            raise ValueError(f"{difference}; name the surface that the labels were made for")

    def as_json(self) -> dict[str, Any]:
        """Plain values, from which `layout_from_json` makes the layout again."""
        return json.loads(json.dumps(asdict(self)))


def layout_from_json(content: object) -> PartLayout:
    """The layout of plain values; raises ValueError naming the field where they are no layout's."""
    from pydantic import TypeAdapter, ValidationError  # most commands read no layout

    try:
        return TypeAdapter(PartLayout).validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place or 'parts'}: {first['msg'].removeprefix('Value error, ')}") from None


def _told(layout: PartLayout) -> str:
    names = ", ".join(layout.part_names[1:4]) + (", ..." if len(layout.parts) > 3 else "")
    counts = f"{len(layout.parts)} parts in {len(layout.coarse_parts)} coarse ones"
    return f"{counts} ({layout.category}: {names})"


class Surface(Protocol):
    """Distances along a surface between places (part, u, v).

    There are no positions in space here: DensePose's files have none, as the mesh belongs to SMPL. What
    needs them asks for a `BodySurface`.
    """

    @property
    def name(self) -> str:
        """What the surface is called in tables and errors."""

    @property
    def layout(self) -> PartLayout:
        """Its parts, 1..P."""

    def nearest_vertex(self, part: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """The vertex (N,) int64 nearest to (u, v) (N, 2) among those of part (N,) 0..P; -1 for part 0."""

    def vertex_distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Metres between vertices, for index arrays that broadcast: 0 for equal ones, infinite for -1."""

    def distance_between(
        self, part_a: np.ndarray, uv_a: np.ndarray, part_b: np.ndarray, uv_b: np.ndarray
    ) -> np.ndarray:
        """Metres (N,) between places of parts (N,) 0..P at (u, v) (N, 2); infinite where a part is 0."""
