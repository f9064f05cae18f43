from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from slimdp.surface.charting.mesh_file import read_face_labels, read_mesh
from tests.surface.charting.solids import box

_OBJ = """# a square and a triangle
v 0 0 0
v 2 0 0
v 2 1 0
v 0 1 0
vt 0 0
g left
usemtl red
f 1/1 2/1 3/1 4/1
g right wing
f -1 -2 1
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_an_obj_file_has_polygons_groups_and_materials(tmp_path: Path) -> None:
    mesh = read_mesh(write(tmp_path / "a.obj", _OBJ))
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [0, 2, 3], [3, 2, 0]])
    assert mesh.group.tolist() == ["left", "left", "right wing"]
    assert mesh.material.tolist() == ["red"] * 3
    assert mesh.polygon.tolist() == [0, 0, 1]


def test_a_quad_is_cut_along_its_shorter_diagonal(tmp_path: Path) -> None:
    kite = "v 0 0 0\nv 3 0 0\nv 4 1 0\nv 0 1 0\nf 1 2 3 4\n"
    # From 2 (3, 0) to 4 (0, 1) is the square root of 10, from 1 to 3 that of 17.
    faces = read_mesh(write(tmp_path / "a.obj", kite)).faces
    assert {tuple(sorted(face)) for face in faces.tolist()} == {(1, 2, 3), (0, 1, 3)}


@pytest.mark.parametrize("suffix", [".stl", ".ply", ".off", ".obj"])
def test_all_formats_hold_the_same_box(tmp_path: Path, suffix: str) -> None:
    vertices, faces = box()
    trimesh.Trimesh(vertices, faces, process=False).export(tmp_path / f"box{suffix}")
    mesh = read_mesh(tmp_path / f"box{suffix}")
    places = mesh.vertices[mesh.faces]
    np.testing.assert_allclose(np.sort(places.reshape(12, 9)), np.sort(vertices[faces].reshape(12, 9)))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.obj", "v 0 0\n", "line 1: 'v 0 0': too few numbers"),
        ("a.obj", "v 0 0 x\n", "line 1: 'v 0 0 x': could not convert"),
        ("a.obj", "v 0 0 0\nf 0 1 1\n", "line 2: 'f 0 1 1': no vertex 0"),
        ("a.obj", "v 0 0 0\nf -2 1 1\n", "line 2: 'f -2 1 1': no vertex -2"),
        ("a.obj", "v 0 0 0\nf 1 2 3\n", "faces name vertices 0 to 2, but there are 1"),
        ("a.obj", "v 0 0 nan\nv 0 1 0\nv 1 0 0\nf 1 2 3\n", "1 vertices are not finite"),
        ("a.obj", "v 0 0 0\n", "no face"),
        ("a.stl", "solid but not really", "no mesh that trimesh reads|no face"),
        ("a.ply", "ply\nformat ascii 1.0\n", "no mesh that trimesh reads"),
        ("a.glb", "", "one of .obj, .ply, .stl, .off is wanted"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_mesh(write(tmp_path / name, text))


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.json", '["a", "b"]', ["a", "a", "b"]),
        ("a.json", "[7, 3]", ["part 7", "part 7", "part 3"]),
        ("a.txt", "a\nb\n", ["a", "a", "b"]),
    ],
)
def test_labels_belong_to_the_files_faces(tmp_path: Path, name: str, text: str, found: list[str]) -> None:
    mesh = read_mesh(write(tmp_path / "a.obj", _OBJ))
    assert read_face_labels(write(tmp_path / name, text), mesh).tolist() == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["a"]', "1 labels, but a name or a number for each of 2 faces"),
        ('{"a": 1}', "dict, but a name"),
        ("[1.5, 2]", "2 labels, but a name"),
        ('["a", ""]', "face 1 has no label"),
        ("[", "no list of labels"),
    ],
)
def test_other_labels_are_refused(tmp_path: Path, text: str, message: str) -> None:
    mesh = read_mesh(write(tmp_path / "a.obj", _OBJ))
    with pytest.raises(ValueError, match=message):
        read_face_labels(write(tmp_path / "a.json", text), mesh)
