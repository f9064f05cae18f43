"""Ray-cast a scene into a picture, knowing for every pixel which point of what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from slimdp.synthetic.camera import Camera, look_at
from slimdp.synthetic.lights import Lighting
from slimdp.synthetic.looks import Look
from slimdp.synthetic.person import PosedPerson
from slimdp.synthetic.props import Prop
from slimdp.synthetic.raycast import Hits, RayCaster
from slimdp.synthetic.shading import irradiance, look_closely, reflectance
from slimdp.synthetic.stage import Stage

__all__ = ["SAMPLES", "Camera", "Hits", "RayCaster", "RenderedFrame", "look_at", "render"]

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
    more = _needs_more_rays(mesh, len(stage.people)).ravel()
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


def _needs_more_rays(mesh: np.ndarray, people: int) -> np.ndarray:
    """Pixels (H, W) on a person, whose clothes have fine patterns, or where two things meet."""
    window = np.ones((3, 3), np.uint8)
    signed = mesh.astype(np.int16)
    edge = cv2.dilate(signed, window) != cv2.erode(signed, window)
    return edge | ((mesh >= 0) & (mesh < people))


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
