"""Random smooth warps of a crop: the papers' synthetic motion (Slim DensePose, 3.2.1).

A thin-plate spline is the smoothest map that moves some control points as wanted (Bookstein, PAMI 1989):

    h(q) = A (q, 1) + sum_k w_k U(|q - c_k|),    U(r) = r^2 log r^2,    sum_k w_k (c_k, 1) = 0.

A warped crop reads the pixel q from h(q) of the crop it was made of, I'(q) = I(h(q)), so h is the flow from
the warped crop (1) back to the first one (0), exact at every pixel. In the paper's words h is the inverse of
g. Labels go the other way, by `points_to_warped`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

import cv2
import numpy as np

from slimdp.config import MotionSettings
from slimdp.config.base import NotNegative, Settings, within
from slimdp.data import BORDER_RGB, PoseDataset
from slimdp.data.augment import Augmentation
from slimdp.geometry import apply_affine

#: How often a warp that folds is bent half as much before it is left an affine map.
_HALVINGS = 8
#: Newton steps at most, and the error of a point that has arrived, px.
_NEWTON_STEPS, _ARRIVED_PX = 30, 1e-4
#: What a pixel of the warped crop covers of the first one, px^2: a warp with less anywhere counts as folded.
_LEAST_AREA = 0.1


class WarpSettings(Settings):
    """Random thin-plate splines, the synthetic motion of a crop (Slim DensePose, 3.2.1)."""

    control_points: Annotated[int, within(2, 16)] = 5  # along each side of the crop
    bend: NotNegative = 0.03  # spread of their random moves, share of the crop
    rotation_deg: NotNegative = 15.0  # turn by an angle in -rotation .. rotation
    scale: NotNegative = 0.15  # zoom by a factor in 1 / (1 + scale) .. 1 + scale
    shear: NotNegative = 0.1
    shift: NotNegative = 0.05  # share of the crop


@dataclass(frozen=True)
class ThinPlateWarp:
    """A map h from the px of a warped crop to those of the crop that it was made of.

    The control points are a square grid over the crop, corners included; `sources` say where each comes from.
    """

    size: int  # of both crops, px
    sources: np.ndarray  # (K, 2) float64 x, y, px of the first crop; K a square number

    def source(self, points_1: np.ndarray) -> np.ndarray:
        """h: where points of the warped crop come from, (N, 2) px -> (N, 2) px of the first crop."""
        return _basis(points_1, self._controls) @ self._coefficients

    def jacobian(self, points_1: np.ndarray) -> np.ndarray:
        """Derivative of h at points: (N, 2, 2), [n, i, j] = d h_i / d q_j."""
        return (_basis_slopes(points_1, self._controls) @ self._coefficients).transpose(1, 2, 0)

    def points_to_warped(self, points_0: np.ndarray) -> np.ndarray:
        """The inverse of h: where points (N, 2) px of the first crop are seen in the warped one, or outside.

        NaN where no place was found, which may happen to points far outside.
        """
        points_0 = np.asarray(points_0, dtype=np.float64).reshape(-1, 2)
        points_1 = 2 * points_0 - self.source(points_0)
        for _ in range(_NEWTON_STEPS):
            miss = self.source(points_1) - points_0
            if np.abs(miss).max(initial=0) < _ARRIVED_PX:
                break
            jacobian = self.jacobian(points_1)
            flat = np.abs(_determinant(jacobian)) < 1e-3
            step = _solve(np.where(flat[:, None, None], np.eye(2), jacobian), miss)
            # Far from the grid the spline may fold: no step leaps over the crop.
            points_1 = points_1 - step.clip(-self.size / 4, self.size / 4)
        arrived = np.abs(self.source(points_1) - points_0).max(axis=1, initial=0) < _ARRIVED_PX
        return np.where(arrived[:, None], points_1, np.nan)

    def flow_1to0(self) -> np.ndarray:
        """Displacement that takes a pixel of the warped crop to the first one, (2, S, S) float32 px."""
        return self._dense() - _pixel_grid(self.size)

    def apply(self, image_0: np.ndarray, border: tuple[int, int, int]) -> np.ndarray:
        """The warped crop, bilinear, of the first one (S, S, 3) uint8; `border` where that has no pixels."""
        if image_0.shape != (self.size, self.size, 3):
            raise ValueError(f"image of shape {image_0.shape}, but {(self.size, self.size, 3)} is wanted")
        x, y = self._dense()
        return cv2.remap(image_0, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=border)

    def folds(self) -> bool:
        """Whether the warped crop shows some place of the first one twice, or mirrored."""
        slopes = _slope_grid(self.size, self._side)
        (x_by_x, y_by_x), (x_by_y, y_by_y) = (slopes @ self.sources).transpose(0, 2, 1)
        return bool((x_by_x * y_by_y - x_by_y * y_by_x <= _LEAST_AREA).any())

    def _dense(self) -> np.ndarray:
        """h at every pixel: (2, S, S) float32."""
        # Not by BLAS, whose threads wait for more work for milliseconds of each core's time.
        dense = np.einsum("kc,kp->cp", self.sources.astype(np.float32), _spread(self.size, self._side))
        return dense.reshape(2, self.size, self.size)

    @property
    def _side(self) -> int:
        """Control points along a side of the grid."""
        side = round(len(self.sources) ** 0.5)
        assert side**2 == len(self.sources), f"{len(self.sources)} control points are no square grid"
        return side

    @property
    def _controls(self) -> np.ndarray:
        return control_points(self.size, self._side)

    @property
    def _coefficients(self) -> np.ndarray:
        return _solver(self.size, self._side) @ self.sources  # (K + 3, 2)


def draw_warp(size: int, settings: WarpSettings, rng: np.random.Generator) -> ThinPlateWarp:
    """Draw a warp: an affine map, bent, and half as much until it does not fold; always as many values."""
    turn, zoom, shear, right, down = rng.uniform(-1, 1, 5)
    moves = rng.normal(size=(settings.control_points**2, 2))
    angle = np.deg2rad(settings.rotation_deg * turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = (1 + settings.scale) ** zoom * rotation @ np.array([[1, settings.shear * shear], [0, 1]])
    middle = (size - 1) / 2
    shift = size * settings.shift * np.array([right, down])
    affine = np.column_stack([linear, middle + shift - linear @ [middle, middle]])
    straight = apply_affine(affine, control_points(size, settings.control_points))
    bend = size * settings.bend * moves
    for _ in range(_HALVINGS):
        warp = ThinPlateWarp(size, straight + bend)
        if not warp.folds():
            return warp
        bend = bend / 2
    return ThinPlateWarp(size, straight)


# ---- second pictures


class TpsMotion(MotionSettings):
    """The crop itself, warped at random: needs no video."""

    kind: Literal["tps"] = "tps"
    warp: WarpSettings = WarpSettings()

    def source(self, people: PoseDataset) -> TpsPairs:
        """As of `MotionSettings`."""
        return TpsPairs(self.warp)


class TpsView(NamedTuple):
    """The first crop, warped; everything is known of it, and so its labels need no check."""

    image: np.ndarray
    crop_from_image: np.ndarray  # of the first crop
    warp: ThinPlateWarp

    def warp_to_source(self, points_1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As of `PairView`."""
        return self.warp.source(points_1), np.ones(len(points_1), dtype=bool)

    def warp_to_target(self, points_0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As of `PairView`."""
        points_1 = self.warp.points_to_warped(points_0)
        return points_1, np.isfinite(points_1).all(axis=1)

    def transfer_labels(
        self, points_0: np.ndarray, confidence: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As of `PairView`."""
        return *self.warp_to_target(points_0), confidence


class TpsPairs(NamedTuple):
    """The first crop again, warped at random: needs no video."""

    settings: WarpSettings

    def view(
        self, people: PoseDataset, index: int, change: Augmentation, rng: np.random.Generator
    ) -> TpsView:
        """As of `PairSource`."""
        person = people.person(index)
        image, affine = people.read_crop(person.image.file, person.box, change)
        warp = draw_warp(people.crop.size, self.settings, rng)
        return TpsView(warp.apply(image, BORDER_RGB), affine, warp)


# ---- the spline


@lru_cache(maxsize=16)
def control_points(size: int, side: int) -> np.ndarray:
    """The grid of control points over a crop: (side * side, 2) x, y px, row by row; not to be written to."""
    places = np.linspace(0, size - 1, side)
    x, y = np.meshgrid(places, places)
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    points.setflags(write=False)
    return points


def _determinant(matrices: np.ndarray) -> np.ndarray:
    """Of (N, 2, 2)."""
    determinant: np.ndarray = matrices[:, 0, 0] * matrices[:, 1, 1] - matrices[:, 0, 1] * matrices[:, 1, 0]
    return determinant


def _solve(matrices: np.ndarray, right: np.ndarray) -> np.ndarray:
    """x (N, 2) of A x = b, for (N, 2, 2) and (N, 2): by Cramer, as many small ones cost numpy.linalg more."""
    (a, b), (c, d) = matrices.transpose(1, 2, 0)
    x, y = right.T
    return np.stack([d * x - b * y, a * y - c * x], axis=1) / _determinant(matrices)[:, None]


def _basis(points: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """(N, K + 3): U of the distance to each control point, then x, y and 1."""
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    basis = np.empty((len(points), len(controls) + 3))
    squared = np.subtract.outer(points[:, 0], controls[:, 0]) ** 2
    squared += np.subtract.outer(points[:, 1], controls[:, 1]) ** 2
    # U(0) = 0: the logarithm of 1 stands for that of 0, which its factor takes away.
    np.multiply(squared, np.log(np.where(squared > 0, squared, 1)), out=basis[:, :-3])
    basis[:, -3:-1], basis[:, -1] = points, 1
    return basis


def _basis_slopes(points: np.ndarray, controls: np.ndarray) -> np.ndarray:
    """(2, N, K + 3): the derivatives of `_basis` along x and along y."""
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    offset = points.T[:, :, None] - controls.T[:, None]  # (2, N, K)
    squared = offset[0] ** 2 + offset[1] ** 2
    slopes = np.zeros((2, len(points), len(controls) + 3))
    np.multiply(2 * offset, np.log(np.where(squared > 0, squared, 1)) + 1, out=slopes[:, :, :-3])
    slopes[0, :, -3] = slopes[1, :, -2] = 1
    return slopes


@lru_cache(maxsize=8)
def _solver(size: int, side: int) -> np.ndarray:
    """(K + 3, K): from the sources of the control points to the coefficients of the spline."""
    controls = control_points(size, side)
    count = len(controls)
    system = np.zeros((count + 3, count + 3))
    system[:count] = _basis(controls, controls)
    system[count:, :count] = system[:count, count:].T
    return np.linalg.inv(system)[:, :count]


@lru_cache(maxsize=8)
def _spread(size: int, side: int) -> np.ndarray:
    """(K, S * S) float32: how much of each control point's source a pixel takes. A map is one product."""
    pixels = _pixel_grid(size).reshape(2, -1).T
    spread = (_basis(pixels, control_points(size, side)) @ _solver(size, side)).T
    return np.ascontiguousarray(spread, dtype=np.float32)  # pixel beside pixel: read 30 times as fast


@lru_cache(maxsize=8)
def _slope_grid(size: int, side: int) -> np.ndarray:
    """(2, N, K): derivatives of h along x and y from the sources, at four places a control point and axis."""
    places = control_points(size, 4 * side)
    return _basis_slopes(places, control_points(size, side)) @ _solver(size, side)


@lru_cache(maxsize=8)
def _pixel_grid(size: int) -> np.ndarray:
    """(2, S, S) float32: x and y of every pixel."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    return np.stack([x, y])
