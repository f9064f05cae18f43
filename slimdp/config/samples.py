"""Settings of what the network sees: files, crops, and how they are changed and paired at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import GetJsonSchemaHandler, ValidationInfo

from slimdp.config.base import (
    Chosen,
    NotNegative,
    Positive,
    PositiveInt,
    Settings,
    Share,
    below,
    by_new_keys,
    within,
)
from slimdp.config.budget import BudgetSettings
from slimdp.registry import registered


class DataSource(Settings):
    """One annotation file and the folder that its file names are relative to."""

    annotations: str
    images: str
    weight: Positive = 1.0  # share of the samples, relative to the other sources of the stage
    unlabelled: bool = False  # people without labels too, for what needs none: loss.equivariance
    budget: BudgetSettings | None = None  # which of its labels are learned from; null: all


class CropSettings(Settings):
    """The square around a person's box that the network sees."""

    size: PositiveInt = 256  # px, a multiple of what the network asks for (`ModelSpec.size_multiple`)
    margin: NotNegative = 0.15  # of the box's longer side, added on each side


class AugmentSettings(Settings):
    """Random changes of a training crop."""

    scale: NotNegative = 0.25  # zoom by a factor in 1 / (1 + scale) .. 1 + scale
    rotation_deg: Annotated[float, within(0, 180)] = 30.0  # turn by an angle in -rotation .. rotation
    shift: Annotated[float, below(1)] = 0.05  # move by a share of the crop in -shift .. shift
    flip: bool = True  # mirror half of the crops, labels included
    colour: Share = 0.3  # strength of brightness, contrast and tint changes, 0..1
    occlusion: Share = 0.0  # share of the crops with 1 to 3 patches over them, whose labels do not count


class MotionSettings(Settings):
    """A second picture of each person, and which of its pixels show what the first one shows.

    From there on it does not matter where it came from (Slim DensePose, 3.2): labels are carried along, and
    features are held alike (`loss.equivariance`). A kind is a class of the registry `slimdp.pairs`.
    """

    MOVED: ClassVar[Mapping[str, str]] = {"steps": "frame_offsets"}

    kind: str
    propagate: bool = False  # learn from the second picture too, by the labels of the first

    @property
    def store(self) -> str:
        """The path of the store of flow that this kind reads; "": none."""
        return ""

    @property
    def reads_masks(self) -> bool:
        """Whether the outlines of people (`segmentation`) are looked at."""
        return False

    def source(self, people: Any) -> Any:
        """The `slimdp.motion.PairSource` for the people of a `PoseDataset`; None: each has one picture."""
        raise NotImplementedError


class NoMotion(MotionSettings):
    """Each person has one picture."""

    kind: Literal["none"] = "none"

    def source(self, people: Any) -> None:
        """As of `MotionSettings`."""
        return None


class MotionChoice(Chosen):
    """Settings of the chosen kind; keys of other kinds are left out.

    A run may say at once where the flow of each kind is, and its stages choose one.
    """

    def _parse(self, values: Any, info: ValidationInfo) -> Any:
        if isinstance(values, Mapping):
            values = by_new_keys(values, MotionSettings.MOVED, info)
            keys = {name: set(kind.model_fields) for name, kind in registered(self.group).items()}
            own = keys.get(str(values.get(self.key, self.usual_name)))
            if own is not None:
                others = set().union(*keys.values()) - own
                values = {key: value for key, value in values.items() if key not in others}
        return super()._parse(values, info)

    def __get_pydantic_json_schema__(self, schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        kinds = super().__get_pydantic_json_schema__(schema, handler)["anyOf"]
        properties = {key: value for kind in kinds for key, value in kind["properties"].items()}
        properties[self.key] = {"enum": list(registered(self.group)), "default": self.usual_name}
        return {"type": "object", "properties": properties, "additionalProperties": False}


MOTION = MotionChoice("slimdp.pairs", "none", "kind")
