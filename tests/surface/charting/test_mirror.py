from __future__ import annotations

import numpy as np
import pytest

from slimdp.surface.charting.mirror import mirror_error, mirror_names, mirrored, with_middle_at_zero
from slimdp.surface.charting.repair import Mesh, face_areas
from slimdp.surface.geodesics import twin_half_edges
from tests.surface.charting.solids import box, named


def test_the_error_of_a_box_and_of_one_with_a_nose() -> None:
    vertices, faces = box(3)
    assert mirror_error(vertices, faces) == pytest.approx(0, abs=1e-12)
    nosed = vertices.copy()
    tip = int(np.flatnonzero((vertices == [0.5, 0.5, 0.5]).all(axis=1))[0])
    nosed[tip] += [0, 0.3, 0]
    # The mirror image of the tip is 0.3 m above the other corner; the diagonal runs to the tip.
    diagonal = np.sqrt(1 + 1.3**2 + 1)
    assert mirror_error(nosed, faces) == pytest.approx(0.3 / diagonal, rel=1e-6)


def test_the_middle_is_that_of_the_area() -> None:
    vertices, faces = box(1, (2, 1, 1))
    moved = with_middle_at_zero(vertices + [5, 1, 0], faces)
    np.testing.assert_allclose(moved, vertices + [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("cells", [1, 2, 3])
def test_halves_are_mirror_images_triangle_by_triangle(cells: int) -> None:
    """With one or three cells along an edge triangles lie across the plane, and are cut."""
    vertices, faces = box(cells)
    found = mirrored(named(vertices, faces, "skin"))
    mesh = found.mesh
    assert (twin_half_edges(mesh.faces) >= 0).all()
    np.testing.assert_array_equal(mesh.vertices[found.vertex_mirror], mesh.vertices * [-1, 1, 1])
    np.testing.assert_array_equal(found.vertex_mirror[found.vertex_mirror], np.arange(len(mesh.vertices)))
    image = np.sort(found.vertex_mirror[mesh.faces], axis=1)
    np.testing.assert_array_equal(image, np.sort(mesh.faces[found.face_mirror], axis=1))
    assert (mesh.vertices[mesh.faces[: found.right], 0] <= 0).all()
    assert face_areas(mesh.vertices, mesh.faces).sum() == pytest.approx(6)
    assert found.error == pytest.approx(0, abs=1e-12)


def test_parts_have_the_names_of_what_lies_across() -> None:
    vertices, faces = box(4)
    centre = vertices[faces].mean(axis=1)
    label = np.where(centre[:, 0] < -0.3, "right ear", np.where(centre[:, 0] > 0.3, "left ear", "head"))
    mesh = Mesh(vertices, faces, label)
    assert mirror_names(mesh) == {"head": "head", "left ear": "right ear", "right ear": "left ear"}
    both = mirrored(mesh).mesh
    at = both.vertices[both.faces].mean(axis=1)[:, 0]
    assert set(both.label[at > 0.3].tolist()) == {"left ear"}


def test_names_without_mirror_images_are_refused() -> None:
    vertices, faces = box(4)
    centre = vertices[faces].mean(axis=1)
    one_ear = np.where(centre[:, 0] < -0.45, "ear", "head")
    # Of the mirror image of the head 5 of 6 sides are head, and all of that of the ear.
    with pytest.raises(
        ValueError, match="'ear' has 100 % of its mirror image in 'head', and that one in 'head'"
    ):
        mirror_names(Mesh(vertices, faces, one_ear))
