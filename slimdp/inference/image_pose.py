"""The dense pose of a picture: what the Python interface gives, in px of the picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from slimdp.inference.contours import LEVELS, IsoContour, iso_contours
from slimdp.inference.painting import PaintedFrame, PersonWindow, paint_people, window_of
from slimdp.inference.texture import SIDE, ColourSums, texels, texture_atlas
from slimdp.report.drawing import overlay_parts
from slimdp.structures import DensePoseInstance
from slimdp.surface.layout import PartLayout
from slimdp.surface.load import load_surface


@dataclass(frozen=True)
class PersonPose:
    """One person in a picture of H x W px.

    Maps are of the whole picture, 0 where the person is not; people may share pixels.
    """

    image: np.ndarray  # (H, W, 3) uint8 RGB, the picture
    instance: DensePoseInstance  # as the network gave it, in px of its crop
    layout: PartLayout
    surface: str  # whose charts (u, v) are of: "open", or a folder

    @property
    def box(self) -> np.ndarray:
        """(4,) float64 x, y, width, height, px."""
        return self.instance.box

    @property
    def score(self) -> float:
        """Of the detection, 0..1; 1 for a given box."""
        return self.instance.score

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool: where the person is."""
        return self.part > 0

    @cached_property
    def part(self) -> np.ndarray:
        """(H, W) uint8: the part 1..P; `layout.part_names` has their names."""
        part = np.zeros(self.image.shape[:2], np.uint8)
        part[self._place] = self._window.part
        return part

    @cached_property
    def uv(self) -> np.ndarray:
        """(2, H, W) float32 in [0, 1]: u and v within the part."""
        uv = np.zeros((2, *self.image.shape[:2]), np.float32)
        rows, columns = self._place
        uv[:, rows, columns] = self._window.uv
        return uv

    @cached_property
    def error_cm(self) -> np.ndarray:
        """(H, W) float32: what 90 % of the errors lie under, cm along the body, by the network's error bars.

        Raises ValueError where the weights have none (docs/weights.md).
        """
        if self._window.error_cm is None:
            raise ValueError("these weights have no error bars; slimdp calibrate makes some")
        error_cm = np.zeros(self.image.shape[:2], np.float32)
        error_cm[self._place] = self._window.error_cm
        return error_cm

    @property
    def iuv(self) -> np.ndarray:
        """(3, H, W) uint8: part, 255 u, 255 v, rounded, as DensePose's results have them."""
        return np.concatenate([self.part[None], np.rint(255 * self.uv).astype(np.uint8)])

    @property
    def pixels(self) -> np.ndarray:
        """(K, 2) int64 x, y of the person's pixels, row by row."""
        return np.argwhere(self.mask)[:, ::-1]

    def at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is at the pixels nearest to points (N, 2) x, y px: part (N,) uint8; (u, v) (N, 2) float32.

        Part 0 and (0, 0) where the person is not, or beyond the picture.
        """
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        pixels = np.floor(points + 0.5)
        inside = np.all((pixels >= 0) & (pixels < self.image.shape[1::-1]), axis=1)
        column, row = np.where(inside[:, None], pixels, 0).astype(np.int64).T
        part = np.where(inside, self.part[row, column], 0).astype(np.uint8)
        return part, np.where(part > 0, self.uv[:, row, column], 0).T.astype(np.float32)

    def contours(self, levels: Sequence[float] = LEVELS) -> list[IsoContour]:
        """Lines of equal u and of equal v at some levels in 0..1, in px of the picture."""
        return list(iso_contours(self.part, self.uv, levels))

    def vertices(self, points: np.ndarray | None = None) -> np.ndarray:
        """The surface's vertex nearest to each place, (N,) int64; -1 where the person is not.

        Args:
            points: (N, 2) x, y px; None: all `pixels`.

        Raises:
            ValueError: the surface's files are not there.
        """
        part, uv = self.at(self.pixels if points is None else points)
        return load_surface(self.surface).nearest_vertex(part, uv)

    def positions(self, points: np.ndarray | None = None) -> np.ndarray:
        """Where each place lies on the body in its rest pose, (N, 3) metres; NaN where the person is not.

        x runs to the person's left, y up, z to the front.

        Args:
            points: (N, 2) x, y px; None: all `pixels`.

        Raises:
            ValueError: the surface has no positions, as DensePose's files have none.
        """
        from slimdp.surface.body import BodySurface

        surface = load_surface(self.surface)
        if not isinstance(surface, BodySurface):
            raise ValueError(
                f"{self.surface}: DensePose's files have no positions, which belong to SMPL; with its "
                "vertices, slimdp.surface.load_charts(...).positions gives them"
            )
        part, uv = self.at(self.pixels if points is None else points)
        found = np.full((len(part), 3), np.nan)
        here = part > 0
        found[here] = surface.positions(*surface.locate(part[here], uv[here]))
        return found

    def texture(self) -> np.ndarray:
        """The person's pixels unwrapped to the charts, (H', W', 4) uint8 RGBA, transparent where unseen.

        For 24 parts it is 1200 x 800 px, as in DensePose's texture transfer (`slimdp.inference.texture`).
        """
        sums, mask = ColourSums(), self.mask
        sums.add(texels(self.part[mask], self.uv[:, mask]), self.image[mask])
        seen, rows = sums.rows()
        total = np.zeros((len(self.layout.parts) * SIDE * SIDE, 4), np.int64)
        total[seen] = rows
        return texture_atlas(total)

    @cached_property
    def _window(self) -> PersonWindow:
        height, width = self.image.shape[:2]
        return window_of(self.instance, width, height)

    @property
    def _place(self) -> tuple[slice, slice]:
        height, width = self._window.part.shape
        y0, x0 = self._window.y0, self._window.x0
        return slice(y0, y0 + height), slice(x0, x0 + width)


@dataclass(frozen=True)
class ImagePose:
    """Everyone in a picture, the surest first: a sequence of `PersonPose`."""

    image: np.ndarray  # (H, W, 3) uint8 RGB
    people: tuple[PersonPose, ...]

    def __len__(self) -> int:
        return len(self.people)

    def __iter__(self) -> Iterator[PersonPose]:
        return iter(self.people)

    def __getitem__(self, index: int) -> PersonPose:
        return self.people[index]

    @property
    def boxes(self) -> np.ndarray:
        """(N, 4) float64 x, y, width, height, px."""
        return np.array([person.box for person in self.people], np.float64).reshape(-1, 4)

    @property
    def scores(self) -> np.ndarray:
        """(N,) float64 in 0..1."""
        return np.array([person.score for person in self.people], np.float64)

    @property
    def iuv(self) -> np.ndarray:
        """(3, H, W) uint8: part, 255 u, 255 v of everyone, the surest on top; 0 where nobody is."""
        return self._painted.iuv

    @property
    def index(self) -> np.ndarray:
        """(H, W) int64: whose pixel it is in `iuv`, 0 for the first of `people`; -1 where nobody is."""
        return self._painted.track.astype(np.int64) - 1

    def overlay(self, alpha: float = 0.6) -> np.ndarray:
        """The picture with everyone's parts over it, (H, W, 3) uint8 RGB; `alpha` is the colours' share."""
        return overlay_parts(self.image, self._painted.part, self._painted.part > 0, alpha)

    @cached_property
    def _painted(self) -> PaintedFrame:
        height, width = self.image.shape[:2]
        return paint_people([person.instance for person in self.people], width, height)
