from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from slimdp.surface import charts
from slimdp.surface.geodesics import distances_from, surface_graph
from slimdp.surface.parts import adjacent_faces, keep_largest_pieces


def grid(columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A flat sheet in the plane z = 0 with unit squares cut along one diagonal."""
    y, x = np.mgrid[: rows + 1, : columns + 1]
    vertices = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)]).astype(float)
    corner = (np.arange(columns) + (columns + 1) * np.arange(rows)[:, None]).ravel()
    lower = np.column_stack([corner, corner + 1, corner + columns + 2])
    upper = np.column_stack([corner, corner + columns + 2, corner + columns + 1])
    return vertices, np.concatenate([lower, upper])


def bowl(size: int, depth: float) -> tuple[np.ndarray, np.ndarray]:
    """A sheet pushed deep in the middle: scaling folds it when it is deep enough."""
    vertices, faces = grid(size, size)
    middle = np.abs(vertices[:, :2] - size / 2).max(axis=1) < size / 4
    vertices[middle, 2] = -depth
    return vertices, faces


def test_distances_on_a_sheet_are_straight_across_both_diagonals() -> None:
    vertices, faces = grid(4, 4)
    distance = distances_from(surface_graph(vertices, faces), np.array([0]))[0].reshape(5, 5)
    assert distance[0, 3] == pytest.approx(3)
    assert distance[3, 3] == pytest.approx(3 * np.sqrt(2))
    # The other diagonal is no edge: it is the shortcut across two triangles.
    from_corner = distances_from(surface_graph(vertices, faces), np.array([4]))[0].reshape(5, 5)
    assert from_corner[1, 3] == pytest.approx(np.sqrt(2))


def test_a_surface_in_two_pieces_has_no_distances() -> None:
    vertices, faces = grid(2, 2)
    twice = np.concatenate([vertices, vertices + 10]), np.concatenate([faces, faces + len(vertices)])
    with pytest.raises(ValueError, match="not connected"):
        distances_from(surface_graph(*twice), np.array([0]))


def test_scaling_gives_back_a_flat_piece() -> None:
    points = np.random.default_rng(0).random((30, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    plane = charts.multidimensional_scaling(distance)
    again = np.linalg.norm(plane[:, None] - plane[None], axis=2)
    np.testing.assert_allclose(again, distance, atol=1e-9)


def test_flattening_leaves_no_fold_where_scaling_would() -> None:
    vertices, faces = bowl(12, 9.0)
    scaled = charts.multidimensional_scaling(
        distances_from(surface_graph(vertices, faces), np.arange(len(vertices)))
    )
    areas = charts.signed_areas(scaled, faces)
    assert min((areas <= 0).sum(), (areas >= 0).sum()) > 0
    assert (charts.signed_areas(charts.flatten(vertices, faces), faces) > 0).all()


def test_unfolding_lowers_the_distortion() -> None:
    vertices, faces = bowl(12, 4.0)
    start = charts.tutte_embedding(vertices, faces)
    frames, area = charts._local_frames(vertices, faces), charts._areas(vertices, faces)
    before = charts._symmetric_dirichlet(start, faces, frames, area)[0]
    after = charts._symmetric_dirichlet(charts.unfold(vertices, faces, start), faces, frames, area)[0]
    assert 4 * area.sum() <= after < 0.9 * before  # an isometry has energy 4 a unit of area


def test_gradient_of_the_distortion() -> None:
    vertices, faces = bowl(3, 0.5)
    frames, area = charts._local_frames(vertices, faces), charts._areas(vertices, faces)
    plane = charts.tutte_embedding(vertices, faces)
    gradient = charts._symmetric_dirichlet(plane, faces, frames, area)[1]

    def energy(flat: np.ndarray) -> float:
        return charts._symmetric_dirichlet(flat.reshape(-1, 2), faces, frames, area)[0]

    np.testing.assert_allclose(
        gradient.ravel(), approx_fprime(plane.ravel(), energy, 1e-7), rtol=1e-3, atol=1e-3
    )


def test_a_closed_surface_and_a_ring_are_refused() -> None:
    tetrahedron = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
    with pytest.raises(ValueError, match="no rim"):
        charts.boundary_loop(tetrahedron)
    _, faces = grid(3, 3)
    hole = ~np.isin(faces, [5, 6, 9, 10]).all(axis=1)
    ring = faces[hole & ~((faces == 5).any(axis=1) & (faces == 10).any(axis=1))]
    with pytest.raises(ValueError, match="several rims"):
        charts.boundary_loop(ring)


def test_stray_pieces_join_their_neighbours() -> None:
    _, faces = grid(4, 4)
    label = (faces.mean(axis=1) > 12).astype(int)
    label[0] = 1
    cleaned = keep_largest_pieces(label, faces)
    assert cleaned[0] == 0


def test_neighbours_share_two_corners() -> None:
    _, faces = grid(3, 2)
    expected = {
        tuple(sorted((i, j)))
        for i in range(len(faces))
        for j in range(i)
        if len(set(faces[i]) & set(faces[j])) == 2
    }
    assert {tuple(sorted(pair)) for pair in adjacent_faces(faces).tolist()} == expected
