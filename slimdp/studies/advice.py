"""What an accuracy costs, and which way of spending gives more for as much, from the scores of a study.

Within a way of spending (more pictures, more points in each, ...) accuracy is taken to rise with the
logarithm of what is spent, straight from row to row. More labels that seem to do harm are taken for chance:
the means over the seeds are replaced by the closest ones that never fall (isotonic regression). Of rows
that cost the same, the best one is bought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import stdtrit

from slimdp.config import ConfigError
from slimdp.report.tables import Spread

#: Of an interval, the share that lies below it, and above it.
_TAIL = 0.025
#: Costs between two rows at which an interval is looked for.
_BETWEEN = 1000


class Spent(NamedTuple):
    """A row: what was spent on its labels, and what came of it."""

    row: str
    costs: Mapping[int, float]  # seed -> clicks, or seconds of annotators; over 0
    accuracy: Mapping[int, float]  # seed -> percent, of the same seeds

    @property
    def cost(self) -> float:
        """The mean over the seeds, which draw other labels."""
        return float(np.mean(list(self.costs.values())))

    @property
    def mean(self) -> float:
        """Percent, over the seeds."""
        return float(np.mean(list(self.accuracy.values())))


class Advice(NamedTuple):
    """What one way of spending has to be paid for an accuracy."""

    way: str
    cost: float | None  # None: no row reaches it
    low: float | None = None  # of the interval; infinite: no row may reach it; None: of a single seed
    high: float | None = None  # infinite: it may not be reached at all
    rows: tuple[str, ...] = ()  # the last below it and the first at least there; one that is there at once
    best: Spent | None = None  # where the curve does not reach it: the cheapest row at its highest
    most: float | None = None  # percent, of the curve there

    @property
    def at_most(self) -> bool:
        """Whether the cheapest row reaches it already, so that less may do."""
        return self.cost is not None and len(self.rows) == 1


def advise(way: str, spent: Sequence[Spent], accuracy: float) -> Advice:
    """The least that has to be spent, in one way, for an accuracy in percent.

    The interval (95 %) is for what it is in the mean over all seeds that might be trained: the costs at
    which the wanted accuracy lies within Student's interval of the mean over those that were. Where the rows
    have two or more seeds in common, those alone count, for the interval too.

    Raises:
        ConfigError: no rows, a cost that is not positive, or a row without scores.
    """
    if not spent or any(not row.accuracy or min(row.costs.values(), default=0) <= 0 for row in spent):
        raise ConfigError(f"{way}: wanted rows with scores whose labels cost something; found {list(spent)}")
    rows = _best_of_each_cost(_alike(spent))
    costs = np.array([row.cost for row in rows])
    curve = rising([row.mean for row in rows], [len(row.accuracy) for row in rows])
    cost = cost_of(costs, curve, accuracy)
    low, high = _interval(rows, curve, accuracy)
    if cost is None:
        highest = int(np.argmax(curve == curve[-1]))
        return Advice(way, None, low, high, best=rows[highest], most=float(curve[-1]))
    above = int(np.argmax(curve >= accuracy))
    named = tuple(row.row for row in rows[max(above - 1, 0) : above + 1])
    return Advice(way, cost, low, high, named)


def _alike(spent: Sequence[Spent]) -> list[Spent]:
    """The rows with the seeds that all of them have, where these are two or more; else as they are."""
    common = _common_seeds(spent)
    if len(common) < 2:
        return list(spent)

    def kept(values: Mapping[int, float]) -> dict[int, float]:
        return {seed: values[seed] for seed in common}

    return [Spent(row.row, kept(row.costs), kept(row.accuracy)) for row in spent]


def _common_seeds(rows: Sequence[Spent]) -> list[int]:
    return sorted(set.intersection(*(set(row.accuracy) for row in rows)))


def _best_of_each_cost(spent: Sequence[Spent]) -> list[Spent]:
    """By rising cost."""
    best = {row.cost: row for row in sorted(spent, key=lambda row: row.mean)}
    return [best[cost] for cost in sorted(best)]


def rising(means: Sequence[float] | np.ndarray, weights: Sequence[float] | np.ndarray) -> np.ndarray:
    """The closest values to some means, by weighted squares, that never fall: (N,) percent."""
    fitted: np.ndarray = isotonic_regression(means, weights=weights).x
    return fitted


def cost_of(costs: np.ndarray, curve: np.ndarray, accuracy: float) -> float | None:
    """The cost, of N rising ones, where a curve (N,) that never falls first comes to an accuracy, both in
    percent, straight over the logarithm of the cost between its points; the first one if the curve begins
    there or higher; None if it ends below."""
    reached = np.flatnonzero(curve >= accuracy)
    if not len(reached):
        return None
    above = reached[0]
    if above == 0:
        return float(costs[0])
    share = (accuracy - curve[above - 1]) / (curve[above] - curve[above - 1])
    return float(np.exp(np.log(costs[above - 1]) * (1 - share) + np.log(costs[above]) * share))


def _interval(rows: Sequence[Spent], curve: np.ndarray, accuracy: float) -> tuple[float | None, float | None]:
    """The costs that are not excluded at 5 %, by Student's distribution of the seeds' mean at each.

    Every seed has a curve of its own, over what its labels cost. So few seeds make a wide interval, and a
    row may scatter more than another.
    """
    seeds = _common_seeds(rows)
    if len(seeds) < 2:
        return None, None
    log_costs = np.log([row.cost for row in rows])
    steps = np.arange(len(rows) - 1 + 1 / _BETWEEN, step=1 / _BETWEEN)
    at = np.interp(steps, np.arange(len(rows)), log_costs)
    reached = cost_of(np.exp(log_costs), curve, accuracy)
    at = np.sort(at if reached is None else np.append(at, np.log(reached)))
    of_seeds = np.array([_curve_of_seed(rows, seed, at) for seed in seeds])
    half_width = stdtrit(len(seeds) - 1, 1 - _TAIL) * of_seeds.std(axis=0, ddof=1) / np.sqrt(len(seeds))
    mean = np.interp(at, log_costs, curve)
    enough, scarce = mean + half_width >= accuracy, mean - half_width <= accuracy
    low = np.exp(at[np.argmax(enough)]) if enough.any() else np.inf
    last = np.flatnonzero(scarce)[-1] if scarce.any() else 0
    return float(low), float(np.inf if scarce[-1] else np.exp(at[last]))


def _curve_of_seed(rows: Sequence[Spent], seed: int, at: np.ndarray) -> np.ndarray:
    """Percent at some logarithms of costs, (N,)."""
    points = sorted((np.log(row.costs[seed]), row.accuracy[seed]) for row in rows)
    found: np.ndarray = np.interp(at, *np.transpose(points))
    return found


def gain_for_as_much(row: Spent, others: Sequence[Spent]) -> Spread | None:
    """How much more accurate a row is than another way of spending is for as much, seed by seed.

    Between the rows of the other way its accuracy is taken straight over the logarithm of the cost, for each
    seed by itself. Of those that cost the same, the best one counts.

    Returns:
        percentage points, over the seeds that all have and for which the row costs no less than the cheapest
        of the others and no more than the dearest; None where there is no such seed.
    """
    gains, others = [], _best_of_each_cost(others)
    for seed in _common_seeds([row, *others]):
        costs = [other.costs[seed] for other in others]
        if min(costs) <= row.costs[seed] <= max(costs):
            theirs = _curve_of_seed(others, seed, np.log([row.costs[seed]]))
            gains.append(row.accuracy[seed] - float(theirs[0]))
    return Spread.of(gains) if gains else None
