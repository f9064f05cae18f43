from __future__ import annotations

import numpy as np
import pytest

from slimdp.surface import PEOPLE, BodySurface, load_surface
from slimdp.surface.distortion import chart_distortion


def rectangle(uv: np.ndarray) -> BodySurface:
    """A flat sheet 0.2 m wide and 0.1 m high, of a lower right and an upper left triangle."""
    vertices = np.array([[0.0, 0, 0], [0.2, 0, 0], [0.2, 0.1, 0], [0, 0.1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return BodySurface("sheet", vertices, faces, np.ones(2, int), uv[faces], np.zeros(6), PEOPLE)


def test_an_even_chart() -> None:
    chart = chart_distortion(rectangle(np.array([[0.0, 0], [1, 0], [1, 0.5], [0, 0.5]])))
    assert len(chart) == 1
    assert chart[0].skin_m2 == pytest.approx(0.02)
    assert chart[0].filled == pytest.approx(0.5)
    assert chart[0].area_ratio == pytest.approx((1, 1, 1))
    assert chart[0].metres_per_u == pytest.approx(0.2)
    assert chart[0].metres_per_v == pytest.approx(0.2)
    assert chart[0].flipped == 0


def test_an_uneven_chart() -> None:
    # The second triangle is three times as large as the first one.
    chart = chart_distortion(rectangle(np.array([[0.0, 0], [0.5, 0], [0.5, 0.5], [-1, 0.5]])))[0]
    assert chart.area_ratio == pytest.approx((0.5, 0.5, 1.5))
    assert chart.filled == pytest.approx(0.125 + 0.375)


def test_a_folded_chart() -> None:
    uv = np.array([[0.0, 0], [1, 0], [1, 1], [0.9, 0.1]])
    assert chart_distortion(rectangle(uv))[0].flipped == 1


def test_the_open_body_is_shown_evenly() -> None:
    charts = chart_distortion(load_surface("open"))
    assert [chart.part for chart in charts] == list(range(1, 25))
    for chart in charts:
        assert chart.flipped == 0
        assert chart.filled > 0.5
        assert 0.7 < chart.area_ratio[0] < chart.area_ratio[2] < 1.4
    assert 1.5 < sum(chart.skin_m2 for chart in charts) < 2.2  # an adult's skin
