"""Things of triangles that are not people: boxes, pillars, balls, walls, and how they move."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from slimdp.synthetic.camera import Camera
from slimdp.synthetic.textures import Texture


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
    wide = segments + 1
    a, b, c, d = (
        row * wide + column,
        row * wide + column + 1,
        (row + 1) * wide + column + 1,
        (row + 1) * wide + column,
    )
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


def turned(prop: Prop, yaw: float, shift: np.ndarray) -> Prop:
    """A prop turned about the vertical axis through the origin, then moved."""
    turn = cv2.Rodrigues(np.array([0, yaw, 0.0]))[0]
    return replace(prop, vertices=prop.vertices @ turn.T + shift, normals=prop.normals @ turn.T)
