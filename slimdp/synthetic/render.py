"""Pictures of a stage: lamps, the light that they leave on surfaces, and what the camera sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from slimdp.synthetic.camera import Camera, look_at
from slimdp.synthetic.looks import Look, dress
from slimdp.synthetic.objects import Prop
from slimdp.synthetic.person import PosedPerson
from slimdp.synthetic.stage import Hits, RayCaster, Stage, by_mesh
from slimdp.synthetic.textures import to_linear

__all__ = ["SAMPLES", "Camera", "Hits", "RayCaster", "RenderedFrame", "look_at", "render"]

#: Each pixel of a square of this side tries another place of a lamp and another part of the sky, and the
#: square shares the answers (interleaved sampling, Keller and Heidrich 2001).
TILE = 4
#: What is farther than this casts no shadow of a sun (metres).
SUN_REACH = 12.0
#: What is farther than this does not darken the sky (metres).
SKY_REACH = 1.2
#: What is farther from the camera lies in no shadow (metres): landscapes hold theirs.
SHADOWS_UP_TO = 18.0


@dataclass(frozen=True)
class Light:
    """The sun, or a lamp."""

    place: np.ndarray  # (3,) metres; for the sun the unit direction towards it
    colour: np.ndarray  # (3,) linear RGB: what a white surface that faces it gives back
    radius: float  # of the lamp (metres) or of the sun's disc (radians): the softness of shadows
    distant: bool  # the sun
    bright_at: float = 3.0  # metres: where a lamp has its colour

    def seen_from(self, points: np.ndarray, jitter: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """From points (N, 3) metres: ways (N, 3) float32 unit, reach (N,) metres to the lamp, strength (N,).

        `jitter` (N, 3) or (1, 3) in the unit ball picks a place on the lamp; its middle is 0.
        """
        if self.distant:
            ways = np.asarray(self.place + self.radius * jitter, dtype=np.float32)
            ways /= np.linalg.norm(ways, axis=1, keepdims=True)
            count = len(points)
            ways = np.ascontiguousarray(np.broadcast_to(ways, (count, 3)))
            return ways, np.full(count, SUN_REACH, np.float32), np.ones(count, np.float32)
        place = (self.place + self.radius * jitter).astype(np.float32)
        ways = place - points.astype(np.float32)
        distance = np.linalg.norm(ways, axis=1)
        ways /= np.maximum(distance, 1e-6)[:, None]
        # Near a lamp the square law would burn out whatever is there.
        strength = (self.bright_at / np.maximum(distance, 0.5 * self.bright_at)) ** 2
        return ways, distance, strength


@dataclass(frozen=True)
class Lighting:
    """All light of a scene."""

    lights: tuple[Light, ...]
    sky: np.ndarray  # (3,) linear RGB from above
    ground: np.ndarray  # (3,) linear RGB from below
    shadows: bool = True
    white: float = 1.0  # how bright the white of a baked picture is, so that it suits who stands in it

    def on(self, point: np.ndarray, facing: np.ndarray) -> float:
        """The mean of red, green and blue that reaches a point (3,) of a surface that faces a way (3,)."""
        facing = facing / np.linalg.norm(facing)
        up = 0.5 + 0.5 * facing[1]
        total = self.sky * up + self.ground * (1 - up)
        for light in self.lights:
            way, _, strength = light.seen_from(point[None], np.zeros((1, 3)))
            total = total + light.colour * strength * max(float(way[0] @ facing), 0.15)
        return float(total.mean())


def sky_directions() -> np.ndarray:
    """TILE^2 directions (K, 3) about +z with density by cosine, the same number in each ring and sector."""
    cell = np.arange(TILE * TILE)
    ring, sector = (cell // TILE + 0.5) / TILE, (cell % TILE + 0.5 * (cell // TILE % 2)) / TILE
    radius, angle = np.sqrt(ring), 2 * np.pi * sector
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - ring)])


def disc_jitter() -> np.ndarray:
    """TILE^2 places (K, 3) in the unit ball, evenly spread (a Fibonacci lattice)."""
    count = TILE * TILE
    index = np.arange(count) + 0.5
    height, turn = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    flat = np.sqrt(1 - height**2)
    radius = ((index * 0.618034) % 1) ** (1 / 3)
    return radius[:, None] * np.column_stack([flat * np.cos(turn), flat * np.sin(turn), height])


def random_lighting(rng: np.random.Generator, indoors: bool, ceiling: float, shadows: bool) -> Lighting:
    """Lamps under the ceiling of a room, or the sun and perhaps a second light in the open."""
    warm = rng.normal(0, 0.1)
    tint = np.array([1 + warm, 1.0, 1 - warm])
    ambient = rng.uniform(0.15, 0.5)
    if indoors:
        lights = []
        for share in rng.dirichlet(np.full(int(rng.integers(1, 4)), 3.0)):
            place = [rng.uniform(-2, 2), ceiling - rng.uniform(0.1, 0.6), rng.uniform(-0.5, 3.0)]
            colour = share * (1 - ambient) * 1.5 * tint
            lights.append(Light(np.array(place), colour, rng.uniform(0.05, 0.3), False))
        return Lighting(tuple(lights), ambient * tint, 0.6 * ambient * tint, shadows)
    height, around = np.deg2rad(rng.uniform(20, 65)), rng.uniform(-np.pi, np.pi)
    if rng.random() < 0.7:  # the sun stands mostly before the people
        around = rng.uniform(-1.3, 1.3)
    way = np.array([np.sin(around) * np.cos(height), np.sin(height), np.cos(around) * np.cos(height)])
    # A clouded sun is wide and weak.
    cloud = rng.random() < 0.3
    sun = Light(way, (1 - ambient) * (0.6 if cloud else 1.2) * tint, 0.25 if cloud else 0.02, True)
    blue = np.array([0.9, 1.0, 1.15]) * (1.4 if cloud else 1.0)
    return Lighting((sun,), ambient * blue, 0.5 * ambient * tint, shadows)


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
    # Which place of its square a pixel has, 0..TILE^2 - 1.
    tile = (shown // camera.width) % TILE * TILE + shown % camera.width % TILE
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
    left = np.float32(lighting.white) * reached / np.maximum(bare, 1e-4)
    light[shown] = np.where(baked[:, None], left, reached)
    return light


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
        image = np.zeros(self._shape, dtype=np.float32)
        image.ravel()[self._shown] = values
        wide = cv2.copyMakeBorder(image, TILE, TILE, TILE, TILE, cv2.BORDER_REFLECT)
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
            colour[rays] = to_linear(dress(looks[mesh], stage.surface).colour(face, barycentric))
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


#: Rays along each side of a pixel for its colour; labels come from one more ray through its centre.
SAMPLES = 2


@dataclass(frozen=True)
class RenderedFrame:
    """A picture and what every pixel's centre shows."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    hits: Hits  # one row a pixel, row by row
    camera: Camera
    people: tuple[PosedPerson, ...]
    props: tuple[Prop, ...] = ()
    caster: RayCaster | None = None  # of these people and props, from this camera; None: made when asked for
    stage: Stage | None = None  # these people and props; None: made when asked for


