"""Make a four-legged animal of capsules, and pictures of it with exact labels: a category that is no person.

    python tools/quadruped.py mesh --out horse.obj --keypoints horse_keypoints.json
    slimdp chart horse.obj --category horse --keypoints horse_keypoints.json --out horse
    python tools/quadruped.py pictures --surface horse --out horse_set --train 24 --test 8

The pictures are ray-cast without perspective: the animal is turned at random, its patches have colours of
their own, the background is noise. train.json and test.json are ordinary annotation files.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import trimesh
from trimesh.ray.ray_pyembree import RayMeshIntersector

from slimdp.data import write_annotations
from slimdp.data.box_frame import frame_pixel_centres
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface import BodySurface, load_surface

#: Capsules: two ends (x to its left, y up, z to the front) and a radius, metres; those beside the middle are
#: there twice.
CAPSULES = (
    ((0, 1.1, -0.55), (0, 1.1, 0.45), 0.25),  # trunk
    ((0, 1.15, 0.45), (0, 1.65, 0.8), 0.14),  # neck
    ((0, 1.65, 0.8), (0, 1.5, 1.15), 0.11),  # head
    ((0, 1.2, -0.75), (0, 0.75, -1.0), 0.06),  # tail
    ((0.16, 1.0, 0.4), (0.16, 0.08, 0.42), 0.085),  # front leg
    ((0.16, 1.0, -0.5), (0.16, 0.08, -0.55), 0.09),  # hind leg
    ((0.07, 1.7, 0.78), (0.1, 1.85, 0.76), 0.04),  # ear
)
#: Name -> its place; left ones are mirrored.
KEYPOINTS = {
    "nose": (0, 1.47, 1.26), "tail_tip": (0, 0.72, -1.05), "withers": (0, 1.4, 0.3),
    "right_ear": (-0.1, 1.89, 0.76), "right_front_hoof": (-0.16, 0.0, 0.45),
    "right_hind_hoof": (-0.16, 0, -0.5),
}  # fmt: skip
CELL_M = 0.045
_BLEND_M = 0.05
SIDE_PX = 128


def quadruped(cell_m: float = CELL_M) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) metres and quads (Q, 4), wound outwards: the skin of a smooth union of capsules.

    The faces between cells inside and outside, their corners moved onto the skin.
    """
    low, high = np.array([-0.4, -0.1, -1.2]), np.array([0.4, 2.05, 1.45])
    half = int(np.ceil(high[0] / cell_m))
    steps = [np.arange(-half, half + 1), *(np.arange(int((high[k] - low[k]) / cell_m) + 2) for k in (1, 2))]
    start = np.array([0.0, low[1], low[2]])
    grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
    middle = (grid[:-1, :-1, :-1] + 0.5) * cell_m + start
    inside = np.pad(_depth(middle.reshape(-1, 3)).reshape(middle.shape[:3]) > 0, 1)
    quads = np.concatenate([_walls(inside, axis) for axis in range(3)])
    used, local = np.unique(quads.reshape(-1, 3), axis=0, return_inverse=True)
    vertices = (used - [half + 1, 1, 1]) * cell_m + start
    for _ in range(10):
        vertices = _towards_skin(vertices)
    vertices[used[:, 0] == half + 1, 0] = 0
    return vertices, local.reshape(-1, 4)


def _walls(inside: np.ndarray, axis: int) -> np.ndarray:
    """Quads (Q, 4, 3), corners of the grid, between cells inside and outside, neighbours along an axis."""
    moved = np.roll(inside, -1, axis=axis)
    u, v = np.eye(3, dtype=int)[[(axis + 1) % 3, (axis + 2) % 3]]
    walls = []
    for found, corners in ((inside & ~moved, (0 * u, u, u + v, v)), (~inside & moved, (0 * u, v, u + v, u))):
        at = np.argwhere(found) + np.eye(3, dtype=int)[axis]
        walls.append(np.stack([at + corner for corner in corners], axis=1))
    return np.concatenate(walls)


