"""Second pictures by synthetic motion: the first crop, warped at random (Slim DensePose, 3.2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from slimdp.config import MotionSettings
from slimdp.data import BORDER_RGB, PoseDataset
from slimdp.data.augment import Augmentation
from slimdp.motion.thin_plate import ThinPlateWarp, WarpSettings, draw_warp


class TpsMotion(MotionSettings):
    """The crop itself, warped at random: needs no video."""

    kind: Literal["tps"] = "tps"
    warp: WarpSettings = WarpSettings()

    def source(self, people: PoseDataset) -> TpsPairs:
        """As of `MotionSettings`."""
        return TpsPairs(self.warp)


@dataclass(frozen=True)
class TpsView:
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


@dataclass(frozen=True)
class TpsPairs:
    """The first crop again, warped at random: needs no video."""

    settings: WarpSettings

    def view(
        self, people: PoseDataset, index: int, change: Augmentation, rng: np.random.Generator
    ) -> TpsView:
        """As of `PairSource`."""
        person = people.person(index)
        image, affine = people.picture(person.image.file, person.box, change)
        warp = draw_warp(people.crop.size, self.settings, rng)
        return TpsView(warp.apply(image, BORDER_RGB), affine, warp)
