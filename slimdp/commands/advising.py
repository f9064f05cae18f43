"""Advice: what an accuracy costs, from the scores of studies."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slimdp.study_report.sources import SweptStudy
    from slimdp.sweep.advice import Advice, Spent


def add_advise_command(commands: argparse._SubParsersAction) -> None:
    """advise."""
    command = commands.add_parser(
        "advise",
        help="say what an accuracy costs in clicks",
        description="The cheapest labels that reach an accuracy, for every way of spending clicks that "
        "a study compares (docs/studies.md).",
    )
    command.add_argument("runs", type=Path, nargs="+", help="folders of slimdp sweep, or files of results")
    command.add_argument("--accuracy", type=float, required=True, metavar="PERCENT", help="that is wanted")
    command.add_argument("--at", default="10cm", choices=("5cm", "10cm", "20cm"), help="default: 10cm")
    command.add_argument(
        "--on", default="", metavar="SET", help="of a study's several sets; default: the first"
    )
    command.add_argument(
        "--study", type=Path, default=None, help="the study of all of RUNS, whatever they say"
    )
    command.add_argument("--seed", type=int, default=0, help="of the intervals' bootstrap (default 0)")
    command.set_defaults(run=_advise)


def _advise(options: argparse.Namespace) -> None:
    from slimdp.config import ConfigError
    from slimdp.study_report import find_studies

    if not 0 < options.accuracy <= 100:
        raise ConfigError(f"--accuracy {options.accuracy:g}, but a percentage over 0 is wanted")
    for swept in find_studies(options.runs, options.study):
        if options.on and options.on not in swept.sets:
            named = ", ".join(filter(None, swept.sets)) or "one without a name"
            raise ConfigError(f"--on {options.on}: no such set of {swept.study.file}; it has: {named}")
        print(f"{swept.study.title}: {options.accuracy:g} % within {options.at.replace('cm', ' cm')}")
        for currency in ("clicks", "annotator_seconds"):
            print("\n".join(_lines(options, swept, currency)))


def _lines(options: argparse.Namespace, swept: SweptStudy, currency: str) -> list[str]:
    """Advice in one currency, the cheapest way first."""
    import numpy as np

    from slimdp.report.table import format_table
    from slimdp.sweep.advice import advise

    spent = _spent(options, swept, currency)
    if not spent:
        return [f"no row has {currency.replace('_', ' ')}: sweep it again, which trains nothing anew"]
    found = [
        advise(
            way,
            [spent[row] for row in rows if row in spent],
            options.accuracy,
            np.random.default_rng(options.seed),
        )
        for way, rows in _ways(swept).items()
        if any(row in spent for row in rows)
    ]
    found.sort(key=lambda each: (each.cost is None, each.cost or 0.0))
    unit = "clicks" if currency == "clicks" else "annotator hours"
    body = [[each.way, *_cells(each, currency), _remark(each, currency)] for each in found]
    return [format_table([f"by {unit}", unit, "95 % of the seeds", "rows"], body)]


def _ways(swept: SweptStudy) -> Mapping[str, tuple[str, ...]]:
    """The curves over clicks or hours that the study draws, those of the same rows once; where it draws none,
    each row is a way of its own."""
    from slimdp.sweep.figures import CLICKS, HOURS

    ways: dict[str, tuple[str, ...]] = {}
    for figure in swept.study.figures:
        for name, rows in figure.curves.items() if figure.x in (CLICKS, HOURS) else ():
            if not any(set(rows) == set(known) for known in ways.values()):
                # Curves of two figures may have one name, and be of other rows.
                ways[name if name not in ways else f"{figure.title}: {name}"] = rows
    return ways or {name: (name,) for name in swept.study.names}


def _spent(options: argparse.Namespace, swept: SweptStudy, currency: str) -> dict[str, Spent]:
    """The rows whose labels were counted, by name."""
    from slimdp.sweep.advice import Spent

    costs: dict[str, list[float]] = {}
    accuracy: dict[str, dict[int, float]] = {}
    for result in swept.results:
        cost, scores = getattr(result, currency), swept.scores(result, options.on)
        if cost and scores is not None:
            costs.setdefault(result.row, []).append(cost)
            accuracy.setdefault(result.row, {})[result.seed] = scores[options.at]
    return {row: Spent(row, sum(each) / len(each), accuracy[row]) for row, each in costs.items()}


def _cells(advice: Advice, currency: str) -> list[str]:
    if advice.cost is None:
        return ["not reached", ""]
    about = _amount(advice.cost, currency)
    if advice.low is None or advice.high is None:
        return [f"{'at most ' * advice.at_most}{about}", "fewer than two seeds in common"]
    high = "not reached" if advice.high == float("inf") else _amount(advice.high, currency)
    return [f"{'at most ' * advice.at_most}{about}", f"{_amount(advice.low, currency)} to {high}"]


def _remark(advice: Advice, currency: str) -> str:
    if advice.best is not None:
        cost = _amount(advice.best.cost, currency)
        return f"the best is {advice.best.row}: {advice.most:.1f} % for {cost}"
    return " to ".join(advice.rows)


def _amount(cost: float, currency: str) -> str:
    """Clicks to three digits, or hours."""
    if currency != "clicks":
        return f"{cost / 3600:.3g}"
    return f"{float(f'{cost:.3g}'):,.0f}"
