"""What a simulated annotator knows of a picture: what surface every pixel shows, and where to click it."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from slimdp.annotate.views import PartViews
from slimdp.surface import BodySurface

#: A part that shows fewer pixels is not outlined.
FEWEST_PIXELS = 25


class SurfaceTruth:
    """What is true of a picture with one person, or animal.

    Its pixels show faces (H, W), -1 for nobody, at barycentric weights (H, W, 3).
    """

    def __init__(self, surface: BodySurface, face: np.ndarray, barycentric: np.ndarray) -> None:
        self._face, self._barycentric, self._surface = face, barycentric, surface
        part = np.where(face >= 0, surface.face_part[face], 0)
        self._coarse = surface.layout.coarse_of_part[part]

    def box(self) -> np.ndarray:
        """Around the person, (4,) xywh px."""
        rows, columns = np.nonzero(self._coarse)
        low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
        return np.concatenate([low, high - low + 1]).astype(np.float64)

    def parts(self) -> list[int]:
        """Coarse parts that can be seen, those of most pixels first: small ones are drawn over them."""
        count = np.bincount(self._coarse.ravel())
        count[0] = 0
        return [int(label) for label in np.argsort(-count) if count[label] >= FEWEST_PIXELS]

    def at(self, places: np.ndarray, label: int) -> np.ndarray:
        """Where places (..., 2) x, y px show a part, bool."""
        height, width = self._coarse.shape
        column, row = np.moveaxis(np.rint(places).astype(int), -1, 0)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        return inside & (self._coarse[row.clip(0, height - 1), column.clip(0, width - 1)] == label)

    def outlines(self, label: int) -> Iterator[list[list[float]]]:
        """The outlines of a part, corners x, y px."""
        mask = (self._coarse == label).astype(np.uint8)
        for contour in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
            if len(contour) >= 3:
                yield contour[:, 0].tolist()

    def surface_point(self, at: list[float]) -> tuple[int, np.ndarray] | None:
        """The face and weights that the nearest pixel shows; None where that is nobody."""
        height, width = self._face.shape
        column, row = (int(np.floor(value + 0.5)) for value in at)
        if not (0 <= column < width and 0 <= row < height) or self._face[row, column] < 0:
            return None
        return int(self._face[row, column]), self._barycentric[row, column].astype(np.float64)

    def coarse(self, face: int) -> int:
        """The coarse part of a face."""
        return int(self._surface.layout.coarse_of_part[self._surface.face_part[face]])


def best_click(views: PartViews, face: int, barycentric: np.ndarray) -> tuple[int, list[int]]:
    """The view that a surface point faces most among those that show it, and its pixel there."""
    surface = views.surface
    a, b, c = surface.vertices[surface.faces[face]]
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal)
    marks = views.marks(face, barycentric)
    facing = [view.axes[2] @ normal + (10 if mark[2] else 0) for view, mark in zip(views.views, marks)]
    best = int(np.argmax(facing))
    return best, [round(marks[best][0]), round(marks[best][1])]
