from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from slimdp.surface import BodySurface, DensePoseCharts, load_charts
from slimdp.surface.densepose.matlab5 import load_arrays, load_cells, read_contents
from slimdp.surface.densepose.surface import load_densepose_charts
from tests.surface.densepose_files import tiny_body, write_charts


@pytest.fixture(scope="module")
def real(samples: Path) -> DensePoseCharts:
    charts = load_charts(samples / "densepose")
    assert isinstance(charts, DensePoseCharts)
    return charts


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_charts(tmp_path / "UV_Processed.mat", tiny_body(np.random.default_rng(0)))
    return tmp_path / "UV_Processed.mat"


def test_the_real_charts_are_those_that_were_published(real: DensePoseCharts) -> None:
    assert real.faces.shape == (13774, 3)
    assert real.vertex_uv.shape == (7829, 2)
    assert np.unique(real.smpl_vertex).tolist() == list(range(6890))
    assert np.unique(real.face_part).tolist() == list(range(1, 25))


def test_every_real_face_is_found_again(real: DensePoseCharts) -> None:
    rng = np.random.default_rng(0)
    face = np.tile(np.arange(len(real.faces)), 3)  # of all 24 parts
    weights = rng.dirichlet([1.0] * 3, len(face))
    part, uv = real.chart(face, weights)
    found, found_weights = real.locate(part, uv)
    again_part, again = real.chart(found, found_weights)
    np.testing.assert_array_equal(again_part, part)
    np.testing.assert_allclose(again, uv, atol=3e-6)
    # The real charts do not overlap: only points at the edges may be found in the face beside theirs.
    inner = weights.min(axis=1) > 0.01
    np.testing.assert_array_equal(found[inner], face[inner])


def test_real_points_are_found_as_a_slow_search_finds_them(real: DensePoseCharts) -> None:
    rng = np.random.default_rng(1)
    part, uv = rng.integers(1, 25, 600), rng.random((600, 2))
    face, weights = real.locate(part, uv)
    outside = 0
    for label, point, found, weight in zip(part, uv, face, weights):
        assert real.face_part[found] == label
        mine = np.flatnonzero(real.face_part == label)
        a, b, c = np.moveaxis(real.face_uv[mine], 1, 0)
        solved = np.linalg.solve(np.stack([b - a, c - a], axis=2), (point - a)[:, :, None])[:, :, 0]
        depth = np.column_stack([1 - solved.sum(axis=1), solved]).min(axis=1)  # how far inside each face
        if depth.max() > 1e-3:
            assert found == mine[depth.argmax()]
        elif depth.max() < -1e-2:
            outside += 1
            vertices = np.unique(real.faces[mine])
            nearest = vertices[((real.vertex_uv[vertices] - point) ** 2).sum(axis=1).argmin()]
            assert real.faces[found][weight.argmax()] == nearest
            assert weight.tolist().count(0) == 2
    assert outside > 100


def test_points_lie_on_a_body_of_the_user_s(real: DensePoseCharts) -> None:
    vertices = np.random.default_rng(2).random((6890, 3))
    on_body = vertices[real.smpl_vertex[real.faces[5]]]
    np.testing.assert_allclose(
        real.positions(vertices, np.array([5]), np.array([[0.2, 0.3, 0.5]]))[0], [0.2, 0.3, 0.5] @ on_body
    )
    with pytest.raises(ValueError, match=r"\(6889, 3\), but \(6890, 3\) are wanted"):
        real.positions(vertices[:-1], np.array([5]), np.eye(3)[:1])


def test_the_file_counts_from_1(file: Path) -> None:
    body, charts = tiny_body(np.random.default_rng(0)), load_densepose_charts(file)
    np.testing.assert_array_equal(charts.faces, body.faces)
    np.testing.assert_array_equal(charts.smpl_vertex, body.vertex)
    face, weights = charts.locate(np.array([3]), np.array([[0.25, 0.0]]))
    place_m = charts.positions(np.column_stack([body.place_m, np.zeros(len(body.place_m))]), face, weights)
    np.testing.assert_allclose(place_m, [[0.225, 0, 0]])


