from __future__ import annotations

import pytest

from tools.bench_sparse import ellipse, measure


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_the_ellipse_has_its_share(share: float) -> None:
    assert float(ellipse(share, 64).float().mean()) == pytest.approx(share, abs=0.01)


def test_a_row_has_both_ways_and_their_ratio() -> None:
    row = measure(0.2, channels=4, size=16, batch=2, rounds=1)
    assert set(row["ms"]) == {"forward_sparse", "forward_dense", "step_sparse", "step_dense", "table"}
    assert set(row["times_as_fast"]) == {"forward", "step"}
