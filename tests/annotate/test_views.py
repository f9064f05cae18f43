"""Six views of each part: what a click hits, where it is on the others, and how it looks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.annotate.views import (
    VIEWS,
    WHOLE,
    PartViews,
    ViewImages,
    _choose_views,
    coarse_colours,
    surface_identity,
)
from slimdp.surface import BodySurface, load_surface
from tests.box_animal import write_box_surface

LABELS = {"torso": 1, "left hand": 3, "right foot": 5, "left lower arm": 12, "head": 14}


@pytest.fixture(scope="module")
def all_views(surface: BodySurface) -> dict[int, PartViews]:
    return {label: PartViews(surface, label) for label in range(1, 15)}


@pytest.mark.parametrize("name", LABELS)
def test_a_click_is_where_its_mark_is_in_all_views(all_views: dict[int, PartViews], name: str) -> None:
    views, rng = all_views[LABELS[name]], np.random.default_rng(0)
    tried, apart = 0, []
    while tried < 40:
        view = int(rng.integers(VIEWS))
        x, y = rng.uniform(0, [views.width, views.height])
        hit = views.hit(view, x, y)
        if hit is None:
            continue
        face, barycentric = hit
        assert views.surface.layout.coarse_of_part[views.surface.face_part[face]] == LABELS[name]
        marks = views.marks(face, barycentric)
        assert np.hypot(marks[view][0] - x, marks[view][1] - y) < 9  # beside the part: its rim
        for other, (mark_x, mark_y, seen) in enumerate(marks):
            if seen:
                there = views.hit(other, mark_x, mark_y)
                assert there is not None
                a = views.surface.positions(np.array([face]), barycentric[None])
                b = views.surface.positions(np.array([there[0]]), there[1][None])
                apart.append(np.linalg.norm(a - b))
        tried += 1
    # At an outline a hundredth of a pixel decides whether the part is seen, or what is far behind.
    assert np.mean(np.array(apart) < 0.012) > 0.95


def test_every_view_is_right_handed_and_limbs_stand_upright(all_views: dict[int, PartViews]) -> None:
    for views in all_views.values():
        for view in views.views:
            assert np.allclose(view.axes @ view.axes.T, np.eye(3), atol=1e-9)
            assert np.linalg.det(view.axes) == pytest.approx(1)
    names = [view.name for view in all_views[LABELS["head"]].views]
    assert names == ["front", "left", "back", "right", "top", "bottom"]
    # Whoever looks at somebody's front has the left side at the right.
    assert all_views[1].views[0].axes[0] @ [1, 0, 0] > 0.9
    leg = [view.axes[1] for view in all_views[6].views]
    assert all(axis[1] > 0.9 for axis in leg)


@pytest.mark.parametrize("along", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.3, 0.2, 0.95)])
def test_a_tube_is_seen_from_six_sides_whichever_way_it_lies(along: tuple[float, float, float]) -> None:
    axis = np.array(along) / np.linalg.norm(along)
    side = np.cross(axis, [0.6, 0.64, -0.48])
    side /= np.linalg.norm(side)
    turn = np.arange(8) * np.pi / 4
    ring = np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * np.cross(axis, side)
    vertices = np.concatenate([0.1 * ring - 0.4 * axis, 0.1 * ring + 0.4 * axis])
    a, b = np.arange(8), (np.arange(8) + 1) % 8
    faces = np.concatenate([np.column_stack([a, b, a + 8]), np.column_stack([b, b + 8, a + 8])])
    views = _choose_views(vertices, faces, np.array([0.0, 1.0, 0.0]))
    assert len(views) == VIEWS
    for view in views:
        assert np.allclose(view.axes @ view.axes.T, np.eye(3))
        assert abs(view.axes[1] @ axis) == pytest.approx(1)


def test_parts_of_another_category_are_seen(tmp_path: Path) -> None:
    animal = load_surface(write_box_surface(tmp_path / "animal"))
    assert isinstance(animal, BodySurface)
    for label in range(1, 1 + len(animal.layout.coarse_parts)):
        views = PartViews(animal, label)
        middle = views.width / 2, views.height / 2
        assert any(views.hit(view, *middle) is not None for view in range(VIEWS))
        assert views.paint(0).shape == (views.height, views.width, 4)


def test_beside_the_part_is_nothing(all_views: dict[int, PartViews]) -> None:
    assert all_views[14].hit(0, 0, 0) is None
    assert all_views[14].hit(0, -500, 9999) is None


def test_the_pictures_are_painted_once_and_kept(
    surface: BodySurface, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIMDP_CACHE", str(tmp_path))
    images = ViewImages(surface)
    content = images.png(12, 0)
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    views = images.of(12)
    assert picture.shape == (views.height, views.width, 4)
    inside = picture[..., 3] > 250
    ys, xs = np.nonzero(inside)
    for y, x in zip(ys[:: len(ys) // 50], xs[:: len(xs) // 50]):
        assert views.hit(0, float(x), float(y)) is not None
    assert picture[..., :3][inside].std() > 10
    monkeypatch.setattr(PartViews, "paint", lambda *_: pytest.fail("painted again"))
    assert ViewImages(surface).png(12, 0) == content


def test_surfaces_are_told_apart(surface: BodySurface) -> None:
    from dataclasses import replace

    moved = replace(surface, face_uv=surface.face_uv * np.float32(0.5))
    assert surface_identity(moved)["sha256"] != surface_identity(surface)["sha256"]


def test_the_whole_body_has_the_colours_of_its_parts(surface: BodySurface) -> None:
    views = PartViews(surface, WHOLE)
    image = views.paint(0).astype(float)
    colours = coarse_colours(surface.layout).astype(float)
    centres = views.centres
    assert len(colours) == len(centres) == len(surface.layout.coarse_parts)
    alike = []
    for label, (colour, marks) in enumerate(zip(colours, centres), start=1):
        x, y, seen = marks[0]
        assert seen  # of the open body the front shows a bit of every part
        shown = image[round(y), round(x), :3]
        alike.append(shown @ colour / np.linalg.norm(shown) / np.linalg.norm(colour))  # but for the light
        hit = views.hit(0, x, y)
        assert hit is not None
        assert surface.layout.coarse_of_part[surface.face_part[hit[0]]] == label
    assert np.median(alike) > 0.99
