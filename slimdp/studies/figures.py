"""What a study draws: curves of its rows over the stacks, the clicks, the hours, or any other number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slimdp.config import ConfigError

#: What is known of a row without being told: of its network, and of its labels.
STACKS, CLICKS, HOURS = "stacks", "clicks", "hours"
AXIS_TITLES = {STACKS: "stacks", CLICKS: "clicks", HOURS: "annotator hours"}
MOST_CURVES = 7
#: Row -> column -> percent.
Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class FigureSettings:
    """Accuracy of rows over a number, as curves with their spread over the seeds."""

    title: str
    x: str  # stacks, clicks, hours, or the title of an axis whose numbers `at` tells
    curves: Mapping[str, tuple[str, ...]]  # name in the legend -> rows
    at: Mapping[str, float] = field(default_factory=dict)  # row -> number
    log: bool = False  # numbers a factor apart at equal distances
    scored_on: str = ""  # the name of one of the study's several sets; "": the first
    paper: bool = False  # the paper's numbers too, of the curves of which it has all rows

    def __post_init__(self) -> None:
        if not 1 <= len(self.curves) <= MOST_CURVES or not all(self.curves.values()):
            raise ConfigError(
                f"curves = {sorted(self.curves)}, but 1 to {MOST_CURVES} curves are wanted, each of some rows"
            )
        if self.log and any(number <= 0 for number in self.at.values()):
            raise ConfigError(f"at = {dict(self.at)}, but numbers over 0 are wanted where log is true")
        if self.paper and self.x in (CLICKS, HOURS):
            raise ConfigError(
                f"paper = true, but x = {self.x!r} are those of the labels here, and the paper's labels took "
                "others; choose an axis that both have: stacks, or numbers of `at`"
            )

    @property
    def axis(self) -> str:
        """The title of its axis of numbers."""
        return AXIS_TITLES.get(self.x, self.x)

    @property
    def rows(self) -> tuple[str, ...]:
        """Of all curves, each once."""
        return tuple(dict.fromkeys(row for rows in self.curves.values() for row in rows))


def check_figures(
    figures: Sequence[FigureSettings], names: Sequence[str], papers: Mapping[str, Scores]
) -> None:
    """Raise ConfigError where a figure speaks of what a study lacks, or says too little of its rows.

    Args:
        figures: of the study.
        names: of its rows.
        papers: the paper's numbers on each of its sets, the first one first.
    """
    for index, figure in enumerate(figures):
        if figure.scored_on and figure.scored_on not in papers:
            raise ConfigError(
                f"figures.{index}: unknown set scored_on = {figure.scored_on!r}; there are: "
                f"{', '.join(papers)}"
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
        theirs = papers[figure.scored_on or next(iter(papers))]
        lacking = [[row for row in rows if row not in theirs] for rows in figure.curves.values()]
        if figure.paper and all(lacking):
            raise ConfigError(
                f"figures.{index}: paper = true, but `paper` has all rows of none of its curves; it lacks, "
                f"curve by curve: {'; '.join(', '.join(rows) for rows in lacking)}"
            )
