"""Places of DensePose's charts on the open body: circles matched by hand, a body onto itself, landmarks."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from slimdp.surface import load_charts, load_surface
from slimdp.surface.body import BodySurface
from slimdp.surface.densepose.surface import DensePoseCharts
from slimdp.surface.densepose.transfer import ARM_HALVES, ChartTransfer, chart_transfer, match_circles
from slimdp.surface.geodesics import cross
from tools.transfer_error import landmark_errors_cm


@pytest.mark.parametrize(
    ("one", "other", "pairs"),
    [
        ([1, 2, 3], [3, 1, 2], [(0, 1), (1, 2), (2, 0)]),
        ([1, 2, 1, 3], [1, 9, 2, 1, 3], [(0, 0), (1, 2), (2, 3), (3, 4)]),  # 9 has no counterpart
        ([4, 5], [5, 4, 6], [(0, 1), (1, 0)]),
        ([1, 2], [3], []),
    ],
)
def test_circles_are_matched_in_their_order(
    one: list[int], other: list[int], pairs: list[tuple[int, int]]
) -> None:
    assert sorted(match_circles(one, other)) == pairs


@pytest.fixture(scope="module")
def body() -> BodySurface:
    return load_surface("open")


def charts_of(body: BodySurface) -> DensePoseCharts:
    """The open body's charts as DensePose's files would have them, arms named its way."""
    places = np.column_stack([np.repeat(body.face_part, 3), body.faces.ravel(), body.face_uv.reshape(-1, 2)])
    distinct, corner = np.unique(places, axis=0, return_inverse=True)
    renamed = np.array([ARM_HALVES.get(part, part) for part in range(25)])
    return DensePoseCharts(
        corner.reshape(-1, 3), renamed[body.face_part], distinct[:, 2:].astype(np.float64),
        distinct[:, 1].astype(np.int64),
    )  # fmt: skip


@pytest.fixture(scope="module")
def onto_itself(body: BodySurface) -> ChartTransfer:
    return chart_transfer(charts_of(body), body)


def test_a_body_comes_upon_itself(body: BodySurface, onto_itself: ChartTransfer) -> None:
    """But for what u and v stretch: the lengths on one side are those of the chart, which is cut at hands,
    feet and the head."""
    rng = np.random.default_rng(0)
    face = np.concatenate([rng.choice(np.flatnonzero(body.face_part == part), 15) for part in range(1, 25)])
    part, uv = body.chart(face, rng.dirichlet(np.ones(3), len(face)))
    theirs = np.array([ARM_HALVES.get(each, each) for each in part.tolist()])
    found_part, found_uv = onto_itself.to_surface(theirs, uv)
    np.testing.assert_array_equal(found_part, part)
    error_cm = 100 * body.distance_between(part, uv, found_part, found_uv)
    cut = np.isin(part, (3, 4, 5, 6, 23, 24))
    assert np.median(error_cm[~cut]) < 1
    assert np.quantile(error_cm[~cut], 0.95) < 3
    assert np.median(error_cm[cut]) < 7


def test_no_triangle_is_turned_over(onto_itself: ChartTransfer) -> None:
    for disks in onto_itself.disks.values():
        for disk in disks:
            a, b, c = disk.corners.transpose(1, 0, 2)
            assert (cross(b - a, c - a) > 0).all()
            assert np.hypot(*disk.corners.reshape(-1, 2).T).max() <= 1 + 1e-9


def test_parts_with_other_neighbours_are_refused(body: BodySurface) -> None:
    charts = charts_of(body)
    part = charts.face_part.copy()
    part[charts.face_part == 3], part[charts.face_part == 5] = 5, 3  # a hand in the place of a foot
    with pytest.raises(ValueError, match="do not have the same neighbours"):
        chart_transfer(dataclasses.replace(charts, face_part=part), body)


def test_densepose_lands_near_its_landmarks_alike_on_both_sides(samples: Path, body: BodySurface) -> None:
    charts = load_charts(samples / "densepose")
    assert isinstance(charts, DensePoseCharts)
    transfer = chart_transfer(charts, body)
    errors = landmark_errors_cm(transfer)
    assert max(errors.values()) < 16
    for name, error in errors.items():
        if name.startswith("left "):
            assert errors[name.replace("left", "right")] == pytest.approx(error, abs=0.5)
    part, uv = np.array([3, 4, 15]), np.array([[0.5, 0.5], [0.5, 0.5], [0.4, 0.6]])
    found = transfer.to_surface(part, uv)
    assert found[0].tolist() == [3, 4, 17]
    assert np.isfinite(found[1]).all()
