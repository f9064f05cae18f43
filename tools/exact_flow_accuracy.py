"""How true the exact flow of rendered clips is: on the body, and in the picture.

    python tools/exact_flow_accuracy.py --scenes 8

For pixels on people that stay in sight one and three frames on: how far along the body the point that is seen
at the flow's end lies from the one that was seen at its start, by the ray through that very place, and by the
nearest pixel (a pixel is about 0.7 cm wide on the body). And the mean absolute difference of grey levels,
0..255, between a picture and the later one brought back along the flow, where nothing is hidden, for scenes
without shadows, blur and noise: a body's own shading still changes as it turns. Prints one JSON line last.
"""

from __future__ import annotations

import argparse
import sys

import cv2
import numpy as np
from measuring import make_parser, tell

from flow_cache.drawing import backward_warp
from slimdp.surface import BodySurface, load_surface
from slimdp.synthetic.exact_flow import exact_flow
from slimdp.synthetic.render import RenderedFrame
from slimdp.synthetic.scene import SceneStyle, random_scene, render_frame


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--size", type=int, default=256, help="px")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    surface = load_surface("open")
    by_ray, by_pixel = [], []
    for frames in _clips(options, surface, SceneStyle()):
        for later in frames[1:]:
            ray, pixel = _errors_cm(frames[0], later, surface)
            by_ray.append(ray)
            by_pixel.append(pixel)
    sharp = SceneStyle(shadows=False, shutter=0.0, defocus=0.0, noise=0.0)
    warped = [_differences(f[0], f[1], surface) for f in _clips(options, surface, sharp)]
    result = {
        "points": sum(map(len, by_ray)),
        "by_ray_cm": _summary(np.concatenate(by_ray)),
        "by_nearest_pixel_cm": _summary(np.concatenate(by_pixel)),
        "grey_levels_warped": round(float(np.mean([w for w, _ in warped])), 2),
        "grey_levels_as_it_was": round(float(np.mean([u for _, u in warped])), 2),
    }
    tell(result)
    return 0


def _clips(options: argparse.Namespace, surface: BodySurface, style: SceneStyle) -> list[list[RenderedFrame]]:
    clips = []
    for number in range(options.scenes):
        rng = np.random.default_rng([options.seed, number])
        scene = random_scene(rng, options.size, True, style)
        clips.append([render_frame(scene, surface, frame, rng) for frame in (0, 1, 3)])
    return clips


def _errors_cm(
    frame_0: RenderedFrame, frame_1: RenderedFrame, surface: BodySurface
) -> tuple[np.ndarray, np.ndarray]:
    flow, visible = exact_flow(frame_0, frame_1, surface)
    end = frame_0.camera.pixels() + flow.reshape(2, -1).T
    seen = np.flatnonzero((frame_0.hits.person >= 0) & visible.ravel())
    column, row = np.rint(end[seen]).astype(int).T
    nearest = row.clip(0, frame_1.camera.height - 1) * frame_1.camera.width
    nearest += column.clip(0, frame_1.camera.width - 1)
    assert frame_1.caster is not None
    errors = []
    for hits, place in (
        (frame_1.caster.cast(end[seen]), np.arange(len(seen))),
        (frame_1.hits, nearest),
    ):
        same = (
            hits.person[place] == frame_0.hits.person[seen]
        )  # at an outline a pixel may show what is behind
        start, there = seen[same], place[same]
        distance_m = surface.geodesic_distance(
            frame_0.hits.face[start], frame_0.hits.barycentric[start],
            hits.face[there], hits.barycentric[there],
        )  # fmt: skip
        errors.append(100 * distance_m)
    return errors[0], errors[1]


def _differences(frame_0: RenderedFrame, frame_1: RenderedFrame, surface: BodySurface) -> tuple[float, float]:
    """Mean absolute grey levels between frame 0 and frame 1 brought back, and frame 1 as it is."""
    flow, visible = exact_flow(frame_0, frame_1, surface)
    inner = cv2.erode(visible.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0  # outlines mix two surfaces
    image_0 = frame_0.image.astype(np.float64)
    warped, plain = (
        float(np.abs(image_0 - image)[inner].mean())
        for image in (backward_warp(frame_1.image, flow), frame_1.image)
    )
    return warped, plain


def _summary(errors_cm: np.ndarray) -> dict[str, float]:
    return {
        "median": round(float(np.median(errors_cm)), 4),
        "99th percentile": round(float(np.percentile(errors_cm, 99)), 3),
        "under 2 cm, %": round(100 * float((errors_cm < 2).mean()), 2),
    }


if __name__ == "__main__":
    sys.exit(main())
