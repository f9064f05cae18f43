"""The issue's measures of the exact flow: where points land, and what a warped frame looks like."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from slimdp.surface import BodySurface, load_surface
from slimdp.synthetic.camera import Camera, look_at
from slimdp.synthetic.exact_flow import exact_flow
from slimdp.synthetic.objects import Path, Prop, box, quad
from slimdp.synthetic.photograph import PhotoSettings
from slimdp.synthetic.render import RenderedFrame
from slimdp.synthetic.scene import SceneStyle, random_scene, render_frame
from slimdp.synthetic.stage import RayCaster
from slimdp.synthetic.textures import Texture

SIZE = 112
STYLE = SceneStyle(people=(0.3, 0.7), occluders=1.0, moving_camera=1.0, shadows=False)


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    return load_surface("open")


@pytest.fixture(scope="module")
def clips(surface: BodySurface) -> list[list[RenderedFrame]]:
    """Frames 0, 1, 3 of clips with everything that moves, taken sharply and without noise."""
    clips = []
    for seed in range(3):
        rng = np.random.default_rng([2, seed])
        scene = replace(random_scene(rng, SIZE, True, STYLE), photo=PhotoSettings())
        clips.append([render_frame(scene, surface, index, rng) for index in (0, 1, 3)])
    return clips


def test_points_propagated_along_land_on_the_same_surface_point(
    clips: list[list[RenderedFrame]], surface: BodySurface
) -> None:
    errors_m = []
    for frame_0, *others in clips:
        for frame_1 in others:
            flow_0to1, visible = exact_flow(frame_0, frame_1, surface)
            end = frame_0.camera.pixels() + flow_0to1.reshape(2, -1).T
            on = np.flatnonzero((frame_0.hits.person >= 0) & visible.ravel())
            met = RayCaster(frame_1.people, surface, frame_1.camera, frame_1.props).cast(end[on])
            np.testing.assert_array_equal(met.person, frame_0.hits.person[on])
            start = frame_0.hits.face[on], frame_0.hits.barycentric[on]
            errors_m.append(surface.geodesic_distance(*start, met.face, met.barycentric))
    errors_cm = 100 * np.concatenate(errors_m)
    assert len(errors_cm) > 3000
    assert np.median(errors_cm) < 0.05
    assert np.quantile(errors_cm, 0.99) < 0.5


def test_warping_a_later_frame_back_gives_the_first(
    clips: list[list[RenderedFrame]], surface: BodySurface
) -> None:
    """Light that stays where it is while people turn remains: tolerances of some grey levels."""
    errors, unmoved = [], []
    for frame_0, frame_1, _ in clips:
        flow_0to1, visible = exact_flow(frame_0, frame_1, surface)
        start = frame_0.camera.pixels().reshape(SIZE, SIZE, 2).astype(np.float32)
        end = start + flow_0to1.transpose(1, 2, 0)
        warped = cv2.remap(frame_1.image, end[..., 0], end[..., 1], cv2.INTER_LINEAR)
        # Pixels of edges mix what moves apart.
        inside = cv2.erode(visible.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        moving = inside & (np.hypot(*flow_0to1) > 1)
        first = frame_0.image.astype(int)
        errors.append(np.abs(warped.astype(int) - first)[moving])
        unmoved.append(np.abs(frame_1.image.astype(int) - first)[moving])
    error, without = np.concatenate(errors), np.concatenate(unmoved)
    assert len(error) > 5000
    assert np.median(error) <= 3
    assert error.mean() < 0.4 * without.mean()


def test_flow_covers_the_whole_world(clips: list[list[RenderedFrame]], surface: BodySurface) -> None:
    """Of the background, what lies nearer moves more when the camera goes sideways."""
    texture = Texture(np.zeros((8, 8, 3), np.uint8), 1.0)
    near = quad(np.array([-4, -4, 0]), np.array([4, 0, 0]), np.array([0, 8, 0]), texture)
    far = quad(np.array([0, -4, -4.0]), np.array([8, 0, 0]), np.array([0, 8, 0]), texture)

    def frame(x: float) -> RenderedFrame:
        eye = np.array([x, 0, 4.0])
        camera = Camera(32, 32, 40.0, (15.5, 15.5), look_at(eye, eye - [0, 0, 4.0], 0.0), eye)
        return _frame(camera, (near, far), surface)

    flow, visible = exact_flow(frame(0.0), frame(0.2), surface)
    # focal 40 px, 0.2 m sideways: 2 px at 4 m, 1 px at 8 m.
    np.testing.assert_allclose(flow[0, :, :14], -2, atol=1e-4)
    np.testing.assert_allclose(flow[0, :, 18:], -1, atol=1e-4)
    np.testing.assert_allclose(flow[1], 0, atol=1e-4)
    assert visible[:, 3:14].all()
    assert not visible[:, :2].any()  # left the frame


def test_what_moves_in_front_hides_what_is_behind(surface: BodySurface) -> None:
    texture = Texture(np.zeros((8, 8, 3), np.uint8), 1.0)
    wall = quad(np.array([-9, -9, -2.0]), np.array([18, 0, 0]), np.array([0, 18, 0]), texture)
    cube = replace(
        box(np.array([-1.0, 0, 0]), np.array([0.8, 0.8, 0.1]), 0.0, texture),
        path=Path(velocity=np.array([2.0, 0, 0])),
    )
    eye = np.array([0, 0, 4.0])
    camera = Camera(64, 64, 64.0, (31.5, 31.5), look_at(eye, np.zeros(3), 0.0), eye)
    frame_0, frame_1 = (_frame(camera, (wall, cube.at(seconds)), surface) for seconds in (0.0, 1.0))
    flow, visible = exact_flow(frame_0, frame_1, surface)
    on_cube = (frame_0.hits.mesh == 1).reshape(64, 64)
    assert on_cube.sum() > 100
    front = on_cube & (frame_0.hits.depth < 3.951).reshape(64, 64)  # not its side
    np.testing.assert_allclose(flow[0][front], 2.0 * 64 / 3.95, rtol=1e-4)
    assert visible[front].mean() > 0.95
    covered = (frame_1.hits.mesh == 1).reshape(64, 64) & ~on_cube
    assert not visible[covered].any()
    assert visible[~covered & ~on_cube].all()
    np.testing.assert_allclose(flow[:, ~on_cube], 0, atol=1e-3)


def test_where_nothing_is_only_the_camera_s_turn_counts(surface: BodySurface) -> None:
    eye = np.zeros(3)
    ahead, aside = (np.array([np.sin(a), 0.0, -np.cos(a)]) for a in (0.0, 0.05))
    frames = [
        _frame(Camera(32, 32, 100.0, (15.5, 15.5), look_at(eye, aim, 0.0), eye), (), surface)
        for aim in (ahead, aside)
    ]
    flow, visible = exact_flow(*frames, surface)
    assert flow[0, 15, 15:17].mean() == pytest.approx(-100 * np.tan(0.05), abs=0.02)
    assert visible[:, 8:].all()
    assert not visible[:, :4].any()


def _frame(camera: Camera, props: tuple[Prop, ...], surface: BodySurface) -> RenderedFrame:
    hits = RayCaster((), surface, camera, props).cast(camera.pixels())
    blank = np.zeros((camera.height, camera.width, 3), np.uint8)
    return RenderedFrame(blank, hits, camera, (), props)
