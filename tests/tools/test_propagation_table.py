from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from flow_cache import FlowStore
from slimdp.data import read_annotations
from slimdp.motion import RegionSettings, TransferSettings, propagate
from slimdp.synthetic.dataset import synthesize
from tests.small_sets import small_plan
from tools.propagation_table import Landed, main, read_iuv, summarize

LAST, LABELLED = 4, 2


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    plan = small_plan(train_clips=1, frames=LAST + 1, labelled=(LABELLED,), size=256)
    return synthesize(tmp_path_factory.mktemp("rendered") / "set", plan, seed=1, quiet=True)


def test_exact_flow_carries_labels_to_their_place(
    rendered: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """At least 95 % within 1 cm, also in hops; and the tool keeps what `propagate` keeps."""
    command = [str(rendered), "--steps=-2:2", "--thresholds", "5", "--json", str(tmp_path / "table.json")]
    for hop in (2, 1):
        assert main([*command, "--longest-hop", str(hop)]) == 0
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert json.loads((tmp_path / "table.json").read_text()) == result
        rows = {(row["regions"], row["distance"]): row for row in result["rows"]}
        assert sorted(rows) == sorted((m, d) for m in ("none", "person", "part") for d in ("1", "2", "all"))
        labelled = read_annotations(rendered / "clips_train.json", rendered, read_masks=True)
        with FlowStore(rendered / "flow_exact") as store:
            for mode in ("none", "part"):
                assert rows[mode, "all"]["within_1cm"] >= 95
                _, summary = propagate(
                    labelled,
                    store,
                    (-2, -1, 1, 2),
                    TransferSettings(regions=RegionSettings(by=mode), longest_hop=hop),
                    min_points=1,
                )
                total = summary.total
                found = (rows[mode, "all"]["labels"], rows[mode, "all"]["kept"])
                # A label beside its person's new box is dropped by `propagate` alone; there are few.
                assert found[0] == total.labels_in
                assert found[1] == pytest.approx(100 * total.labels_out / total.labels_in, abs=0.5)


def test_truth_between_pixels() -> None:
    iuv = np.zeros((3, 4, 3), dtype=np.uint8)
    iuv[:, :2] = (5, 100, 40)
    iuv[:, 1, 1] = 110
    iuv[:, 2] = (6, 200, 80)
    points = np.array([[0.25, 1], [1.25, 1], [1.75, 1], [3, 2], [0.25, 0.5]])
    part, uv = read_iuv(iuv, points, nearest=False)
    assert part.tolist() == [5, 5, 6, 0, 5]
    np.testing.assert_allclose(uv[:, 0] * 255, [102.5, 110, 200, 0, 102.5])
    part, uv = read_iuv(iuv, points, nearest=True)
    assert part.tolist() == [5, 5, 6, 0, 5]
    np.testing.assert_allclose(uv[:, 0] * 255, [100, 110, 200, 0, 100])


def test_summary_by_hand() -> None:
    yes, no = np.ones(4, dtype=bool), np.zeros(4, dtype=bool)
    landed = Landed(
        offset_px=np.array([0, 2, 4, np.inf]),
        same_region={"none": yes, "person": yes, "part": np.array([True, False, True, True])},
        confidence=np.array([1.0, 0.5, 0.25, 0.1]),
        error_m=np.array([0.005, np.inf, 0.03, 0.0]),
        somebody_else=no,
        other_part=no,
    )
    row = summarize(landed, 5.0, "none")
    assert (row["labels"], row["kept"]) == (4, 75.0)
    assert (row["within_1cm"], row["within_5cm"], row["background"]) == (33.33, 66.67, 33.33)
    assert row["weighed_5cm"] == round(100 * 1.25 / 1.75, 2)
    assert (row["median_cm"], row["p95_cm"]) == (3.0, 3.0)
    assert summarize(landed, 5.0, "part")["kept"] == 50.0
    assert summarize(landed, 1.0, "part")["within_1cm"] == 100.0