def test_the_open_body_has_charts_too() -> None:
    assert isinstance(load_charts("open"), BodySurface)


@pytest.mark.parametrize(
    ("key", "change", "error"),
    [
        ("All_Faces", lambda a: a[:, :2], r"All_Faces has shape \(192, 2\), but \(F, 3\) is wanted"),
        ("All_Faces", lambda a: a + 200, r"All_Faces runs from 201 to 416, but 1\.\.216 is wanted"),
        ("All_Faces", lambda a: a - 1, r"All_Faces runs from 0 to 215"),
        ("All_Faces", lambda a: a + 0.5, r"All_Faces has 1\.5, but whole numbers are wanted"),
        ("All_FaceIndices", lambda a: a + 1, r"All_FaceIndices runs from 2 to 25, but 1\.\.24 is wanted"),
        ("All_FaceIndices", lambda a: a[1:], r"All_FaceIndices has 191 entries, but 192 are wanted"),
        ("All_FaceIndices", lambda a: np.maximum(a, 2), r"All_FaceIndices has no face of part 1"),
        ("All_U_norm", lambda a: a * np.nan, r"All_U_norm has 216 values that are not finite"),
        ("All_U_norm", lambda a: a + 0.1, r"All_U_norm runs from 0\.1 to 1\.1, but 0\.\.1 is wanted"),
        ("All_U_norm", lambda a: a + 1j, r"All_U_norm holds double, but a matrix of real numbers"),
        ("All_V_norm", lambda a: a.reshape(2, -1), r"All_V_norm has shape \(2, 108\), but a vector"),
        ("All_V_norm", lambda a: {"x": 1}, r"All_V_norm holds struct, but a matrix of real numbers"),
        ("All_V_norm", lambda a: "many", r"All_V_norm holds char, but"),
        ("All_V_norm", lambda a: np.array([[1, "a"]], object), r"All_V_norm holds cell, but"),
        ("All_vertices", lambda a: a[:0], r"All_vertices has shape \(0, 216\), but a vector"),
        ("All_vertices", lambda a: a - 1, r"All_vertices runs from 0 to"),
    ],
)
def test_wrong_charts_are_refused_by_file_and_key(tmp_path: Path, key: str, change: Any, error: str) -> None:
    body, path = tiny_body(np.random.default_rng(0)), tmp_path / "UV_Processed.mat"
    write_charts(path, body)
    right = scipy.io.loadmat(path)[key]
    write_charts(path, body, **{key: change(right.astype(float))})
    with pytest.raises(ValueError, match=r"UV_Processed\.mat: " + error):
        load_densepose_charts(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_cut_off_anywhere_is_refused(file: Path, compressed: bool) -> None:
    content = {k: v for k, v in scipy.io.loadmat(file).items() if not k.startswith("_")}
    scipy.io.savemat(file, content, do_compression=compressed)
    whole = file.read_bytes()
    for length in np.linspace(0, len(whole) - 1, 80).astype(int):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"UV_Processed\.mat"):
            load_densepose_charts(file)


def test_damaged_bytes_raise_nothing_but_value_errors(file: Path) -> None:
    rng, whole = np.random.default_rng(0), bytearray(file.read_bytes())
    for _ in range(300):
        damaged = whole.copy()
        for place in rng.integers(128, len(whole), 4):
            damaged[place] = rng.integers(256)
        file.write_bytes(damaged)
        with suppress(ValueError):
            charts = load_densepose_charts(file)
            assert charts.vertex_uv.min() >= 0
            assert charts.vertex_uv.max() <= 1


