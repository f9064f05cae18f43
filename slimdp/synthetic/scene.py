"""Scenes: people in motion in a place, under its light, before a camera."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

import numpy as np

from slimdp.surface import BodySurface, load_surface
from slimdp.surface.makehuman import BodyShape
from slimdp.synthetic.assets import Assets
from slimdp.synthetic.background import read_background
from slimdp.synthetic.camera import Camera, CameraPath
from slimdp.synthetic.exact_flow import moved_pixels
from slimdp.synthetic.looks import Look, clothed_skin, random_look
from slimdp.synthetic.motion import Motion
from slimdp.synthetic.objects import Prop, random_occluder
from slimdp.synthetic.person import Person, PosedPerson, make_person, pose_person, random_shape
from slimdp.synthetic.photograph import PhotoSettings, SceneStyle, photograph
from slimdp.synthetic.render import Lighting, RenderedFrame, random_lighting, render
from slimdp.synthetic.stage import Stage
from slimdp.synthetic.staging import all_in_view, place_people, random_camera
from slimdp.synthetic.world import random_place

__all__ = ["FRAMES_PER_SECOND", "Scene", "SceneStyle", "random_scene", "render_frame"]

FRAMES_PER_SECOND = 12.0
#: The camera follows where people are on average over these times (seconds from now).
_SMOOTH = (-0.3, 0.0, 0.3)
#: That average is read between places this far apart in time (seconds).
_WAY_STEP = 0.15
_TRIES = 20


@dataclass(frozen=True)
class Scene:
    """Everything that a clip is rendered from."""

    people: tuple[Person, ...]
    motions: tuple[Motion, ...]
    looks: tuple[Look, ...]
    props: tuple[Prop, ...]  # at time 0
    camera: CameraPath
    lighting: Lighting
    photo: PhotoSettings


def random_scene(
    rng: np.random.Generator,
    size: int | tuple[int, int],
    may_move: bool,
    style: SceneStyle | None = None,
    assets: Assets | None = None,
) -> Scene:
    """A scene at random.

    Args:
        rng: chance.
        size: of frames: a side of square ones, or width and height, px.
        may_move: whether the camera may move.
        style: how hard.
        assets: a user's backgrounds and motions; without any, everything is procedural.

    Raises:
        ValueError: a background or a motion that cannot be read.
    """
    style, assets = style or SceneStyle(), assets or Assets()
    size = (size, size) if isinstance(size, int) else size
    count = 1 + int(rng.choice(len(style.people), p=style.people))
    shapes = [random_shape(rng) for _ in range(count)]
    looks = tuple(random_look(rng, style.patterned, shape.gender, shape.age) for shape in shapes)
    people = tuple(_clothed_person(shape, look) for shape, look in zip(shapes, looks))
    passer_by = count > 1 and rng.random() < style.passers_by
    moving = may_move and rng.random() < style.moving_camera
    for _ in range(_TRIES):
        motions, ways = place_people(rng, people, style, passer_by, assets.motions)
        starts = np.array([way[0] for way in ways]) * [1, 0, 1]
        camera = random_camera(rng, size, starts, moving)
        if all_in_view(camera, starts):
            break
    image = None
    if assets.backgrounds and rng.random() < style.pictures:
        image = read_background(assets.backgrounds[int(rng.integers(len(assets.backgrounds)))])
    objects = int(rng.integers(*style.objects))
    place = random_place(rng, camera, objects, np.concatenate(ways), image)
    occluders = []
    if rng.random() < style.occluders:
        for _ in range(int(rng.integers(1, 3))):
            body = starts[int(rng.integers(count))] + [0, 1.0, 0]
            occluders.append(random_occluder(rng, camera, body))
    lighting = random_lighting(rng, place.indoors, place.ceiling, style.shadows)
    chest = starts.mean(axis=0) + [0, 1.2, 0]
    lighting = replace(lighting, white=lighting.on(chest, camera.position - chest))
    return Scene(
        people=people,
        motions=motions,
        looks=looks,
        props=place.props + tuple(occluders),
        camera=camera,
        lighting=lighting,
        photo=_random_photo(rng, style, camera, chest, lighting.white),
    )


def _clothed_person(shape: BodyShape, look: Look) -> Person:
    person = make_person(shape)
    return replace(person, skin=clothed_skin(look, load_surface("open"), person.skin))


def _random_photo(
    rng: np.random.Generator, style: SceneStyle, camera: CameraPath, chest: np.ndarray, white: float
) -> PhotoSettings:
    """A lens, focused on the people, and an exposure that suits white there, more or less."""
    return PhotoSettings(
        exposure=rng.uniform(0.6, 1.15) / white,
        shutter=style.shutter * rng.uniform(0.1, 1.0) / FRAMES_PER_SECOND,
        lens_blur=rng.uniform(0, 0.8) if rng.random() < 0.5 else 0.0,
        aperture=rng.uniform(0.5, 4.0) * min(camera.width, camera.height) / 256
        if rng.random() < style.defocus
        else 0.0,
        focus=float(np.linalg.norm(camera.position - chest)),
        shot_noise=style.noise * rng.uniform(0, 0.04),
        read_noise=style.noise * rng.uniform(0, 0.006),
        vignette=rng.uniform(0, 0.25),
    )


def render_frame(scene: Scene, surface: BodySurface, frame: int, rng: np.random.Generator) -> RenderedFrame:
    """Render one frame of a scene; labels and flow belong to the middle of the shutter's time."""
    seconds = frame / FRAMES_PER_SECOND
    stage, camera = _stage_at(scene, surface, seconds), _camera_at(scene, seconds)
    light, hits, caster = render(stage, scene.looks, camera, scene.lighting)
    sharp = RenderedFrame(np.zeros(0), hits, camera, stage.people, stage.props, caster, stage)
    motion = np.zeros((*light.shape[:2], 2), dtype=np.float32)
    if scene.photo.shutter > 0:
        later = seconds + scene.photo.shutter / 2
        end = _stage_at(scene, surface, later)
        closing = RenderedFrame(np.zeros(0), hits, _camera_at(scene, later), end.people, end.props, stage=end)
        moved, depth = moved_pixels(sharp, closing, surface)
        moved = np.where(depth[:, None] > 0, moved, camera.pixels())
        motion = 2 * (moved - camera.pixels()).astype(np.float32).reshape(motion.shape)
    image = photograph(light, hits.depth.reshape(light.shape[:2]), motion, scene.photo, rng)
    return replace(sharp, image=image)


