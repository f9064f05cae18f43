"""Settings of what the network sees: files, budgets of labels, crops, and their random changes and pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ValidationInfo, model_validator
from typing_extensions import Self

from slimdp.config.base import (
    Chosen,
    Many,
    NotNegative,
    Positive,
    PositiveInt,
    Settings,
    Share,
    Wanted,
    at_least,
    below,
    by_new_keys,
    require,
    within,
)
from slimdp.registry import registered

_Some = Annotated[int, at_least(1, "1 or more, or null for all")]
_FirstAndLast = Wanted(
    "two numbers, the first and the last frame: [9, 15]",
    lambda frames: not frames or (len(frames) == 2 and 0 <= frames[0] <= frames[1]),
)


class BudgetSettings(Settings):
    """What is kept of the labels of a data set (Slim DensePose, 5.2, tables 3 and 4); the default keeps all.

    Taken in this order: videos, then frames, then a share of the pictures with labels that are left, then a
    share of the points with (u, v) in these. Other videos and frames keep nothing; what the shares leave out
    may keep cheaper labels. Shares are drawn by the ids of the file: for a seed, those of a smaller share are
    among those of a larger one (`slimdp.data.apply_budget`).
    """

    videos: _Some | None = None  # labels in at most so many videos, evenly spread; stills keep theirs
    # In at most so many frames of each, evenly spread; 1: the middle one.
    frames_per_video: _Some | None = None
    frames: Annotated[Many[int], _FirstAndLast] = ()  # [first, last] of the frames by number, both included
    images: Share = 1.0  # share of the pictures with labels that keep them, 0..1
    points: Share = 1.0  # share of the (u, v) points in these pictures that keep (u, v), 0..1
    parts: Literal["dropped", "kept"] = "dropped"  # the part labels of points that lose (u, v) by a share
    # The coarse masks of pictures that a share leaves out; those of others stay.
    masks: Literal["like_parts", "dropped", "kept"] = "like_parts"
    keypoints: Literal["dropped", "kept"] = "kept"  # those of everybody, also in pictures that are left out
    # Of the shares; null: that of the training run, so that its seeds draw other labels.
    seed: Annotated[int, at_least(0, "0 or more, or null for the seed of the training run")] | None = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        ok = not self.frames or self.frames_per_video is None
        require(ok, "frames", self.frames, "left out where frames_per_video is given")
        return self

    @property
    def keeps_masks(self) -> bool:
        """Whether pictures that are left out keep their coarse masks."""
        return (self.parts if self.masks == "like_parts" else self.masks) == "kept"


class ClickCosts(Settings):
    """Seconds that an annotator takes for one label of each kind; docs/budgets.md has their sources."""

    points: NotNegative = 6.0  # the place on the body: find the best of six views of the part, click there
    parts: NotNegative = 1.0  # the part of a point that is given
    masks: NotNegative = 10.0  # the outline of one coarse part
    keypoints: NotNegative = 2.4
    boxes: NotNegative = 7.0


class TaughtSettings(Settings):
    """What a network said of a source's people before the run, as more labels (`slimdp video`, `people`)."""

    predictions: str  # predictions.h5 of these people
    step: PositiveInt = 4  # from a labelled pixel to the next, px of the crops of that file
    # Where the file says how far off it may be, only pixels that are surer than this; null: all of a person.
    # Of a file that does not say it none is left out, and the training says so.
    within_cm: Positive | None = 8.0


class DataSource(Settings):
    """One annotation file and the folder that its file names are relative to."""

    annotations: str
    images: str
    weight: Positive = 1.0  # share of the samples, relative to the other sources of the stage
    unlabelled: bool = False  # people without labels too, for what needs none: loss.equivariance
    budget: BudgetSettings | None = None  # which of its labels are learned from; null: all
    taught: TaughtSettings | None = None  # what a network said of its people; null: nothing


class CropSettings(Settings):
    """The square around a person's box that the network sees."""

    # px, a multiple of what the network asks for (`ModelSpec.size_multiple`); of whole pictures, that of the
    # square that they are fitted into.
    size: PositiveInt = 256
    margin: NotNegative = 0.15  # of the box's longer side, added on each side
    # Outside of the annotated outline; grey is for a teacher, whom nobody asks without outlines.
    background: Literal["kept", "grey"] = "kept"


class AugmentSettings(Settings):
    """Random changes of a training crop."""

    scale: NotNegative = 0.25  # zoom by a factor in 1 / (1 + scale) .. 1 + scale
    rotation_deg: Annotated[float, within(0, 180)] = 30.0  # turn by an angle in -rotation .. rotation
    shift: Annotated[float, below(1)] = 0.05  # move by a share of the crop in -shift .. shift
    flip: bool = True  # mirror half of the crops, labels included
    colour: Share = 0.3  # strength of brightness, contrast and tint changes, 0..1
    occlusion: Share = 0.0  # share of the crops with 1 to 3 patches over them, whose labels do not count
    close_up: Share = 0.0  # share of the crops that show a part of the person's box alone
    poor_picture: Share = 0.0  # share of the crops made small, blurred, grey, noisy or compressed


class TeacherSettings(Settings):
    """A network that labels every pixel of the stage's people, before the stage begins (DensePose, 3.4)."""

    weights: str  # stage_NAME.pt of a run, best with crop.background: grey
    step: PositiveInt = 4  # from a labelled pixel to the next, px of the teacher's crop


class MotionSettings(Settings):
    """A second picture of each person, and which of its pixels show what the first one shows.

    From there on it does not matter where it came from (Slim DensePose, 3.2): labels are propagated, and
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

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        kinds = super().__get_pydantic_json_schema__(schema, handler)["anyOf"]
        properties = {key: value for kind in kinds for key, value in kind["properties"].items()}
        properties[self.key] = {"enum": list(registered(self.group)), "default": self.usual_name}
        return {"type": "object", "properties": properties, "additionalProperties": False}


MOTION = MotionChoice("slimdp.pairs", "none", "kind")
