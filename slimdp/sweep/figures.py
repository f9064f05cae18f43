"""What a study draws: curves of its rows over the stacks, the clicks, the hours, or any other number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slimdp.config import ConfigError

#: What is known of a row without being told: of its network, and of its labels.
STACKS, CLICKS, HOURS = "stacks", "clicks", "hours"
AXIS_TITLES = {STACKS: "stacks", CLICKS: "clicks", HOURS: "annotator hours"}
MOST_CURVES = 7


@dataclass(frozen=True)
class FigureSettings:
    """Accuracy of rows over a number, as curves with their spread over the seeds."""

    title: str
    x: str  # stacks, clicks, hours, or the title of an axis whose numbers `at` tells
    curves: Mapping[str, tuple[str, ...]]  # name in the legend -> rows
    at: Mapping[str, float] = field(default_factory=dict)  # row -> number
    log: bool = False  # numbers a factor apart at equal distances
    scored_on: str = ""  # the name of one of the study's several sets; "": the first

    def __post_init__(self) -> None:
        if not 1 <= len(self.curves) <= MOST_CURVES or not all(self.curves.values()):
            raise ConfigError(
                f"curves = {sorted(self.curves)}, but 1 to {MOST_CURVES} curves are wanted, each of some rows"
            )
        if self.log and any(number <= 0 for number in self.at.values()):
            raise ConfigError(f"at = {dict(self.at)}, but numbers over 0 are wanted where log is true")

    @property
    def axis(self) -> str:
        """The title of its axis of numbers."""
        return AXIS_TITLES.get(self.x, self.x)

    @property
    def rows(self) -> tuple[str, ...]:
        """Of all curves, each once."""
        return tuple(dict.fromkeys(row for rows in self.curves.values() for row in rows))


def check_figures(
    figures: Sequence[FigureSettings], names: Sequence[str], sets: Sequence[str] = ("",)
) -> None:
    """Raise ConfigError where a figure speaks of what a study lacks, or says too little of its rows."""
    for index, figure in enumerate(figures):
        if figure.scored_on and figure.scored_on not in sets:
            raise ConfigError(
                f"figures.{index}: unknown set scored_on = {figure.scored_on!r}; there are: {', '.join(sets)}"
            )
        unknown = [row for row in (*figure.rows, *figure.at) if row not in names]
        if unknown:
            raise ConfigError(f"figures.{index}: unknown row {unknown[0]}; there are: {', '.join(names)}")
        untold = [row for row in figure.rows if row not in figure.at]
        if figure.x not in AXIS_TITLES and untold:
            raise ConfigError(
                f"figures.{index}: x = {figure.x!r} is none of {', '.join(AXIS_TITLES)}, so that `at` is to "
                f"give a number for every row, but it lacks {', '.join(untold)}"
            )
