"""Make a four-legged animal of capsules, and pictures of it with exact labels: a category that is no person.

    python tools/quadruped.py mesh --out horse.obj --keypoints horse_keypoints.json
    slimdp chart horse.obj --category horse --keypoints horse_keypoints.json --out horse
    python tools/quadruped.py pictures --surface horse --out horse_set --train 24 --test 8
    python tools/quadruped.py page --out horse_page

The pictures are ray-cast without perspective: the animal is turned at random, its patches have colours of
their own, the background is noise. train.json and test.json are ordinary annotation files.

`page` goes the whole way of a new category: the mesh is charted, three pictures are labelled by mouse and
keys in the page of `slimdp annotate` in headless Chromium, a network learns them by heart, and `slimdp
evaluate` scores it on the labels that were clicked and on exact ones. OUT/report.html shows it, OUT/screens
the page.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import trimesh
from annotator_truth import SurfaceTruth
from trimesh.ray.ray_pyembree import RayMeshIntersector

from flow_cache.runtime.atomic import write_text
from slimdp.__main__ import main as slimdp
from slimdp.data import write_annotations
from slimdp.data.box_frame import frame_pixel_centres
from slimdp.settings_file import dump_yaml
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


def write_pictures(
    surface: BodySurface, folder: Path, numbers: dict[str, int], points: int = 100
) -> list[SurfaceTruth]:
    """Pictures, and FILE.json for each of `numbers`, {"train": 24}: how many pictures it has.

    Returns what is true of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    rays = RayMeshIntersector(mesh, scale_to_box=False)
    truths: list[SurfaceTruth] = []
    for name, count in numbers.items():
        people = []
        for _ in range(count):
            person, truth = _picture(surface, rays, folder, len(truths) + 1, points)
            people.append(person)
            truths.append(truth)
        write_annotations(folder / f"{name}.json", [person.image for person in people], people)
    return truths


def _picture(
    surface: BodySurface, rays: RayMeshIntersector, folder: Path, number: int, points: int
) -> tuple[PersonAnnotation, SurfaceTruth]:
    rng = np.random.default_rng(number)
    turn = _turn(rng.uniform(-np.pi, np.pi), rng.uniform(-0.4, 0.4))
    middle = (surface.vertices.max(axis=0) + surface.vertices.min(axis=0)) / 2
    scale = SIDE_PX / np.linalg.norm(np.ptp(surface.vertices, axis=0)) * rng.uniform(0.8, 0.95)  # px a metre
    seen = _seen(surface, rays, turn, middle, scale)
    part, uv, light = seen.part, seen.uv, seen.light
    image = rng.normal(120, 25, (SIDE_PX, SIDE_PX, 3))
    colours = np.random.default_rng(7).uniform(40, 215, (len(surface.layout.parts) + 1, 3))
    body = part > 0
    image[body] = (colours[part[body]] + 80 * uv[body][:, :1] - 40 * uv[body][:, 1:]) * light[body][:, None]
    name = f"animal_{number:04d}.png"
    cv2.imwrite(str(folder / name), image.clip(0, 255).astype(np.uint8))
    record = ImageRecord(number, folder / name, name, SIDE_PX, SIDE_PX)
    keypoints = (surface.vertices[list(surface.keypoints.values())] - middle) @ turn
    in_image = np.column_stack([keypoints[:, 0], -keypoints[:, 1]]) * scale + (SIDE_PX - 1) / 2
    person = _labelled(record, surface, part, uv, in_image, rng.permutation(body.sum())[:points])
    return person, SurfaceTruth(surface, seen.face, seen.weights)


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


@dataclass(frozen=True)
class _Seen:
    """What pixel centres show of the turned surface."""

    face: np.ndarray  # (S, S), -1 for background
    weights: np.ndarray  # (S, S, 3), barycentric
    part: np.ndarray  # (S, S), 0 for background
    uv: np.ndarray  # (S, S, 2)
    light: np.ndarray  # (S, S)


def _seen(
    surface: BodySurface, rays: RayMeshIntersector, turn: np.ndarray, middle: np.ndarray, scale: float
) -> _Seen:
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
    everywhere = np.zeros((row.size, 3))
    everywhere[hit] = weights
    return _Seen(
        face.reshape(row.shape), everywhere.reshape(*row.shape, 3), part.reshape(row.shape),
        uv.reshape(*row.shape, 2).clip(0, 1), light.reshape(row.shape),
    )  # fmt: skip


# ---- the whole way, through the page