@pytest.mark.parametrize(("code", "kind"), [(3, "object"), (5, "sparse"), (16, "function"), (99, "unknown")])
def test_objects_and_functions_are_not_loaded(file: Path, code: int, kind: str) -> None:
    whole = bytearray(file.read_bytes())
    whole[128 + 8 + 8] = code  # the class of the first variable
    file.write_bytes(whole)
    with pytest.raises(ValueError, match=f"All_Faces holds {kind}, but"):
        load_densepose_charts(file)


def test_what_unpacks_to_too_much_is_not_loaded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slimdp.surface.densepose.matlab5._MOST_BYTES", 2 << 20)
    content = {k: v for k, v in scipy.io.loadmat(file).items() if not k.startswith("_")}
    content["All_U_norm"] = np.zeros((1 << 20, 1))
    scipy.io.savemat(file, content, do_compression=True)
    assert file.stat().st_size < 30_000
    with pytest.raises(ValueError, match=r"All_U_norm unpacks to more than 2 MB: not loaded"):
        load_densepose_charts(file)
    # What nobody asks for may be as large as it likes.
    write_charts(file, tiny_body(np.random.default_rng(0)), other=np.zeros((1 << 20, 1)))
    assert len(load_densepose_charts(file).faces) == 192


def test_variables_are_named_before_they_are_loaded(samples: Path, file: Path) -> None:
    for path in (samples / "densepose/UV_Processed.mat", file):
        expected = [(name, shape) for name, shape, _ in scipy.io.whosmat(path)]
        assert [(name, variable.shape) for name, variable in read_contents(path).items()] == expected


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["f4", "f8", "u1", "i2", "u4", "i8"])
def test_matrices_are_those_that_scipy_reads(tmp_path: Path, compressed: bool, kind: str) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "a.mat"
    shapes = [(1, 1), (1, 4), (3, 5), (2, 3, 4), (40, 30)]
    content = {f"a{n}": (100 * rng.random(shape)).astype(kind) for n, shape in enumerate(shapes)}
    content["cells"] = np.empty((1, 3), dtype=object)
    content["cells"][0, :] = [(100 * rng.random((4, 4))).astype(kind) for _ in range(3)]
    scipy.io.savemat(path, content, do_compression=compressed)
    expected = scipy.io.loadmat(path)
    names = [f"a{n}" for n in range(len(shapes))]
    for name, array in zip(names, load_arrays(path, names), strict=True):
        np.testing.assert_array_equal(array, expected[name])
        assert array.dtype == expected[name].dtype
    (cells,) = load_cells(path, ["cells"], 3, (4, 4))
    np.testing.assert_array_equal(np.stack(cells), np.stack(list(expected["cells"][0])))


def test_numbers_may_begin_with_the_highest_byte(tmp_path: Path) -> None:
    """As MATLAB once wrote on other machines: by hand, a matrix [1 2] of doubles kept as 16-bit integers."""

    def element(kind: int, data: bytes) -> bytes:
        return struct.pack(">II", kind, len(data)) + data.ljust(-(-len(data) // 8) * 8, b"\0")

    matrix = (
        element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 1, 2))
        + struct.pack(">HH", 1, 1) + b"a\0\0\0"  # a short name stands in its own tag
        + struct.pack(">HHhh", 4, 3, 1, 2)
    )  # fmt: skip
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    (tmp_path / "a.mat").write_bytes(header + element(14, matrix))
    assert load_arrays(tmp_path / "a.mat", ["a"])[0].tolist() == [[1, 2]]
    assert scipy.io.loadmat(tmp_path / "a.mat")["a"].tolist() == [[1, 2]]


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "UV_Processed.mat"
    for content, error in (
        (b"<html>404</html>", "no MATLAB file: it begins with b'<html>404</h'"),
        (b"", "no MATLAB file"),
        (b"\x89HDF\r\n", r"version 7\.3; save it again with '-v7'"),
        (b"MATLAB 5.0".ljust(128), "no MATLAB file"),
        (b"MATLAB 5.0".ljust(124) + b"\x00\x01IM", "wanted All_Faces; there are: none"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=error):
            load_densepose_charts(path)
