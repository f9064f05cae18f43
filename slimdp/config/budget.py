"""Settings of an annotation budget: which labels of a data set are paid for, and what a label costs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import model_validator
from typing_extensions import Self

from slimdp.config.base import Many, NotNegative, Settings, Share, Wanted, at_least, require

#: What becomes of a kind of label: it stays, or goes.
KEPT: Literal["kept"] = "kept"
DROPPED: Literal["dropped"] = "dropped"
#: `masks`: as `parts` says of the points.
LIKE_PARTS: Literal["like_parts"] = "like_parts"
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
    frames_per_video: _Some | None = (
        None  # in at most so many frames of each, evenly spread; 1: the middle one
    )
    frames: Annotated[Many[int], _FirstAndLast] = ()  # [first, last] of the frames by number, both included
    images: Share = 1.0  # share of the pictures with labels that keep them, 0..1
    points: Share = 1.0  # share of the (u, v) points in these pictures that keep (u, v), 0..1
    parts: Literal["dropped", "kept"] = DROPPED  # the part labels of points that lose (u, v) by a share
    # The coarse masks of pictures that a share leaves out; those of others stay.
    masks: Literal["like_parts", "dropped", "kept"] = LIKE_PARTS
    keypoints: Literal["dropped", "kept"] = KEPT  # those of everybody, also in pictures that are left out
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
        return (self.parts if self.masks == LIKE_PARTS else self.masks) == KEPT


class ClickCosts(Settings):
    """Seconds that an annotator takes for one label of each kind; docs/budgets.md has their sources."""

    points: NotNegative = 6.0  # the place on the body: find the best of six views of the part, click there
    parts: NotNegative = 1.0  # the part of a point that is given
    masks: NotNegative = 10.0  # the outline of one coarse part
    keypoints: NotNegative = 2.4
    boxes: NotNegative = 7.0
