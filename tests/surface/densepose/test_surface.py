from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slimdp.evaluation import point_errors, summarize
from slimdp.surface import DensePoseSurface, load_charts, load_surface, load_symmetry, what_is_there
from slimdp.surface.densepose.surface import load_densepose_surface
from tests.surface.densepose_files import (
    TinyBody,
    symmetry_tables,
    tiny_body,
    write_distances,
    write_subdivided,
    write_surface,
    write_symmetry,
    write_transform,
)


@pytest.fixture(scope="module")
def body() -> TinyBody:
    return tiny_body(np.random.default_rng(3))


@pytest.fixture
def folder(tmp_path: Path, body: TinyBody) -> Path:
    write_surface(tmp_path, body)
    return tmp_path


def slowly_nearest(body: TinyBody, part: int, uv: np.ndarray) -> int:
    """Protocol 4.1: the nearest chart vertex of the part, through the index; the first of equals."""
    if part == 0:
        return -1
    offset = [
        ((place - uv) ** 2).sum() if label == part else np.inf for label, place in zip(body.part, body.uv)
    ]
    return int(body.vertex[int(np.argmin(offset))])


def test_it_measures_as_the_rules_say(folder: Path, body: TinyBody) -> None:
    surface, rng = load_surface(folder), np.random.default_rng(0)
    condensed = body.distance_m()
    part, uv = rng.integers(0, 25, (2, 400)), rng.random((2, 400, 2)).round(1)  # some are half way
    found = surface.distance_between(part[0], uv[0], part[1], uv[1])
    for n in range(400):
        a, b = (slowly_nearest(body, part[side, n], uv[side, n]) for side in (0, 1))
        if -1 in (a, b):
            assert found[n] == np.inf
        elif a == b:
            assert found[n] == 0
        else:
            high, low = max(a, b), min(a, b)
            assert found[n] == condensed[high * (high - 1) // 2 + low]
            np.testing.assert_allclose(found[n], np.hypot(*(body.place_m[a] - body.place_m[b])), atol=1e-6)
    vertices = surface.nearest_vertex(part[0], uv[0])
    table = surface.vertex_distance(vertices[:, None], vertices[None])
    assert table.shape == (400, 400)
    np.testing.assert_array_equal(table, table.T)


def test_perfect_predictions_score_100_on_it(folder: Path, perfect_pair: Callable[..., Any]) -> None:
    person, prediction = perfect_pair()
    scores = summarize(point_errors([prediction], [person], load_surface(folder)))
    assert [scores["full"][name] for name in ("5cm", "10cm", "20cm")] == [100, 100, 100]
    assert scores["localization"]["auc10"] == 100


def test_the_same_folder_is_loaded_once_and_a_link_to_it_too(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert load_surface(folder) is load_surface(str(folder)) is load_surface(tmp_path / "link")


def test_files_are_found_where_the_archives_put_them_and_elsewhere(tmp_path: Path, body: TinyBody) -> None:
    write_surface(tmp_path / "deep/deeper", body)
    assert isinstance(load_surface(tmp_path), DensePoseSurface)
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in sorted((tmp_path / "deep/deeper").rglob("*.*")):
        shutil.copy(path, flat / path.name)
    assert isinstance(load_surface(flat), DensePoseSurface)
    assert what_is_there(flat).count(str(flat)) == 5
    # The nearest counts; of two equally near ones neither is taken.
    (tmp_path / "deep/SMPL_subdiv.mat").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"flat.SMPL_subdiv\.mat and|deep.SMPL_subdiv\.mat and"):
        load_densepose_surface(tmp_path)
    with pytest.raises(ValueError, match=r"deep.SMPL_subdiv\.mat: no MATLAB file"):
        load_densepose_surface(tmp_path / "deep")


def test_what_is_missing_is_named_with_what_it_is_for(folder: Path) -> None:
    for path in (folder / "eval_data").iterdir():
        path.unlink()
    (folder / "UV_data/UV_symmetry_transforms.mat").unlink()
    assert len(load_charts(folder).faces) == 192
    eval_data = r"https://dl\.fbaipublicfiles\.com/densepose/densepose_eval_data\.tar\.gz"
    with pytest.raises(ValueError, match=rf"SMPL_subdiv\.mat \(for evaluation\), from {eval_data}") as raised:
        load_densepose_surface(folder)
    for name in ("SMPL_SUBDIV_TRANSFORM.mat", "Pdist_matrix.pkl"):
        assert f"{name} (for evaluation)" in str(raised.value)
    assert "UV_" not in str(raised.value)
    with pytest.raises(ValueError, match=r"UV_symmetry_transforms\.mat \(for flips\), from .*uv_data"):
        load_symmetry(folder)
    assert what_is_there(folder).splitlines()[0] == f"charts: {folder / 'UV_data/UV_Processed.mat'}"
    assert (
        what_is_there(folder).splitlines()[1].startswith("flips: no UV_symmetry_transforms.mat; from https")
    )


def test_names_that_are_no_surface(tmp_path: Path) -> None:
    for load in (load_surface, load_charts, load_symmetry):
        with pytest.raises(ValueError, match=r"no surface 'smpl' in .*choose one of: open, or a folder"):
            load("smpl")


@pytest.mark.parametrize(
    ("key", "change", "error"),
    [
        ("Part_ID_subdiv", lambda a: a + 1, r"Part_ID_subdiv runs from 2 to 25, but 0\.\.24 is wanted"),
        ("Part_ID_subdiv", lambda a: np.minimum(a, 23), "Part_ID_subdiv has no vertex of part 24"),
        ("Part_ID_subdiv", lambda a: a[1:], "Part_ID_subdiv has 215 entries, but 216 are wanted"),
        ("U_subdiv", lambda a: a * 255, r"U_subdiv runs from 0 to 255, but 0\.\.1 is wanted"),
        ("V_subdiv", lambda a: np.where(a > 0, np.nan, a), "V_subdiv has 144 values that are not finite"),
        ("V_subdiv", lambda a: a.reshape(12, -1), r"V_subdiv has shape \(12, 18\), but a vector"),
    ],
)
def test_wrong_vertices_are_refused_by_file_and_key(
    folder: Path, body: TinyBody, key: str, change: Any, error: str
) -> None:
    right = {"U_subdiv": body.uv[:, :1], "V_subdiv": body.uv[:, 1:], "Part_ID_subdiv": body.part[:, None]}
    write_subdivided(folder / "eval_data/SMPL_subdiv.mat", body, **{key: change(right[key].astype(float))})
    with pytest.raises(ValueError, match=r"SMPL_subdiv\.mat: " + error):
        load_densepose_surface(folder)


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (lambda n: np.arange(216), r"index runs from 0 to 215, but 1\.\.147 is wanted"),
        (lambda n: 1 + np.arange(216), r"index runs from 1 to 216, but 1\.\.147 is wanted"),
        (lambda n: np.ones(200), r"index has 200 entries, but 216 are wanted"),
        (lambda n: np.full(216, 1.5), r"index has 1\.5, but whole numbers are wanted"),
    ],
)
def test_a_wrong_index_is_refused(folder: Path, body: TinyBody, index: Any, error: str) -> None:
    assert len(body.place_m) == 147
    write_transform(folder / "eval_data/SMPL_SUBDIV_TRANSFORM.mat", body, index(147))
    with pytest.raises(ValueError, match=r"SMPL_SUBDIV_TRANSFORM\.mat: " + error):
        load_densepose_surface(folder)


