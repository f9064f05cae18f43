"""How the settings of one row differ from those of another, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slimdp.config import Settings, TrainConfig

_NOT_THERE = "\u2013"


def setting_lines(first: TrainConfig, own: TrainConfig) -> list[str]:
    """Lines `key: A \u2192 B` of what differs; stages are known by their names, other items by their places.

    Of what only one of them has, values that nobody chose (defaults) are left out; of a stage that `own`
    lacks, all.
    """
    theirs, ours = dict(_flat(first, "")), dict(_flat(own, ""))
    gone = {f"stages.{stage.name}." for stage in first.stages} - {f"stages.{s.name}." for s in own.stages}
    lines = [f"{stage[:-1]}: there \u2192 {_NOT_THERE}" for stage in sorted(gone)]
    for key in dict.fromkeys([*theirs, *ours]):
        sides = [flat.get(key) for flat in (theirs, ours)]
        chosen = all(sides) or not any(side[1] for side in sides if side is not None)
        if chosen and sides[0] != sides[1] and not key.startswith(tuple(gone)):
            there, now = (_NOT_THERE if side is None else _words(side[0]) for side in sides)
            lines.append(f"{key}: {there} \u2192 {now}")
    return lines


def _flat(value: Any, key: str, default: bool = False) -> Iterator[tuple[str, tuple[Any, bool]]]:
    """The plain values below a setting, with their keys and whether each is what it is by default."""
    if isinstance(value, Settings):
        for name, each in type(value).model_fields.items():
            below = getattr(value, name)
            yield from _flat(below, f"{key}.{name}" if key else name, below == each.default)
    elif isinstance(value, tuple) and value and all(isinstance(each, Settings) for each in value):
        for place, each in enumerate(value):
            below = f"{key}.{getattr(each, 'name', place)}"
            yield from (item for item in _flat(each, below) if item[0] != f"{below}.name")
    else:
        yield key, (value, default)


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_words, value)) or "none"
    if value is None:
        return _NOT_THERE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
