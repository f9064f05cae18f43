"""Settings of what the network sees: files, crops, and how they are changed and paired at random."""

from __future__ import annotations

from dataclasses import dataclass, field

from slimdp.config.budget import BudgetSettings
from slimdp.config.checks import require, require_one_of

#: How a second picture of a person may be come by.
MOTIONS = ("none", "tps", "flow", "exact")


@dataclass(frozen=True)
class DataSource:
    """One annotation file and the folder that its file names are relative to."""

    annotations: str
    images: str
    weight: float = 1.0  # share of the samples, relative to the other sources of the stage
    unlabelled: bool = False  # people without labels too, for what needs none: loss.equivariance
    budget: BudgetSettings | None = None  # which of its labels are learned from; None: all

    def __post_init__(self) -> None:
        require(self.weight > 0, "data.weight", self.weight, "positive")


@dataclass(frozen=True)
class CropSettings:
    """The square around a person's box that the network sees."""

    size: int = 256  # px, a multiple of 64
    margin: float = 0.15  # of the box's longer side, added on each side

    def __post_init__(self) -> None:
        require(self.size > 0 and self.size % 64 == 0, "crop.size", self.size, "a positive multiple of 64")
        require(self.margin >= 0, "crop.margin", self.margin, "0 or more")


@dataclass(frozen=True)
class AugmentSettings:
    """Random changes of a training crop."""

    scale: float = 0.25  # zoom by a factor in 1 / (1 + scale) .. 1 + scale
    rotation_deg: float = 30.0  # turn by an angle in -rotation .. rotation
    shift: float = 0.05  # move by a share of the crop in -shift .. shift
    flip: bool = True  # mirror half of the crops, labels included
    colour: float = 0.3  # strength of brightness, contrast and tint changes, 0..1
    occlusion: float = 0.0  # share of the crops with 1 to 3 patches over them, whose labels do not count

    def __post_init__(self) -> None:
        require(self.scale >= 0, "augment.scale", self.scale, "0 or more")
        require(0 <= self.rotation_deg <= 180, "augment.rotation_deg", self.rotation_deg, "in 0..180")
        require(0 <= self.shift < 1, "augment.shift", self.shift, "in 0..1")
        require(0 <= self.colour <= 1, "augment.colour", self.colour, "in 0..1")
        require(0 <= self.occlusion <= 1, "augment.occlusion", self.occlusion, "in 0..1")


@dataclass(frozen=True)
class WarpSettings:
    """Random thin-plate splines, the synthetic motion of a crop (Slim DensePose, 3.2.1)."""

    control_points: int = 5  # along each side of the crop
    bend: float = 0.03  # spread of their random moves, share of the crop
    rotation_deg: float = 15.0  # turn by an angle in -rotation .. rotation
    scale: float = 0.15  # zoom by a factor in 1 / (1 + scale) .. 1 + scale
    shear: float = 0.1
    shift: float = 0.05  # share of the crop

    def __post_init__(self) -> None:
        require(2 <= self.control_points <= 16, "warp.control_points", self.control_points, "in 2..16")
        for key in ("bend", "rotation_deg", "scale", "shear", "shift"):
            require(getattr(self, key) >= 0, f"warp.{key}", getattr(self, key), "0 or more")


@dataclass(frozen=True)
class MotionSettings:
    """A second picture of each person, and which of its pixels show what the first one shows.

    From there on it does not matter where it came from (Slim DensePose, 3.2): labels are carried along, and
    features are held alike (`loss.equivariance`).
    """

    kind: str = "none"  # tps: the crop, warped; flow: another frame of its video; exact: the same, true flow
    flow: str = ""  # of kind flow: the store, a file or a folder
    exact: str = ""  # of kind exact: that of a rendered set, its folder flow_exact
    steps: tuple[int, ...] = (-3, -2, -1, 1, 2, 3)  # frames to the other one, each as likely as the others
    threshold_px: float = 5.0  # of the forward-backward check, px of a 256 px crop
    propagate: bool = False  # learn from the second picture too, by the labels of the first
    warp: WarpSettings = field(default_factory=WarpSettings)  # of kind tps

    def __post_init__(self) -> None:
        require_one_of(MOTIONS, "motion.kind", self.kind)
        if self.kind in ("flow", "exact"):
            require(self.store != "", f"motion.{self.kind}", self.store, "the path of a store of flow")
        steps = self.steps
        ok = len(steps) > 0 and 0 not in steps and len(set(steps)) == len(steps)
        require(ok, "motion.steps", steps, "one or more different steps, without 0")
        require(self.threshold_px > 0, "motion.threshold_px", self.threshold_px, "positive")

    @property
    def store(self) -> str:
        """The path of the store that this kind reads."""
        return {"flow": self.flow, "exact": self.exact}.get(self.kind, "")
