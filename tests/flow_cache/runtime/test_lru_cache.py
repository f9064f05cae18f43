"""Arrays that are kept after they were read."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flow_cache import DenseInverseSearch, FlowStore, MissingFlowError, precompute
from flow_cache.runtime.lru_cache import LruCache


@pytest.fixture
def path(tmp_path: Path, make_folder: Callable[..., Path]) -> Path:
    file = tmp_path / "flow.h5"
    precompute([make_folder()], file, (-1, 1, 2), DenseInverseSearch("ultrafast"), progress=False)
    return file


def test_crops_are_the_same_with_and_without(path: Path, rng: np.random.Generator) -> None:
    plain, keeping = FlowStore(path), FlowStore(path, keep_bytes=3 * 96 * 128 * 4)  # three fields
    for _ in range(60):
        frame, step = int(rng.integers(4)), int(rng.choice([1, 2]))
        box = (*rng.uniform(-10, 80, 2), *rng.uniform(20, 60, 2))
        wanted, found = plain.read("walk", frame, step, box), keeping.read("walk", frame, step, box)
        np.testing.assert_array_equal(found.displacement, wanted.displacement)
        assert found.origin == wanted.origin
    with pytest.raises(MissingFlowError):
        keeping.read("walk", 5, 1)


def test_what_was_not_asked_for_longest_goes_first() -> None:
    reads = []

    def reader(name: str) -> Callable[[], np.ndarray]:
        def read() -> np.ndarray:
            reads.append(name)
            return np.zeros(100, np.int16)

        return read

    recent: LruCache[str] = LruCache(most_bytes=500)  # two fields of 200 bytes
    for name in "ababacab":
        recent.get(name, reader(name))
    assert reads == ["a", "b", "c", "b"]  # c took the place of b, for a had been asked for since
    assert LruCache(0).get("a", reader("a")).size == 100
    recent.clear()
    for name in "abab":
        recent.get(name, reader(name))
    assert reads == ["a", "b", "c", "b", "a", "a", "b"]  # two fit again


@pytest.mark.parametrize(
    ("keep_bytes", "kept"), [(4 * 96 * 128, True), (4 * 96 * 128 - 1, False), (0, False)]
)
def test_a_store_keeps_whole_fields_that_fit(
    path: Path, monkeypatch: pytest.MonkeyPatch, keep_bytes: int, kept: bool
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(LruCache, "get", lambda cache, key, read: asked.append(key[1:]) or read())
    FlowStore(path, keep_bytes).read("walk", 0, 1, (0, 0, 8, 8))
    assert asked == [(0, 1)] * kept
    asked.clear()
    monkeypatch.setattr("flow_cache.store._LARGEST_KEPT", 4 * 96 * 128 - 1)
    FlowStore(path, keep_bytes).read("walk", 0, 1, (0, 0, 8, 8))
    assert not asked


def test_what_is_kept_does_not_travel(path: Path) -> None:
    store = FlowStore(path, keep_bytes=2**20)
    before = len(pickle.dumps(store))
    field = store.read("walk", 0, 1)
    assert len(pickle.dumps(store)) == before
    again: FlowStore = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(again.read("walk", 0, 1).displacement, field.displacement)
