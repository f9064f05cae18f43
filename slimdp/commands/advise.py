"""Advice: what an accuracy costs, from the scores of studies."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from slimdp.commands.arguments import add_swept_studies, number

if TYPE_CHECKING:
    from slimdp.studies import Study, SweptStudy
    from slimdp.studies.advice import Advice, Spent


def add_commands(commands: argparse._SubParsersAction) -> None:
    """advise."""
    command = commands.add_parser(
        "advise",
        help="say what an accuracy costs in clicks",
        description="Say which labels reach an accuracy most cheaply, for every way of spending clicks that "
        "a study compares; or what the other ways gain over one for as many (docs/studies.md).",
    )
    add_swept_studies(command)
    question = command.add_mutually_exclusive_group(required=True)
    question.add_argument(
        "--accuracy",
        type=number(lambda percent: 0 < percent <= 100, "a percentage over 0"),
        metavar="PERCENT",
        help="the accuracy that is wanted",
    )
    question.add_argument(
        "--over",
        metavar="WAY",
        help="the way to compare the others with, for as many clicks or hours, such as 'some stills'",
    )
    command.add_argument(
        "--at",
        metavar="COLUMN",
        help="the study's column that is the accuracy (default: 10cm, else its first)",
    )
    command.add_argument(
        "--on",
        metavar="SET",
        help="the set of people, where the study scores on several (default: that of each figure)",
    )
    command.set_defaults(run=_advise)


def _advise(options: argparse.Namespace) -> None:
    from flow_cache.runtime.words import listed
    from slimdp.settings_file import ConfigError
    from slimdp.studies import find_studies

    for swept in find_studies(options.runs, options.study):
        at = _accuracy_column(swept.study, options.at)
        if options.on is not None and options.on not in swept.study.evaluate:
            named = ", ".join(filter(None, swept.study.evaluate)) or "one without a name"
            raise ConfigError(f"--on {options.on}: no such set of {swept.study.file}; it has: {named}")
        names = [way.name for way in _ways(swept, options.on)]
        if options.over is not None and options.over not in names:
            there = listed(names, options.over)
            raise ConfigError(f"--over {options.over}: no such way in {swept.study.file}; there are: {there}")
        asked = f"over {options.over}," if options.accuracy is None else f"{options.accuracy:g} %"
        what = swept.study.columns[at].words.removeprefix("points ")
        print(f"{swept.study.title}: {asked} {what}")
        for currency in ("clicks", "annotator_seconds"):
            print("\n".join(_lines(options, swept, currency, at)))


def _accuracy_column(study: Study, asked: str | None) -> str:
    """The column that is the accuracy, of a study; raises ConfigError for one that is none.

    What costs are found for is taken to rise with what is spent, and is told in percent.
    """
    from flow_cache.runtime.words import listed
    from slimdp.settings_file import ConfigError

    at = study.main_column if asked is None else asked
    if at not in study.columns:
        there = listed(study.columns, at)
        raise ConfigError(f"--at {at}: no such column of {study.file}; it has: {there}")
    if not study.columns[at].is_accuracy:
        able = [name for name, column in study.columns.items() if column.is_accuracy]
        said = f"column {at} of {study.file} is no percentage of which more is better"
        way_out = f"choose one that is: --at {' or '.join(able)}" if able else "it has no column that is"
        raise ConfigError(f"{said} ({study.columns[at].axis}); {way_out}")
    return at


def _lines(options: argparse.Namespace, swept: SweptStudy, currency: str, at: str) -> list[str]:
    """The answer in one currency; `at` is the column that is the accuracy."""
    ways = _ways(swept, options.on)
    spent = {on: _spent(swept, currency, on, at) for on in dict.fromkeys(way.on for way in ways)}
    if not any(spent.values()):
        if any(getattr(result, currency) == 0 for result in swept.results):
            return [f"every row that is known costs no {currency.replace('_', ' ')}: nothing to advise"]
        return [f"no row has {currency.replace('_', ' ')}: sweep it again, which trains nothing anew"]
    rows = {way: [spent[way.on][row] for row in way.rows if row in spent[way.on]] for way in ways}
    known = {way: each for way, each in rows.items() if each}
    free = [result.row for result in swept.results if getattr(result, currency) == 0]
    left_out = [f"left out, for they cost nothing: {', '.join(dict.fromkeys(free))}"] if free else []
    wanted = options.accuracy
    table = _gains(known, options.over, currency) if wanted is None else _prices(known, wanted, currency)
    return [table, *left_out]


def _prices(spent: Mapping[_Way, Sequence[Spent]], accuracy: float, currency: str) -> str:
    """A table of what an accuracy costs, the cheapest way first."""
    from slimdp.report.tables import format_table
    from slimdp.studies.advice import advise

    found = [advise(way.name, rows, accuracy) for way, rows in spent.items()]
    found.sort(key=lambda each: (each.cost is None, each.cost or 0.0))
    body = [[each.way, *_cells(each, currency), _remark(each, currency)] for each in found]
    return format_table([f"by {_unit(currency)}", _unit(currency), "95 % interval", "rows"], body)


def _gains(spent: Mapping[_Way, Sequence[Spent]], over: str, currency: str) -> str:
    """A table of what rows of other ways gain over one way for as much."""
    from slimdp.report.tables import Spread, format_table
    from slimdp.studies.advice import gain_for_as_much

    chosen = next((way for way in spent if way.name == over), None)
    if chosen is None:
        return f"{over}: no row of it has {_unit(currency)}"
    body = []
    for way, rows in spent.items():
        for row in rows if way.on == chosen.on else ():
            if row.row not in chosen.rows:
                gain = gain_for_as_much(row, spent[chosen])
                scores = Spread.of(list(row.accuracy.values())).text()
                told = "nothing to compare with" if gain is None else gain.text("+")
                body.append([way.name, row.row, _amount(row.cost, currency), scores, told])
    header = [f"by {_unit(currency)}", "row", _unit(currency), "accuracy, %", f"over {over} for as many"]
    return format_table(header, body)


def _unit(currency: str) -> str:
    return "clicks" if currency == "clicks" else "annotator hours"


class _Way(NamedTuple):
    """A way of spending: rows whose labels are of one kind, and who they are scored on."""

    name: str
    rows: tuple[str, ...]
    on: str  # the name of one of the study's sets; "": the first


def _ways(swept: SweptStudy, on: str | None) -> list[_Way]:
    """The curves over clicks or hours that the study draws, those of the same rows once; where it draws none,
    each row is a way of its own."""
    from slimdp.studies.settings import CLICKS, HOURS

    ways: list[_Way] = []
    for figure in swept.study.figures:
        scored_on = figure.scored_on if on is None else on
        for name, rows in figure.curves.items() if figure.x in (CLICKS, HOURS) else ():
            if not any(set(rows) == set(way.rows) and scored_on == way.on for way in ways):
                # Curves of two figures may have one name, and be of other rows or other people.
                taken = any(name == way.name for way in ways)
                ways.append(_Way(f"{figure.title}: {name}" if taken else name, rows, scored_on))
    return ways or [_Way(name, (name,), on or "") for name in swept.study.names]


def _spent(swept: SweptStudy, currency: str, on: str, at: str) -> dict[str, Spent]:
    """The rows whose labels were counted, by name."""
    from slimdp.studies.advice import Spent

    score = swept.study.columns[at].score
    costs: dict[str, dict[int, float]] = {}
    accuracy: dict[str, dict[int, float]] = {}
    for result in swept.results:
        cost, scores = getattr(result, currency), result.on(on)
        if cost and score in scores:
            costs.setdefault(result.row, {})[result.seed] = cost
            accuracy.setdefault(result.row, {})[result.seed] = scores[score]
    return {row: Spent(row, costs[row], accuracy[row]) for row in costs}


def _cells(advice: Advice, currency: str) -> list[str]:
    cost = "not reached"
    if advice.cost is not None:
        cost = f"{'at most ' * advice.at_most}{_amount(advice.cost, currency)}"
    if advice.low is None or advice.high is None:
        return [cost, "fewer than two seeds in common"]
    low, high = (
        "not reached" if end == float("inf") else _amount(end, currency) for end in (advice.low, advice.high)
    )
    if low == high:
        return [cost, ""]
    if advice.high == float("inf"):
        return [cost, f"{low} or more"]
    return [cost, f"up to {high}" if advice.at_most else f"{low} to {high}"]


def _remark(advice: Advice, currency: str) -> str:
    if advice.best is None:
        return " to ".join(advice.rows)
    cost = _amount(advice.best.cost, currency)
    return f"the best is {advice.best.row}: {advice.most:.1f} % for {cost}"


def _amount(cost: float, currency: str) -> str:
    """Clicks to three digits, or hours."""
    return f"{float(f'{cost:.3g}'):,.0f}" if currency == "clicks" else f"{cost / 3600:.3g}"
