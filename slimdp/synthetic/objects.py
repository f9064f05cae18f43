"""Things that are not people: boxes, pillars and balls, furniture of them, and what hides people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from slimdp.synthetic.camera import Camera, CameraPath
from slimdp.synthetic.textures import THINGS, Texture, random_material


@dataclass(frozen=True)
class Path:
    """Where a rigid thing is: a straight way, a swing, and a turn about the vertical; pure in time."""

    velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))  # metres a second
    swing: np.ndarray = field(default_factory=lambda: np.zeros(3))  # metres
    frequency: float = 0.5  # hertz
    spin: np.ndarray = field(default_factory=lambda: np.zeros(3))  # rotation vector, radians a second


@dataclass(frozen=True)
class Prop:
    """A rigid thing in the world with a texture."""

    vertices: np.ndarray  # (V, 3) metres, at time 0
    faces: np.ndarray  # (F, 3) int32, counter-clockwise seen from outside
    normals: np.ndarray  # (F, 3, 3) unit, at the corners of faces
    uv: np.ndarray  # (F, 3, 2) metres on the texture
    texture: Texture
    path: Path | None = None  # None: it stands still
    baked: bool = False  # the texture holds its own light: only shadows are added
    #: The texture is a picture taken by this camera, cast onto the thing: what one sees is the picture.
    projector: Camera | None = None

    def at(self, seconds: float) -> Prop:
        """The prop at a time."""
        if self.path is None or seconds == 0:
            return self
        path = self.path
        turn = cv2.Rodrigues(path.spin * seconds)[0]
        middle = self.vertices.mean(axis=0)
        shift = path.velocity * seconds + path.swing * np.sin(2 * np.pi * path.frequency * seconds)
        return replace(
            self,
            vertices=(self.vertices - middle) @ turn.T + middle + shift,
            normals=self.normals @ turn.T,
        )


#: Squares along a side of a cushion.
_CUSHION_STEPS = 8


def quad(corner: np.ndarray, along_u: np.ndarray, along_v: np.ndarray, texture: Texture) -> Prop:
    """A rectangle from a corner along two edges, which faces to their cross product."""
    corner, along_u, along_v = (np.asarray(v, dtype=np.float64) for v in (corner, along_u, along_v))
    vertices = np.stack([corner, corner + along_u, corner + along_u + along_v, corner + along_v])
    sides = np.linalg.norm(along_u), np.linalg.norm(along_v)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * sides
    faces = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
    normal = np.cross(along_u, along_v)
    normals = np.broadcast_to(normal / np.linalg.norm(normal), (2, 3, 3))
    return Prop(vertices, faces, normals, uv[faces], texture)


def box(centre: np.ndarray, size: np.ndarray, yaw: float, texture: Texture) -> Prop:
    """A box (size x, y, z metres), turned about the vertical."""
    half = np.asarray(size) / 2
    sides = []
    for axis in range(3):
        u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
        for sign in (1, -1):
            first, second = (u, v) if sign > 0 else (v, u)
            corner = sign * np.eye(3)[axis] * half - (first + second) * half
            sides.append(quad(corner, 2 * first * half, 2 * second * half, texture))
    return turned(together(sides), yaw, np.asarray(centre))


def cushion(centre: np.ndarray, size: np.ndarray, radius: float, texture: Texture) -> Prop:
    """A box (size x, y, z metres) with edges and corners round by a radius, at most half of each side."""
    half = np.asarray(size, dtype=np.float64) / 2
    core = np.maximum(half - radius, 0)
    steps = np.linspace(-1, 1, _CUSHION_STEPS + 1)
    grid_v, grid_u = np.meshgrid(steps, steps, indexing="ij")
    row, column = (a.ravel() for a in np.mgrid[:_CUSHION_STEPS, :_CUSHION_STEPS])
    a = row * (_CUSHION_STEPS + 1) + column
    b, d = a + 1, a + _CUSHION_STEPS + 1
    faces = np.concatenate([np.stack([a, b, d + 1], axis=1), np.stack([a, d + 1, d], axis=1)]).astype(
        np.int32
    )
    sides = []
    for axis in range(3):
        for sign in (1.0, -1.0):
            first, second = ((axis + 1) % 3, (axis + 2) % 3)[:: int(sign)]
            points = np.zeros((grid_u.size, 3))
            points[:, axis] = sign
            points[:, first], points[:, second] = grid_u.ravel(), grid_v.ravel()
            points *= half
            # As near to the core as the radius, in the direction of what is beyond it.
            inner = np.clip(points, -core, core)
            normals = points - inner
            normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
            uv = points[:, [first, second]]
            rounded = inner + np.minimum(half, radius) * normals
            sides.append(Prop(rounded + np.asarray(centre), faces, normals[faces], uv[faces], texture))
    return together(sides)


def revolution(profile: np.ndarray, centre: np.ndarray, texture: Texture, segments: int = 20) -> Prop:
    """The surface that a profile (K, 2) of radius, height (metres, upwards) sweeps about the vertical."""
    angle = np.linspace(0, 2 * np.pi, segments + 1)
    around = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], axis=1)
    radius, height = np.asarray(profile, dtype=np.float64).T
    grid = radius[:, None, None] * around + height[:, None, None] * [0, 1, 0]
    slope = np.gradient(np.column_stack([radius, height]), axis=0)
    normal = slope[:, 1][:, None, None] * around - slope[:, 0][:, None, None] * [0, 1, 0]
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-9)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    uv = np.stack(np.broadcast_arrays(angle[None] * radius.max(), along[:, None]), axis=2)
    row, column = (a.ravel() for a in np.mgrid[: len(radius) - 1, :segments])
    a, d = row * (segments + 1) + column, (row + 1) * (segments + 1) + column
    b, c = a + 1, d + 1
    faces = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)]).astype(np.int32)
    vertices = grid.reshape(-1, 3) + np.asarray(centre)
    return Prop(vertices, faces, normal.reshape(-1, 3)[faces], uv.reshape(-1, 2)[faces], texture)


def ball(centre: np.ndarray, radius: float, texture: Texture, squash: float = 1.0) -> Prop:
    """A sphere, its height `squash` times its width."""
    latitude = np.linspace(-np.pi / 2, np.pi / 2, 11)
    profile = radius * np.column_stack([np.cos(latitude), squash * np.sin(latitude)])
    return revolution(profile, centre, texture)


def pillar(foot: np.ndarray, radius: float, height: float, texture: Texture, taper: float = 1.0) -> Prop:
    """A round pillar that stands on its foot, with a lid; its top is `taper` times as wide."""
    top = radius * taper
    # The rims are doubled so that normals turn sharply there.
    widths = [radius, (radius + top) / 2, top, top, 0]
    heights = [0, height / 2, height - 1e-3, height, height]
    return revolution(np.column_stack([widths, heights]), foot, texture, 14)


def together(props: list[Prop]) -> Prop:
    """One prop of several, with the first one's texture and path."""
    offsets = np.cumsum([0] + [len(prop.vertices) for prop in props[:-1]])
    return replace(
        props[0],
        vertices=np.concatenate([prop.vertices for prop in props]),
        faces=np.concatenate([prop.faces + offset for prop, offset in zip(props, offsets)]).astype(np.int32),
        normals=np.concatenate([prop.normals for prop in props]),
        uv=np.concatenate([prop.uv for prop in props]),
    )


