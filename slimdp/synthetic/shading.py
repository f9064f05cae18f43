"""How bright surfaces are: the light that reaches each pixel, and the colour of what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from slimdp.synthetic.camera import Camera
from slimdp.synthetic.lights import SHADOWS_UP_TO, SKY_REACH, TILE, Lighting, disc_jitter, sky_directions
from slimdp.synthetic.looks import Look, surface_colour
from slimdp.synthetic.raycast import Hits, RayCaster
from slimdp.synthetic.stage import Stage, by_mesh
from slimdp.synthetic.textures import to_linear

#: Shadow rays start this far off the surface (metres), so that it does not shade itself.
_OFF_SURFACE = 4e-3
#: Neighbours answer for one another about shadows where their depths differ by less than this share.
_SAME_DEPTH = 0.04


@dataclass(frozen=True)
class Seen:
    """The surfaces that pixels' centres show, where they show any."""

    pixels: np.ndarray  # (N,) those that do
    points: np.ndarray  # (N, 3) float32 metres, from the camera's position
    normals: np.ndarray  # (N, 3) float32 unit, towards the camera
    footprint: np.ndarray  # (H W,) float32 metres: the size of a pixel on what it shows


def look_closely(hits: Hits, stage: Stage, camera: Camera) -> Seen:
    """Where and how the surfaces lie that every pixel's centre shows."""
    pixels = np.flatnonzero(hits.mesh >= 0)
    normals = stage.normals(hits, pixels)
    points = stage.points(hits, pixels) - camera.position.astype(np.float32)
    slant = np.einsum("nk,nk->n", normals, points)
    normals *= np.where(slant > 0, np.float32(-1), np.float32(1))[:, None]
    slant = np.abs(slant) / np.maximum(np.sqrt(np.einsum("nk,nk->n", points, points)), 1e-6)
    footprint = np.ones(len(hits.mesh), dtype=np.float32)
    footprint[pixels] = hits.depth[pixels] / camera.focal / np.sqrt(np.maximum(slant, 0.05))
    return Seen(pixels, points, normals, footprint)


def irradiance(
    hits: Hits, seen: Seen, stage: Stage, camera: Camera, caster: RayCaster, lighting: Lighting
) -> np.ndarray:
    """Linear RGB light (H W, 3) float32 on what every pixel's centre shows: 1 makes white white.

    One ray a pixel asks each light, and one the sky; `lights.TILE` squares of pixels share the answers. Baked
    props get the share of the light that shadows leave them.
    """
    shown, points, normal = seen.pixels, seen.points, seen.normals
    light = np.ones((len(hits.mesh), 3), dtype=np.float32)
    if len(shown) == 0:
        return light
    tile = _tile_of(shown, camera.width)
    share = _Sharing(hits, shown, camera)
    origins = points + _OFF_SURFACE * (1 + 0.2 * hits.depth[shown, None].astype(np.float32)) * normal
    near = hits.depth[shown] < SHADOWS_UP_TO
    bare = np.zeros((len(shown), 3), dtype=np.float32)
    reached = np.zeros_like(bare)
    jitter = disc_jitter().astype(np.float32)[tile]
    places = points + camera.position.astype(np.float32)
    for lamp in lighting.lights:
        # How bright it is does not depend on the place that the pixel tries, which would leave its grid.
        middle, _, strength = lamp.seen_from(places, np.zeros((1, 3), np.float32))
        facing = np.maximum(np.einsum("nk,nk->n", normal, middle), 0) * strength
        free = np.ones(len(shown), dtype=np.float32)
        if lighting.shadows:
            asked = np.flatnonzero(near & (facing > 1e-3))
            ways, reach, _ = lamp.seen_from(places[asked], jitter[asked])
            free[asked] = ~caster.blocked(origins[asked], ways, reach - 0.02)
            free = share(free)
        bare += facing[:, None] * lamp.colour.astype(np.float32)
        reached += (free * facing)[:, None] * lamp.colour.astype(np.float32)
    up = 0.5 + 0.5 * normal[:, 1:2]
    sky = (lighting.sky * up + lighting.ground * (1 - up)).astype(np.float32)
    bare += sky
    if lighting.shadows:
        ways = _about(normal, sky_directions().astype(np.float32)[tile])
        open_sky = np.ones(len(shown), dtype=np.float32)
        reach = np.full(int(near.sum()), SKY_REACH, np.float32)
        # What blocks the sky throws some light of its own.
        open_sky[near] -= 0.85 * caster.blocked(origins[near], ways[near], reach)
        sky *= share(open_sky)[:, None]
    reached += sky
    baked = np.array([False] * len(stage.people) + [prop.baked for prop in stage.props])[hits.mesh[shown]]
    light[shown] = np.where(
        baked[:, None], np.float32(lighting.white) * reached / np.maximum(bare, 1e-4), reached
    )
    return light


