"""The tables of a study as text, Markdown or plain, and the results that are complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slimdp.config import ConfigError
from slimdp.report.tables import Spread, format_table
from slimdp.studies import RunResult
from slimdp.studies.results import TableRow, baselines_of, heading
from slimdp.studies.settings import ColumnSettings, RowGroup


@dataclass(frozen=True)
class TextTables:
    """Tables of rows as text, Markdown or plain."""

    rows: Sequence[TableRow]
    groups: Sequence[RowGroup]
    columns: Mapping[str, ColumnSettings]
    labels: Mapping[str, str]  # of the rows, by name
    markdown: bool = True

    def scores(self) -> str:
        """The scores, ours and the paper's; the title of each group above its rows."""
        within = all(column.words.startswith("points within ") for column in self.columns.values())
        titles = [column.heading for column in self.columns.values()]
        header = ["points within, %" if within else "row", *titles, "seeds", *(f"paper, {t}" for t in titles)]
        body = {
            row.name: [
                *(self._spread(row.scores, name) for name in self.columns),
                str(len(row.seeds)),
                *(f"{row.paper[name]:.2f}" if name in row.paper else "" for name in self.columns),
            ]
            for row in self.rows
        }
        return self._table(header, body)

    def gains(self) -> str:
        """What each row gains over its group's baseline, ours and the paper's, paired by seed; or ""."""
        baselines = baselines_of(self.groups)
        over = f"over {self._label(baselines[0])}" if len(baselines) == 1 else "gained"
        titles = [column.heading for column in self.columns.values()]
        header = [over, *titles, *(f"paper, {title}" for title in titles)]
        body = {
            row.name: [
                *(self._spread(row.gains, name, "+") for name in self.columns),
                *(
                    f"{row.paper_gains[name]:+.2f}" if name in row.paper_gains else ""
                    for name in self.columns
                ),
            ]
            for row in self.rows
            if row.gains
        }
        return self._table(header, body, "over") if body else ""

    def gaps(self, ceiling: str) -> str:
        """How much of what the ceiling gains over its baseline each row gains that has the same one, percent.

        A ratio of means over the seeds; as uncertain as both, so a deviation stands beside the gains alone.

        Raises:
            ConfigError: the ceiling has no results, or none for the baseline's seeds.
        """
        top = next((row for row in self.rows if row.name == ceiling), None)
        if top is None or not top.gains:
            over = "" if top is None else f" over {top.baseline}"
            raise ConfigError(
                f"ceiling {ceiling}: no gain{over} is known; it and its baseline need results of a seed"
            )
        way = f"share of the way from {self._label(top.baseline)} to {self._label(ceiling)}, %"
        known = [name for name in self.columns if name in top.gains]
        body = [
            [self._label(row.name), *(_share(row.gains.get(c), top.gains[c].mean) for c in known)]
            for row in self.rows
            if row.gains and row.baseline == top.baseline and row is not top
        ]
        header = [way, *(self.columns[name].heading for name in known)]
        return format_table(header, body, self.markdown) if body else ""

    def _spread(self, spreads: Mapping[str, Spread], name: str, sign: str = "") -> str:
        return spreads[name].text(sign, self.columns[name].form) if name in spreads else ""

    def _label(self, name: str) -> str:
        return self.labels.get(name, name)

    def _table(self, header: Sequence[str], cells: Mapping[str, Sequence[str]], over: str = "") -> str:
        """The rows in their order, below a line for each group that has a title and such rows."""
        lines = []
        for group in self.groups:
            known = [name for name in group.rows if name in cells]
            if known and group.title:
                title = heading(group, self.groups, self.labels, over)
                lines.append([f"**{title}**" if self.markdown else title, *[""] * (len(header) - 1)])
            lines += [[self._label(name), *cells[name]] for name in known]
        return format_table(header, lines, self.markdown)


def _share(gain: Spread | None, of: float) -> str:
    return "" if gain is None else f"{100 * gain.mean / of:.0f}" if of > 0 else "no gap"


def complete_results(
    results: Sequence[RunResult], names: Sequence[str], seeds: Sequence[int]
) -> list[RunResult]:
    """Those of the rows that have all seeds, in the order of the table, then of the seeds."""
    by_key = {(result.row, result.seed): result for result in results}
    complete = [name for name in names if all((name, seed) in by_key for seed in seeds)]
    return [by_key[name, seed] for name in complete for seed in seeds]
