"""What labels have cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slimdp.config import ClickCosts, ConfigError
from slimdp.data import Clicks, count_clicks
from slimdp.structures import IGNORE, BoxSource, ImageRecord, LabelSource, PersonAnnotation

STILL = ImageRecord(1, Path("a.jpg"), "a.jpg", 120, 80)
NAN = np.float32(np.nan)


@pytest.fixture
def person(make_person: Callable[..., PersonAnnotation]) -> PersonAnnotation:
    """Six points, two of them without (u, v); three coarse parts; two of three keypoints."""
    coarse = np.zeros((256, 256), np.uint8)
    coarse[10:20], coarse[30:40], coarse[50:60, :9], coarse[70:80] = 1, 14, 7, IGNORE
    keypoints = np.array([[1.0, 2, 2], [0, 0, 0], [3, 4, 1]])
    made = make_person(
        STILL, [10, 20, 64, 32], 6, coarse=coarse, keypoints=keypoints, keypoint_names=("a", "b", "c")
    )
    return replace(made, uv=np.where([[False], [True], [False], [True], [False], [False]], NAN, made.uv))


def test_answers_are_counted_by_kind(person: PersonAnnotation) -> None:
    assert count_clicks([person]) == Clicks(points=4, parts=2, masks=3, keypoints=2, boxes=1)
    assert count_clicks([person, person], keypoints=False) == Clicks(points=8, parts=4, masks=6, boxes=2)
    assert count_clicks([]) == Clicks()


def test_a_mask_of_the_whole_person_is_one_outline(person: PersonAnnotation) -> None:
    whole = np.zeros((256, 256), np.uint8)
    whole[10:20] = IGNORE
    assert count_clicks([replace(person, coarse=whole)]).masks == 1
    assert count_clicks([replace(person, coarse=np.zeros_like(whole))]).masks == 0


def test_what_nobody_clicked_costs_nothing(person: PersonAnnotation) -> None:
    source = np.array([0, 0, LabelSource.KEYPOINT, LabelSource.PROPAGATED, 0, 0])
    assert count_clicks([replace(person, source=source)]).points == 3
    assert count_clicks([replace(person, source=source)]).parts == 1
    propagated = replace(person, source=np.full(6, LabelSource.PROPAGATED))
    assert count_clicks([propagated]) == Clicks()
    masks_alone = replace(person.with_points(np.zeros(6, dtype=bool)), propagated=True)
    assert count_clicks([masks_alone]) == Clicks()
    answered = replace(propagated, propagated=True, source=np.array([0, 1, 1, 1, 1, 1]))
    assert count_clicks([answered]).points == 1
    assert count_clicks([replace(person, box_source=BoxSource.KEYPOINTS)]).boxes == 0
    nothing = replace(person.with_points(np.zeros(6, dtype=bool)), coarse=None)
    assert count_clicks([nothing]) == Clicks(keypoints=2, boxes=1)
    assert count_clicks([nothing], keypoints=False) == Clicks()


def test_seconds_by_hand() -> None:
    clicks = Clicks(points=1, parts=20, masks=300, keypoints=4000, boxes=50000)
    assert clicks.seconds(
        ClickCosts(points=5, parts=0.5, masks=10, keypoints=0.25, boxes=0.1)
    ) == pytest.approx(5 + 10 + 3000 + 1000 + 5000)
    assert clicks.seconds() == clicks.seconds(ClickCosts())
    assert clicks.total == 54321
    assert clicks + Clicks(masks=1) == replace(clicks, masks=301)
    with pytest.raises(ConfigError, match=r"seconds_a_click.masks = -1.0, but it must be 0 or more"):
        ClickCosts.parse({"masks": -1}, "seconds_a_click")
