"""Six views of a coarse part, on any of which a place of the surface can be clicked (DensePose, 2.1).

Views are seen without perspective, all of a part at one scale. A limb, open at both ends, is seen from six
sides around its bone; everything else from four sides and from both ends, and so is the whole body, which has
the colours of its parts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from flow_cache.runtime.atomic import write_bytes
from slimdp.report.drawing import PART_COLOURS
from slimdp.surface import BodySurface
from slimdp.surface.cache import cache_folder
from slimdp.surface.layout import PartLayout
from slimdp.synthetic.stage import vertex_normals

#: Raised with every change of how a view looks, so that an older cache is not taken for it.
VERSION = 1
VIEWS = 6
#: In the place of a part's number: all of them.
WHOLE = 0
#: The longer side of a view, px: a leg of half a metre has a px of a millimetre and a half.
SIDE = 360
_MARGIN_PX = 8
#: Rays along each side of a pixel, for its colour.
_SAMPLES = 2
#: A click beside the part by at most so much, px, is taken for its rim.
_BESIDE_PX = 6
#: A hole counts as an open end from this share of the longest one's length on.
_END_SHARE = 0.3
#: A limb whose bone lies as far from front to back as this, as a cosine, has no front.
_LYING = 0.9
#: A part is long where its spread one way is so many times that of the next one.
_LONG = 1.35
#: The long way of a foot lies as flat as this, as a cosine.
_FLAT = 0.85
_SKIN, _OTHER_SKIN = np.array([236.0, 208.0, 186.0]), np.array([202.0, 214.0, 232.0])
_LINE = np.array([120.0, 84.0, 64.0])
#: Mark of what is hidden in a view may lie this far behind what is seen there, of the part's extent.
_BEHIND = 0.01


@dataclass(frozen=True)
class View:
    """Where a view looks from."""

    axes: np.ndarray  # (3, 3): right, up, towards the viewer, unit, in the surface's coordinates
    name: str  # of the side: "front", "left back", "top"


class PartViews:
    """The six views of a coarse part of a surface, or of WHOLE of it: the same size, W x H px, and scale."""

    def __init__(self, surface: BodySurface, label: int) -> None:
        self.surface, self.label = surface, label
        self._coarse = surface.layout.coarse_of_part[surface.face_part]
        self._faces = np.flatnonzero((self._coarse == label) | (label == WHOLE))
        corners = surface.faces[self._faces]
        used, local = np.unique(corners, return_inverse=True)
        vertices = surface.vertices[used]
        self._centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
        shape = vertices, local.reshape(-1, 3)
        self.views = (
            _views_around(np.array([0.0, 1.0, 0.0]), False)
            if label == WHOLE
            else _choose_views(*shape, surface.vertices.mean(axis=0))
        )
        seen = np.stack([(vertices - self._centre) @ view.axes.T for view in self.views])
        self._middle = (seen.min(axis=1) + seen.max(axis=1)) / 2  # (6, 3): of each view, metres
        extent = np.ptp(seen, axis=1).max(axis=0)
        self._extent = float(extent.max())
        self._pixel_m = float(extent[:2].max()) / (SIDE - 2 * _MARGIN_PX)
        self.width, self.height = (int(np.ceil(side / self._pixel_m)) + 2 * _MARGIN_PX for side in extent[:2])
        self._scene = EmbreeScene()
        TriangleMesh(
            self._scene, (vertices - self._centre).astype(np.float32), local.reshape(-1, 3).astype(np.int32)
        )

    def hit(self, view: int, x: float, y: float) -> tuple[int, np.ndarray] | None:
        """The face and barycentric weights (3,) that a view shows at a pixel; None far from the part."""
        ring = np.array([[dx, dy] for dy in _STEPS for dx in _STEPS])
        ring = ring[np.argsort(np.hypot(*ring.T), kind="stable")]
        ring = ring[np.hypot(*ring.T) <= _BESIDE_PX]
        face, barycentric, _ = self._cast(view, np.array([x, y]) + ring)
        found = np.flatnonzero(face >= 0)
        return (int(face[found[0]]), barycentric[found[0]]) if len(found) else None

    def marks(self, face: int, barycentric: np.ndarray) -> list[tuple[float, float, bool]]:
        """Where a surface point is in each view, x, y px, and whether it is seen there."""
        place = self.surface.positions(np.array([face]), np.asarray(barycentric)[None])[0] - self._centre
        marks = []
        for number, view in enumerate(self.views):
            at = view.axes @ place
            x, y = self._pixel(number, at)
            _, _, depth = self._cast(number, np.array([[x, y]]))
            seen = bool(at[2] - self._middle[number][2] > depth[0] - _BEHIND * self._extent)
            marks.append((round(float(x), 2), round(float(y), 2), seen))
        return marks

    def paint(self, number: int) -> np.ndarray:
        """A view (H, W, 4) uint8 RGBA, transparent beside the part; parts' borders are lines."""
        height, width = self.height * _SAMPLES, self.width * _SAMPLES
        row, column = np.mgrid[:height, :width]
        pixels = (np.stack([column.ravel(), row.ravel()], axis=1) + 0.5) / _SAMPLES - 0.5
        face, barycentric, _ = self._cast(number, pixels)
        here = np.flatnonzero(face >= 0)
        normal = np.einsum("nk,nkc->nc", barycentric[here], self._normals[self.surface.faces[face[here]]])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        towards = self.views[number].axes
        facing = np.abs(normal @ towards[2])
        side = normal @ (0.5 * towards[1] - 0.35 * towards[0])
        light = (0.34 + 0.56 * facing + 0.16 * side).clip(0.12, 1.05)
        inside = self._looks_inside(face[here], towards[2])
        light[inside] *= 0.35
        part = np.zeros(len(face), np.int64)
        part[here] = (self._coarse if self.label == WHOLE else self.surface.face_part)[face[here]]
        colour = self._skin(part[here]) * light[:, None]
        line = _borders(part.reshape(height, width)).ravel()[here]
        colour[line] = _LINE
        image = np.zeros((height * width, 4), np.float32)
        image[here] = np.column_stack([colour.clip(0, 255), np.full(len(here), 255)])
        small = cv2.resize(
            image.reshape(height, width, 4), (self.width, self.height), interpolation=cv2.INTER_AREA
        )
        alpha = small[..., 3:]
        rgb = small[..., :3] * (255 / np.maximum(alpha, 1))
        return np.rint(np.concatenate([rgb, alpha], axis=2)).clip(0, 255).astype(np.uint8)

    @cached_property
    def centres(self) -> list[list[tuple[float, float, bool]]]:
        """Where each coarse part is in each view: the middle of what is seen of it, else of all of it."""
        row, column = np.mgrid[: self.height, : self.width]
        pixels = np.stack([column.ravel(), row.ravel()], axis=1)
        middles = self.surface.vertices[self.surface.faces].mean(axis=1) - self._centre
        labels = range(1, 1 + len(self.surface.layout.coarse_parts))
        found: list[list[tuple[float, float, bool]]] = [[] for _ in labels]
        for number, view in enumerate(self.views):
            face = self._cast(number, pixels)[0]
            shown = np.where(face >= 0, self._coarse[face], 0)
            for label in labels:
                there = pixels[shown == label]
                if len(there):
                    x, y = there[np.linalg.norm(there - there.mean(axis=0), axis=1).argmin()].tolist()
                else:
                    at = view.axes @ middles[self._coarse == label].mean(axis=0)
                    x, y = np.round(self._pixel(number, at), 2).tolist()
                found[label - 1].append((x, y, len(there) > 0))
        return found

    def _pixel(self, number: int, place: np.ndarray) -> np.ndarray:
        """Where a place (3,), in a view's axes, is in it, x, y px."""
        q = (place - self._middle[number])[:2] / self._pixel_m
        return np.array([self.width / 2 - 0.5 + q[0], self.height / 2 - 0.5 - q[1]])

    def _skin(self, part: np.ndarray) -> np.ndarray:
        """Colours (N, 3) of parts (N,): coarse ones of the whole body, else the lowest, and the others."""
        if self.label == WHOLE:
            return np.concatenate([[_SKIN], coarse_colours(self.surface.layout)])[part]
        other = part != part.min() if len(part) else np.zeros(0, bool)
        return np.where(other[:, None], _OTHER_SKIN, _SKIN)

    @cached_property
    def _normals(self) -> np.ndarray:
        return vertex_normals(self.surface.vertices, self.surface)

    def _looks_inside(self, face: np.ndarray, towards: np.ndarray) -> np.ndarray:
        """Which faces (N,) are seen from behind, through an open end."""
        a, b, c = self.surface.vertices[self.surface.faces[face]].transpose(1, 0, 2)
        return np.cross(b - a, c - a) @ towards < 0  # type: ignore[no-any-return]

    def _cast(self, view: int, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What pixels (N, 2) of a view show: face (N,), -1 for none; weights (N, 3); depth (N,) metres."""
        axes, middle = self.views[view].axes, self._middle[view]
        x = (pixels[:, 0] - (self.width / 2 - 0.5)) * self._pixel_m + middle[0]
        y = (self.height / 2 - 0.5 - pixels[:, 1]) * self._pixel_m + middle[1]
        far = 2 * self._extent + 1
        local = np.column_stack([x, y, np.full(len(x), middle[2] + far)])
        origins = (local @ axes).astype(np.float32)
        way = np.broadcast_to(-axes[2], origins.shape).astype(np.float32)
        result = self._scene.run(origins, np.ascontiguousarray(way), output=1)
        hit = result["primID"].astype(np.int64)
        face = np.where(hit >= 0, self._faces[np.maximum(hit, 0)], -1)
        u, v = result["u"].astype(np.float64), result["v"].astype(np.float64)
        depth = np.where(hit >= 0, far - result["tfar"], np.nan)
        return face, np.stack([1 - u - v, u, v], axis=1), depth


_STEPS = np.arange(-_BESIDE_PX, _BESIDE_PX + 1)


class ViewImages:
    """The views of all coarse parts as PNG files in the cache folder, each painted once."""

    def __init__(self, surface: BodySurface) -> None:
        self.surface = surface
        self.folder = cache_folder() / "views" / f"{surface_identity(surface)['sha256']}-{VERSION}"
        self._parts: dict[int, PartViews] = {}

    def of(self, label: int) -> PartViews:
        """The views of a coarse part, or of the WHOLE body."""
        if label not in self._parts:
            self._parts[label] = PartViews(self.surface, label)
        return self._parts[label]

    def paint_all(self) -> None:
        """Paint what the cache lacks, the whole body first, then part by part."""
        for label in range(WHOLE, 1 + len(self.surface.layout.coarse_parts)):
            for number in range(VIEWS):
                self.png(label, number)

    def png(self, label: int, number: int) -> bytes:
        """The bytes of a view's picture."""
        path: Path = self.folder / f"{label:02d}_{number}.png"
        if not path.is_file():
            image = self.of(label).paint(number)
            done, content = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA))
            assert done
            write_bytes(path, content.tobytes())
        return path.read_bytes()


