"""Settings of an annotation budget: which labels of a data set are paid for, and what a label costs."""

from __future__ import annotations

from dataclasses import dataclass, fields

from slimdp.config.checks import require, require_one_of

#: What becomes of a kind of label: it stays, or goes.
KEPT, DROPPED = "kept", "dropped"
#: `masks`: as `parts` says of the points.
LIKE_PARTS = "like_parts"


@dataclass(frozen=True)
class BudgetSettings:
    """What is kept of the labels of a data set (Slim DensePose, 5.2, tables 3 and 4); the default keeps all.

    Taken in this order: videos, then frames, then a share of the pictures with labels that are left, then a
    share of the points with (u, v) in these. Other videos and frames keep nothing; what the shares leave out
    may keep cheaper labels. Shares are drawn by the ids of the file: for a seed, those of a smaller share are
    among those of a larger one (`slimdp.data.apply_budget`).
    """

    videos: int | None = None  # labels in at most so many videos, evenly spread; stills keep theirs
    frames_per_video: int | None = None  # in at most so many frames of each, evenly spread; 1: the middle one
    frames: tuple[int, ...] = ()  # [first, last]: in the frames with these numbers, both ends included
    images: float = 1.0  # share of the pictures with labels that keep them, 0..1
    points: float = 1.0  # share of the (u, v) points in these pictures that keep (u, v), 0..1
    parts: str = DROPPED  # the part labels of points that lose (u, v) by a share
    masks: str = LIKE_PARTS  # the coarse masks of pictures that a share leaves out; those of others stay
    keypoints: str = KEPT  # those of everybody, also in pictures that are left out
    seed: int | None = 0  # of the shares; None: that of the training run, so that its seeds draw other labels

    def __post_init__(self) -> None:
        for key in ("videos", "frames_per_video"):
            value = getattr(self, key)
            require(value is None or value >= 1, f"budget.{key}", value, "1 or more, or null for all")
        frames = self.frames
        ok = not frames or (len(frames) == 2 and 0 <= frames[0] <= frames[1])
        require(ok, "budget.frames", frames, "two numbers, the first and the last frame: [9, 15]")
        ok = not frames or self.frames_per_video is None
        require(ok, "budget.frames", frames, "left out where frames_per_video is given")
        for key in ("images", "points"):
            require(0 <= getattr(self, key) <= 1, f"budget.{key}", getattr(self, key), "in 0..1")
        require_one_of((DROPPED, KEPT), "budget.parts", self.parts)
        require_one_of((LIKE_PARTS, DROPPED, KEPT), "budget.masks", self.masks)
        require_one_of((DROPPED, KEPT), "budget.keypoints", self.keypoints)
        ok = self.seed is None or self.seed >= 0
        require(ok, "budget.seed", self.seed, "0 or more, or null for the seed of the training run")

    @property
    def keeps_masks(self) -> bool:
        """Whether pictures that are left out keep their coarse masks."""
        return (self.parts if self.masks == LIKE_PARTS else self.masks) == KEPT


@dataclass(frozen=True)
class ClickCosts:
    """Seconds that an annotator takes for one label of each kind; docs/budgets.md has their sources."""

    points: float = 6.0  # the place on the body: find the best of six views of the part, click there
    parts: float = 1.0  # the part of a point that is given
    masks: float = 10.0  # the outline of one coarse part
    keypoints: float = 2.4
    boxes: float = 7.0

    def __post_init__(self) -> None:
        for field in fields(self):
            seconds = getattr(self, field.name)
            require(seconds >= 0, f"seconds_a_click.{field.name}", seconds, "0 or more")