def whole_way(out: Path, cell_m: float = CELL_M, pictures: int = 3, steps: int = 1500) -> dict[str, dict]:
    """From the mesh to a report; percent of points by the labels that were clicked, and by exact ones."""
    horse, data = out / "horse", out / "set"
    images, labels = data / "pictures", data / "labels.json"
    data.mkdir(parents=True, exist_ok=True)
    write_mesh(out / "horse.obj", out / "keypoints.json", cell_m)
    if not horse.exists():
        named = ["--category", "horse", "--keypoints", str(out / "keypoints.json"), "--symmetry", "require"]
        _run(["chart", str(out / "horse.obj"), *named, "--out", str(horse)])
    surface = load_surface(horse)
    assert isinstance(surface, BodySurface)
    truths = write_pictures(surface, images, {"exact": pictures})
    if not labels.exists():
        annotate_in_browser(images, labels, surface, horse, truths, out / "screens")
    _run(["doctor", str(data)])
    _write_study(out, steps)
    _run(["sweep", str(out / "study.yaml"), "--out", str(out / "runs")])
    _run(["report", str(out / "runs"), "--out", str(out / "report.html"), "--figures", str(out / "figures")])
    exact = images / "exact.json"
    return {"clicked": _score(out, horse, labels, data), "exact": _score(out, horse, exact, images)}


def annotate_in_browser(
    images: Path,
    labels: Path,
    surface: BodySurface,
    folder: Path,
    truths: Sequence[SurfaceTruth],
    screens: Path,
) -> None:
    """Label pictures by mouse and keys; the labels are in the file when it returns."""
    from annotation_page import Page, resize, served
    from browser import open_browser
    from browser_annotator import BrowserAnnotator, screenshots

    with open_browser() as driver, served(images, labels, "--surface", str(folder)) as (_, address):
        resize(driver, 1280, 860)
        page = Page(driver)
        page.open(address)
        annotator = BrowserAnnotator(page, surface, screenshots(page, screens))
        for number, truth in enumerate(truths):
            print(f"picture {number + 1}: {annotator.label(number, truth)} points", flush=True)


def _write_study(out: Path, steps: int) -> None:
    """A study of one row: a small network that learns the pictures by heart."""
    data = {"annotations": str(out / "set" / "labels.json"), "images": str(out / "set")}
    still = {"scale": 0.0, "rotation_deg": 0.0, "shift": 0.0, "flip": False, "colour": 0.0}
    stage = {"name": "heart", "data": [data], "steps": steps, "batch": 3, "learning_rate": 5.0e-3}
    settings = {
        "surface": str(out / "horse"), "model": {"stacks": 1, "features": 32}, "crop": {"size": 64},
        "augment": still, "stages": [stage], "ema_decay": 0.99,
    }  # fmt: skip
    study = {
        "title": "A horse, labelled in the page", "people": "horses", "seeds": [0],
        "rows": {"heart": {"settings": "heart.yaml", "title": "three pictures, by heart"}}, "evaluate": data,
    }  # fmt: skip
    write_text(out / "heart.yaml", dump_yaml(settings))
    write_text(out / "study.yaml", dump_yaml(study))


def _score(out: Path, horse: Path, labels: Path, images: Path) -> dict[str, float]:
    """Predict the animals of some labels, and score."""
    (weights,) = (out / "runs" / "heart").rglob("stage_heart.pt")
    files = ["--annotations", str(labels), "--images", str(images)]
    found, scores = out / f"{labels.stem}.h5", out / f"{labels.stem}_scores.json"
    _run(["predict", str(weights), *files, "--surface", str(horse), "--out", str(found)])
    command = ["evaluate", "--predictions", str(found), *files, "--surface", str(horse)]
    _run([*command, "--out", str(scores)])
    _run(["draw", *files, "--predictions", str(found), "--out", str(out / f"{labels.stem}.png")])
    points: dict[str, float] = json.loads(scores.read_text())["points"]["localization"]
    return points


def _run(words: list[str]) -> None:
    print("slimdp", *words, flush=True)
    if slimdp(words):
        raise SystemExit(f"slimdp {words[0]} failed")


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
    page = commands.add_parser("page", help="chart, label in the page, train by heart, predict, report")
    page.add_argument("--out", type=Path, required=True)
    page.add_argument("--steps", type=int, default=1500, help="of training")
    options = parser.parse_args()
    if options.command == "page":
        print(json.dumps(whole_way(options.out, steps=options.steps)))
        return
    if options.command == "mesh":
        return write_mesh(options.out, options.keypoints, options.cell)
    surface = load_surface(options.surface)
    assert isinstance(surface, BodySurface)
    write_pictures(surface, options.out, {"train": options.train, "test": options.test})


if __name__ == "__main__":
    main()