def surface_identity(surface: BodySurface) -> dict[str, str]:
    """What tells a surface from others in a file: its name, and a digest of its mesh and charts."""
    digest = hashlib.sha256()
    for array in (surface.vertices, surface.faces, surface.face_part, surface.face_uv):
        digest.update(np.ascontiguousarray(array).tobytes())
    return {"name": Path(surface.name).name, "sha256": digest.hexdigest()[:24]}


def coarse_colours(layout: PartLayout) -> np.ndarray:
    """The colour (C, 3) RGB of each coarse part: that of the last of its parts."""
    parts = range(1, 1 + len(layout.coarse_parts))
    return PART_COLOURS[[int(np.flatnonzero(layout.coarse_of_part == part)[-1]) for part in parts]]


def nearest_corner(barycentric: np.ndarray) -> np.ndarray:
    """The weights (3,) of the nearest vertex of a face."""
    return np.eye(3)[int(np.argmax(barycentric))]


def _choose_views(vertices: np.ndarray, faces: np.ndarray, body_centre: np.ndarray) -> tuple[View, ...]:
    ends = _open_ends(vertices, faces)
    axis = _long_axis(vertices, faces, ends, body_centre)
    return _views_around(axis, len(ends) == 2)


def _views_around(axis: np.ndarray, tube: bool) -> tuple[View, ...]:
    """Views around an axis (3,) that stands upright in them: six, or four and both ends."""
    # Of what runs from front to back, as the trunk of an animal, the first view is from above.
    towards = np.array([0.0, 1.0, 0.0] if abs(axis[2]) > _LYING else [0.0, 0.0, 1.0])
    front = towards - (towards @ axis) * axis
    front /= np.linalg.norm(front)
    left = np.cross(axis, front)
    turns = np.arange(6) * np.pi / 3 if tube else np.arange(4) * np.pi / 2
    sides = [np.cos(turn) * front + np.sin(turn) * left for turn in turns]
    looks = [np.stack([np.cross(axis, side), axis, side]) for side in sides]
    if not tube:
        looks += [
            np.stack([np.cross(-front, axis), -front, axis]),
            np.stack([np.cross(front, -axis), front, -axis]),
        ]
    return tuple(View(axes, _side_name(axes[2])) for axes in looks)


