"""The tool itself adds no error that matters, and what the flow carries saves clicks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("httpx", reason="needs httpx: pip install -e '.[dev]'")
pytest.importorskip("uvicorn", reason="needs uvicorn: pip install -e '.[annotate]'")

from slimdp.config import ClickCosts
from tools.simulate_annotator import Effort, report, simulate


@pytest.mark.slow
def test_clicks_where_the_truth_lies_end_there(tmp_path: Path) -> None:
    ways = simulate(tmp_path, [1], size=160, seed=3, overlap=0.75, within_cm=5.0, weights="default")
    alone = np.concatenate([effort.errors_cm for effort in ways["alone"].values()])
    assert len(alone) > 80
    assert np.median(alone) < 1
    for way in ("flow", "network", "both"):
        helped = ways[way][1]
        assert np.median(helped.errors_cm) < 3
        assert max(helped.errors_cm) < 30
        assert helped.seconds(ClickCosts()) < ways["alone"][1].seconds(ClickCosts())
    assert (ways["both"][1].boxes, ways["network"][1].boxes) == (0, 1)
    told = report(ways)
    assert [line.split()[:2] for line in told.splitlines()[2:4]] == [["0", "alone"], ["1", "alone"]]
    assert "response to a click" in told


def test_seconds_are_those_of_the_budgets() -> None:
    effort = Effort(boxes=1, masks=2, points=3, looks=4)
    assert effort.clicks == 10
    assert effort.seconds(ClickCosts()) == 7 + 2 * 10 + 3 * 6 + 4 * 1
