from __future__ import annotations

import numpy as np
import pytest

from slimdp.surface import makehuman
from slimdp.surface.flatten import boundary_loop
from slimdp.surface.open_body import right_triangles
from slimdp.surface.parts import cut_along, open_foot, open_hand, right_side_parts

#: Vertex (x, y) of a sheet of 2 x 2 squares is 3 y + x; each square is cut from its lower left corner.
SHEET = np.array([[0, 1, 4], [0, 4, 3], [1, 2, 5], [1, 5, 4], [3, 4, 7], [3, 7, 6], [4, 5, 8], [4, 8, 7]])


def test_a_cut_gives_the_right_side_its_own_vertices() -> None:
    opened, source = cut_along(SHEET, np.array([1, 4]))  # from the lower rim up to the middle
    assert source.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 1]
    np.testing.assert_array_equal(source[opened], SHEET)
    copied = (opened == 9).any(axis=1)
    assert copied.tolist() == [False, False, True, True, False, False, False, False]
    assert sorted(boundary_loop(opened).tolist()) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_cut_that_turns() -> None:
    faces = np.array(
        [[0, 1, 5], [1, 2, 5], [2, 3, 6], [2, 6, 5], [0, 5, 4], [4, 5, 8], [5, 6, 8], [6, 7, 8], [3, 7, 6]]
    )
    # 1 is on the rim; 5 and 6 are inside: from 1 to 5, then right to 6.
    opened, source = cut_along(faces, np.array([1, 5, 6]))
    assert source.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 5]
    np.testing.assert_array_equal(source[opened], faces)
    assert opened[1].tolist() == [9, 2, 10]
    assert opened[3].tolist() == [2, 6, 10]  # 6 is the end: both sides keep it
    unchanged = np.setdiff1d(np.arange(len(faces)), [1, 3])
    np.testing.assert_array_equal(opened[unchanged], faces[unchanged])


def test_a_cut_off_the_edges_is_refused() -> None:
    with pytest.raises(ValueError, match="from vertex 1 to 3, which no inner edge joins"):
        cut_along(SHEET, np.array([1, 3]))
    with pytest.raises(ValueError, match="from vertex 0 to 1"):  # a rim has nothing on its other side
        cut_along(SHEET, np.array([0, 1]))


@pytest.mark.parametrize("part", [3, 6])
def test_an_opened_hand_or_foot_is_a_disk_with_a_long_rim(part: int) -> None:
    vertices, rig = makehuman.shaped_vertices(makehuman.BodyShape()), makehuman.rig()
    faces = right_triangles(vertices)
    faces = faces[right_side_parts(vertices, faces, rig) == part]
    opened, source = open_hand(vertices, faces, rig) if part == 3 else open_foot(vertices, faces)
    np.testing.assert_array_equal(source[opened], faces)
    edges = np.unique(np.sort(opened[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    assert len(source) - len(edges) + len(opened) == 1  # Euler's number of a disk

    def rim_m(piece: np.ndarray, place: np.ndarray) -> float:
        rim = place[boundary_loop(piece)]
        return float(np.linalg.norm(np.roll(rim, -1, axis=0) - rim, axis=1).sum())

    used, local = np.unique(faces, return_inverse=True)
    assert rim_m(opened, vertices[source]) > 3 * rim_m(local.reshape(-1, 3), vertices[used])
    assert np.bincount(source[boundary_loop(opened)]).max() == 2  # both sides of the cut are on the rim
