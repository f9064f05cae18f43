from __future__ import annotations

import numpy as np
import pytest

from slimdp.surface.charting.repair import Mesh, repaired, rims
from slimdp.surface.geodesics import twin_half_edges
from tests.surface.charting.solids import box, named, torus, tube


def volume(mesh: Mesh) -> float:
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    return float((a * np.cross(b, c)).sum() / 6)


def test_a_whole_mesh_stays_as_it_is() -> None:
    mesh = named(*box(2))
    found, notes = repaired(mesh)
    np.testing.assert_array_equal(found.faces, mesh.faces)
    np.testing.assert_array_equal(found.vertices, mesh.vertices)
    assert notes == []


def test_a_soup_of_triangles_is_merged_and_wound_one_way() -> None:
    vertices, faces = box()
    soup = vertices[faces].reshape(-1, 3)  # as STL has it
    turned = np.arange(36).reshape(12, 3).copy()
    turned[[1, 5, 7]] = turned[[1, 5, 7], ::-1]
    found, notes = repaired(named(soup, turned))
    assert len(found.vertices) == 8
    assert volume(found) == pytest.approx(1)
    assert (twin_half_edges(found.faces) >= 0).all()
    assert notes == [
        "merged 28 vertices with others at the same place",
        "turned 3 triangles whose outside was inside",
    ]


def test_a_mesh_turned_inside_out_is_turned_back() -> None:
    vertices, faces = box()
    found, notes = repaired(named(vertices, faces[:, ::-1]))
    assert volume(found) == pytest.approx(1)
    assert notes == ["turned 12 triangles whose outside was inside"]


def test_double_and_collapsed_triangles_go() -> None:
    vertices, faces = box()
    more = np.concatenate([faces, faces[:1], [[0, 0, 1]]])
    found, notes = repaired(named(vertices, more))
    assert len(found.faces) == 12
    assert notes == ["removed 2 triangles that are lines, or there twice"]


def test_an_edge_of_three_triangles_is_refused() -> None:
    vertices, faces = box()
    a, b = faces[0, :2]
    fin = [[a, b, 8]]
    with pytest.raises(ValueError, match="1 edges with three triangles or more, the first at"):
        repaired(named(np.concatenate([vertices, [[3, 3, 3]]]), np.concatenate([faces, fin])))


def test_a_moebius_strip_is_refused() -> None:
    turn = 2 * np.pi * np.arange(12) / 12
    rims_ = [
        np.stack([(1 + s * np.cos(turn / 2)) * np.cos(turn), (1 + s * np.cos(turn / 2)) * np.sin(turn),
                  s * np.sin(turn / 2)], 1)
        for s in (-0.2, 0.2)
    ]  # fmt: skip
    faces = []
    for k in range(12):
        a, b, c, d = k, k + 12, k + 1, k + 13
        if k == 11:
            c, d = 12, 0  # joined with a half turn
        faces += [[a, b, c], [b, d, c]]
    with pytest.raises(ValueError, match="one side only"):
        repaired(named(np.concatenate(rims_), np.array(faces)), holes="keep")


def test_of_two_pieces_the_larger_one_stays_if_asked_for() -> None:
    vertices, faces = box()
    both = named(np.concatenate([vertices, 5 + 0.5 * vertices]), np.concatenate([faces, faces + 8]))
    with pytest.raises(ValueError, match=r"2 pieces .* \(80 %, 20 % of the area\).*--keep-largest"):
        repaired(both)
    found, notes = repaired(both, keep_largest=True)
    assert volume(found) == pytest.approx(1)
    assert len(found.vertices) == 8
    assert notes[0].startswith("kept the largest of 2 pieces")


def test_a_point_in_which_two_cones_meet_is_parted() -> None:
    """Two rings of four triangles, tip to tip and joined at their rims by a tube around."""
    ring = np.array([[1, 0, 0], [0, 0, 1], [-1, 0, 0], [0, 0, -1]], float)
    vertices = np.concatenate([[[0, 0, 0]], ring + [0, 1, 0], ring - [0, 1, 0]])
    after = (np.arange(4) + 1) % 4
    upper = np.column_stack([np.zeros(4, int), 1 + np.arange(4), 1 + after])
    lower = np.column_stack([np.zeros(4, int), 5 + after, 5 + np.arange(4)])
    wall = np.concatenate(
        [np.column_stack([1 + after, 1 + np.arange(4), 5 + np.arange(4)]),
         np.column_stack([1 + after, 5 + np.arange(4), 5 + after])]
    )  # fmt: skip
    found, notes = repaired(named(vertices, np.concatenate([upper, lower, wall])))
    assert len(found.vertices) == 10
    assert notes[-1] == "parted 1 places where the surface met itself in a point"
    # A sphere now: vertices - edges + faces = 2.
    assert 10 - 3 * 16 // 2 + 16 == 2
    assert (twin_half_edges(found.faces) >= 0).all()


def test_holes_are_refused_filled_or_kept() -> None:
    vertices, faces = box()
    mesh = Mesh(vertices, faces[2:], np.array(["a"] * 5 + ["b"] * 5))
    with pytest.raises(ValueError, match=r"open mesh with 1 holes \(4 edges\).*--holes fill.*--holes keep"):
        repaired(mesh)
    kept, notes = repaired(mesh, holes="keep")
    assert (len(kept.faces), notes) == (10, ["kept 1 holes (4 edges)"])
    filled, notes = repaired(mesh, holes="fill")
    assert len(filled.faces) == 14  # a fan of four about the middle
    assert volume(filled) == pytest.approx(1)
    assert (twin_half_edges(filled.faces) >= 0).all()
    assert notes == ["filled 1 holes (4 edges)"]
    assert set(filled.label[10:]) <= {"a", "b"}


def test_a_hole_of_three_edges_gets_one_triangle() -> None:
    vertices, faces = box()
    filled, _ = repaired(named(vertices, faces[1:]), holes="fill")
    assert len(filled.faces) == 12
    assert volume(filled) == pytest.approx(1)


def test_slivers_are_refused() -> None:
    vertices, faces = box(2)
    # The middle of one edge of a triangle is pulled along to its end, all but.
    flat = vertices.copy()
    a, b, c = faces[0]
    flat[a] = flat[b] * (1 - 1e-5) + flat[c] * 1e-5
    with pytest.raises(ValueError, match="triangles without an area"):
        repaired(named(flat, faces))


def test_rims_are_found_in_order() -> None:
    assert rims(torus()[1]) == []
    found = rims(tube(around=5, along=2)[1])
    assert sorted(map(len, found)) == [5, 5]
    assert {frozenset((rim // 1 % 3).tolist()) for rim in found} == {frozenset({0}), frozenset({2})}
