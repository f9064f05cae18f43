from __future__ import annotations

import numpy as np
import pytest

from slimdp.surface.charting.pieces import Cutting, disks, is_disk, opened
from tests.surface.charting.solids import box, torus, tube
from tests.surface.flat_sheet import sheet


def cutting(vertices: np.ndarray, faces: np.ndarray) -> Cutting:
    return Cutting(vertices, faces, None, len(faces))


def test_what_is_a_disk() -> None:
    sheet_faces = sheet(3, 2)[1]
    assert is_disk(sheet_faces)
    assert not is_disk(tube()[1])
    assert not is_disk(torus()[1])
    assert not is_disk(box()[1])
    assert is_disk(box()[1][1:])  # a sphere but for one triangle
    ring = np.delete(np.arange(18), [4, 13])  # a sheet of nine squares without the middle one
    assert not is_disk(sheet(3, 3)[1][ring])


def test_a_pinched_piece_gets_a_vertex_for_each_side() -> None:
    faces = sheet(3, 3)[1]
    cut = np.delete(faces, [4, 13, 2, 11, 0, 9, 6, 15, 8, 17], axis=0)  # a plus without its middle
    local, source = opened(cut)
    # A cross without its middle: four squares, tip to tip, each with four vertices of its own.
    assert len(source) == 16
    np.testing.assert_array_equal(source[local], cut)


def test_the_rims_share() -> None:
    vertices, faces = sheet(2, 2)
    # A square of side 2: (4 * 2)^2 / (4 pi 4).
    whole = np.arange(len(faces))
    assert cutting(vertices, faces).rim_share(whole) == pytest.approx(64 / (16 * np.pi))


@pytest.mark.parametrize(("shape", "least"), [(box(6), 2), (tube(), 2), (torus(), 3)])
def test_pieces_are_cut_into_disks(shape: tuple[np.ndarray, np.ndarray], least: int) -> None:
    mesh = cutting(*shape)
    found = disks(mesh, np.arange(len(mesh.faces)))
    assert all(is_disk(mesh.faces[piece]) for piece in found)
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(len(mesh.faces)))
    assert least <= len(found) <= 8
    assert min(mesh.rim_share(piece) for piece in found) >= 0.3


def test_a_tube_is_cut_lengthways() -> None:
    mesh = cutting(*tube(along=12, length=6.0))
    found = disks(mesh, np.arange(len(mesh.faces)))
    assert len(found) == 2
    for piece in found:
        height = mesh.vertices[mesh.faces[piece]][..., 1]
        assert np.ptp(height) == pytest.approx(6)


def test_a_disk_stays_whole() -> None:
    vertices, faces = sheet(4, 3)
    (found,) = disks(cutting(vertices, faces), np.arange(len(faces)))
    assert len(found) == len(faces)