def _depth(points: np.ndarray) -> np.ndarray:
    """How deep (N,) points (N, 3) lie under the skin, metres, negative outside."""
    depths = []
    for start, end, radius in CAPSULES:
        for side in (1, -1) if start[0] else (1,):
            a, b = np.array(start) * [side, 1, 1], np.array(end) * [side, 1, 1]
            share = (((points - a) @ (b - a)) / ((b - a) @ (b - a))).clip(0, 1)
            depths.append(radius - np.linalg.norm(points - a - share[:, None] * (b - a), axis=1))
    return _BLEND_M * np.log(np.exp(np.stack(depths) / _BLEND_M).sum(axis=0))


def _towards_skin(points: np.ndarray) -> np.ndarray:
    """Points (N, 3) one step of Newton's method nearer to the skin."""
    step = 1e-4
    gradient = np.stack([_depth(points + step * e) - _depth(points - step * e) for e in np.eye(3)], 1) / (
        2 * step
    )
    move = _depth(points) / np.maximum((gradient**2).sum(axis=1), 0.05)
    return points - 0.7 * move[:, None] * gradient


def write_mesh(path: Path, keypoints: Path | None = None, cell_m: float = CELL_M) -> None:
    """The animal as an OBJ file, and its keypoints as JSON."""
    vertices, quads = quadruped(cell_m)
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices.tolist()]
    lines += ["f " + " ".join(map(str, row)) for row in (quads + 1).tolist()]
    path.write_text("\n".join(lines) + "\n")
    if keypoints is not None:
        keypoints.write_text(json.dumps({name: list(place) for name, place in KEYPOINTS.items()}, indent=1))


def write_pictures(surface: BodySurface, folder: Path, numbers: dict[str, int], points: int = 100) -> None:
    """Pictures, and FILE.json for each of `numbers`, {"train": 24}: how many pictures it has."""
    folder.mkdir(parents=True, exist_ok=True)
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    rays = RayMeshIntersector(mesh, scale_to_box=False)
    number = 0
    for name, count in numbers.items():
        people = [_picture(surface, rays, folder, number + k + 1, points) for k in range(count)]
        number += count
        write_annotations(folder / f"{name}.json", [person.image for person in people], people)


def _picture(
    surface: BodySurface, rays: RayMeshIntersector, folder: Path, number: int, points: int
) -> PersonAnnotation:
    rng = np.random.default_rng(number)
    turn = _turn(rng.uniform(-np.pi, np.pi), rng.uniform(-0.4, 0.4))
    middle = (surface.vertices.max(axis=0) + surface.vertices.min(axis=0)) / 2
    scale = SIDE_PX / np.linalg.norm(np.ptp(surface.vertices, axis=0)) * rng.uniform(0.8, 0.95)  # px a metre
    part, uv, light = _seen(surface, rays, turn, middle, scale)
    image = rng.normal(120, 25, (SIDE_PX, SIDE_PX, 3))
    colours = np.random.default_rng(7).uniform(40, 215, (len(surface.layout.parts) + 1, 3))
    body = part > 0
    image[body] = (colours[part[body]] + 80 * uv[body][:, :1] - 40 * uv[body][:, 1:]) * light[body][:, None]
    name = f"animal_{number:04d}.png"
    cv2.imwrite(str(folder / name), image.clip(0, 255).astype(np.uint8))
    record = ImageRecord(number, folder / name, name, SIDE_PX, SIDE_PX)
    keypoints = (surface.vertices[list(surface.keypoints.values())] - middle) @ turn
    in_image = np.column_stack([keypoints[:, 0], -keypoints[:, 1]]) * scale + (SIDE_PX - 1) / 2
    return _labelled(record, surface, part, uv, in_image, rng.permutation(body.sum())[:points])


