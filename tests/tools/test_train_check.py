"""The check is trained and tested on a rendered clip whose flow is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flow_cache import precompute
from slimdp.motion.carried_features import FEATURES
from slimdp.motion.learned_check import CheckNetwork
from slimdp.synthetic.dataset import synthesize
from tests.small_sets import small_plan
from tools.train_check import (
    CHECKS,
    RIGHT_M,
    RenderedClips,
    Vectors,
    as_json,
    reliability,
    table,
    train,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[RenderedClips, RenderedClips]:
    """Along exact flow, and along DIS."""
    folder = tmp_path_factory.mktemp("rendered")
    plan = small_plan(train_clips=1, frames=5, labelled=(2,), size=128, every_frame=True)
    data = synthesize(folder / "set", plan, seed=1, quiet=True)
    precompute([data / "images/clips/train_00000"], folder / "dis.h5", progress=False)
    stores = (data / "flow_exact", folder / "dis.h5")
    return tuple(RenderedClips(data, store, 60, (1, 2), None) for store in stores)  # type: ignore[return-value]


def test_exact_vectors_are_right_and_hidden_ones_infinitely_wrong(
    clips: tuple[RenderedClips, RenderedClips], rng: np.random.Generator
) -> None:
    vectors = Vectors.joined(list(clips[0].vectors(rng, [2])))
    seen = np.isfinite(vectors.error_image_px)
    assert vectors.error_image_px[seen].max() < 0.05
    assert seen.mean() > 0.5
    assert (vectors.error_m[seen] <= RIGHT_M).mean() > 0.95
    assert (vectors.error_m[~seen] <= RIGHT_M).mean() < 0.5
    assert set(vectors.step.tolist()) == {-2, -1, 1, 2}
    assert vectors.features.shape == (len(seen), len(FEATURES))


def test_what_is_learned_tells_right_from_wrong(
    clips: tuple[RenderedClips, RenderedClips], rng: np.random.Generator, tmp_path: Path
) -> None:
    vectors = Vectors.joined([v for each in clips for v in each.vectors(rng, [1, 2, 3])])
    network = train([vectors], 150, 0)
    (tmp_path / "check.json").write_text(as_json(network))
    read = CheckNetwork.read(tmp_path / "check.json")
    np.testing.assert_allclose(
        read.probability(vectors.features), network.probability(vectors.features), atol=2e-3
    )
    rows = {(row["right within"], row["check"]): row for row in table(read, vectors)}
    assert len(rows) == 2 * (len(CHECKS) + 6)
    learned = next(row for (_, name), row in rows.items() if name.startswith("learned"))
    assert learned["right kept"] == pytest.approx(95, abs=1)
    assert learned["wrong kept"] < 60
    (near, *far) = reliability(read, vectors)
    assert sum(near["vectors"]) == vectors.passed["inside"].sum()
    assert not any(sum(row["vectors"]) for row in far)


def test_what_is_kept_is_counted_by_hand() -> None:
    sure = np.array([4.0, 4.0, -4.0, -4.0])  # what the network says, before the sigmoid
    features = np.zeros((4, len(FEATURES)), dtype=np.float32)
    features[:, 0] = sure
    weight = np.zeros((1, len(FEATURES)), dtype=np.float32)
    weight[0, 0] = 1
    ones = np.ones(len(FEATURES), dtype=np.float32)
    network = CheckNetwork(0 * ones, ones, [(weight, np.zeros(1, np.float32))])
    error = np.array([0.0, np.inf, 0.04, np.inf])
    passed = {name: np.ones(4, dtype=bool) for name in ("inside", *CHECKS)}
    rows = table(network, Vectors(features, error, np.full(4, np.nan), np.array([1, -2, 3, 3]), passed))
    half = next(row for row in rows if row["check"] == "learned, 0.50")
    assert (half["wrong"], half["right kept"], half["wrong kept"], half["right of kept"]) == (50, 50, 50, 50)
    weighed = rows[-1]
    assert weighed["check"] == "learned, weights"
    assert weighed["right of kept"] == 50
