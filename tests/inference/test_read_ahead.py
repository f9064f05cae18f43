from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from slimdp.inference.read_ahead import read_ahead


def test_items_keep_their_order_and_an_error_comes_after_them() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("damaged")

    ahead = read_ahead(items(), 2)
    assert [next(ahead) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match="damaged"):
        next(ahead)
    assert list(read_ahead(range(100), 3)) == list(range(100))
    assert list(read_ahead([], 1)) == []


def test_no_more_is_made_than_asked_for_and_a_closed_one_ends_its_thread_and_its_items() -> None:
    made: list[int] = []
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            for number in range(1000):
                made.append(number)
                yield number
        finally:
            closed.set()

    before = threading.active_count()
    ahead = read_ahead(items(), 3)
    assert next(ahead) == 0
    ahead.close()
    assert closed.is_set()
    assert threading.active_count() == before
    assert len(made) <= 1 + 3 + 2
