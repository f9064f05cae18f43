"""Scenes: people in motion in a place, under its light, before a camera that has them in view."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from slimdp.surface import BodySurface, load_surface
from slimdp.synthetic.assets import Assets
from slimdp.synthetic.camera import Camera, CameraPath, random_drift
from slimdp.synthetic.exact_flow import moved_pixels
from slimdp.synthetic.gathering import framing_camera, gather
from slimdp.synthetic.looks import Look, clothed_skin, random_look, tailored_skin
from slimdp.synthetic.motion import BvhMotion, Motion, PlacedMotion, random_motion, read_bvh
from slimdp.synthetic.objects import Prop, random_occluder
from slimdp.synthetic.person import Person, make_person, pose_person, random_shape, shared_weights
from slimdp.synthetic.photograph import PhotoSettings, SceneStyle, photograph
from slimdp.synthetic.render import Lighting, RenderedFrame, random_lighting, render
from slimdp.synthetic.stage import Stage
from slimdp.synthetic.world import random_place, read_background

__all__ = ["FRAMES_PER_SECOND", "Scene", "SceneStyle", "random_scene", "render_frame"]

FRAMES_PER_SECOND = 12.0
#: The camera follows where people are on average over these times (seconds from now).
_SMOOTH = (-0.3, 0.0, 0.3)
#: That average is read between places this far apart in time (seconds).
_WAY_STEP = 0.15
#: Draws of a camera, and of a place for a person, until one suits.
_CAMERA_TRIES, _PLACE_TRIES = 20, 30
#: When the ways of people are looked at, seconds.
_TIMES = (0.0, 0.3, 0.6, 0.9, 1.2)
#: People's middles keep this distance (metres).
_APART = 0.5


def way_of(motion: Motion, person: Person) -> np.ndarray:
    """Where a person is at _TIMES, (T, 3) metres."""
    return np.array([motion.pose(person, time).position for time in _TIMES])


def place_people(
    rng: np.random.Generator,
    people: tuple[Person, ...],
    style: SceneStyle,
    passer_by: bool,
    recordings: Sequence[Path] = (),
) -> tuple[tuple[Motion, ...], list[np.ndarray]]:
    """Motions for people, and their ways: the first near the origin, others beside, the last walking by.

    Where no free place is found, the last one tried is taken. Raises ValueError for a recording (a BVH file)
    that cannot be read.
    """
    motions: list[Motion] = []
    ways: list[np.ndarray] = []
    for index, person in enumerate(people):
        walks_by = passer_by and index == len(people) - 1
        motion: Motion = random_motion(rng, "walk" if walks_by else None, tempo=style.tempo)
        if recordings and not walks_by and rng.random() < style.recorded:
            motion = _recorded(rng, recordings, style.tempo)
        way = way_of(motion, person)
        for _ in range(_PLACE_TRIES):
            placed = _walking_by(rng, motion, way) if walks_by else _standing(rng, motion, way, index == 0)
            gaps = [np.linalg.norm((placed.place(way) - o)[:, [0, 2]], axis=1).min() for o in ways]
            if min(gaps, default=np.inf) > _APART:
                break
        motions.append(placed)
        ways.append(placed.place(way))
    return tuple(motions), ways


def _recorded(rng: np.random.Generator, recordings: Sequence[Path], tempo: float) -> Motion:
    """A recorded motion from any of its moments on, turned anywhere."""
    clip = _read(recordings[int(rng.integers(len(recordings)))])
    motion = BvhMotion(clip, start=float(rng.uniform(0, clip.seconds)))
    return PlacedMotion(motion, yaw=float(rng.uniform(-np.pi, np.pi)), tempo=tempo)


_read = lru_cache(maxsize=64)(read_bvh)


def _standing(rng: np.random.Generator, motion: Motion, way: np.ndarray, first: bool) -> PlacedMotion:
    if first:
        where = rng.normal(0, 0.05, 2)
    else:
        angle, distance = rng.uniform(-np.pi, np.pi), rng.uniform(_APART, 1.5)
        where = distance * np.array([np.sin(angle), 0.7 * np.cos(angle)])
    return PlacedMotion(motion, 0.0, (float(where[0] - way[0, 0]), float(where[1] - way[0, 2])))


def _walking_by(rng: np.random.Generator, motion: Motion, way: np.ndarray) -> PlacedMotion:
    going = way[-1] - way[0]
    side = rng.choice([-1.0, 1.0])
    # Turned so that the way leads across the picture.
    turn = float(side * np.pi / 2 - np.arctan2(going[0], going[2]) + rng.normal(0, 0.3))
    start = PlacedMotion(motion, turn).place(way[0])
    where = np.array([-side * rng.uniform(0.1, 0.8), rng.uniform(0.6, 1.3)])
    return PlacedMotion(motion, turn, (float(where[0] - start[0]), float(where[1] - start[2])))


def random_camera(
    rng: np.random.Generator, size: tuple[int, int], starts: np.ndarray, moving: bool
) -> CameraPath:
    """A camera before people who start at (P, 3) metres: whole bodies mostly, sometimes close."""
    width, height = size
    focal = min(size) * rng.uniform(1.2, 1.8)
    share = rng.uniform(0.6, 0.9) if rng.random() < 0.8 else rng.uniform(0.9, 1.5)  # of the frame's height
    middle = (starts.min(axis=0) + starts.max(axis=0)) / 2
    spread = np.ptp(starts[:, 0])
    distance = max(1.7 * focal / (share * height), (spread + 0.5) * focal / (0.85 * width))
    distance += starts[:, 2].max() - middle[2]
    rise = np.deg2rad(rng.uniform(-8, 25))
    aim = 0.9 + max(share - 0.9, 0) * rng.uniform(-0.6, 0.8)
    target = np.array([middle[0] + rng.normal(0, 0.08), aim, middle[2]])
    position = target + distance * np.array([0.0, np.sin(rise), np.cos(rise)])
    position[1] = max(position[1], 0.25)
    roll, follow = np.deg2rad(rng.normal(0, 3)), rng.uniform(0.0, 1.0)
    drift = random_drift(rng) if moving else None
    return CameraPath(width, height, focal, position, target, roll, follow, drift)


def all_in_view(camera: CameraPath, starts: np.ndarray) -> bool:
    """Whether the middle of everybody who starts at (P, 3) metres is in the picture."""
    pixels, depth = camera.at(0.0, np.zeros(3)).project(starts + [0, 1.0, 0])
    margin = 0.04 * np.array([camera.width, camera.height])
    inside = (pixels > margin) & (pixels < [camera.width, camera.height] - margin)
    return bool((inside.all(axis=1) & (depth > 0.7)).all())


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

    Frames have a `size` in px, a side of square ones or width and height. Without a user's assets everything
    is procedural. Raises ValueError for a background or a motion that cannot be read.
    """
    style, assets = style or SceneStyle(), assets or Assets()
    size = (size, size) if isinstance(size, int) else size
    shares = np.array(style.people)
    count = 1 + int(
        rng.choice(len(shares), p=shares / shares.sum())
    )  # numpy wants the sum to the last digits
    shapes = [random_shape(rng) for _ in range(count)]
    looks = tuple(random_look(rng, style.patterned, shape.gender, shape.age) for shape in shapes)
    bare = [make_person(shape) for shape in shapes]
    people = tuple(_clothed(look, person, style.tailored) for look, person in zip(looks, bare))
    passer_by = count > 1 and rng.random() < style.passers_by
    moving = may_move and rng.random() < style.moving_camera
    if style.postures.any:
        cast = _gathered(rng, size, people, style, moving)
    else:
        cast = _active(rng, size, people, style, passer_by, moving, assets)
    image = None
    if assets.backgrounds and rng.random() < style.pictures:
        image = read_background(assets.backgrounds[int(rng.integers(len(assets.backgrounds)))])
    objects = int(rng.integers(*style.objects))
    place = random_place(rng, cast.camera, objects, np.concatenate(cast.ways), image)
    props = cast.props + place.props
    if rng.random() < style.occluders:
        for _ in range(int(rng.integers(1, 3))):
            props += (random_occluder(rng, cast.camera, cast.middles[int(rng.integers(count))]),)
    lighting = random_lighting(rng, place.indoors, place.ceiling, style.shadows)
    lighting = replace(lighting, white=lighting.on(cast.focus, cast.camera.position - cast.focus))
    photo = _random_photo(rng, style, cast.camera, cast.focus, lighting.white)
    return Scene(people, cast.motions, looks, props, cast.camera, lighting, photo)


