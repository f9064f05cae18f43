"""Groups of a table's rows, each compared with a row of its own: from scratch, after stills, ..."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flow_cache.runtime.nearest import listed
from slimdp.config import ConfigError


@dataclass(frozen=True)
class RowGroup:
    """Rows that stand together under a title and are compared with one of them."""

    title: str
    baseline: str
    rows: tuple[str, ...]


def check_groups(groups: Sequence[RowGroup], names: Sequence[str]) -> None:
    """Raise ConfigError unless every row of a study is in one group, and every baseline in its own."""
    known: dict[str, str] = {}  # row -> the title of its group
    titles = [group.title for group in groups]
    for index, group in enumerate(groups):
        place = f"groups.{index}"
        if not group.title.strip() or titles.count(group.title) > 1:
            raise ConfigError(f"{place}: title = {group.title!r}, but titles that differ are wanted")
        for row in group.rows:
            if row not in names:
                raise ConfigError(f"{place}.rows: unknown row {row}; there are: {listed(names, row)}")
            if row in known:
                raise ConfigError(
                    f"{place}.rows: row {row} is in {known[row]!r} already, but a row is in one group"
                )
            known[row] = group.title
        if group.baseline not in group.rows:
            raise ConfigError(
                f"{place}: baseline = {group.baseline!r}, but one of the group's own rows is wanted: "
                f"{', '.join(group.rows)}"
            )
    left_over = [name for name in names if name not in known]
    if groups and left_over:
        raise ConfigError(f"groups: no group has {', '.join(left_over)}; put every row into one")


def groups_of(
    names: Sequence[str], groups: Sequence[RowGroup] = (), baseline: str | None = None
) -> tuple[RowGroup, ...]:
    """The groups that a table is made of: those of its study, or one without a title.

    Args:
        names: of the rows, in the order of the table.
        groups: of the study; none: all rows make one, compared with the first.
        baseline: the row that all are compared with instead, whatever group it is in.

    Raises:
        ConfigError: a baseline that is no row.
    """
    if baseline is not None and baseline not in names:
        raise ConfigError(f"unknown row {baseline}; there are: {listed(names, baseline)}")
    found = tuple(groups) or (RowGroup("", names[0], tuple(names)),)
    return found if baseline is None else tuple(replace(group, baseline=baseline) for group in found)


def baselines_of(groups: Sequence[RowGroup]) -> tuple[str, ...]:
    """The rows that others are compared with, each once."""
    return tuple(dict.fromkeys(group.baseline for group in groups))


def heading(group: RowGroup, groups: Sequence[RowGroup], over: str = "") -> str:
    """What stands above a group's rows: its title and, where the groups differ in it, the baseline.

    Args:
        group: one of the groups.
        groups: of the table.
        over: the word before the baseline; "" leaves it out.
    """
    differ = len(baselines_of(groups)) > 1
    return f"{group.title}, {over} {group.baseline}" if over and differ else group.title
