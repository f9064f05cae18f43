from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from slimdp.surface import (
    COCO_KEYPOINTS,
    PEOPLE,
    POSETRACK_KEYPOINTS,
    BodySurface,
    UvSymmetry,
    load_surface,
)
from slimdp.surface.cache import cache_folder
from slimdp.surface.distortion import HIDDEN_BELOW, openness
from slimdp.surface.flatten import boundary_loop, is_one_to_one, signed_areas
from slimdp.surface.geodesics import distances_from, surface_graph
from slimdp.surface.open_body import VERSION, damaged_cache_files, open_body


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    return load_surface("open")


def random_points(surface: BodySurface, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(len(surface.faces), size=count), rng.dirichlet([1.0] * 3, count)


def test_it_has_24_parts_with_coordinates_that_fill_the_unit_square(surface: BodySurface) -> None:
    assert np.unique(surface.face_part).tolist() == list(range(1, 25))
    for part in range(1, 25):
        uv = surface.face_uv[surface.face_part == part].reshape(-1, 2)
        np.testing.assert_allclose(uv.min(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(uv.max(axis=0), 1, atol=1e-6)


def test_no_triangle_of_a_chart_is_folded(surface: BodySurface) -> None:
    corners = surface.face_uv.astype(np.float64)
    areas = signed_areas(corners.reshape(-1, 2), np.arange(3 * len(corners)).reshape(-1, 3))
    right = surface.vertices[surface.faces].mean(axis=1)[:, 0] < 0
    torso = surface.face_part <= 2
    # The left half's limbs share the right half's chart, so seen from outside they run the other way.
    assert (areas[right | torso] > 0).all()
    assert (areas[~right & ~torso] < 0).all()


def test_no_two_points_share_a_chart_coordinate(surface: BodySurface) -> None:
    for part in range(1, 25):
        mine = surface.face_part == part
        corners = np.column_stack([surface.faces[mine].ravel(), surface.face_uv[mine].reshape(-1, 2)])
        places, face = np.unique(corners, axis=0, return_inverse=True)
        plane, face = places[:, 1:], face.reshape(-1, 3)
        if signed_areas(plane, face).sum() < 0:  # the left half's limbs are seen from inside
            plane = plane * [-1, 1]
        assert is_one_to_one(plane, face, boundary_loop(face)), f"part {part}"


def test_parts_lie_where_their_names_say(surface: BodySurface) -> None:
    centre = surface.vertices[surface.faces].mean(axis=1)
    middle = np.stack([centre[surface.face_part == part].mean(axis=0) for part in range(1, 25)])
    x, y, z = middle.T
    assert z[1] > z[0]  # torso front before torso back
    for right, left in (
        (3, 4),
        (6, 5),
        (7, 8),
        (9, 10),
        (11, 12),
        (13, 14),
        (16, 15),
        (18, 17),
        (20, 19),
        (22, 21),
        (23, 24),
    ):
        assert x[right - 1] < -0.01 < 0.01 < x[left - 1]
    for back, front in ((7, 9), (8, 10), (11, 13), (12, 14), (15, 17), (16, 18), (19, 21), (20, 22)):
        assert z[front - 1] > z[back - 1]
    assert y[22] > y[1] > y[8] > y[12] > y[5]  # head, torso, upper leg, lower leg, foot


def test_charts_and_surface_are_inverse_to_each_other(surface: BodySurface) -> None:
    face, weights = random_points(surface, 20_000, 0)
    part, uv = surface.chart(face, weights)
    again = surface.locate(part, uv)
    offset_m = np.linalg.norm(surface.positions(*again) - surface.positions(face, weights), axis=1)
    assert offset_m.max() < 1e-4


def test_no_ray_slips_between_two_triangles(surface: BodySurface) -> None:
    face = np.repeat(np.arange(0, len(surface.faces), 5), 4)
    weights = np.tile([[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]], (len(face) // 4, 1))
    again = surface.locate(*surface.chart(face, weights))
    offset_m = np.linalg.norm(surface.positions(*again) - surface.positions(face, weights), axis=1)
    assert offset_m.max() < 1e-4


def test_a_coordinate_outside_its_chart_goes_to_the_nearest_point_of_the_rim(surface: BodySurface) -> None:
    rng = np.random.default_rng(6)
    mine = surface.face_part == 7
    corners = surface.face_uv[mine].astype(np.float64)
    # Dense points of all triangles' edges stand for the chart.
    share = np.linspace(0, 1, 201)[:, None, None, None]
    dense = (corners * (1 - share) + np.roll(corners, -1, axis=1) * share).reshape(-1, 2)
    for outside in ([0.0, 0.0], [1.0, 0.0], [0.02, 0.97], *rng.random((20, 2)).tolist()):
        part, uv = surface.chart(*surface.locate(np.array([7]), np.array([outside])))
        assert part.tolist() == [7]
        found = np.linalg.norm(uv[0] - outside)
        nearest = np.linalg.norm(dense - outside, axis=1).min()
        assert found < nearest + 1e-6


def test_every_coordinate_is_found_on_its_own_part(surface: BodySurface) -> None:
    v, u = np.meshgrid(np.linspace(0, 1, 21), np.linspace(0, 1, 21))
    uv = np.column_stack([u.ravel(), v.ravel()])
    for part in range(1, 25):
        face, weights = surface.locate(np.full(len(uv), part), uv)
        assert (surface.face_part[face] == part).all()
        np.testing.assert_allclose(weights.sum(axis=1), 1)
    # What rounding puts past the edge is on the edge.
    past, edge = (surface.locate(np.array([7]), np.array([[u, 0.4]])) for u in (1 + 1e-6, 1.0))
    np.testing.assert_allclose(surface.positions(*past), surface.positions(*edge))


def test_bad_chart_coordinates_raise(surface: BodySurface) -> None:
    with pytest.raises(ValueError, match=r"1\.\.24"):
        surface.locate(np.array([25]), np.array([[0.5, 0.5]]))
    with pytest.raises(ValueError, match="not finite"):
        surface.locate(np.array([1]), np.array([[np.nan, 0.5]]))
    for u in (-0.6, 1.5, 2.3):  # 2.3 once lay in the chart of the next part
        with pytest.raises(ValueError, match=r"but 0\.\.1 is wanted"):
            surface.locate(np.array([7]), np.array([[u, 0.5]]))
    face, weights = surface.locate(np.zeros(0, dtype=int), np.zeros((0, 2)))
    assert face.shape == (0,)
    assert weights.shape == (0, 3)


def test_vertex_distances_are_those_of_the_graph(surface: BodySurface) -> None:
    sources = np.random.default_rng(0).integers(len(surface.vertices), size=5)
    expected = distances_from(surface_graph(surface.vertices, surface.faces), sources)
    every = np.arange(len(surface.vertices))
    for source, row in zip(sources, expected):
        np.testing.assert_allclose(surface.vertex_distance(source, every), row, atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_distance_is_symmetric_zero_at_home_and_no_shorter_than_a_straight_line(seed: int) -> None:
    surface = load_surface("open")
    a, b = random_points(surface, 50, seed), random_points(surface, 50, seed + 1)
    there, back = surface.geodesic_distance(*a, *b), surface.geodesic_distance(*b, *a)
    np.testing.assert_allclose(there, back, atol=1e-12)
    assert surface.geodesic_distance(*a, *a).max() < 1e-3
    straight = np.linalg.norm(surface.positions(*a) - surface.positions(*b), axis=1)
    assert (there > straight - 2e-3).all()


def test_within_a_triangle_distances_are_straight(surface: BodySurface) -> None:
    face, a = random_points(surface, 500, 3)
    b = np.random.default_rng(4).dirichlet([1.0] * 3, 500)
    straight = np.linalg.norm(surface.positions(face, a) - surface.positions(face, b), axis=1)
    np.testing.assert_allclose(surface.geodesic_distance(face, a, face, b), straight, atol=1e-3)


def test_the_mirrored_point_is_on_the_other_side(surface: BodySurface) -> None:
    face, weights = random_points(surface, 5_000, 5)
    part, uv = surface.chart(face, weights)
    mirrored_part, mirrored_uv = surface.symmetry.flip(part, uv)
    mirrored = surface.positions(*surface.locate(mirrored_part, mirrored_uv))
    offset_m = np.linalg.norm(mirrored - surface.positions(face, weights) * [-1, 1, 1], axis=1)
    assert offset_m.max() < 1e-4


def test_the_surface_is_its_own_mirror_image(surface: BodySurface) -> None:
    mirrored_vertex = np.full(len(surface.vertices), -1)
    order = {tuple(key): i for i, key in enumerate(np.round(surface.vertices, 7) + 0.0)}
    for key, i in order.items():
        mirrored_vertex[i] = order[tuple(np.array(key) * [-1, 1, 1] + 0.0)]
    where = {tuple(sorted(face)): index for index, face in enumerate(surface.faces.tolist())}
    twin = np.array([where[tuple(sorted(face))] for face in mirrored_vertex[surface.faces].tolist()])
    np.testing.assert_array_equal(surface.face_part[twin], PEOPLE.flip_part[surface.face_part])
    pairs = np.random.default_rng(8).integers(len(surface.vertices), size=(2, 5_000))
    here = surface.vertex_distance(*pairs)
    np.testing.assert_allclose(surface.vertex_distance(*mirrored_vertex[pairs]), here, atol=2e-3)
    for name in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        assert mirrored_vertex[surface.keypoints[f"right_{name}"]] == surface.keypoints[f"left_{name}"]


def test_keypoints_of_both_data_sets_are_anchored_on_the_skin(surface: BodySurface) -> None:
    assert (len(COCO_KEYPOINTS), len(POSETRACK_KEYPOINTS)) == (17, 15)
    assert len({*COCO_KEYPOINTS, *POSETRACK_KEYPOINTS}) == 19
    for names in (COCO_KEYPOINTS, POSETRACK_KEYPOINTS):
        face, weights = surface.anchors(names)
        expected = surface.vertices[[surface.keypoints[name] for name in names]]
        np.testing.assert_array_equal(surface.positions(face, weights), expected)
    part = dict(zip(COCO_KEYPOINTS, surface.face_part[surface.anchors(COCO_KEYPOINTS)[0]]))
    assert part["left_eye"] == part["left_ear"] == 24
    assert part["right_eye"] == part["right_ear"] == 23
    assert part["nose"] in (23, 24)
    assert part["left_knee"] in (10, 14, 8, 12)
    with pytest.raises(ValueError, match="no keypoint 'tail'; choose from: head_bottom"):
        surface.anchors(["nose", "tail"])


def test_only_what_the_body_covers_is_hidden(surface: BodySurface) -> None:
    share = openness(surface.vertices, surface.faces)
    corners = surface.vertices[surface.faces]
    area = 0.5 * np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    hidden = share < HIDDEN_BELOW
    head = surface.face_part >= 23
    assert 0.1 < area[hidden & head].sum() / area[head].sum() < 0.25  # inside mouth and nose
    assert area[hidden & ~head].sum() < 1e-3 * area.sum()
    forehead = corners.mean(axis=1)[:, 1].argmax()
    assert share[forehead] > 0.9
    box = trimesh.creation.box()
    np.testing.assert_allclose(openness(box.vertices, box.faces), 1)
    np.testing.assert_array_equal(openness(box.vertices, box.faces[:, ::-1]), 0)  # from within


def test_keypoints_are_on_their_side(surface: BodySurface) -> None:
    for name, vertex in surface.keypoints.items():
        x = surface.vertices[vertex, 0]
        assert (
            x > 0.01 if name.startswith("left") else x < -0.01 if name.startswith("right") else abs(x) < 1e-6
        )
    heights = [
        surface.vertices[surface.keypoints[name], 1]
        for name in ("head_top", "nose", "left_shoulder", "left_knee")
    ]
    assert heights == sorted(heights, reverse=True)


def test_an_interrupted_build_leaves_no_cache(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("slimdp.surface.open_body.write_distances", killed)
    monkeypatch.setattr("slimdp.surface.open_body._right_charts", lambda *a: np.zeros((len(a[1]), 3, 2)))
    with pytest.raises(KeyboardInterrupt):
        open_body(cache=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where bodies are built: of the real one's files, the big ones as links."""
    load_surface("open")
    ready = cache_folder() / f"open-body-{VERSION}"
    folders: list[Path] = []

    def build(folder: Path, processes: int) -> None:
        folders.append(folder)
        folder.mkdir()
        for file in ready.iterdir():
            (folder / file.name).symlink_to(file)

    monkeypatch.setattr("slimdp.surface.open_body._build", build)
    return folders


@pytest.mark.parametrize("name", ["keypoints.json", "checksums.json", "surface.npz", "distances.npy"])
def test_a_damaged_cache_is_named_and_built_again(
    tmp_path: Path, built: list[Path], caplog: pytest.LogCaptureFixture, name: str
) -> None:
    open_body(cache=tmp_path)
    assert len(built) == 1
    file = built[0] / name
    with open(file, "rb") as opened:
        content = bytearray(opened.read(1000))
    content[len(content) // 2] ^= 1
    file.unlink()
    file.write_bytes(content)
    assert name in damaged_cache_files(built[0])
    surface = open_body(cache=tmp_path)
    assert "is damaged: building the body again" in caplog.text
    assert str(built[0]) in caplog.text
    assert len(built) == 2
    assert surface.face_uv.max() == 1
    assert surface.vertex_distance(0, 1) > 0


def test_of_two_builds_at_once_the_second_waits_and_takes_the_first(
    tmp_path: Path, built: list[Path]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: open_body(cache=tmp_path), range(2)))
    assert len(built) == 1


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    monkeypatch.setenv("SLIMDP_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")
    monkeypatch.setenv("SLIMDP_CACHE", "")  # not the working directory
    assert cache_folder() == Path("/cache/slimdp")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path.home() / ".cache" / "slimdp"


def test_flips_are_their_own_inverse() -> None:
    np.testing.assert_array_equal(PEOPLE.flip_part[PEOPLE.flip_part], np.arange(25))
    np.testing.assert_array_equal(PEOPLE.flip_coarse[PEOPLE.flip_coarse], np.arange(15))
    part, uv = np.arange(25), np.random.default_rng(0).random((25, 2)).astype(np.float32)
    once = UvSymmetry().flip(part, uv)
    twice = UvSymmetry().flip(*once)
    np.testing.assert_array_equal(twice[0], part)
    np.testing.assert_allclose(twice[1], uv, atol=1e-6)


def test_tables_are_read_by_row_v_and_column_u() -> None:
    tables = np.zeros((24, 2, 256, 256), dtype=np.float32)
    tables[6, :, 51, 204] = 0.25, 0.75  # part 7, v = 0.2, u = 0.8
    part, uv = UvSymmetry(tables=tables).flip(np.array([7, 0]), np.array([[0.8, 0.2], [0.8, 0.2]]))
    assert part.tolist() == [8, 0]
    np.testing.assert_allclose(uv, [[0.25, 0.75], [0.8, 0.2]], atol=1e-6)
