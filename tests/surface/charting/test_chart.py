from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from slimdp.__main__ import main
from slimdp.surface import BodySurface, load_surface, load_symmetry
from slimdp.surface.charting.chart import ChartedMesh, ChartOptions, chart_mesh
from slimdp.surface.charting.regions import even_regions
from slimdp.surface.distortion import chart_distortion
from slimdp.surface.flatten import signed_areas
from tests.surface.charting.solids import box, named, torus, tube


def write(
    path: Path, vertices: np.ndarray, faces: np.ndarray, groups: dict[str, np.ndarray] | None = None
) -> Path:
    """An OBJ file; `groups` says by name which triangles belong to one."""
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    for name, mine in (groups or {"": np.ones(len(faces), bool)}).items():
        lines += [f"g {name}"] + ["f " + " ".join(map(str, row)) for row in (faces[mine] + 1).tolist()]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def block(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The surface of a box, 0.6 m wide, 0.4 m high, 1 m long, cut automatically."""
    folder = tmp_path_factory.mktemp("block")
    (folder / "keypoints.yaml").write_text("nose: [0, 0, 50]\nright_ear: [-30, 20, 50]\n")
    mesh = write(folder / "box.obj", *box(6, (60, 40, 100)))
    command = ["chart", str(mesh), "--out", str(folder / "surface"), "--scale", "0.01"]
    assert main([*command, "--keypoints", str(folder / "keypoints.yaml")]) == 0
    return folder / "surface"


def test_every_place_of_a_charted_mesh_comes_back(block: Path) -> None:
    surface, rng = load_surface(block), np.random.default_rng(0)
    assert isinstance(surface, BodySurface)
    face = rng.integers(0, len(surface.faces), 500)
    weights = rng.dirichlet([1, 1, 1], 500)
    part, uv = surface.chart(face, weights)
    assert uv.min() >= 0
    assert uv.max() <= 1
    there = surface.positions(*surface.locate(part, uv))
    np.testing.assert_allclose(there, surface.positions(face, weights), atol=1e-5)
    assert all(chart.flipped == 0 for chart in chart_distortion(surface))
    for label in range(1, 1 + len(surface.layout.parts)):
        uv = surface.face_uv[surface.face_part == label].reshape(-1, 2)
        np.testing.assert_allclose([uv.min(axis=0), uv.max(axis=0)], [[0, 0], [1, 1]], atol=1e-6)


def test_mirrored_labels_lie_across_the_middle(block: Path) -> None:
    surface, rng = load_surface(block), np.random.default_rng(0)
    assert isinstance(surface, BodySurface)
    face = rng.integers(0, len(surface.faces), 500)
    weights = rng.dirichlet([1, 1, 1], 500)
    flipped = load_symmetry(block).flip(*surface.chart(face, weights))
    there = surface.positions(*surface.locate(*flipped))
    np.testing.assert_allclose(there, surface.positions(face, weights) * [-1, 1, 1], atol=1e-5)


def test_sizes_keypoints_and_distances_are_those_of_the_mesh(block: Path) -> None:
    surface = load_surface(block)
    assert isinstance(surface, BodySurface)
    np.testing.assert_allclose(np.ptp(surface.vertices, axis=0), [0.6, 0.4, 1.0], atol=1e-9)
    at = {name: surface.vertices[vertex].tolist() for name, vertex in surface.keypoints.items()}
    assert at["nose"] == pytest.approx([0, 0, 0.5])
    assert at["right_ear"] == pytest.approx([-0.3, 0.2, 0.5])
    assert at["left_ear"] == pytest.approx([0.3, 0.2, 0.5])  # mirrored: the file names the right one alone
    ears = surface.vertex_distance(
        *(np.array([surface.keypoints[f"{side}_ear"]]) for side in ("left", "right"))
    )
    assert ears[0] == pytest.approx(0.6, abs=2e-3)
    # The tolerance of a person with 1.8 square metres of skin, on 1.76.
    skin_m2 = 2 * (0.6 * 0.4 + 0.4 * 1.0 + 0.6 * 1.0)
    assert surface.layout.parts[0].kappa_m == pytest.approx(0.255 * np.sqrt(skin_m2 / 1.8), rel=1e-4)
    assert surface.layout.category == "surface"
    assert (block / "charts.png").stat().st_size > 1000
    assert "the left half is now the mirror image" in (block / "notes.txt").read_text()


def test_groups_are_parts_and_closed_ones_are_cut(tmp_path: Path) -> None:
    vertices, faces = box(8, (1, 1, 2))
    centre = vertices[faces].mean(axis=1)
    groups = {
        "horn_right": (centre[:, 0] < 0) & (centre[:, 2] > 0.5),
        "horn_left": (centre[:, 0] > 0) & (centre[:, 2] > 0.5),
        "trunk": centre[:, 2] < 0.5,
    }
    surface = chart_mesh(write(tmp_path / "a.obj", vertices, faces, groups), ChartOptions("box"))
    assert set(surface.layout.coarse_parts) == {"horn_left", "horn_right", "trunk"}
    names = surface.layout.part_names
    assert {"horn_right", "horn_left", "trunk 1", "trunk 2"} <= set(names) or {
        "right trunk", "left trunk"
    } <= set(names)  # fmt: skip
    mirror = {part.name: part.mirror for part in surface.layout.parts}
    assert mirror["horn_right"] == "horn_left"
    at = surface.vertices[surface.faces[surface.face_part == names.index("horn_right")]]
    assert at[..., 0].max() <= 1e-9


def test_a_file_of_face_labels(tmp_path: Path) -> None:
    vertices, faces = box(4)
    top = vertices[faces].mean(axis=1)[:, 1] > 0.45
    (tmp_path / "labels.json").write_text(json.dumps(np.where(top, "lid", "case").tolist()))
    mesh = write(tmp_path / "a.obj", vertices, faces)
    surface = chart_mesh(mesh, ChartOptions("chest", str(tmp_path / "labels.json")))
    assert surface.layout.category == "chest"
    lid = surface.face_part == surface.layout.part_names.index("lid")
    assert (surface.vertices[surface.faces[lid]][..., 1] == 0.5).all()
    # A flat square stays a square.
    areas = signed_areas(
        surface.face_uv[lid].reshape(-1, 2).astype(float), np.arange(3 * lid.sum()).reshape(-1, 3)
    )
    np.testing.assert_allclose(areas, 1 / lid.sum(), rtol=0.02)


def test_up_and_front_turn_the_mesh(tmp_path: Path) -> None:
    vertices, faces = box(4, (1, 2, 3))  # looks along -x, its left is y, up is -z
    mesh = write(tmp_path / "a.obj", vertices[:, [2, 0, 1]] * [-1, 1, -1], faces)
    options = ChartOptions("box", up="z-", front="x-", regions=4)
    found = chart_mesh(mesh, options)
    np.testing.assert_allclose(np.ptp(found.vertices, axis=0), [1, 2, 3], atol=1e-9)
    assert all(signed_areas(*_flat(found, part)).min() * signed_areas(*_flat(found, part)).max() > 0
               for part in range(1, len(found.layout.parts) + 1))  # fmt: skip


def _flat(found: ChartedMesh, part: int) -> tuple[np.ndarray, np.ndarray]:
    uv = found.face_uv[found.face_part == part].astype(np.float64)
    return uv.reshape(-1, 2), np.arange(3 * len(uv)).reshape(-1, 3)


def test_the_front_is_found_where_left_and_right_are_alike(tmp_path: Path) -> None:
    vertices, faces = box(4, (3, 1, 1))
    vertices = vertices * np.where(vertices[:, :1] > 0, [1, 1.5, 1], 1)  # it has a thick end at +x
    found = chart_mesh(write(tmp_path / "a.obj", vertices, faces), ChartOptions("box", regions=4))
    assert found.notes[0].startswith("it looks to x+")
    assert found.vertices[:, 2].max() == pytest.approx(1.5)
    assert found.layout.require_symmetric()


def test_without_left_and_right(tmp_path: Path) -> None:
    vertices, faces = box(4)
    vertices = vertices + 0.4 * np.sin(3 * vertices[:, [1, 2, 0]] + [1, 2, 3])
    mesh = write(tmp_path / "a.obj", vertices, faces)
    found = chart_mesh(mesh, ChartOptions("lump", regions=5))
    assert found.notes[1].startswith("no left and right: mirror images differ by")
    assert not found.layout.parts[0].mirror
    np.testing.assert_allclose(np.ptp(found.vertices, axis=0), np.ptp(vertices, axis=0))
    with pytest.raises(ValueError, match="the mesh has no left and right"):
        chart_mesh(mesh, ChartOptions("lump", symmetry="require"))
    asked = chart_mesh(write(tmp_path / "b.obj", *box(4)), ChartOptions("box", symmetry="none", regions=5))
    assert asked.notes[1] == "no left and right"


@pytest.mark.parametrize("shape", [torus(24, 16), tube(), box(3)])
def test_rings_and_open_tubes_are_charted(tmp_path: Path, shape: tuple[np.ndarray, np.ndarray]) -> None:
    found = chart_mesh(write(tmp_path / "a.obj", *shape), ChartOptions("thing", holes="keep", regions=6))
    assert (found.face_part > 0).all()
    for part in range(1, len(found.layout.parts) + 1):
        areas = signed_areas(*_flat(found, part))
        assert areas.min() * areas.max() > 0


def test_regions_of_a_long_box_are_at_its_ends_first() -> None:
    vertices, faces = box(6, (1, 1, 4))
    region = even_regions(named(vertices, faces), None, 2)
    centre = vertices[faces].mean(axis=1)[:, 2]
    assert set(region[centre > 0.5].tolist()) != set(region[centre < -0.5].tolist())
    assert len(set(region.tolist())) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parts", "groups"], "no groups that name several parts"),
        (["--up", "up"], "axis 'up', but one of"),
        (["--up", "z+", "--front", "z-"], "lie along the same axis"),
        (["--keypoints", "k.json"], "k.json: nose: 99999, but a vertex from 0 to 25"),
        (["--keypoints", "far.json"], "keypoint 'nose' lies"),
    ],
)
def test_options_that_do_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    options: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.obj", *box(2))
    (tmp_path / "k.json").write_text('{"nose": 99999}')
    (tmp_path / "far.json").write_text('{"nose": [9, 9, 9]}')
    assert main(["chart", "a.obj", "--out", "a", *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_numbers_that_do_not_fit(tmp_path: Path) -> None:
    mesh = write(tmp_path / "a.obj", *box(2))
    for options, message in (({"regions": 0}, "0 regions"), ({"scale": 0.0}, "scale 0")):
        with pytest.raises(ValueError, match=message):
            chart_mesh(mesh, ChartOptions("box", **options))


def test_a_huge_mesh_is_refused_or_reduced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slimdp.surface.charting.chart.MOST_VERTICES", 50)
    mesh = write(tmp_path / "a.obj", *box(4))
    with pytest.raises(ValueError, match=r"98 vertices, but at most 50: reduce it \(--faces 100\)"):
        chart_mesh(mesh, ChartOptions("box"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs fast-simplification: pip install 'slimdp\[chart\]'"):
        chart_mesh(mesh, ChartOptions("box", faces=100))


def test_a_mesh_is_reduced(tmp_path: Path) -> None:
    pytest.importorskip("fast_simplification")
    trimesh.creation.icosphere(4).export(tmp_path / "ball.stl")
    found = chart_mesh(tmp_path / "ball.stl", ChartOptions("ball", faces=400, regions=4))
    assert 350 <= len(found.faces) <= 600  # cut along the mirror plane afterwards
