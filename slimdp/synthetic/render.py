"""Ray-cast people into a picture, knowing for every pixel which point of whose skin it shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import cv2
import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from scipy.sparse import csr_array

from slimdp.surface import BodySurface
from slimdp.synthetic.looks import Look, surface_colour
from slimdp.synthetic.person import PosedPerson

#: Rays along each side of a pixel for its colour; labels come from one more ray through its centre.
SAMPLES = 2


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion: image x to the right, y down, depth to the front."""

    width: int  # px
    height: int  # px
    focal: float  # px
    centre: tuple[float, float]  # principal point, px
    rotation: np.ndarray  # (3, 3): camera axes = rotation @ world axes
    position: np.ndarray  # (3,) metres, world

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (N, 3) in metres -> pixels (N, 2) x, y and depth (N,) in metres."""
        local = (points - self.position) @ self.rotation.T
        depth = local[:, 2]
        return local[:, :2] * self.focal / depth[:, None] + np.array(self.centre), depth

    def directions(self, pixels: np.ndarray) -> np.ndarray:
        """Ray directions (N, 3) in the world, of depth 1, through pixels (N, 2) x, y."""
        flat = (pixels - np.array(self.centre)) / self.focal
        return np.column_stack([flat, np.ones(len(flat))]) @ self.rotation


def look_at(position: np.ndarray, target: np.ndarray, roll: float) -> np.ndarray:
    """The rotation (3, 3) of a camera at `position` that looks at `target`; roll in radians."""
    forward = target - position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * down, -s * right + c * down, forward])


@dataclass(frozen=True)
class Light:
    """One sun and a sky."""

    direction: np.ndarray  # (3,) unit, towards the sun
    sun: np.ndarray  # (3,) RGB
    sky: np.ndarray  # (3,) RGB


@dataclass(frozen=True)
class Hits:
    """What rays meet first; person -1 where they meet nobody."""

    person: np.ndarray  # (N,) int64
    face: np.ndarray  # (N,) int64
    barycentric: np.ndarray  # (N, 3) float32
    depth: np.ndarray  # (N,) metres; infinite where there is nobody


@dataclass(frozen=True)
class RenderedFrame:
    """A picture and what every pixel's centre shows."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    hits: Hits  # one row a pixel, row by row
    camera: Camera
    people: tuple[PosedPerson, ...]
    pan: np.ndarray = field(default_factory=lambda: np.zeros(2))  # (2,) px: where the background has moved to


class RayCaster:
    """Finds what rays from a camera meet first; the people's triangles are sorted once, for all rays."""

    def __init__(self, people: tuple[PosedPerson, ...], surface: BodySurface, camera: Camera) -> None:
        triangles = np.concatenate([person.skin[surface.faces] for person in people])
        self._camera = camera
        self._faces = len(surface.faces)
        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, (triangles - camera.position).astype(np.float32))

    def cast(self, pixels: np.ndarray) -> Hits:
        """First hits of the rays through pixels (N, 2) x, y."""
        directions = self._camera.directions(pixels).astype(np.float32)
        result = self._scene.run(np.zeros_like(directions), directions, output=1)
        face = result["primID"].astype(np.int64)
        nobody = face < 0
        u, v = result["u"], result["v"]
        return Hits(
            person=np.where(nobody, -1, face // self._faces),
            face=np.where(nobody, 0, face % self._faces),
            barycentric=np.stack([1 - u - v, u, v], axis=1),
            depth=np.where(nobody, np.inf, result["tfar"]),
        )


def render(
    people: tuple[PosedPerson, ...],
    looks: tuple[Look, ...],
    surface: BodySurface,
    camera: Camera,
    light: Light,
    background: np.ndarray,
) -> RenderedFrame:
    """Render a frame; `background` is (H, W, 3) float32 RGB 0..1."""
    y, x = np.mgrid[: camera.height, : camera.width]
    centres = np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)
    caster = RayCaster(people, surface, camera)
    hits = caster.cast(centres)
    colour, cover = background.reshape(-1, 3).copy(), np.zeros(len(centres))
    near = _near_people(hits.person.reshape(camera.height, camera.width) >= 0).ravel()
    normals = [vertex_normals(person.skin, surface) for person in people]
    offsets = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    total = np.zeros((near.sum(), 3))
    for dx in offsets:
        for dy in offsets:
            samples = caster.cast(centres[near] + [dx, dy])
            total += _shade(samples, normals, looks, surface, light)
            cover[near] += samples.person >= 0
    cover /= SAMPLES**2
    colour[near] = colour[near] * (1 - cover[near])[:, None] + total / SAMPLES**2
    image = (np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8).reshape(camera.height, camera.width, 3)
    return RenderedFrame(image, hits, camera, people)


def _near_people(body: np.ndarray) -> np.ndarray:
    """Pixels (H, W) on or beside a person: only they need more rays."""
    return cv2.dilate(body.astype(np.uint8), np.ones((5, 5), dtype=np.uint8)) > 0


def _shade(
    hits: Hits, normals: list[np.ndarray], looks: tuple[Look, ...], surface: BodySurface, light: Light
) -> np.ndarray:
    """Colours (N, 3) of what N rays meet, black where they meet nobody."""
    colour = np.zeros((len(hits.person), 3))
    for index, (normal_at, look) in enumerate(zip(normals, looks)):
        mine = hits.person == index
        face, barycentric = hits.face[mine], hits.barycentric[mine]
        normal = np.einsum("nk,nkc->nc", barycentric, normal_at[surface.faces[face]])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        lambert = np.clip(normal @ light.direction, 0, None)[:, None]
        sky = (0.65 + 0.35 * normal[:, 1])[:, None]
        colour[mine] = surface_colour(look, surface, face, barycentric) * (
            light.sun * lambert + light.sky * sky
        )
    return colour


@lru_cache(maxsize=2)
def _corner_sum(vertex_count: int, key: bytes) -> csr_array:
    faces = np.frombuffer(key, dtype=np.int64).reshape(-1, 3)
    columns = np.repeat(np.arange(len(faces)), 3)
    return csr_array((np.ones(faces.size), (faces.ravel(), columns)), shape=(vertex_count, len(faces)))


def vertex_normals(vertices: np.ndarray, surface: BodySurface) -> np.ndarray:
    """Unit normals (V, 3), the mean over the faces that meet, by area."""
    corner = vertices[surface.faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    total = _corner_sum(len(vertices), np.ascontiguousarray(surface.faces).tobytes()) @ normal
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
