from __future__ import annotations

import torch

from slimdp.structures import DensePoseMaps
from tools.foreground_rules import RULES


def test_a_person_whose_parts_are_unsure_tells_the_rules_apart() -> None:
    prediction = DensePoseMaps(*(torch.zeros(1, channels, 2, 2) for channels in (25, 24, 24, 15)))
    prediction.fine_segm[:, 0] = prediction.coarse_segm[:, 0] = 1.0
    assert {name: bool(rule(prediction, 4).all()) for name, rule in RULES.items()} == {
        "likeliest class": False,
        "odds": True,
    }
    prediction.fine_segm[:, 3] = prediction.coarse_segm[:, 2] = 2.0
    assert all(rule(prediction, 4).all() for rule in RULES.values())