def _open_ends(vertices: np.ndarray, faces: np.ndarray) -> list[np.ndarray]:
    """The middles (3,) of the large holes of a mesh."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    rim = unique[count == 1]
    if not len(rim):
        return []
    shape = (len(vertices), len(vertices))
    group = connected_components(coo_array((np.ones(len(rim)), tuple(rim.T)), shape=shape), directed=False)[1]
    length = np.linalg.norm(vertices[rim[:, 0]] - vertices[rim[:, 1]], axis=1)
    total = np.bincount(group[rim[:, 0]], length, minlength=group.max() + 1)
    large = np.flatnonzero(total >= _END_SHARE * total.max())
    return [vertices[np.unique(rim[group[rim[:, 0]] == each])].mean(axis=0) for each in large]


def _long_axis(
    vertices: np.ndarray, faces: np.ndarray, ends: Sequence[np.ndarray], body_centre: np.ndarray
) -> np.ndarray:
    """The axis (3,) that stands upright in the views: a limb's bone, else the long way, upright if unclear.

    It points up, or where it lies flat towards the body. What is long from front to back is not turned.
    """
    upright = np.array([0.0, 1.0, 0.0])
    if len(ends) == 2:
        axis = ends[1] - ends[0]
    else:
        middle = vertices[faces].mean(axis=1) if len(faces) > 2 else vertices
        spread, ways = np.linalg.eigh(np.cov(middle.T))
        axis = ways[:, 2] if spread[2] > _LONG * spread[1] else upright
    axis = axis / np.linalg.norm(axis)
    if len(ends) != 2 and abs(axis[2]) > _FLAT:
        return upright
    up = axis[1] if abs(axis[1]) > 0.5 else axis @ (body_centre - vertices.mean(axis=0))
    return axis if up > 0 else -axis


def _side_name(towards: np.ndarray) -> str:
    """The side of the body that a view looks at; left is the body's own."""
    names = (("left", "right"), ("top", "bottom"), ("front", "back"))
    order = np.argsort(-np.abs(towards))
    chosen = [axis for axis in order if abs(towards[axis]) > 0.4][:2]
    return " ".join(names[axis][0 if towards[axis] > 0 else 1] for axis in chosen)


def _borders(part: np.ndarray) -> np.ndarray:
    """Pixels (H, W) where two parts meet."""
    border = np.zeros(part.shape, bool)
    for axis in (0, 1):
        a, b = (np.take(part, range(k, part.shape[axis] - 1 + k), axis=axis) for k in (0, 1))
        meet = (a != b) & (a > 0) & (b > 0)
        border[: meet.shape[0], : meet.shape[1]] |= meet
    return border