def render(
    stage: Stage, looks: Sequence[Look], camera: Camera, lighting: Lighting
) -> tuple[np.ndarray, Hits, RayCaster]:
    """Linear light (H, W, 3) float32 of a stage, what each pixel's centre shows, and the sorted triangles."""
    centres = camera.pixels()
    caster = stage.caster(camera)
    hits = caster.cast(centres)
    seen = look_closely(hits, stage, camera)
    light = irradiance(hits, seen, stage, camera, caster, lighting)
    mesh = hits.mesh.reshape(camera.height, camera.width)
    # More rays for pixels on a person, whose clothes have fine patterns, or where two things meet.
    signed, window = mesh.astype(np.int16), np.ones((3, 3), np.uint8)
    edge = cv2.dilate(signed, window) != cv2.erode(signed, window)
    more = (edge | ((mesh >= 0) & (mesh < len(stage.people)))).ravel()
    finer = np.flatnonzero(more)
    coarser = replace(hits, mesh=np.where(more, -1, hits.mesh))
    colour = reflectance(coarser, looks, stage, camera, seen.footprint) * light
    offsets = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    total = np.zeros((len(finer), 3), dtype=np.float32)
    for dx in offsets:
        for dy in offsets:
            samples = caster.cast(centres[finer] + [dx, dy])
            lit = _same_thing(samples.mesh, finer, mesh, (dx > 0) * 2 - 1, (dy > 0) * 2 - 1)
            total += reflectance(samples, looks, stage, camera, seen.footprint[lit]) * light[lit]
    colour[finer] = total / SAMPLES**2
    return colour.reshape(camera.height, camera.width, 3), hits, caster


def _same_thing(
    sampled: np.ndarray, pixels: np.ndarray, mesh: np.ndarray, right: int, down: int
) -> np.ndarray:
    """The pixel (N,) whose light a sample takes: the nearest that shows the same thing, else its own."""
    height, width = mesh.shape
    row, column = pixels // width, pixels % width
    chosen, found = pixels.copy(), mesh.ravel()[pixels] == sampled
    for dx, dy in ((right, 0), (0, down), (right, down)):
        there = np.clip(row + dy, 0, height - 1) * width + np.clip(column + dx, 0, width - 1)
        take = ~found & (mesh.ravel()[there] == sampled)
        chosen[take] = there[take]
        found |= take
    return chosen
