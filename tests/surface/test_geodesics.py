from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import Delaunay

from slimdp.surface.geodesics import distances_from, surface_graph, twin_half_edges, write_distances
from tests.surface.flat_sheet import sheet


def relative_errors(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    assert (found >= true * (1 - 1e-9)).all()  # a path over the mesh is never shorter than the shortest
    return (found[true > 0] - true[true > 0]) / true[true > 0]


def test_a_line_across_few_edges_is_exact() -> None:
    vertices, faces = sheet(4, 4)
    every = distances_from(surface_graph(vertices, faces), np.arange(len(vertices)))
    straight = np.linalg.norm(vertices[:, None] - vertices, axis=2)
    near = straight < 2.3  # no line that short crosses more than 6 edges
    np.testing.assert_allclose(every[near], straight[near], rtol=1e-12)


def test_one_crossing_sees_across_one_edge_only() -> None:
    vertices, faces = sheet(2, 1)
    one = distances_from(surface_graph(vertices, faces, crossings=1), np.array([3]))[0]
    assert one[1] == pytest.approx(np.sqrt(2))  # the square's other diagonal
    assert one[2] == pytest.approx(1 + np.sqrt(2))  # around two corners
    three = distances_from(surface_graph(vertices, faces, crossings=3), np.array([3]))[0]
    assert three[2] == pytest.approx(np.sqrt(5))


def test_a_line_does_not_pass_where_the_surface_has_a_notch() -> None:
    # Three quarters of a 2 x 2 sheet: from (2, 0) to (0, 2) the way leads around the corner at (1, 1).
    vertices, faces = sheet(2, 2)
    kept = faces[~(vertices[faces].mean(axis=1)[:, :2] > 1).all(axis=1)]
    used, local = np.unique(kept, return_inverse=True)
    distance = distances_from(surface_graph(vertices[used], local.reshape(-1, 3)), np.array([5]))[0]
    assert used[5] == 5  # (2, 1)
    assert distance[used == 7][0] == pytest.approx(2)  # (1, 2) by way of (1, 1), not sqrt(2)


def test_distances_on_a_ragged_plane() -> None:
    points = np.random.default_rng(0).random((600, 2))
    vertices = np.column_stack([points, np.zeros(len(points))])
    flat = Delaunay(points).simplices
    source = np.arange(20)
    found = distances_from(surface_graph(vertices, flat), source)
    straight = np.linalg.norm(points[source, None] - points, axis=2)
    inside = np.abs(points - 0.5).max(axis=1) < 0.4
    errors = relative_errors(found[:, inside], straight[:, inside])
    assert errors.mean() < 0.005
    coarse = distances_from(surface_graph(vertices, flat, crossings=1), source)
    assert errors.mean() < relative_errors(coarse[:, inside], straight[:, inside]).mean() / 3


def test_distances_on_a_cylinder() -> None:
    columns, rows, radius, height = 60, 20, 0.5, 1.0
    flat, faces = sheet(columns, rows)
    turn, up = flat[:, 0] * 2 * np.pi / columns, flat[:, 1] * height / rows
    vertices = np.column_stack([radius * np.cos(turn), up, -radius * np.sin(turn)])
    joined = np.where(faces % (columns + 1) == columns, faces - columns, faces)
    used, local = np.unique(joined, return_inverse=True)
    found = distances_from(surface_graph(vertices[used], local.reshape(-1, 3)), np.array([0]))[0]
    # Flat sides: each is 2 r sin(pi / columns) wide.
    side = 2 * radius * np.sin(np.pi / columns)
    around = np.minimum(flat[used, 0], columns - flat[used, 0]) * side
    assert relative_errors(found, np.hypot(around, up[used])).mean() < 0.01


def test_distances_on_a_sphere() -> None:
    ball = trimesh.creation.icosphere(subdivisions=4)
    found = distances_from(surface_graph(ball.vertices, ball.faces), np.array([0, 100]))
    great_circle = np.arccos(np.clip(ball.vertices[[0, 100]] @ ball.vertices.T, -1, 1))
    # The mesh lies within the sphere, by less than 0.2 % here.
    errors = (found - great_circle)[great_circle > 0] / great_circle[great_circle > 0]
    assert np.abs(errors).mean() < 0.005
    assert np.abs(errors).max() < 0.03


def test_distances_are_the_same_both_ways() -> None:
    vertices, faces = sheet(5, 5)
    vertices[:, 2] = np.random.default_rng(1).normal(scale=0.4, size=len(vertices))
    every = distances_from(surface_graph(vertices, faces), np.arange(len(vertices)))
    np.testing.assert_allclose(every, every.T, rtol=1e-12)
    assert (np.diag(every) == 0).all()


def test_half_edges_and_their_twins() -> None:
    _, faces = sheet(1, 1)  # (0, 1, 3) and (0, 3, 2) share the diagonal from 0 to 3
    assert twin_half_edges(faces).tolist() == [-1, -1, 3, 2, -1, -1]


def test_a_surface_in_two_pieces_has_no_distances() -> None:
    vertices, faces = sheet(2, 2)
    twice = np.concatenate([vertices, vertices + 10]), np.concatenate([faces, faces + len(vertices)])
    with pytest.raises(ValueError, match="not connected"):
        distances_from(surface_graph(*twice), np.array([0]))


@pytest.mark.usefixtures("forked_workers")
def test_several_processes_write_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slimdp.surface.geodesics._ROWS_A_BLOCK", 2)
    vertices, faces = sheet(3, 2)
    for processes in (1, 2):
        write_distances(tmp_path / f"{processes}.npy", vertices, faces, processes=processes)
    alone, together = (np.load(tmp_path / f"{processes}.npy") for processes in (1, 2))
    assert (alone == together).all()
    graph = surface_graph(vertices, faces)
    rows = distances_from(graph, np.arange(len(vertices)))
    assert alone.tolist() == rows[np.tril_indices(len(rows), -1)].astype(np.float16).tolist()


def test_a_system_that_reserves_no_room_writes_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vertices, faces = sheet(6, 5)
    write_distances(tmp_path / "reserved.npy", vertices, faces)
    monkeypatch.delattr("os.posix_fallocate", raising=False)
    write_distances(tmp_path / "zeros.npy", vertices, faces)
    assert (tmp_path / "zeros.npy").read_bytes() == (tmp_path / "reserved.npy").read_bytes()
