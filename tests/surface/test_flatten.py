from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.optimize import approx_fprime

from slimdp.surface import flatten as flattening
from slimdp.surface.flatten import (
    Distortion,
    boundary_loop,
    is_one_to_one,
    rim_barrier,
    rim_crosses_itself,
    signed_areas,
    tutte_embedding,
    unfold,
)
from slimdp.surface.geodesics import distances_from, surface_graph
from slimdp.surface.parts import adjacent_faces, keep_largest_pieces
from tests.surface.flat_sheet import sheet


def bowl(size: int, depth: float) -> tuple[np.ndarray, np.ndarray]:
    """A sheet pushed deep in the middle."""
    vertices, faces = sheet(size, size)
    middle = np.abs(vertices[:, :2] - size / 2).max(axis=1) < size / 4
    vertices[middle, 2] = -depth
    return vertices, faces


def test_scaling_gives_back_a_flat_piece() -> None:
    points = np.random.default_rng(0).random((30, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    plane = flattening.multidimensional_scaling(distance)
    again = np.linalg.norm(plane[:, None] - plane[None], axis=2)
    np.testing.assert_allclose(again, distance, atol=1e-9)


def test_flattening_leaves_no_fold_where_scaling_would() -> None:
    ball = trimesh.creation.icosphere(subdivisions=2)
    kept = ball.faces[ball.triangles_center[:, 2] < 0.7]  # nearly closed, as a fist is
    used, faces = np.unique(kept, return_inverse=True)
    vertices, faces = ball.vertices[used], faces.reshape(-1, 3)
    scaled = flattening.multidimensional_scaling(
        distances_from(surface_graph(vertices, faces), np.arange(len(vertices)))
    )
    areas = signed_areas(scaled, faces)
    assert min((areas <= 0).sum(), (areas >= 0).sum()) > 0
    assert is_one_to_one(flattening.flatten(vertices, faces), faces, boundary_loop(faces))


def winding_strip(turns: float) -> tuple[np.ndarray, np.ndarray]:
    """A strip that climbs a helix: flat, it would be a ring that laps itself, without a single fold."""
    count = int(24 * turns)
    angle = np.linspace(0, 2 * np.pi * turns, count + 1)
    inner, outer = (
        np.stack([r * np.cos(angle), r * np.sin(angle), 0.02 * angle], axis=1) for r in (0.6, 1.0)
    )
    k = np.arange(count)
    lower = np.stack([k, k + count + 1, k + count + 2], axis=1)
    upper = np.stack([k, k + count + 2, k + 1], axis=1)
    return np.concatenate([inner, outer]), np.concatenate([lower, upper])


def test_flattening_leaves_no_overlap_where_unfolding_alone_would() -> None:
    vertices, faces = winding_strip(1.3)
    loop = boundary_loop(faces)
    lapped = vertices[:, :2]
    assert (signed_areas(lapped, faces) > 0).all()
    assert rim_crosses_itself(lapped[loop])
    assert not is_one_to_one(lapped, faces, loop)
    assert is_one_to_one(flattening.flatten(vertices, faces), faces, loop)


def test_triangles_of_a_smaller_scale_become_smaller() -> None:
    vertices, faces = sheet(8, 8)
    small = (np.abs(vertices[faces].mean(axis=1)[:, :2] - 4) < 2).all(axis=1)
    plane = flattening.flatten(vertices, faces, np.where(small, 0.5, 1.0))
    areas = signed_areas(plane, faces)
    assert areas[small].mean() < 0.65 * areas[~small].mean()
    even = flattening.flatten(vertices, faces, np.ones(len(faces)))
    np.testing.assert_allclose(signed_areas(even, faces), 0.5, rtol=0.02)


def test_a_line_that_touches_itself_crosses_itself() -> None:
    square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    assert not rim_crosses_itself(square)
    assert rim_crosses_itself(square[[0, 2, 1, 3]])
    notched = np.array([[0.0, 0], [2, 0], [2, 2], [1, 0.5], [0, 2]])
    assert not rim_crosses_itself(notched)
    notched[3, 1] = 0.0  # the notch reaches the opposite edge
    assert rim_crosses_itself(notched)


def test_unfolding_lowers_the_distortion() -> None:
    vertices, faces = bowl(12, 4.0)
    start, distortion = tutte_embedding(vertices, faces), Distortion.of(vertices, faces)
    before, after = (distortion.energy(plane)[0] for plane in (start, unfold(vertices, faces, start)))
    assert 4 * distortion.area.sum() <= after < 0.9 * before  # an isometry has energy 4 a unit of area


def test_gradient_of_the_distortion() -> None:
    vertices, faces = bowl(3, 0.5)
    distortion = Distortion.of(vertices, faces, np.linspace(0.5, 1, len(faces)))
    plane = tutte_embedding(vertices, faces)
    gradient = distortion.energy(plane)[1]
    numeric = approx_fprime(plane.ravel(), lambda flat: distortion.energy(flat.reshape(-1, 2))[0], 1e-7)
    np.testing.assert_allclose(gradient.ravel(), numeric, rtol=1e-3, atol=1e-3)


def test_the_barrier_acts_within_its_gap() -> None:
    slit = np.array([[0.0, 0], [3, 0], [3, 0.2], [1, 0.2], [1, 0.5], [0, 0.5]])
    assert rim_barrier(slit, gap=0.1)[0] == 0
    # The ends of the upper edge are 0.2 from the lower one, and so are that one's end and the upper edge.
    energy, gradient = rim_barrier(slit, gap=0.21)
    assert energy == pytest.approx(3 * (0.21 / 0.2 - 1) ** 2)
    numeric = approx_fprime(slit.ravel(), lambda rim: rim_barrier(rim.reshape(-1, 2), gap=0.21)[0], 1e-8)
    np.testing.assert_allclose(gradient.ravel(), numeric, rtol=1e-3, atol=1e-5)


def test_a_closed_surface_and_a_ring_are_refused() -> None:
    tetrahedron = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
    with pytest.raises(ValueError, match="no rim"):
        boundary_loop(tetrahedron)
    _, faces = sheet(3, 3)
    hole = ~np.isin(faces, [5, 6, 9, 10]).all(axis=1)
    ring = faces[hole & ~((faces == 5).any(axis=1) & (faces == 10).any(axis=1))]
    with pytest.raises(ValueError, match="several rims"):
        boundary_loop(ring)


def test_stray_pieces_join_their_neighbours() -> None:
    _, faces = sheet(4, 4)
    label = (faces.mean(axis=1) > 12).astype(int)
    label[0] = 1
    cleaned = keep_largest_pieces(label, faces)
    assert cleaned[0] == 0


def test_neighbours_share_two_corners() -> None:
    _, faces = sheet(3, 2)
    expected = {
        tuple(sorted((i, j)))
        for i in range(len(faces))
        for j in range(i)
        if len(set(faces[i]) & set(faces[j])) == 2
    }
    assert {tuple(sorted(pair)) for pair in adjacent_faces(faces).tolist()} == expected
