"""Which person each training sample shows: a fixed sequence that can be entered anywhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler


class SampleIndex(NamedTuple):
    """The index of a sample: its place in the run, which seeds its augmentation, and its person."""

    number: int
    person: int  # index into the data set


class WeightedSampler(Sampler[SampleIndex]):
    """Draws from several sources in proportion to their weights, each source in shuffled rounds.

    Draw k depends on (sizes, weights, seed, k) alone: a run that starts at a later draw sees what a run
    from the beginning would have seen, with any number of workers. A person of a source comes again only
    after all others of that source.

    Sizes are people in each source, in the order of the data set, weights its relative share; `count` and
    `start` are draws of the whole run (steps x batch), and those that were already made. Raises ValueError
    for no source, an empty source, a weight that is not positive, a start past the end.
    """

    def __init__(
        self, sizes: Sequence[int], weights: Sequence[float], count: int, seed: int, start: int = 0
    ) -> None:
        if len(sizes) == 0 or len(sizes) != len(weights) or min(sizes) <= 0 or min(weights) <= 0:
            raise ValueError(f"sources of {list(sizes)} people with weights {list(weights)}: all positive?")
        if not 0 <= start <= count:
            raise ValueError(f"a start at draw {start} of {count}")
        self._sizes, self._weights = tuple(sizes), tuple(weights)
        self._count, self._seed, self._start = count, seed, start

    def __len__(self) -> int:
        return self._count - self._start

    def __iter__(self) -> Iterator[SampleIndex]:
        people = self._people()[self._start :].tolist()
        return map(SampleIndex, range(self._start, self._count), people)

    def _people(self) -> np.ndarray:
        """The person of every draw of the run: (count,) int64."""
        share = np.cumsum(self._weights) / np.sum(self._weights)
        chosen = np.searchsorted(share[:-1], np.random.default_rng(self._seed).random(self._count), "right")
        people = np.zeros(self._count, dtype=np.int64)
        first = 0
        for source, size in enumerate(self._sizes):
            mine = np.flatnonzero(chosen == source)
            rounds = [
                np.random.default_rng([self._seed, source, turn]).permutation(size)
                for turn in range(-(-len(mine) // size))
            ]
            if rounds:
                people[mine] = first + np.concatenate(rounds)[: len(mine)]
            first += size
        return people


@dataclass(frozen=True)
class ShardedSampler(Sampler[list[SampleIndex]]):
    """The draws in parts of equal size, every `count`-th part from number `rank` on."""

    draws: WeightedSampler
    size: int
    rank: int
    count: int

    def __len__(self) -> int:
        return len(self.draws) // (self.size * self.count)

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        drawn = iter(self.draws)
        parts = iter(lambda: list(itertools.islice(drawn, self.size)), [])  # up to one without draws
        return itertools.islice(parts, self.rank, None, self.count)