def _stage_at(scene: Scene, surface: BodySurface, seconds: float) -> Stage:
    people: tuple[PosedPerson, ...] = tuple(
        pose_person(person, motion.pose(person, seconds))
        for person, motion in zip(scene.people, scene.motions)
    )
    return Stage(people, tuple(prop.at(seconds) for prop in scene.props), surface)


def _camera_at(scene: Scene, seconds: float) -> Camera:
    """The camera at a time; it follows the mean of the people, smoothed, so that steps do not shake it."""
    if scene.camera.drift is None:
        return scene.camera.at(seconds, np.zeros(3))

    return scene.camera.at(seconds, _middle(scene, seconds) - _middle(scene, 0.0))


def _middle(scene: Scene, seconds: float) -> np.ndarray:
    """The mean place of the people about a time, (3,) metres on the floor."""
    places = []
    for person, motion in zip(scene.people, scene.motions):
        steps = np.array([seconds + offset for offset in _SMOOTH]) / _WAY_STEP
        before = np.floor(steps).astype(int)
        known = {
            step: _place_at(cast(Hashable, motion), person, step)
            for step in {*before.tolist(), *(before + 1).tolist()}
        }
        share = steps - before
        places += [
            (1 - s) * known[b] + s * known[b + 1]
            for b, s in zip(before.tolist(), share.tolist(), strict=True)
        ]
    return np.mean(places, axis=0) * [1, 0, 1]


@lru_cache(maxsize=512)  # motions and people are hashed by identity
def _place_at(motion: Any, person: Person, step: int) -> np.ndarray:
    """Where a person is at a multiple of `_WAY_STEP`; frames that follow ask for the same ones."""
    return np.array(motion.pose(person, step * _WAY_STEP).position)
