from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from slimdp.surface import load_surface
from slimdp.synthetic.looks import PATTERNS, Cloth
from slimdp.synthetic.looks.cloth import (
    cell_chance,
    cloth_colour,
    fold_height,
    in_digit,
    random_cloth,
    random_colours,
    random_folds,
    random_waves,
    wavy,
)
from slimdp.synthetic.looks.look import face_normals, moved_out, relief, without_flips
from slimdp.synthetic.looks.places import ARM, HAND, HEAD, LEG, TORSO, Places, find_landmarks, find_places

COLOURS = np.array([[0.0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0]])
TETRAHEDRON = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
TETRAHEDRON_FACES = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])


def cloth(kind: str, **changes: object) -> Cloth:
    rng = np.random.default_rng(0)
    made = Cloth(kind, COLOURS, 0.04, 0.0, 0.5, random_waves(rng, 8, 0.06, 0.2), np.zeros((5, 4)), 1)
    return replace(made, **changes)


def front(around: np.ndarray, up: np.ndarray) -> Places:
    """Places on the front of the trunk."""
    count = len(around)
    zero, yes = np.zeros(count), np.ones(count, dtype=bool)
    point = np.column_stack([around, up, np.full(count, 0.1)])
    return Places(point, np.abs(around), np.full(count, TORSO), around > 0, yes, zero, up, zero, around)


def test_stripes_by_hand() -> None:
    up = np.array([0.001, 0.019, 0.021, 0.039, 0.041])
    pattern = PATTERNS["stripes"](cloth("stripes", angle=np.pi / 2), front(np.zeros(5), up))
    np.testing.assert_array_equal(pattern[:, 0], [1, 1, 0, 0, 1])


def test_gingham_is_mixed_where_bands_cross() -> None:
    places = front(np.array([0.01, 0.03, 0.01, 0.03]), np.array([0.01, 0.01, 0.03, 0.03]))
    np.testing.assert_allclose(PATTERNS["checks"](cloth("checks"), places)[:, 0], [1, 0.5, 0.5, 0])


@pytest.mark.parametrize("kind", sorted(set(PATTERNS) - {"plain", "denim"}))
def test_patterns_are_seen_in_a_small_frame(kind: str) -> None:
    """On a chest that covers 40 px a pattern has several shades, and large enough features."""
    x, y = np.meshgrid(np.linspace(-0.14, 0.14, 40), np.linspace(0.15, 0.5, 50))
    seen = []
    for seed in range(12):
        made = random_cloth(np.random.default_rng(seed), 1.0, {kind: 1.0})
        pattern = PATTERNS[kind](made, front(x.ravel(), y.ravel())).reshape(50, 40, 3)
        seen.append(
            (np.ptp(pattern, axis=(0, 1)).max(), np.mean(np.abs(np.diff(pattern, axis=0)).sum(-1) > 0.02))
        )
    contrast, busy = np.array(seen).T
    assert np.mean(contrast > 0.15) > (0.1 if kind == "blocks" else 0.7)
    assert busy.mean() < 0.6


def test_a_number_reads_from_the_front_and_from_behind() -> None:
    number = cloth("logo", seed=3 + 5 * 2 + 50 * 7, share=0.6)
    seen_x, up = (
        grid.ravel() for grid in np.meshgrid(np.linspace(-0.1, 0.1, 41), np.linspace(0.3, 0.44, 29))
    )
    before, behind = front(seen_x, up), replace(front(-seen_x, up), front=np.zeros(len(up), dtype=bool))
    image = PATTERNS["logo"](number, before)
    assert 0.1 < image.mean() < 0.5
    np.testing.assert_array_equal(image, PATTERNS["logo"](number, behind))


def test_plain_cloth_is_nearly_even() -> None:
    x, y = np.meshgrid(np.linspace(-0.14, 0.14, 40), np.linspace(0.15, 0.5, 50))
    made = random_cloth(np.random.default_rng(0), 0.0, {"dots": 1.0})
    colour = cloth_colour(replace(made, colours=np.full((4, 3), 0.5)), front(x.ravel(), y.ravel()))
    assert 0 < np.ptp(colour) < 0.12


def test_cells_draw_evenly_and_always_the_same() -> None:
    column, row = np.meshgrid(np.arange(-50, 50), np.arange(-50, 50))
    chance = cell_chance(column.ravel(), row.ravel(), 5)
    np.testing.assert_array_equal(chance, cell_chance(column.ravel(), row.ravel(), 5))
    np.testing.assert_allclose(np.histogram(chance, 5, (0, 1))[0] / 10000, 0.2, atol=0.02)
    assert abs(np.corrcoef(chance, cell_chance(column.ravel(), row.ravel(), 6))[0, 1]) < 0.04
    assert abs(np.corrcoef(chance[:-1], chance[1:])[0, 1]) < 0.04


def test_digits_read_as_seen_from_outside() -> None:
    """A one has its foot below and its flag up on the left, where x is smaller."""
    y, x = np.meshgrid([0.4, 0.2, 0, -0.2, -0.4], [-1 / 3, 0, 1 / 3], indexing="ij")
    strokes = in_digit(x, y, np.ones((5, 3), dtype=int))
    np.testing.assert_array_equal(strokes[0], [False, True, False])
    np.testing.assert_array_equal(strokes[1], [True, True, False])
    np.testing.assert_array_equal(strokes[4], [True, True, True])
    assert not in_digit(np.array([0.6]), np.array([0.0]), np.array([8]))[0]