def _clothed(look: Look, person: Person, tailored: bool) -> Person:
    surface = load_surface("open")
    if not tailored:
        return replace(person, skin=clothed_skin(look, surface, person.skin))
    skin, shares = tailored_skin(look, surface, person.skin)
    return replace(person, skin=skin, own_weights=shared_weights(shares) if shares.any() else None)


@dataclass(frozen=True)
class _Cast:
    """Where people are, and the camera before them."""

    motions: tuple[Motion, ...]
    ways: list[np.ndarray]  # (N, 3) metres where each will be, on the floor
    middles: np.ndarray  # (P, 3) metres: the middle of each body at time 0
    focus: np.ndarray  # (3,) metres: what the camera is set to
    camera: CameraPath
    props: tuple[Prop, ...] = ()  # what carries people


def _active(
    rng: np.random.Generator, size: tuple[int, int], people: tuple[Person, ...], style: SceneStyle,
    passer_by: bool, moving: bool, assets: Assets,
) -> _Cast:  # fmt: skip
    """People who move, and a camera that has the middle of everybody in view."""
    for _ in range(_CAMERA_TRIES):
        motions, ways = place_people(rng, people, style, passer_by, assets.motions)
        starts = np.array([way[0] for way in ways]) * [1, 0, 1]
        camera = random_camera(rng, size, starts, moving)
        if all_in_view(camera, starts):
            break
    return _Cast(motions, ways, starts + [0, 1.0, 0], starts.mean(axis=0) + [0, 1.2, 0], camera)


