from __future__ import annotations

import json

import pytest
import torch

from slimdp.models.backbones import BACKBONES
from tests.narrow_backbone import Narrow
from tools.bench_people import ellipses, main, slope_ms, slope_ratio, standing


def test_people_stand_in_the_picture_and_fill_an_ellipse() -> None:
    boxes = standing(7, 256, 0.0384)
    assert boxes.shape == (7, 4)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= 256).all()
    assert len(set(boxes[:, :2].unique(dim=0).flatten().tolist())) > 2
    area = (ellipses(boxes, 256, 1) < 1).sum((1, 2))
    assert area.tolist() == pytest.approx([0.0384 * 256**2] * 7, rel=0.02)


def test_the_slope_is_that_of_a_line() -> None:
    rows = [{"people": n, "network_ms": {"direct": 30 + 2.5 * n}} for n in (1, 4, 10)]
    assert slope_ms(rows, "network", "direct") == pytest.approx(2.5)


@pytest.mark.parametrize(("slope", "direct", "ratio"), [(3, 2, 1.5), (3, 0, None), (3, -1, None)])
def test_a_slope_is_compared_with_one_that_rises(slope: float, direct: float, ratio: float | None) -> None:
    assert slope_ratio(slope, direct) == ratio


def test_all_networks_are_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(BACKBONES, "narrow", Narrow)
    threads = torch.get_num_threads()
    try:
        code = main(
            ["--people", "1", "2", "--size", "64", "--crop", "64", "--backbone", "narrow", "--channels", "32"]
            + ["--rounds", "1"]
        )
    finally:
        torch.set_num_threads(threads)
    assert code == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(told["slope_ms"]["same_size_network"]) == ["direct", "region", "hourglass"]
    # Of so few, another one takes no longer where the machine is busy with something else.
    rises = told["slope_ms"]["same_area_answer"]["direct"] > 0
    assert told["times_direct"]["same_area_answer"]["direct"] == (1 if rises else None)
    active = {(row["scene"], row["people"]): row["active"] for row in told["rows"]}
    assert active["same_size", 2] == pytest.approx(2 * active["same_size", 1], rel=0.3)
    assert active["same_area", 2] == pytest.approx(active["same_area", 1], rel=0.3)
