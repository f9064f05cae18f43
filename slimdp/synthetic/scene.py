"""Scenes: people in motion before a background, a light and a camera that may pan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from slimdp.surface import BodySurface
from slimdp.synthetic.appearance import Look, random_look
from slimdp.synthetic.assets import Assets
from slimdp.synthetic.background import random_background
from slimdp.synthetic.motion import Motion, random_motion
from slimdp.synthetic.person import Person, make_person, pose_person
from slimdp.synthetic.render import Camera, Light, RenderedFrame, look_at, render
from slimdp.synthetic.shapes import random_shape

FRAMES_PER_SECOND = 12.0
#: The background is this much wider than the frame.
_BACKGROUND_SCALE = 1.6


@dataclass(frozen=True)
class SceneStyle:
    """What makes a rendered world hard: for the network, and for optical flow."""

    tempo: float = 1.0  # people move and turn this many times as fast
    patterned: float = 0.7  # share of garments with stripes, checks, dots or a print
    objects: tuple[int, int] = (8, 30)  # in a background: the fewest, and one over the most

    def __post_init__(self) -> None:
        low, high = self.objects
        if not (self.tempo >= 0 and 0 <= self.patterned <= 1 and 0 <= low < high):
            raise ValueError(f"{self}: wanted tempo >= 0, patterned in 0..1, objects with 0 <= low < high")


@dataclass(frozen=True)
class Scene:
    """Everything that a clip is rendered from."""

    people: tuple[Person, ...]
    motions: tuple[Motion, ...]
    looks: tuple[Look, ...]
    camera: Camera  # before any pan
    light: Light
    background: np.ndarray  # (M, M, 3) float32 RGB 0..1, M > frame
    pan: np.ndarray  # (2,) x, y px a frame: how fast the background moves in the picture
    follow: float  # how well the camera follows the people: 0 they move as the background, 1 they stay
    blur: float  # px
    noise: float  # of full scale
    exposure: float


def random_scene(
    rng: np.random.Generator,
    size: int,
    panning: bool,
    style: SceneStyle | None = None,
    assets: Assets | None = None,
) -> Scene:
    """A scene for square frames of `size` px: one person, or sometimes two."""
    style = style or SceneStyle()
    count = 1 if rng.random() < 0.75 else 2
    motions = [random_motion(rng, tempo=style.tempo)]
    if count == 2:
        beside = random_motion(rng, tempo=style.tempo)
        offset = (rng.choice([-1, 1]) * rng.uniform(0.45, 0.9), rng.uniform(-0.9, 0.5))
        motions.append(replace(beside, position=offset))
    return Scene(
        people=tuple(make_person(random_shape(rng)) for _ in range(count)),
        motions=tuple(motions),
        looks=tuple(random_look(rng, style.patterned) for _ in range(count)),
        camera=_random_camera(rng, size),
        light=_random_light(rng),
        background=random_background(rng, int(size * _BACKGROUND_SCALE), style.objects),
        pan=rng.normal(0, 4.0, 2) * [1, 0.3] if panning else np.zeros(2),
        follow=rng.uniform(0.4, 1.0),
        blur=rng.uniform(0, 0.9) if rng.random() < 0.6 else 0.0,
        noise=rng.uniform(0, 0.03),
        exposure=rng.uniform(0.75, 1.2),
    )


def _random_camera(rng: np.random.Generator, size: int) -> Camera:
    focal = size * rng.uniform(1.2, 1.8)
    share = rng.uniform(0.6, 0.9) if rng.random() < 0.8 else rng.uniform(0.9, 1.5)  # of the frame's height
    distance = 1.7 * focal / (share * size)
    rise = np.deg2rad(rng.uniform(-8, 25))
    target = np.array([rng.normal(0, 0.08), 0.9 + max(share - 0.9, 0) * rng.uniform(-0.6, 0.8), 0.0])
    position = target + distance * np.array([0.0, np.sin(rise), np.cos(rise)])
    middle = ((size - 1) / 2, (size - 1) / 2)
    return Camera(
        size, size, focal, middle, look_at(position, target, np.deg2rad(rng.normal(0, 3))), position
    )


def _random_light(rng: np.random.Generator) -> Light:
    direction = rng.normal(size=3) + [0, 0.8, 1.0]
    tint = 1 + rng.normal(0, 0.06, 3)
    return Light(
        direction / np.linalg.norm(direction),
        tint * rng.uniform(0.4, 0.9),
        (2 - tint) * rng.uniform(0.35, 0.6),
    )


def render_frame(scene: Scene, surface: BodySurface, frame: int, rng: np.random.Generator) -> RenderedFrame:
    """Render one frame of a scene, with its blur and noise."""
    seconds = frame / FRAMES_PER_SECOND
    people = tuple(
        pose_person(person, motion.pose(person, seconds))
        for person, motion in zip(scene.people, scene.motions)
    )
    camera = scene.camera
    pan = scene.pan * frame
    people_pan = pan * (1 - scene.follow)
    x, y = camera.centre
    moved = replace(camera, centre=(x + people_pan[0], y + people_pan[1]))
    side = scene.background.shape[0]
    margin = (side - camera.width) / 2, (side - camera.height) / 2
    shift = np.array([[1, 0, pan[0] - margin[0]], [0, 1, pan[1] - margin[1]]])
    background = cv2.warpAffine(
        scene.background,
        shift,
        (camera.width, camera.height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    rendered = render(people, scene.looks, surface, moved, scene.light, background)
    return RenderedFrame(_photograph(rendered.image, scene, rng), rendered.hits, moved, people, pan)


def _photograph(image: np.ndarray, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Lens blur, exposure and sensor noise."""
    picture: np.ndarray = image.astype(np.float32) / 255
    if scene.blur > 0.1:
        picture = cv2.GaussianBlur(picture, (0, 0), scene.blur)
    picture = picture * scene.exposure + rng.normal(0, scene.noise, picture.shape).astype(np.float32)
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
