"""Settings of what the network sees: files, crops, and how they are changed and paired at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import model_validator
from typing_extensions import Self

from slimdp.config.base import Many, NotNegative, Positive, Settings, Share, Wanted, below, require, within
from slimdp.config.budget import BudgetSettings


class DataSource(Settings):
    """One annotation file and the folder that its file names are relative to."""

    annotations: str
    images: str
    weight: Positive = 1.0  # share of the samples, relative to the other sources of the stage
    unlabelled: bool = False  # people without labels too, for what needs none: loss.equivariance
    budget: BudgetSettings | None = None  # which of its labels are learned from; null: all


_Size = Wanted(
    "a positive multiple of 64", lambda size: size > 0 and size % 64 == 0, {"minimum": 64, "multipleOf": 64}
)


class CropSettings(Settings):
    """The square around a person's box that the network sees."""

    size: Annotated[int, _Size] = 256  # px, a multiple of 64
    margin: NotNegative = 0.15  # of the box's longer side, added on each side


class AugmentSettings(Settings):
    """Random changes of a training crop."""

    scale: NotNegative = 0.25  # zoom by a factor in 1 / (1 + scale) .. 1 + scale
    rotation_deg: Annotated[float, within(0, 180)] = 30.0  # turn by an angle in -rotation .. rotation
    shift: Annotated[float, below(1)] = 0.05  # move by a share of the crop in -shift .. shift
    flip: bool = True  # mirror half of the crops, labels included
    colour: Share = 0.3  # strength of brightness, contrast and tint changes, 0..1
    occlusion: Share = 0.0  # share of the crops with 1 to 3 patches over them, whose labels do not count


class WarpSettings(Settings):
    """Random thin-plate splines, the synthetic motion of a crop (Slim DensePose, 3.2.1)."""

    control_points: Annotated[int, within(2, 16)] = 5  # along each side of the crop
    bend: NotNegative = 0.03  # spread of their random moves, share of the crop
    rotation_deg: NotNegative = 15.0  # turn by an angle in -rotation .. rotation
    scale: NotNegative = 0.15  # zoom by a factor in 1 / (1 + scale) .. 1 + scale
    shear: NotNegative = 0.1
    shift: NotNegative = 0.05  # share of the crop


_Offsets = Wanted(
    "one or more different offsets, without 0",
    lambda offsets: len(offsets) > 0 and 0 not in offsets and len(set(offsets)) == len(offsets),
)


class MotionSettings(Settings):
    """A second picture of each person, and which of its pixels show what the first one shows.

    From there on it does not matter where it came from (Slim DensePose, 3.2): labels are carried along, and
    features are held alike (`loss.equivariance`).
    """

    MOVED: ClassVar[Mapping[str, str]] = {"steps": "frame_offsets"}

    # tps: the crop, warped; flow: another frame of its video; exact: the same, by true flow.
    kind: Literal["none", "tps", "flow", "exact"] = "none"
    flow: str = ""  # of kind flow: the store, a file or a folder
    exact: str = ""  # of kind exact: that of a rendered set, its folder flow_exact
    # From the frame to the other one, each as likely as the others.
    frame_offsets: Annotated[Many[int], _Offsets] = (-3, -2, -1, 1, 2, 3)
    threshold_px: Positive = 5.0  # of the forward-backward check, px of a 256 px crop
    propagate: bool = False  # learn from the second picture too, by the labels of the first
    warp: WarpSettings = WarpSettings()  # of kind tps

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind in ("flow", "exact"):
            require(self.store != "", self.kind, self.store, "the path of a store of flow")
        return self

    @property
    def store(self) -> str:
        """The path of the store that this kind reads."""
        return {"flow": self.flow, "exact": self.exact}.get(self.kind, "")
