from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_cache import ESTIMATORS
from slimdp.synthetic.dataset import synthesize
from tests.small_sets import small_plan
from tools.flow_check_table import Tally, measure

ERROR_PX = st.sampled_from([0.0, 0.5, 1.0, 1.1, 3.0, 3.5, 80.0])
OFFSET_PX = st.sampled_from([0.0, 1.0, 1.5, 3.0, 4.0, 5.0, 5.5, math.inf])
VECTORS = st.lists(st.tuples(ERROR_PX, st.booleans(), OFFSET_PX), min_size=1, max_size=30)


def share(part: list, whole: list) -> float | None:
    return round(100 * len(part) / len(whole), 2) if whole else None


@given(VECTORS)
def test_shares_agree_with_their_definitions(vectors: list[tuple[float, bool, float]]) -> None:
    tally = Tally()
    for some in (vectors[:3], vectors[3:]):  # in two portions
        error_px, seen, offset_px = (np.array([v[i] for v in some]) for i in range(3))
        tally.add(error_px, seen.astype(bool), offset_px)
    found = tally.summary()
    hidden = [v for v in vectors if not v[1]]
    assert found["vectors"] == len(vectors)
    assert found["hidden"] == share(hidden, vectors)
    for tolerance in (1, 3):
        wrong = [v for v in vectors if not v[1] or v[0] > tolerance]
        right = [v for v in vectors if v[1] and v[0] <= tolerance]
        shares = found[f"wrong above {tolerance} px"]
        assert shares["wrong"] == share(wrong, vectors)
        for threshold in (1, 3, 5):
            kept = [v for v in wrong if v[2] <= threshold]
            dropped = [v for v in right if v[2] > threshold]
            assert shares[f"wrong kept at {threshold} px"] == share(kept, wrong)
            assert shares[f"right dropped at {threshold} px"] == share(dropped, right)
    for threshold in (1, 3, 5):
        dropped = [v for v in vectors if v[2] > threshold]
        both = [v for v in dropped if not v[1]]
        expected = {"precision": share(both, dropped), "recall": share(both, hidden)}
        assert found[f"hidden, found at {threshold} px"] == expected


def test_the_error_is_that_of_what_is_seen() -> None:
    tally = Tally()
    tally.add(np.array([1.0, 2.0, 90.0]), np.array([True, True, False]), np.zeros(3))
    assert tally.summary()["error_px"] == 1.5


def test_a_rendered_clip_fills_every_row(tmp_path: Path) -> None:
    plan = small_plan(train_clips=1, frames=5)
    synthesize(tmp_path / "set", plan, seed=3, quiet=True)
    result = measure(tmp_path / "set", 4, {"dis": ESTIMATORS["dis"]()})
    assert result["clips"] == 1
    assert result["size"] == 96
    rows = {(row["region"], row["step"]): row for row in result["rows"]}
    assert set(rows) == {(r, s) for r in ("people", "background") for s in ("1", "2", "3", "all")}
    # Four frames, so a pair of a step, both ways, and every pixel in one of the two regions.
    for step in ("1", "2", "3"):
        assert sum(rows[region, step]["vectors"] for region in ("people", "background")) == 2 * 96 * 96
    assert sum(rows[region, "all"]["vectors"] for region in ("people", "background")) == 6 * 96 * 96
    for row in result["rows"]:
        assert 0 <= row["error_px"] < 96
        kept = [row["wrong above 3 px"][f"wrong kept at {t} px"] for t in (1, 3, 5)]
        assert kept == sorted(kept)


def test_a_set_without_exact_flow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no exact flow"):
        measure(tmp_path, 4, {})
