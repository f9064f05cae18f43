"""A category that is no person: a box of six charts, three coarse parts and four keypoints, and images."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from slimdp.data.box_frame import frame_pixel_centres
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface import BodySurface, Part, PartLayout

#: Half of the box's sides, metres: x to its left, y up, z to the front.
HALF = np.array([0.3, 0.2, 0.5])
CELLS = 4  # along each edge
SIDE_PX = 96
LAYOUT = PartLayout(
    category="box animal",
    parts=(
        Part("left", "left flank", "right", 0.2),
        Part("right", "right flank", "left", 0.2),
        Part("top", "trunk", "top"),
        Part("bottom", "trunk", "bottom"),
        Part("front", "trunk", "front", 0.1),
        Part("back", "trunk", "back", 0.1),
    ),
    coarse_parts=("left flank", "right flank", "trunk"),
    keypoints=("nose", "tail", "left_ear", "right_ear"),
)
#: Part - 1 -> the axis that its side is across, at which end, and the axes along which u and v run.
_SIDES = ((0, 1, 2, 1), (0, -1, 2, 1), (1, 1, 0, 2), (1, -1, 0, 2), (2, 1, 0, 1), (2, -1, 0, 1))
_PLACES = {"nose": (0, 0, 1), "tail": (0, 0, -1), "left_ear": (1, 1, 1), "right_ear": (-1, 1, 1)}


def write_box_surface(folder: Path) -> Path:
    """The folder of its surface."""
    folder.mkdir(parents=True)
    grid = np.linspace(-1, 1, CELLS + 1)
    places, faces, part, uv = [], [], [], []
    for label, (across, end, u_axis, v_axis) in enumerate(_SIDES, start=1):
        corners = np.zeros((CELLS + 1, CELLS + 1, 3))
        corners[..., across], corners[..., u_axis], corners[..., v_axis] = end, grid[:, None], grid
        first = sum(map(len, places))
        places.append(corners.reshape(-1, 3))
        for i in range(CELLS):
            for j in range(CELLS):
                a = first + i * (CELLS + 1) + j
                for triangle in ((a, a + CELLS + 1, a + CELLS + 2), (a, a + CELLS + 2, a + 1)):
                    at = places[-1][np.array(triangle) - first]
                    outward = np.cross(at[1] - at[0], at[2] - at[0])[across] * end > 0
                    triangle = triangle if outward else triangle[::-1]
                    faces.append(triangle)
                    part.append(label)
                    uv.append((places[-1][np.array(triangle) - first][:, [u_axis, v_axis]] + 1) / 2)
    vertices, shared = np.unique(np.concatenate(places), axis=0, return_inverse=True)
    np.savez(
        folder / "surface.npz",
        vertices=vertices * HALF,
        faces=shared.reshape(-1)[np.array(faces)],
        face_part=np.array(part),
        face_uv=np.array(uv),
    )
    nearest = {name: int(np.abs(vertices - place).sum(axis=1).argmin()) for name, place in _PLACES.items()}
    (folder / "keypoints.json").write_text(json.dumps(nearest))
    (folder / "layout.json").write_text(json.dumps(LAYOUT.as_json()))
    return folder


def box_person(folder: Path, surface: BodySurface, number: int, points: int = 100) -> PersonAnnotation:
    """Write an image of the box and label it."""
    rng = np.random.default_rng(number)
    turn = _turn(rng.uniform(-np.pi, np.pi), rng.uniform(-0.6, 0.6))
    scale = rng.uniform(55, 70)  # px a metre
    part, uv = _seen(turn, scale)
    colours = np.random.default_rng(7).uniform(30, 225, (len(LAYOUT.parts) + 1, 3))
    image = rng.normal(110, 25, (SIDE_PX, SIDE_PX, 3))
    body = part > 0
    shade = np.column_stack([uv[body], np.zeros(body.sum())]) * 60 - 30
    image[body] = 0.3 * image[body] + 0.7 * colours[part[body]] + shade
    name = f"box_{number}.png"
    cv2.imwrite(str(folder / name), image.clip(0, 255).astype(np.uint8))
    record = ImageRecord(number, folder / name, name, SIDE_PX, SIDE_PX)
    rows, columns = np.nonzero(body)
    low = np.array([columns.min(), rows.min()])
    box = np.concatenate([low, np.array([columns.max(), rows.max()]) + 1 - low]).astype(float)
    chosen = rng.permutation(len(rows))[:points]
    at = rows[chosen], columns[chosen]
    column, row = np.floor(frame_pixel_centres(box) + 0.5).astype(int).clip(0, SIDE_PX - 1).transpose(2, 0, 1)
    keypoints = surface.vertices[[surface.keypoints[each] for each in LAYOUT.keypoints]] @ turn
    in_image = np.column_stack([keypoints[:, 0], -keypoints[:, 1]]) * scale + (SIDE_PX - 1) / 2
    nobody = np.zeros(len(chosen), dtype=np.int64)
    return PersonAnnotation(
        id=number,
        image=record,
        box=box,
        points=np.column_stack(at[::-1]).astype(float),
        part=part[at],
        uv=uv[at].astype(np.float32),
        source=nobody,
        step=nobody,
        coarse=LAYOUT.coarse_of_part[part][row, column].astype(np.uint8),
        keypoints=np.column_stack([in_image, np.where(keypoints[:, 2] > -0.01, 2, 1)]),
        keypoint_names=LAYOUT.keypoints,
        mask=body,
        layout=LAYOUT,
    )


def _turn(about_y: float, about_x: float) -> np.ndarray:
    """A rotation (3, 3): place of the box @ it = x to the right, y up, z towards the viewer."""
    c, s = np.cos(about_y), np.sin(about_y)
    upright = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    c, s = np.cos(about_x), np.sin(about_x)
    return upright @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]])


def _seen(turn: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Part (S, S), 0 background, and uv (S, S, 2) that parallel rays meet first."""
    row, column = np.mgrid[:SIDE_PX, :SIDE_PX]
    middle = (SIDE_PX - 1) / 2
    start = np.stack([(column - middle) / scale, (middle - row) / scale, np.full(row.shape, 5.0)], axis=-1)
    start, ray = start @ turn.T, np.array([0.0, 0, -1]) @ turn.T
    enters, leaves = (-np.sign(ray) * HALF - start) / ray, (np.sign(ray) * HALF - start) / ray
    hit = enters.max(axis=-1) < leaves.min(axis=-1)
    across = enters.argmax(axis=-1)
    place = (start + enters.max(axis=-1, keepdims=True) * ray) / HALF
    part, uv = np.zeros(row.shape, dtype=np.int64), np.zeros((*row.shape, 2))
    for label, (axis, end, u_axis, v_axis) in enumerate(_SIDES, start=1):
        mine = hit & (across == axis) & (-np.sign(ray[axis]) == end)
        part[mine] = label
        uv[mine] = (place[mine][:, [u_axis, v_axis]] + 1) / 2
    return part, uv.clip(0, 1)