def _tile_of(pixels: np.ndarray, width: int) -> np.ndarray:
    """Which place of its square a pixel has, 0..TILE^2 - 1."""
    return (pixels // width) % TILE * TILE + pixels % width % TILE


def _about(normal: np.ndarray, local: np.ndarray) -> np.ndarray:
    """Directions (N, 3) about +z turned to be about normals (N, 3) (Duff et al. 2017)."""
    x, y, z = normal.T
    sign = np.where(z >= 0, 1, -1).astype(np.float32)
    a = -1 / (sign + z)
    b = x * y * a
    first = np.stack([1 + sign * x * x * a, sign * b, -sign * x], axis=1)
    second = np.stack([b, sign + y * y * a, -y], axis=1)
    return np.ascontiguousarray(
        local[:, :1] * first + local[:, 1:2] * second + local[:, 2:] * normal, dtype=np.float32
    )


class _Sharing:
    """The mean over a pixel's square of pixels that show the same thing at much the same depth."""

    def __init__(self, hits: Hits, shown: np.ndarray, camera: Camera) -> None:
        self._shape = (camera.height, camera.width)
        self._shown = shown
        mesh = hits.mesh.reshape(self._shape).astype(np.int16)
        depth = np.where(hits.mesh >= 0, hits.depth, 1e9).astype(np.float32).reshape(self._shape)
        self._same = []
        before = TILE // 2 - 1
        wide = [cv2.copyMakeBorder(a, TILE, TILE, TILE, TILE, cv2.BORDER_REFLECT) for a in (mesh, depth)]
        for dy in range(-before, TILE - before):
            for dx in range(-before, TILE - before):
                there = np.s_[TILE + dy :, TILE + dx :]
                near_mesh, near_depth = (a[there][: self._shape[0], : self._shape[1]] for a in wide)
                same = (near_mesh == mesh) & (np.abs(near_depth - depth) < _SAME_DEPTH * depth)
                self._same.append((there, same.astype(np.float32)))
        self._count = sum(same for _, same in self._same)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Means (N,) of values (N,) of the shown pixels."""
        picture = np.zeros(self._shape, dtype=np.float32)
        picture.ravel()[self._shown] = values
        wide = cv2.copyMakeBorder(picture, TILE, TILE, TILE, TILE, cv2.BORDER_REFLECT)
        total = np.zeros(self._shape, dtype=np.float32)
        for there, same in self._same:
            total += wide[there][: self._shape[0], : self._shape[1]] * same
        return (total / np.maximum(self._count, 1)).ravel()[self._shown]


def reflectance(
    hits: Hits, looks: Sequence[Look], stage: Stage, camera: Camera, footprint: np.ndarray
) -> np.ndarray:
    """Linear RGB (N, 3) float32 of what rays have met, before light; black where that is nothing.

    `footprint` (N,) metres is the size of a pixel on what it shows: smaller detail is averaged.
    """
    colour = np.zeros((len(hits.mesh), 3), dtype=np.float32)
    for mesh, rays in by_mesh(hits.mesh):
        face, barycentric = hits.face[rays], hits.barycentric[rays]
        if mesh < len(stage.people):
            colour[rays] = to_linear(surface_colour(looks[mesh], stage.surface, face, barycentric))
            continue
        prop = stage.props[mesh - len(stage.people)]
        if prop.projector is not None:
            uv, _ = prop.projector.project(stage.points(hits, rays))
            pixel = np.full(len(rays), prop.projector.focal / camera.focal)
            colour[rays] = prop.texture.colours(uv + 0.5, pixel)
        else:
            uv = np.einsum("nk,nkc->nc", barycentric, prop.uv[face])
            colour[rays] = prop.texture.colours(uv, footprint[rays])
    return colour