def test_a_table_that_was_converted_is_taken_before_the_pickle(folder: Path, body: TinyBody) -> None:
    write_distances(folder / "Pdist_matrix.npy", "npy", body.distance_m())
    (folder / "eval_data/Pdist_matrix.pkl").write_bytes(b"cos\nsystem\n(S'ls'\ntR.")
    surface = load_densepose_surface(folder)
    assert surface.distances.source.name == "Pdist_matrix.npy"
    (folder / "Pdist_matrix.npy").unlink()
    with pytest.raises(ValueError, match=r"it asks for os\.system"):
        load_densepose_surface(folder)


def test_flips_are_those_of_the_file(folder: Path) -> None:
    part, uv = load_symmetry(folder).flip(np.array([1, 3, 0]), np.array([[51 / 255, 0.4]] * 3))
    assert part.tolist() == [1, 4, 0]
    np.testing.assert_allclose(uv, [[204 / 255, 0.4], [204 / 255, 0.4], [51 / 255, 0.4]], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda t: t[:23], "U_transforms has 23 cells, but 24 of"),
        (lambda t: t[:, :, :128], r"U_transforms, cell 1 has shape \(128, 256\), but \(256, 256\)"),
        (lambda t: t * 255, r"U_transforms of part 1 runs from 0 to 255, but 0\.\.1 is wanted"),
        (lambda t: np.where(t == 0, np.nan, t), "U_transforms, cell 1 has 256 values that are not finite"),
    ],
)
def test_wrong_tables_of_flips_are_refused(tmp_path: Path, change: Any, error: str) -> None:
    write_symmetry(tmp_path / "UV_symmetry_transforms.mat", change(symmetry_tables()))
    with pytest.raises(ValueError, match=r"UV_symmetry_transforms\.mat: " + error):
        load_symmetry(tmp_path)
