"""Shadows, the sky, and what a lens, a shutter and a sensor make of light."""

from __future__ import annotations

import numpy as np
import pytest

from slimdp.surface import BodySurface, load_surface
from slimdp.synthetic.camera import Camera, look_at
from slimdp.synthetic.objects import Prop, box, quad
from slimdp.synthetic.photograph import PhotoSettings, motion_blur, photograph
from slimdp.synthetic.render import (
    TILE,
    Light,
    Lighting,
    disc_jitter,
    irradiance,
    look_closely,
    sky_directions,
)
from slimdp.synthetic.stage import Stage
from slimdp.synthetic.textures import Texture

WHITE = Texture(np.full((8, 8, 3), 255, np.uint8), 0.1)
DARK = np.zeros(3)


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    return load_surface("open")


def floor() -> Prop:
    return quad(np.array([-10, 0, 10.0]), np.array([20, 0, 0.0]), np.array([0, 0, -20.0]), WHITE)


def light_on(
    props: tuple[Prop, ...], lighting: Lighting, surface: BodySurface
) -> tuple[np.ndarray, np.ndarray]:
    """Light (H, W) and world points (H, W, 3) seen from 6 m above, north up."""
    eye = np.array([0, 6.0, 1e-3])
    camera = Camera(81, 81, 120.0, (40.0, 40.0), look_at(eye, np.zeros(3), 0.0), eye)
    stage = Stage((), props, surface)
    caster = stage.caster(camera)
    hits = caster.cast(camera.pixels())
    light = irradiance(hits, look_closely(hits, stage, camera), stage, camera, caster, lighting)
    points = stage.points(hits, np.arange(81 * 81))
    return light.mean(axis=1).reshape(81, 81), points.reshape(81, 81, 3)


def test_a_box_throws_its_shadow_where_the_sun_says(surface: BodySurface) -> None:
    """The sun stands at 45 degrees over +x: a box of 0.8 m throws a shadow of 0.8 m to -x."""
    way = np.array([1.0, 1.0, 0.0]) / np.sqrt(2)
    sun = Lighting((Light(way, np.ones(3), 0.0, True),), DARK, DARK)
    cube = box(np.array([0, 0.4, 0]), np.array([0.4, 0.8, 0.8]), 0.0, WHITE)
    light, points = light_on((floor(), cube), sun, surface)
    x, y, z = np.moveaxis(points, 2, 0)
    ground = y < 0.01
    shaded = ground & (np.abs(z) < 0.25) & (x > -0.85) & (x < -0.3)
    free = ground & ((np.abs(z) > 0.55) | (x > 0.35) | (x < -1.2))
    assert shaded.sum() > 50
    np.testing.assert_allclose(light[shaded], 0, atol=1e-6)
    np.testing.assert_allclose(light[free], np.sqrt(0.5), atol=1e-4)  # Lambert
    bare, _ = light_on((floor(), cube), Lighting(sun.lights, DARK, DARK, shadows=False), surface)
    np.testing.assert_allclose(bare[ground], np.sqrt(0.5), atol=1e-4)


def test_a_wide_sun_softens_the_shadow_s_edge(surface: BodySurface) -> None:
    way = np.array([1.0, 1.0, 0.0]) / np.sqrt(2)
    cube = box(np.array([0, 0.4, 0]), np.array([0.4, 0.8, 0.8]), 0.0, WHITE)

    def between(radius: float) -> int:
        light, points = light_on(
            (floor(), cube), Lighting((Light(way, np.ones(3), radius, True),), DARK, DARK), surface
        )
        return int(((light > 0.1) & (light < 0.6) & (points[..., 1] < 0.01)).sum())

    # Squares of pixels share their answers, which softens even a sharp edge.
    assert between(0.35) > 1.5 * between(0.0)


def test_the_sky_is_darker_beside_a_box(surface: BodySurface) -> None:
    cube = box(np.array([0, 0.4, 0]), np.array([0.4, 0.8, 0.8]), 0.0, WHITE)
    light, points = light_on((floor(), cube), Lighting((), np.ones(3), DARK), surface)
    x, y, z = np.moveaxis(points, 2, 0)
    ground = (y < 0.01) & (np.abs(z) < 0.2)
    near, far = (light[ground & (x > low) & (x < high)].mean() for low, high in ((0.22, 0.35), (1.7, 1.9)))
    assert far == pytest.approx(1.0, abs=1e-3)
    assert 0.4 < near < 0.8


