from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimdp.surface import BodySurface, load_surface
from slimdp.surface.chart_places import NearestVertex


def slowly(places: NearestVertex, part: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """All distances, and the first of the smallest."""
    found = []
    for label, place in zip(part, uv.astype(np.float64)):
        mine = np.flatnonzero(places.part == label)
        offset = places.uv[mine].astype(np.float64) - place
        found.append(places.vertex[mine[(offset**2).sum(axis=1).argmin()]] if label else -1)
    return np.array(found, dtype=np.int64)


def places_of(surface: BodySurface) -> NearestVertex:
    rows = sorted(
        (vertex, part, *uv)
        for face, part, corners in zip(
            surface.faces.tolist(), surface.face_part.tolist(), surface.face_uv.tolist()
        )
        for vertex, uv in zip(face, corners)
    )
    table = np.array(rows)
    return NearestVertex(table[:, 1].astype(int), table[:, 2:], table[:, 0].astype(int))


def test_it_agrees_with_all_distances_on_the_open_body() -> None:
    surface, rng = load_surface("open"), np.random.default_rng(0)
    part, uv = rng.integers(0, 25, 3000), rng.random((3000, 2))
    np.testing.assert_array_equal(surface.nearest_vertex(part, uv), slowly(places_of(surface), part, uv))


def test_every_vertex_is_its_own_nearest_unless_it_shares_its_place() -> None:
    surface = load_surface("open")
    face, corner = np.divmod(np.arange(3 * len(surface.faces)), 3)
    part, uv = surface.chart(face, np.eye(3)[corner])
    found = surface.nearest_vertex(part, uv)
    np.testing.assert_array_equal(found, surface.faces[face, corner])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_ties_go_to_the_first(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    # Few places on a coarse grid: many are equal, and many points lie half way between them.
    places = NearestVertex(
        rng.integers(1, 4, count), rng.integers(0, 3, (count, 2)) / 2, rng.permutation(count)
    )
    part = rng.choice([0, *np.unique(places.part)], 200)
    uv = rng.integers(0, 5, (200, 2)) / 4
    np.testing.assert_array_equal(places.find(part, uv), slowly(places, part, uv))


def test_background_has_no_vertex_and_is_infinitely_far() -> None:
    surface = load_surface("open")
    part, uv = np.array([0, 7, 0]), np.array([[np.nan, 0.5], [0.5, 0.5], [0.5, 0.5]])
    found = surface.nearest_vertex(part, uv)
    assert found.tolist()[::2] == [-1, -1]
    assert found[1] >= 0
    distance_m = surface.vertex_distance(found, np.array([found[1], found[1], -1]))
    assert distance_m.tolist() == [np.inf, 0, np.inf]
    assert surface.nearest_vertex(np.zeros(0, int), np.zeros((0, 2))).shape == (0,)


def test_bad_input_raises(flat_surface: BodySurface) -> None:
    with pytest.raises(ValueError, match=r"from 0 to 25, but 0\.\.24"):
        flat_surface.nearest_vertex(np.array([0, 25]), np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"1 of 2 .* not finite"):
        flat_surface.nearest_vertex(np.array([1, 2]), np.array([[0, np.nan], [0, 0]]))
    with pytest.raises(ValueError, match=r"for 1 .* one each"):
        flat_surface.nearest_vertex(np.array([1, 2]), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="no vertex on part 3"):
        NearestVertex(np.array([1, 4]), np.zeros((2, 2)), np.arange(2)).find(np.array([3]), np.zeros((1, 2)))
