"""Pictures of error bars."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from slimdp.inference.painting import paint_people
from slimdp.inference.video_records import FramePose
from slimdp.inference.writers.error import draw_error, error_colours
from slimdp.settings_file import ConfigError
from slimdp.surface.people import PEOPLE
from tests.inference.test_painting import instance
from tests.inference.writers.test_palettes import pose


def test_colours_run_from_green_over_yellow_to_red() -> None:
    found = error_colours(np.array([1.0, 4, 16, 64, 300])).tolist()
    assert found == [[0, 255, 0], [0, 255, 0], [255, 255, 0], [255, 0, 0], [255, 0, 0]]


def test_the_bars_lie_over_the_person_alone() -> None:
    frame = pose()
    (person,) = frame.people
    bars = np.full(person.part.shape, 16, np.float16)
    known = FramePose(frame.frame, (dataclasses.replace(person, error_cm=bars),))
    drawn, there = draw_error(known, PEOPLE), known.painted.part > 0
    np.testing.assert_array_equal(drawn[~there], frame.frame.image[~there])
    wanted = np.rint(0.3 * frame.frame.image[there] + 0.7 * np.array([255, 255, 0]))
    np.testing.assert_array_equal(drawn[there], wanted)
    with pytest.raises(ConfigError, match="no error bars to draw"):
        draw_error(frame, PEOPLE)
    nobody = FramePose(frame.frame, ())
    np.testing.assert_array_equal(draw_error(nobody, PEOPLE), frame.frame.image)


def test_bars_between_the_crops_pixels_are_between_theirs_and_the_surest_is_on_top() -> None:
    size = 12
    ramp = np.tile(np.arange(size, dtype=np.float16), (size, 1))
    below = dataclasses.replace(instance(zoom=3, score=0.5), error_cm=ramp)
    painted = FramePose(pose().frame, ()).painted
    assert painted.error_cm is not None
    assert not painted.error_cm.any()
    alone = paint_people([below], 40, 40)
    assert alone.error_cm is not None
    row, columns = 18, np.arange(8, 28)
    np.testing.assert_allclose(alone.error_cm[row, columns], columns / 3, atol=0.05)
    top = dataclasses.replace(
        instance(track=2, score=0.9, at=(12, 12)), error_cm=np.full((size, size), 99, np.float16)
    )
    both = paint_people([top, below], 40, 40)
    assert both.error_cm is not None
    np.testing.assert_array_equal(both.error_cm == 99, both.track == 2)
    bare = paint_people([dataclasses.replace(top, error_cm=None), below], 40, 40)
    assert bare.error_cm is None
