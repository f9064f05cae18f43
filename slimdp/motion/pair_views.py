"""A second picture of a person, and the way between its pixels and those of the first.

A neighbouring frame and a warped crop give the same: a crop, and maps of points both ways that say which they
know. What learns from pairs does not ask which of the two it was (Slim DensePose, 3.2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from flow_cache import forward_backward_offset_points
from slimdp.geometry import apply_affine, invert_affine
from slimdp.motion.thin_plate import ThinPlateWarp


class PairView(Protocol):
    """A crop of S px, and where its places lie in the first one of the same size."""

    @property
    def image(self) -> np.ndarray:
        """(S, S, 3) uint8 RGB, in the picture's own colours."""
        ...

    @property
    def crop_from_image(self) -> np.ndarray:
        """(2, 3), image px of the picture that it was cut from -> crop px; the first crop's for a warp."""
        ...

    def warp_to_source(self, points_1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where places of the second crop (N, 2) x, y crop px lie in the first, and which are known (N,)."""
        ...

    def warp_to_target(self, points_0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The other way round: (N, 2) crop px, NaN or anything where not known, and (N,) bool."""
        ...


@dataclass(frozen=True)
class TpsView:
    """The first crop, warped; everything is known of it."""

    image: np.ndarray
    crop_from_image: np.ndarray
    warp: ThinPlateWarp

    def warp_to_source(self, points_1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As of `PairView`."""
        return self.warp.source(points_1), np.ones(len(points_1), dtype=bool)

    def warp_to_target(self, points_0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As of `PairView`."""
        points_1 = self.warp.points_to_warped(points_0)
        return points_1, np.isfinite(points_1).all(axis=1)


@dataclass(frozen=True)
class FlowView:
    """A crop of another frame; known is what passes the forward-backward check (Slim DensePose, 5.4).

    The flows are those of a window of the frames, the same one for both: what leaves it is not known.
    """

    image: np.ndarray
    crop_from_image: np.ndarray  # of the second frame
    first_from_image: np.ndarray  # (2, 3), px of the first frame -> px of its crop
    flow_0to1: np.ndarray  # (2, H, W) image px
    flow_1to0: np.ndarray  # (2, H, W) image px
    origin: tuple[int, int]  # x, y of the window, image px
    limit_px: float  # of the check, image px

    def warp_to_source(self, points_1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As of `PairView`."""
        flows = self.flow_1to0, self.flow_0to1
        return self._along(points_1, self.crop_from_image, *flows, self.first_from_image)

    def warp_to_target(self, points_0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As of `PairView`."""
        flows = self.flow_0to1, self.flow_1to0
        return self._along(points_0, self.first_from_image, *flows, self.crop_from_image)

    def _along(
        self, points: np.ndarray, here: np.ndarray, there: np.ndarray, back: np.ndarray, other: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Crop px (affine `here`) to the crop px of the other frame (affine `other`), along a flow."""
        places = apply_affine(invert_affine(here), points) - self.origin
        moved, offset_px = forward_backward_offset_points(places, there, back)
        return apply_affine(other, moved + self.origin), offset_px <= self.limit_px