def transformed(prop: Prop, turn: np.ndarray, shift: np.ndarray) -> Prop:
    """A prop turned by a rotation (3, 3) about the origin, then moved."""
    return replace(prop, vertices=prop.vertices @ turn.T + shift, normals=prop.normals @ turn.T)


def turned(prop: Prop, yaw: float, shift: np.ndarray) -> Prop:
    """A prop turned about the vertical axis through the origin, then moved."""
    turn = cv2.Rodrigues(np.array([0, yaw, 0.0]))[0]
    return replace(prop, vertices=prop.vertices @ turn.T + shift, normals=prop.normals @ turn.T)


#: Makes a thing at the origin, standing on y = 0, from a palette of textures.
Maker = Callable[[np.random.Generator, list[Texture]], list[Prop]]


def _pick(rng: np.random.Generator, palette: list[Texture]) -> Texture:
    return palette[int(rng.integers(len(palette)))]


def _legs(x: float, z: float, high: float, thick: float, texture: Texture) -> list[Prop]:
    """Four legs at +-x, +-z, metres."""
    size, corners = np.array([thick, high, thick]), ((-x, -z), (-x, z), (x, -z), (x, z))
    return [box(np.array([at_x, high / 2, at_z]), size, 0, texture) for at_x, at_z in corners]