def _gathered(
    rng: np.random.Generator,
    size: tuple[int, int],
    people: tuple[Person, ...],
    style: SceneStyle,
    moving: bool,
) -> _Cast:
    """People in postures, and a camera that frames them or a part of one."""
    guests = gather(rng, people, style)
    ways = [guest.points * [1, 0, 1] for guest in guests]
    middles = np.array([guest.points.mean(axis=0) for guest in guests])
    camera = framing_camera(rng, size, guests, style, moving)
    props = tuple(prop for guest in guests for prop in guest.props)
    return _Cast(tuple(guest.motion for guest in guests), ways, middles, camera.target, camera, props)


def _random_photo(
    rng: np.random.Generator, style: SceneStyle, camera: CameraPath, focus: np.ndarray, white: float
) -> PhotoSettings:
    """A lens, focused on the people, and an exposure that suits white there, more or less."""
    side = min(camera.width, camera.height)
    photo = PhotoSettings(
        exposure=rng.uniform(0.6, 1.15) / white,
        shutter=style.shutter * rng.uniform(0.1, 1.0) / FRAMES_PER_SECOND,
        lens_blur=rng.uniform(0, 0.8) if rng.random() < 0.5 else 0.0,
        aperture=rng.uniform(0.5, 4.0) * side / 256 if rng.random() < style.defocus else 0.0,
        focus=float(np.linalg.norm(camera.position - focus)),
        shot_noise=style.noise * rng.uniform(0, 0.04),
        read_noise=style.noise * rng.uniform(0, 0.006),
        vignette=rng.uniform(0, 0.25),
    )
    if style.dark > 0 and rng.random() < style.dark:
        photo = photo.replace(exposure=photo.exposure * rng.uniform(0.15, 0.6))
    if style.grey > 0:
        photo = photo.replace(grey=bool(rng.random() < style.grey))
    return photo


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
    moving = zip(scene.people, scene.motions)
    people = tuple(pose_person(person, motion.pose(person, seconds)) for person, motion in moving)
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
        for offset in _SMOOTH:
            step = (seconds + offset) / _WAY_STEP
            before = int(np.floor(step))
            share = step - before
            earlier, later = (_place_at(cast(Hashable, motion), person, at) for at in (before, before + 1))
            places.append((1 - share) * earlier + share * later)
    return np.mean(places, axis=0) * [1, 0, 1]


@lru_cache(maxsize=512)  # motions and people are hashed by identity
def _place_at(motion: Any, person: Person, step: int) -> np.ndarray:
    """Where a person is at a multiple of `_WAY_STEP`; frames that follow ask for the same ones."""
    return np.array(motion.pose(person, step * _WAY_STEP).position)
