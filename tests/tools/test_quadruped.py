"""The animal of capsules, from its mesh to scores, by the commands of people."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import NoBrowserError
from quadruped import KEYPOINTS, SIDE_PX, quadruped, whole_way, write_mesh, write_pictures

from slimdp.__main__ import main
from slimdp.data import read_annotations
from slimdp.evaluation import PredictionFile
from slimdp.settings_file import dump_yaml
from slimdp.surface import BodySurface, load_surface
from slimdp.surface.charting.repair import Mesh, repaired
from tests.made_once import made_once


@pytest.fixture(scope="module")
def animal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the surface, three pictures to learn and one to test with; only read it."""

    def make(folder: Path) -> None:
        folder.mkdir()
        write_mesh(folder / "horse.obj", folder / "keypoints.json", cell_m=0.08)
        command = ["chart", str(folder / "horse.obj"), "--keypoints", str(folder / "keypoints.json")]
        assert main([*command, "--out", str(folder / "horse"), "--symmetry", "require"]) == 0
        surface = load_surface(folder / "horse")
        assert isinstance(surface, BodySurface)
        write_pictures(surface, folder, {"train": 3, "test": 1})

    return made_once(tmp_path_factory, "quadruped", make)


def test_the_mesh_is_closed_and_its_own_mirror_image() -> None:
    vertices, quads = quadruped(0.08)
    faces = np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]])
    found, notes = repaired(Mesh(vertices, faces, np.full(len(faces), "")))
    assert (len(found.vertices), notes) == (len(vertices), [])
    gap = np.linalg.norm(vertices[:, None] - vertices[None] * [-1, 1, 1], axis=2).min(axis=1)
    assert gap.max() < 1e-9


def test_it_has_parts_keypoints_and_sides(animal: Path) -> None:
    surface = load_surface(animal / "horse")
    assert isinstance(surface, BodySurface)
    assert surface.layout.category == "horse"
    assert set(surface.keypoints) == set(KEYPOINTS) | {name.replace("right", "left") for name in KEYPOINTS}
    nose = surface.vertices[surface.keypoints["nose"]]
    assert np.linalg.norm(nose - KEYPOINTS["nose"]) < 0.15
    assert np.ptp(surface.vertices[:, 2]) > 2


def test_labels_lie_where_the_surface_is_seen(animal: Path) -> None:
    """Between two points of a part the picture is never farther than the surface is."""
    surface = load_surface(animal / "horse")
    assert isinstance(surface, BodySurface)
    for person in read_annotations(animal / "train.json", animal, layout=surface.layout).people:
        assert len(person.points) == 100
        place = surface.positions(*surface.locate(person.part, person.uv))
        apart_m = np.linalg.norm(place[:, None] - place[None], axis=2)
        apart_px = np.linalg.norm(person.points[:, None] - person.points[None], axis=2)
        scale = SIDE_PX / np.linalg.norm(np.ptp(surface.vertices, axis=0))
        assert (apart_px <= 0.95 * scale * apart_m + 2.5).all()
        assert (apart_px[apart_m > 1.5] > 0.2 * scale).any()


def test_it_is_trained_predicted_scored_and_drawn(animal: Path, tmp_path: Path) -> None:
    source = {"annotations": str(animal / "train.json"), "images": str(animal)}
    settings = {
        "surface": str(animal / "horse"),
        "model": {"stacks": 1, "features": 8, "keypoints": ["nose", "left_ear", "right_ear"]},
        "crop": {"size": 64},
        "stages": [{"name": "heart", "data": [source], "steps": 4, "batch": 3}],
    }
    (tmp_path / "train.yaml").write_text(dump_yaml(settings))
    assert main(["train", str(tmp_path / "train.yaml"), "--out", str(tmp_path / "run")]) == 0
    files = ["--annotations", str(animal / "train.json"), "--images", str(animal)]
    found, scores = tmp_path / "p.h5", tmp_path / "scores.json"
    weights = str(tmp_path / "run" / "stage_heart.pt")
    assert main(["predict", weights, "--flip-test", "--out", str(found), *files]) == 0
    command = ["evaluate", "--predictions", str(found), *files, "--surface", str(animal / "horse")]
    assert main([*command, "--out", str(scores)]) == 0
    with PredictionFile(found) as file:
        assert file.layout.category == "horse"
        assert len(list(file)) == 3
    assert json.loads(scores.read_text())["points"]["localization"]["20cm"] >= 0
    assert main(["doctor", str(animal)]) == 0
    picture = tmp_path / "draw.png"
    assert main(["draw", *files, "--predictions", str(found), "--out", str(picture)]) == 0
    assert cv2.imread(str(picture)) is not None
    shown = tmp_path / "annotators.png"
    command = ["annotators", *files, "--simulate", "1", "--surface", str(animal / "horse")]
    assert main([*command, "--picture", str(shown)]) == 0
    image = cv2.imread(str(shown))
    assert image.shape[1] > image.shape[0]  # seen from its sides


@pytest.mark.slow
def test_it_is_labelled_in_the_page_trained_and_reported(tmp_path: Path) -> None:
    try:
        scores = whole_way(tmp_path, cell_m=0.08, pictures=1, steps=150)
    except NoBrowserError as error:
        pytest.skip(str(error))
    surface = load_surface(tmp_path / "horse")
    assert isinstance(surface, BodySurface)
    data, pictures = tmp_path / "set", tmp_path / "set" / "pictures"
    (clicked,) = read_annotations(data / "labels.json", data, layout=surface.layout).people
    (exact,) = read_annotations(pictures / "exact.json", pictures, layout=surface.layout).people
    assert len(clicked.points) > 40
    assert np.allclose(clicked.box, exact.box, atol=1)
    # Where a clicked point and an exact one are a pixel apart, so are their places on the surface, nearly.
    apart_px = np.linalg.norm(clicked.points[:, None] - exact.points[None], axis=2)
    mine, other = np.nonzero(apart_px < 1)
    error_m = surface.distance_between(
        clicked.part[mine], clicked.uv[mine], exact.part[other], exact.uv[other]
    )
    assert len(mine) > 5
    assert np.median(error_m) < 0.05
    # What so few steps teach differs from machine to machine: the tool itself measures it with more of them.
    assert all(0 <= scores[name]["20cm"] <= 100 for name in ("clicked", "exact"))
    assert "by heart" in (tmp_path / "report.html").read_text()
    assert cv2.imread(str(tmp_path / "screens" / "0_done.png")) is not None