def test_a_lamp_falls_off_with_the_square_of_its_distance() -> None:
    lamp = Light(np.array([0, 4.0, 0]), np.ones(3), 0.1, False, bright_at=2.0)
    points = np.array([[0, 2.0, 0], [0, 0, 0], [3.0, 0, 0]])
    ways, reach, strength = lamp.seen_from(points, np.zeros((1, 3)))
    np.testing.assert_allclose(reach, [2, 4, 5])
    np.testing.assert_allclose(strength, [1, 1 / 4, 4 / 25], rtol=1e-6)
    np.testing.assert_allclose(ways, [[0, 1, 0], [0, 1, 0], [-0.6, 0.8, 0]], atol=1e-6)


def test_directions_to_the_sky_are_unit_and_spread_by_cosine() -> None:
    directions = sky_directions()
    assert directions.shape == disc_jitter().shape == (TILE**2, 3)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    # The mean of a cosine-weighted hemisphere is 2/3 along its axis.
    np.testing.assert_allclose(directions.mean(axis=0), [0, 0, 2 / 3], atol=0.02)
    assert (np.linalg.norm(disc_jitter(), axis=1) <= 1).all()


def test_half_the_light_is_srgb_188() -> None:
    """IEC 61966-2-1: linear 0.5 is 187.5 of 255, 0.02 is 38.6; black stays black."""
    light = np.full((4, 6, 3), [0.5, 0.02, 0.0], dtype=np.float32)
    nothing = np.zeros((4, 6, 2), np.float32)
    image = photograph(light, np.ones((4, 6)), nothing, PhotoSettings(), np.random.default_rng(0))
    np.testing.assert_allclose(image[0, 0], [188, 39, 0], atol=1)
    twice = photograph(light, np.ones((4, 6)), nothing, PhotoSettings(exposure=0.5), np.random.default_rng(0))
    assert twice[0, 0, 0] == pytest.approx(137, abs=1)  # 0.25


def test_noise_is_stronger_in_the_dark() -> None:
    def spread(level: float) -> float:
        settings = PhotoSettings(shot_noise=0.03, read_noise=0.004)
        light = np.full((64, 64, 3), level, dtype=np.float32)
        nothing = np.zeros((64, 64, 2), np.float32)
        return float(photograph(light, np.ones((64, 64)), nothing, settings, np.random.default_rng(1)).std())

    assert spread(0.03) > 1.3 * spread(0.6) > 1


def test_what_is_far_from_the_focus_is_blurred_and_the_focus_does_not_leak() -> None:
    rng = np.random.default_rng(0)
    light = rng.random((48, 48, 3)).astype(np.float32) * 0.4
    depth = np.full((48, 48), 40.0)
    depth[:, :16] = 4.0
    light[:, :16] = 0.7
    nothing = np.zeros((48, 48, 2), np.float32)
    sharp, soft = (
        photograph(light, depth, nothing, PhotoSettings(aperture=aperture, focus=4.0), rng).astype(float)
        for aperture in (0.0, 3.0)
    )
    assert soft[:, 30:].std() < 0.4 * sharp[:, 30:].std()
    np.testing.assert_allclose(soft[:, :16], sharp[:, :16], atol=1)
    # Noise of mean 0.2 beside 0.7: a plain blur would lift its edge half way.
    assert soft[:, 17:19].mean() < sharp[:, 17:].mean() + 0.25 * (sharp[0, 0, 0] - sharp[:, 17:].mean())


def test_a_moving_dot_becomes_a_line_of_the_same_light() -> None:
    light = np.zeros((41, 41, 3), np.float32)
    motion, depth = np.zeros((41, 41, 2), np.float32), np.full((41, 41), 9.0)
    square = np.s_[19:22, 19:22]
    light[square], motion[square], depth[square] = 1.0, (12.0, 0.0), 3.0
    blurred = motion_blur(light, motion, depth)[..., 0]
    row = blurred[20]
    np.testing.assert_allclose(row[17:24], 0.25, atol=0.08)  # 3 px of light spend a quarter of 12 px here
    np.testing.assert_allclose(blurred[:18], 0, atol=1e-6)
    np.testing.assert_allclose(row, row[::-1], atol=0.15)
    assert blurred.sum() == pytest.approx(9.0, rel=0.1)
    assert motion_blur(light, motion * 0.01, depth) is light