def test_places_of_joints() -> None:
    surface = load_surface("open")
    marks = find_landmarks(surface)
    shoulder, elbow, wrist = marks.arm
    points = np.stack([(shoulder + elbow) / 2, elbow, wrist, elbow * [-1, 1, 1]])
    places = find_places(points, np.array([17, 19, 21, 20]), marks)
    np.testing.assert_allclose(places.along, [0.5, 1, 2, 1], atol=0.02)
    np.testing.assert_array_equal(places.left, [True, True, True, False])
    np.testing.assert_array_equal(places.front, [True, False, True, False])
    np.testing.assert_allclose(places.around[1], places.around[3])
    np.testing.assert_array_equal(places.region, ARM)


def test_ways_around_the_trunk_meet_at_the_sides() -> None:
    """As at a real side seam, what front and back show there is the same way around."""
    surface = load_surface("open")
    marks = find_landmarks(surface)
    depth = np.interp(0.3, marks.trunk_line[:, 0], marks.trunk_line[:, 2])
    points = np.array([[0.15, 0.3, depth + 1e-6], [0.15, 0.3, depth - 1e-6], [0.0, 0.3, 0.2]])
    places = find_places(points, np.array([2, 1, 2]), marks)
    np.testing.assert_allclose(places.around[0], places.around[1], atol=1e-5)
    assert places.around[2] == 0


def test_folds_gather_at_elbows_and_spare_hands_and_face() -> None:
    surface = load_surface("open")
    marks = find_landmarks(surface)
    face = np.arange(len(surface.faces))
    points = surface.positions(face, np.full((len(face), 3), 1 / 3))
    places = find_places(points, surface.face_part, marks)
    height = np.mean(
        [fold_height(random_folds(np.random.default_rng(s), 0.01), places, marks) for s in range(20)], axis=0
    )
    assert (height[np.isin(places.region, (HAND, HEAD))] == 0).all()
    assert height.max() <= 1
    arm = places.region == ARM
    assert (
        height[arm & (np.abs(places.along - 1) < 0.15)].mean()
        > 1.5 * height[arm & (places.along < 0.4)].mean()
    )
    knee = (places.region == LEG) & (np.abs(points[:, 1] - marks.knee) < 0.05)
    thigh = (places.region == LEG) & (np.abs(points[:, 1] - marks.knee - 0.2) < 0.05)
    assert height[knee].mean() > 1.5 * height[thigh].mean()


def test_waves_have_the_length_that_is_asked() -> None:
    waves = random_waves(np.random.default_rng(0), 50, 0.02, 0.1)
    length = 2 * np.pi / np.linalg.norm(waves[:, :3], axis=1)
    assert 0.02 <= length.min() <= length.max() <= 0.1
    np.testing.assert_allclose(wavy(np.zeros((1, 3)), waves), np.sin(waves[:, 3]).mean(), atol=1e-6)


def test_colours_are_colours() -> None:
    colours = random_colours(np.random.default_rng(0), 500)
    assert colours.shape == (500, 3)
    assert 0 <= colours.min() < 0.1 < 0.9 < colours.max() <= 1


def test_a_tetrahedron_grows_evenly() -> None:
    grown = moved_out(TETRAHEDRON, TETRAHEDRON_FACES, np.full(4, 0.3))
    # All smoothed directions of a tetrahedron still point away from its middle.
    np.testing.assert_allclose(grown, TETRAHEDRON * (1 + 0.3 / np.sqrt(3)), atol=1e-9)
    np.testing.assert_array_equal(
        without_flips(TETRAHEDRON, TETRAHEDRON_FACES, np.full(4, 0.3), (1.0,)), np.full(4, 0.3)
    )


def test_what_would_turn_over_stands_off_less() -> None:
    surface = load_surface("open")
    wanted = np.full(len(surface.vertices), 0.03)

    def turned(thickness: np.ndarray) -> int:
        moved = moved_out(surface.vertices, surface.faces, thickness)
        before, after = (face_normals(skin, surface.faces) for skin in (surface.vertices, moved))
        return int((np.einsum("fc,fc->f", before, after) <= 0).sum())

    kept = without_flips(surface.vertices, surface.faces, wanted, (1.0,))
    assert turned(wanted) > 100
    assert turned(kept) == 0
    assert (kept <= wanted).all()
    assert np.mean(kept == wanted) > 0.3


def test_relief_of_a_dent_and_a_bump() -> None:
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(21.0), np.arange(21.0)))
    from scipy.spatial import Delaunay

    faces = Delaunay(
        np.column_stack([x, y]) + 1e-3 * np.random.default_rng(0).normal(size=(441, 2))
    ).simplices
    vertices = np.column_stack([x, y, np.zeros(441)])
    dent, bump = 10 * 21 + 6, 10 * 21 + 14
    vertices[dent, 2], vertices[bump, 2] = -1, 1
    up = np.tile([0.0, 0, 1], (441, 1))
    (depth,) = relief(vertices, faces.astype(np.int64), up, (5,))
    assert depth[dent] == depth.max() > 0.5
    assert depth[bump] == depth.min() < -0.5
