"""The rows of a grid: every combination of one option of each axis."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from slimdp.config import ConfigError
from slimdp.settings_file import set_key, to_plain

#: Axis -> option -> settings key, as for `--set` -> value.
Grid = Mapping[str, Mapping[str, Mapping[str, Any]]]


def check_grid(grid: Grid) -> None:
    """Raise ConfigError where an axis has no options or changes the seed, or two change the same setting."""
    keys: dict[str, str] = {}  # settings key -> the axis that changes it
    for axis, options in grid.items():
        if any("seed" in changes for changes in options.values()):
            raise ConfigError(f"grid.{axis} changes seed, which every run has of the study's `seeds`")
        if not options:
            raise ConfigError(f"grid.{axis} = {{}}, but one option or more is wanted: name: {{key: value}}")
        for key in {key: None for changes in options.values() for key in changes}:
            for other, owner in keys.items():
                if owner != axis and _overlap(key, other):
                    both = key if key == other else f"{other}, {key}"
                    raise ConfigError(
                        f"grid.{owner} and grid.{axis} both change {both}; a setting belongs to one axis"
                    )
            keys[key] = axis
        for name, changes in options.items():
            _check_option(f"grid.{axis}.{name}", list(changes))


def _check_option(place: str, keys: list[str]) -> None:
    """Within an option, one key must not change what another one does."""
    for first, second in itertools.combinations(keys, 2):
        if _overlap(first, second):
            raise ConfigError(f"{place}: {first} and {second} change the same setting; write one of them")


def _overlap(first: str, second: str) -> bool:
    """Whether two keys with dots are the same, or one holds the other."""
    one, other = first.split("."), second.split(".")
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def grid_names(grid: Grid) -> list[str]:
    """The names of a grid's rows in order: the last axis changes fastest."""
    return ["-".join(names) for names in itertools.product(*grid.values())] if grid else []


def grid_rows(base: dict[str, Any], grid: Grid, where: str) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each row's name, plain settings, and where they come from.

    Args:
        base: the plain settings that the options change.
        grid: that `check_grid` found good.
        where: the base comes from, for the errors.

    Raises:
        ConfigError: a key that leads into no mapping or list; unknown keys are found when settings are made
            of the values.
    """
    for names in itertools.product(*grid.values()) if grid else ():
        values = to_plain(base)
        changed = []
        for axis, name in zip(grid, names):
            for key, value in grid[axis][name].items():
                set_key(values, key, to_plain(value), f"grid.{axis}.{name}")
                changed.append(f"{key}={value}")
        yield "-".join(names), values, " with ".join([where, *changed])