def _labelled(
    record: ImageRecord,
    surface: BodySurface,
    part: np.ndarray,
    uv: np.ndarray,
    keypoints: np.ndarray,
    chosen: np.ndarray,
) -> PersonAnnotation:
    """The labels of a picture: `chosen` of its body's pixels, and the outlines."""
    rows, columns = np.nonzero(part)
    low = np.array([columns.min(), rows.min()])
    box = np.concatenate([low, np.array([columns.max(), rows.max()]) + 1 - low]).astype(float)
    at = rows[chosen], columns[chosen]
    column, row = np.floor(frame_pixel_centres(box) + 0.5).astype(int).clip(0, SIDE_PX - 1).transpose(2, 0, 1)
    nobody = np.zeros(len(chosen), dtype=np.int64)
    return PersonAnnotation(
        id=record.id,
        image=record,
        box=box,
        points=np.column_stack(at[::-1]).astype(float),
        part=part[at],
        uv=uv[at].astype(np.float32),
        source=nobody,
        step=nobody,
        coarse=surface.layout.coarse_of_part[part][row, column].astype(np.uint8),
        keypoints=np.column_stack([keypoints, np.full(len(keypoints), 2.0)]),
        keypoint_names=surface.layout.keypoints,
        mask=part > 0,
        layout=surface.layout,
    )


def _turn(about_y: float, about_x: float) -> np.ndarray:
    """A rotation (3, 3): place @ it = x to the right, y up, z towards the viewer."""
    c, s = np.cos(about_y), np.sin(about_y)
    upright = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    c, s = np.cos(about_x), np.sin(about_x)
    return upright @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]])


def _seen(
    surface: BodySurface, rays: RayMeshIntersector, turn: np.ndarray, middle: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Part (S, S), 0 background, uv (S, S, 2) and light (S, S) of the turned surface at pixel centres."""
    row, column = np.mgrid[:SIDE_PX, :SIDE_PX]
    centre = (SIDE_PX - 1) / 2
    start = np.stack([(column - centre) / scale, (centre - row) / scale, np.full(row.shape, 10.0)], axis=-1)
    origin = start.reshape(-1, 3) @ turn.T + middle
    ray = np.array([0.0, 0.0, -1.0]) @ turn.T
    face = rays.intersects_first(origin, np.broadcast_to(ray, origin.shape)).astype(np.int64)
    hit = face >= 0
    corners = surface.vertices[surface.faces[face[hit]]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    depth = ((corners[:, 0] - origin[hit]) * normal).sum(axis=1) / (normal @ ray)
    place = origin[hit] + depth[:, None] * ray
    weights = trimesh.triangles.points_to_barycentric(corners, place).clip(0, 1)
    weights /= weights.sum(axis=1, keepdims=True)
    part, uv = np.zeros(row.size, dtype=np.int64), np.zeros((row.size, 2))
    part[hit], uv[hit] = surface.chart(face[hit], weights)
    light = np.zeros(row.size)
    light[hit] = 0.5 + 0.5 * np.abs(normal @ ray) / np.linalg.norm(normal, axis=1)
    return part.reshape(row.shape), uv.reshape(*row.shape, 2).clip(0, 1), light.reshape(row.shape)


def main() -> None:
    """Make what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, dest="command")
    mesh = commands.add_parser("mesh", help="the animal as an OBJ file")
    mesh.add_argument("--out", type=Path, required=True)
    mesh.add_argument("--keypoints", type=Path)
    mesh.add_argument("--cell", type=float, default=CELL_M, help="of the mesh, metres")
    pictures = commands.add_parser("pictures", help="pictures of any surface with a mesh, and exact labels")
    pictures.add_argument("--surface", type=Path, required=True)
    pictures.add_argument("--out", type=Path, required=True)
    pictures.add_argument("--train", type=int, default=24)
    pictures.add_argument("--test", type=int, default=8)
    options = parser.parse_args()
    if options.command == "mesh":
        return write_mesh(options.out, options.keypoints, options.cell)
    surface = load_surface(options.surface)
    assert isinstance(surface, BodySurface)
    write_pictures(surface, options.out, {"train": options.train, "test": options.test})


if __name__ == "__main__":
    main()