def _table(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    wide, deep, high = rng.uniform(0.7, 1.6), rng.uniform(0.5, 0.9), rng.uniform(0.45, 0.8)
    parts = [box(np.array([0, high, 0]), np.array([wide, 0.05, deep]), 0, _pick(rng, palette))]
    parts += _legs(wide / 2 - 0.06, deep / 2 - 0.06, high, 0.06, parts[0].texture)
    things = []
    for high_thing in rng.uniform(0.08, 0.3, int(rng.integers(0, 3))):
        x, z = rng.uniform(-0.3, 0.3) * wide, rng.uniform(-0.2, 0.2)
        size = high_thing * rng.uniform(0.6, 1.4, 3) * [1, 0, 1] + [0, high_thing, 0]
        where = np.array([x, high + 0.025 + high_thing / 2, z])
        things.append(box(where, size, rng.uniform(0, 3), _pick(rng, palette)))
    return [together(parts), *things]


def _chair(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    seat, high = rng.uniform(0.42, 0.48), rng.uniform(0.8, 1.0)
    texture = _pick(rng, palette)
    parts = [box(np.array([0, seat, 0]), np.array([0.44, 0.05, 0.44]), 0, texture)]
    parts.append(box(np.array([0, (seat + high) / 2, -0.2]), np.array([0.44, high - seat, 0.04]), 0, texture))
    return [together(parts + _legs(0.19, 0.19, seat, 0.04, texture))]


def _shelf(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    wide, high, deep = rng.uniform(0.6, 1.4), rng.uniform(0.8, 2.1), 0.32
    texture = _pick(rng, palette)
    parts = [
        box(np.array([x * wide / 2, high / 2, 0]), np.array([0.03, high, deep]), 0, texture) for x in (-1, 1)
    ]
    goods = []
    for level in np.arange(0.1, high, 0.38):
        parts.append(box(np.array([0, level, 0]), np.array([wide, 0.03, deep]), 0, texture))
        size = np.array([rng.uniform(0.2, 0.8) * wide, rng.uniform(0.12, 0.3), 0.2])
        where = np.array([rng.uniform(-0.08, 0.08) * wide, level + 0.015 + size[1] / 2, 0])
        goods.append(box(where, size, 0, _pick(rng, palette)))
    return [together(parts), *goods]


def _sofa(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    wide, texture = rng.uniform(1.2, 2.0), _pick(rng, palette)
    sizes = [([0, 0.22, 0], [wide, 0.44, 0.8]), ([0, 0.5, -0.32], [wide, 0.7, 0.2])]
    sizes += [([x * wide / 2, 0.32, 0], [0.18, 0.6, 0.8]) for x in (-1, 1)]
    return [together([box(np.array(c), np.array(s), 0, texture) for c, s in sizes])]


def _lamp(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    high = rng.uniform(1.3, 2.2)
    shade = revolution(np.array([[0.24, 0], [0.12, 0.3]]), np.array([0, high - 0.2, 0]), _pick(rng, palette))
    return [pillar(np.zeros(3), 0.025, high, _pick(rng, palette)), shade]


def _plant(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    high = rng.uniform(0.5, 2.6)
    green = Texture((rng.random((32, 32, 1)) * [70, 120, 40] + [10, 30, 5]).astype(np.uint8), 0.04)
    spread = rng.normal(0, 0.14 * high, (int(rng.integers(3, 8)), 3))
    crown = [ball(at + [0, high, 0], rng.uniform(0.12, 0.22) * high, green, 0.9) for at in spread]
    return [pillar(np.zeros(3), 0.06 + 0.04 * high, high, _pick(rng, palette), 0.5), together(crown)]


def _stack(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    props, level = [], 0.0
    for _ in range(int(rng.integers(1, 4))):
        size = rng.uniform(0.2, 0.7, 3)
        middle = np.array([0, level + size[1] / 2, 0])
        props.append(box(middle, size, rng.uniform(0, np.pi), _pick(rng, palette)))
        level += size[1]
    return props


def _pole(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    return [pillar(np.zeros(3), rng.uniform(0.03, 0.2), rng.uniform(0.8, 4.0), _pick(rng, palette))]


def _ball_on_floor(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    radius = rng.uniform(0.1, 0.4)
    return [ball(np.array([0, radius, 0]), radius, _pick(rng, palette))]


def _car(rng: np.random.Generator, palette: list[Texture]) -> list[Prop]:
    paint = random_material(rng, ("plaster",), (32, 32), 0.2)
    parts = {1.0: ([0, 0.55, 0], [3.9, 0.6, 1.6]), 0.25: ([-0.2, 1.08, 0], [2.0, 0.5, 1.4])}
    hull, glass = (
        box(np.array(c), np.array(s), 0, replace(paint, image=(paint.image * dark).astype(np.uint8)))
        for dark, (c, s) in parts.items()
    )
    roof = box(np.array([-0.2, 1.36, 0]), np.array([1.8, 0.06, 1.36]), 0, paint)
    black = Texture(np.full((16, 16, 3), 30, np.uint8), 0.1)
    wheels = [ball(np.array([x, 0.32, z]), 0.32, black) for x in (-1.2, 1.2) for z in (-0.7, 0.7)]
    return [together([hull, roof]), glass, together(wheels)]


INDOORS: tuple[Maker, ...] = (
    _table, _chair, _chair, _shelf, _shelf, _sofa, _lamp, _plant, _stack, _ball_on_floor, _pole
)  # fmt: skip

OUTDOORS: tuple[Maker, ...] = (_plant, _plant, _car, _pole, _pole, _stack, _ball_on_floor, _table)


def random_occluder(rng: np.random.Generator, camera: CameraPath, body: np.ndarray) -> Prop:
    """Something that stands or moves before a person's middle (3,) metres, and hides a part of the body."""
    share = rng.uniform(0.45, 0.8)  # of the way from the camera to the person
    where = camera.position + share * (body - camera.position)
    height = share * rng.uniform(-0.6, 0.5)
    texture = random_material(rng, THINGS, (64, 64), rng.uniform(0.003, 0.01))
    side, across = rng.choice([-1.0, 1.0]), share * rng.uniform(0.0, 0.45)
    aim = where + [side * across, height, 0]
    # It passes its place about when the clip starts.
    velocity = np.array([-side * share * rng.uniform(0.1, 1.0), 0.0, rng.normal(0, 0.1)])
    size = share * rng.uniform(0.14, 0.4)
    kind = rng.integers(4)
    if kind == 0:  # a pole
        foot = np.array([aim[0], 0.0, aim[2]])
        prop = pillar(foot, share * rng.uniform(0.03, 0.09), 3.5, texture)
        return replace(prop, path=Path(velocity * (rng.random() < 0.4)))
    if kind == 1:  # a ball, thrown or bouncing
        prop = ball(aim, size / 2, texture)
        swing = np.array([0, rng.uniform(0.05, 0.4) * share, 0])
        return replace(prop, path=Path(2 * velocity, swing, rng.uniform(0.5, 1.5), rng.normal(0, 3, 3)))
    if kind == 2:  # a box or a board, carried past
        prop = box(aim, size * rng.uniform(0.6, 1.6, 3) * [1, 1, 0.5], rng.uniform(-0.6, 0.6), texture)
        return replace(prop, path=Path(velocity, rng.normal(0, 0.03, 3), 1.8, rng.normal(0, 0.4, 3)))
    handle = box(aim + [0, 0.65 * size, 0], np.array([0.5, 0.5, 0.1]) * size, 0, texture)  # a bag
    bag = together([box(aim, np.array([1.0, 1.1, 0.4]) * size, 0, texture), handle])
    frequency, spin = rng.uniform(0.6, 1.4), np.array([0, rng.normal(0, 0.5), 0])
    return replace(bag, path=Path(velocity, np.array([0.06, 0.02, 0.02]), frequency, spin))
