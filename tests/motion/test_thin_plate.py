"""Thin-plate splines: the map, its slope and its inverse, and the picture that goes with them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimdp.geometry import apply_affine
from slimdp.motion.thin_plate import ThinPlateWarp, WarpSettings, control_points, draw_warp

STILL = WarpSettings(bend=0, rotation_deg=0, scale=0, shear=0, shift=0)
BLACK = (0, 0, 0)


def plain_spline(warp: ThinPlateWarp, point: np.ndarray) -> np.ndarray:
    """h at one point by the text book: solve for the coefficients, then sum over the control points."""
    side = round(len(warp.sources) ** 0.5)
    controls = [
        (x, y)
        for y in np.linspace(0, warp.size - 1, side)
        for x in np.linspace(0, warp.size - 1, side)
    ]  # fmt: skip

    def bend(a: tuple[float, float], b: tuple[float, float]) -> float:
        r = float(np.hypot(a[0] - b[0], a[1] - b[1]))
        return 0.0 if r == 0 else r * r * np.log(r)

    count = len(controls)
    system, right = np.zeros((count + 3, count + 3)), np.zeros((count + 3, 2))
    for i, a in enumerate(controls):
        for j, b in enumerate(controls):
            system[i, j] = bend(a, b)
        system[i, count:] = system[count:, i] = (a[0], a[1], 1)
        right[i] = warp.sources[i]
    solved = np.linalg.solve(system, right)
    row = [bend(tuple(point), b) for b in controls] + [point[0], point[1], 1]
    return np.array(row) @ solved


def test_the_map_is_the_text_books_spline() -> None:
    rng = np.random.default_rng(0)
    warp = draw_warp(64, WarpSettings(control_points=4, bend=0.05), rng)
    points = rng.uniform(-5, 70, (20, 2))
    np.testing.assert_allclose(warp.source(points), [plain_spline(warp, p) for p in points], atol=1e-8)
    # It goes through its control points, and every pixel's flow says where the pixel comes from.
    np.testing.assert_allclose(warp.source(control_points(64, 4)), warp.sources, atol=1e-8)
    flow_1to0 = warp.flow_1to0()
    assert flow_1to0.shape == (2, 64, 64)
    for x, y in [(0, 0), (63, 0), (20, 41)]:
        np.testing.assert_allclose(flow_1to0[:, y, x] + [x, y], warp.source(np.array([[x, y]]))[0], atol=1e-3)


def test_the_slope_is_that_of_the_map() -> None:
    rng = np.random.default_rng(1)
    warp = draw_warp(64, WarpSettings(), rng)
    points, step = rng.uniform(0, 63, (30, 2)), 1e-4
    for axis in (0, 1):
        aside = np.eye(2)[axis] * step
        slope = (warp.source(points + aside) - warp.source(points - aside)) / (2 * step)
        np.testing.assert_allclose(warp.jacobian(points)[:, :, axis], slope, atol=1e-6)


@given(st.integers(0, 10_000), st.floats(0, 0.2))
@settings(max_examples=30, deadline=None)
def test_points_go_there_and_back(seed: int, bend: float) -> None:
    rng = np.random.default_rng(seed)
    warp = draw_warp(128, WarpSettings(bend=bend), rng)
    assert not warp.folds()
    points_1 = rng.uniform(0, 127, (50, 2))
    np.testing.assert_allclose(warp.points_to_warped(warp.source(points_1)), points_1, atol=2e-3)


def test_no_points_are_no_error() -> None:
    warp = draw_warp(64, WarpSettings(), np.random.default_rng(0))
    assert warp.points_to_warped(np.zeros((0, 2))).shape == (0, 2)


def test_a_fold_is_seen_and_never_drawn() -> None:
    sources = control_points(64, 3).copy()
    sources[4] += [70, 0]  # the middle jumps past the right border
    assert ThinPlateWarp(64, sources).folds()
    mirrored = control_points(64, 3) * [-1, 1] + [63, 0]
    assert ThinPlateWarp(64, mirrored).folds()
    wild = WarpSettings(bend=2.0)
    assert not any(draw_warp(64, wild, np.random.default_rng(seed)).folds() for seed in range(20))


def test_a_still_warp_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    warp = draw_warp(64, STILL, rng)
    np.testing.assert_allclose(warp.flow_1to0(), 0, atol=1e-3)
    assert np.abs(warp.apply(image, BLACK).astype(int) - image).max() <= 1


def test_picture_and_points_move_the_same_way() -> None:
    """A bright dot of the first crop is found where the points say it went."""
    rng = np.random.default_rng(3)
    for _ in range(10):
        image = np.zeros((128, 128, 3), np.uint8)
        dot = rng.integers(40, 88, 2)
        cv2.circle(image, tuple(dot.tolist()), 3, (255, 255, 255), -1)
        warp = draw_warp(128, WarpSettings(), rng)
        y, x = np.nonzero(warp.apply(image, BLACK)[:, :, 0] > 127)
        np.testing.assert_allclose(warp.points_to_warped(dot)[0], [x.mean(), y.mean()], atol=0.7)


def test_a_shift_to_the_right_moves_the_picture_to_the_left() -> None:
    """h is the flow from the warped crop back: sources to the right show what lay there."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 30] = 255
    warp = ThinPlateWarp(64, control_points(64, 3) + [4, 0])
    np.testing.assert_allclose(warp.flow_1to0()[0], 4, atol=1e-3)
    assert warp.apply(image, BLACK)[10, :, 0].argmax() == 26
    np.testing.assert_allclose(warp.points_to_warped(np.array([[30.0, 10]])), [[26, 10]], atol=1e-3)
    assert (warp.apply(image + np.uint8(100), (7, 8, 9))[:, 61:] == [7, 8, 9]).all()


def test_affine_settings_alone_give_an_affine_map() -> None:
    rng = np.random.default_rng(5)
    warp = draw_warp(64, WarpSettings(bend=0, rotation_deg=40, scale=0.3), rng)
    corners = np.array([[0.0, 0], [63, 0], [0, 63]])
    affine = np.linalg.solve(np.column_stack([corners, np.ones(3)]), warp.source(corners)).T
    points = rng.uniform(0, 63, (10, 2))
    np.testing.assert_allclose(warp.source(points), apply_affine(affine, points), atol=1e-6)


def test_draws_follow_from_the_generator_alone() -> None:
    first, again = (draw_warp(64, WarpSettings(), np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first.sources, again.sources)
    # Settings do not change how many values are drawn.
    a, b = np.random.default_rng(9), np.random.default_rng(9)
    draw_warp(64, WarpSettings(), a), draw_warp(64, STILL, b)
    assert a.random() == b.random()


def test_another_picture_is_refused() -> None:
    warp = draw_warp(64, WarpSettings(), np.random.default_rng(0))
    with pytest.raises(ValueError, match="64, 64, 3"):
        warp.apply(np.zeros((64, 32, 3), np.uint8), BLACK)


def test_the_map_of_all_pixels_is_that_of_each() -> None:
    """The one product for all pixels against the spline at each pixel, in double precision."""
    warp = draw_warp(40, WarpSettings(bend=0.06), np.random.default_rng(5))
    y, x = np.mgrid[:40, :40]
    slow = warp.source(np.column_stack([x.ravel(), y.ravel()])).T.reshape(2, 40, 40)
    np.testing.assert_allclose(warp.flow_1to0(), slow - np.stack([x, y]), atol=2e-4)
