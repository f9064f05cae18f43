"""What rays meet first: people and props as triangles, found by Embree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from slimdp.surface import BodySurface
from slimdp.synthetic.camera import Camera
from slimdp.synthetic.person import PosedPerson


class Triangles(Protocol):
    """Anything of triangles in the world."""

    @property
    def vertices(self) -> np.ndarray: ...  # (V, 3) metres

    @property
    def faces(self) -> np.ndarray: ...  # (F, 3)


@dataclass(frozen=True)
class Hits:
    """What rays meet first; person -1 where that is nobody.

    A mesh is a person, or after all people a prop: mesh -1 where a ray meets nothing at all.
    """

    person: np.ndarray  # (N,) int64
    face: np.ndarray  # (N,) int64, of the person or the prop; 0 where there is nothing
    barycentric: np.ndarray  # (N, 3) float32
    depth: np.ndarray  # (N,) metres; infinite where there is nothing
    mesh: np.ndarray  # (N,) int64


class RayCaster:
    """Finds what rays meet; the triangles are sorted once, for all rays.

    Everything is relative to the camera, so that single precision is finest where pixels are.
    """

    def __init__(
        self,
        people: Sequence[PosedPerson],
        surface: BodySurface,
        camera: Camera,
        props: Sequence[Triangles] = (),
    ) -> None:
        self._camera = camera
        self._people = len(people)
        self._scene = EmbreeScene()
        skin_faces = surface.faces.astype(np.int32)
        parts = [(person.skin, skin_faces) for person in people]
        parts += [(prop.vertices, prop.faces.astype(np.int32)) for prop in props]
        # Embree needs one mesh at least to answer at all.
        parts = parts or [(np.full((3, 3), 1e6), np.zeros((1, 3), np.int32))]
        self._meshes = [
            TriangleMesh(self._scene, (vertices - camera.position).astype(np.float32), faces)
            for vertices, faces in parts
        ]

    def cast(self, pixels: np.ndarray) -> Hits:
        """First hits of the rays through pixels (N, 2) x, y."""
        directions = self._camera.directions(pixels).astype(np.float32)
        result = self._scene.run(np.zeros_like(directions), directions, output=1)
        face = result["primID"].astype(np.int64)
        nothing = face < 0
        u, v = result["u"], result["v"]
        mesh = np.where(nothing, -1, result["geomID"]).astype(np.int64)
        return Hits(
            person=np.where(mesh < self._people, mesh, -1),
            face=np.where(nothing, 0, face),
            barycentric=np.stack([1 - u - v, u, v], axis=1),
            depth=np.where(nothing, np.inf, result["tfar"]),
            mesh=mesh,
        )

    def blocked(self, origins: np.ndarray, directions: np.ndarray, reach: np.ndarray) -> np.ndarray:
        """Whether anything lies between points and a light.

        Args:
            origins: (N, 3) float32 metres, relative to the camera's position.
            directions: (N, 3) float32 unit, towards the light.
            reach: (N,) float32 metres: what is farther away casts no shadow.

        Returns:
            (N,) bool.
        """
        if len(origins) == 0:
            return np.zeros(0, dtype=bool)
        return self._scene.run(origins, directions, dists=reach, query="OCCLUDED") >= 0
