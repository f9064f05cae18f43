"""What a rendered set holds: how many stills and clips, how large, and which frames are labelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import model_validator
from typing_extensions import Self

from flow_cache.runtime.words import did_you_mean
from slimdp.config.base import Count, Many, NotNegative, Settings, above, require
from slimdp.settings_file import ConfigError, apply_override
from slimdp.synthetic.photograph import PostureShares
from slimdp.synthetic.scene import SceneStyle

_Some = Annotated[int, above(0, "1 or more")]


class SetPlan(Settings):
    """What to render."""

    stills: Count
    train_clips: Count
    val_clips: Count
    frames: _Some  # of a training clip
    labelled: Many[int]  # its labelled frames
    val_frames: _Some
    val_labelled: Many[int]
    size: Annotated[int, above(0, "1 px or more")]  # px, both sides of a frame
    # Points a person in the training sets; null: all that annotators place.
    budget: Annotated[int, above(0, "1 or more, or null for all")] | None = None
    style: SceneStyle = SceneStyle()
    # Of the training sets: times the annotators' usual error (labels.py).
    annotator_error: NotNegative = 0.0
    val_stills: Count = 0
    # Also write an annotation file in which all frames of training clips are labelled.
    every_frame: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        counts = (self.stills, self.train_clips, self.val_clips, self.val_stills)
        require(sum(counts) > 0, "stills, train_clips, val_clips, val_stills", counts, "1 or more in all")
        for key, frames, labelled in (
            ("", self.frames, self.labelled),
            ("val_", self.val_frames, self.val_labelled),
        ):
            inside = all(0 <= frame < frames for frame in labelled) and len(set(labelled)) == len(labelled)
            require(inside, f"{key}labelled", labelled, f"different frames of 0..{frames - 1}")
        return self


def track_labelled(frames: int) -> tuple[int, ...]:
    """The frames of a clip that DensePose-Track labels for training (Slim DensePose, 4).

    Every eighth frame, for diversity and slow motion, and four frames at every second, for fast motion. The
    paper does not say where the four begin. Here they begin with the last eighth frame from which on they
    stay in the first half of the clip, give or take their length: 7 labelled frames of 29 or 30, where the
    paper has 1680 of 250 videos, 6.7 each.

    Indices rise from 0 on; a clip of fewer than 7 frames has every second one. Raises ValueError below 1.
    """
    if frames < 1:
        raise ValueError(f"a clip of {frames} frames; wanted 1 or more")
    first = max((frames - 7) // 2, 0) // 8 * 8
    quick = range(first, min(first + 8, frames), 2)
    return tuple(sorted({*range(0, frames, 8), *quick}))


def track_val_labelled(frames: int) -> tuple[int, ...]:
    """The frames of a clip that DensePose-Track labels for validation: every fourth (Slim DensePose, 4)."""
    if frames < 1:
        raise ValueError(f"a clip of {frames} frames; wanted 1 or more")
    return tuple(range(0, frames, 4))


#: One person in mostly plain clothes before a few things, in good light: an hourglass learns it in minutes.
#: The tempo brings the 12 frames a second near the 25 that a telephone takes of people at their own pace.
_EASY = SceneStyle(
    tempo=0.6, patterned=0.2, objects=(0, 6), people=(1.0,), passers_by=0.0, occluders=0.0, shutter=0.3,
    defocus=0.2, noise=0.5,
)  # fmt: skip

#: People as real pictures show them: half of them hold a posture, mostly seated; close-ups; black and white.
_PEOPLE = SceneStyle(
    postures=PostureShares(
        chair=0.25, floor=0.08, crouch=0.08, kneel=0.06, bend=0.08, lie=0.06, hang=0.015, invert=0.03,
        fly=0.05, swing=0.05, ride=0.06, stretch=0.06,
    ),
    people=(0.5, 0.3, 0.13, 0.07), close=0.4, tables=0.45, before=0.5, tailored=True,
    grey=0.08, dark=0.15,
)  # fmt: skip

PRESETS = {
    "smoke": SetPlan(
        stills=12, train_clips=3, val_clips=2, frames=7, labelled=(3,), val_frames=5, val_labelled=(0, 4),
        size=160, every_frame=True,
    ),
    "tiny": SetPlan(
        stills=48, train_clips=4, val_clips=2, frames=60, labelled=(30,), val_frames=1, val_labelled=(0,),
        size=256, style=_EASY, every_frame=True,
    ),
    # Enough for all tables on a CPU in hours.
    "small": SetPlan(
        stills=600, train_clips=60, val_clips=30, frames=29, labelled=track_labelled(29), val_frames=29,
        val_labelled=track_val_labelled(29), size=256, val_stills=150, every_frame=True,
    ),
    # The pictures of DensePose-COCO's training and minival sets and the videos of DensePose-Track.
    "full": SetPlan(
        stills=26_437, train_clips=250, val_clips=50, frames=30, labelled=track_labelled(30), val_frames=30,
        val_labelled=track_val_labelled(30), size=512, val_stills=1508,
    ),
    # Stills alone, to train and to validate weights for real pictures.
    "people": SetPlan(
        stills=1500, train_clips=0, val_clips=0, frames=1, labelled=(0,), val_frames=1, val_labelled=(0,),
        size=256, style=_PEOPLE, val_stills=150,
    ),
}  # fmt: skip


def preset_plan(preset: str, overrides: Sequence[str] = ()) -> SetPlan:
    """A preset, a key of `PRESETS`, changed by `key=value` overrides such as `stills=100` or `style.tempo=2`.

    Raises ConfigError for an unknown preset or key, or an impossible value.
    """
    if preset not in PRESETS:
        near = did_you_mean(preset, PRESETS)
        raise ConfigError(f"preset = {preset!r}, but one of {', '.join(PRESETS)} is wanted{near}")
    values = PRESETS[preset].plain()
    for override in overrides:
        apply_override(values, override)
    return SetPlan.parse(values)
