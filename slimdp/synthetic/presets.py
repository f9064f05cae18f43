"""What a rendered set holds: how many stills and clips, how large, and which frames are labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flow_cache.runtime.nearest import did_you_mean
from slimdp.settings_file import ConfigError, apply_override, from_plain, to_plain
from slimdp.synthetic.scene import SceneStyle


def _require(condition: bool, key: str, value: object, wanted: str) -> None:
    if not condition:
        raise ConfigError(f"{key} = {value!r}, but {wanted} is wanted")


@dataclass(frozen=True)
class SetPlan:
    """What to render."""

    stills: int
    train_clips: int
    val_clips: int
    frames: int  # of a training clip
    labelled: tuple[int, ...]  # its labelled frames
    val_frames: int
    val_labelled: tuple[int, ...]
    size: int  # px, both sides of a frame
    budget: int | None = None  # points a person in the training sets; None: all that annotators place
    style: SceneStyle = field(default_factory=SceneStyle)
    annotator_error: float = 0.0  # of the training sets: times the annotators' usual error (annotators.py)
    val_stills: int = 0
    every_frame: bool = (
        False  # also write an annotation file in which all frames of training clips are labelled
    )

    def __post_init__(self) -> None:
        counts = (self.stills, self.train_clips, self.val_clips, self.val_stills)
        _require(min(counts) >= 0, "stills, train_clips, val_clips, val_stills", counts, "0 or more each")
        _require(sum(counts) > 0, "stills, train_clips, val_clips, val_stills", counts, "1 or more in all")
        _require(self.size > 0, "size", self.size, "1 px or more")
        _require(self.budget is None or self.budget > 0, "budget", self.budget, "1 or more, or null for all")
        _require(self.annotator_error >= 0, "annotator_error", self.annotator_error, "0 or more")
        for key, frames, labelled in (
            ("", self.frames, self.labelled),
            ("val_", self.val_frames, self.val_labelled),
        ):
            _require(frames > 0, f"{key}frames", frames, "1 or more")
            inside = all(0 <= frame < frames for frame in labelled) and len(set(labelled)) == len(labelled)
            _require(inside, f"{key}labelled", labelled, f"different frames of 0..{frames - 1}")


def track_labelled(frames: int) -> tuple[int, ...]:
    """The frames of a clip that DensePose-Track labels for training (Slim DensePose, 4).

    Every eighth frame, for diversity and slow motion, and four frames at every second, for fast motion. The
    paper does not say where the four begin. Here they begin with the last eighth frame from which on they
    stay in the first half of the clip, give or take their length: 7 labelled frames of 29 or 30, where the
    paper has 1680 of 250 videos, 6.7 each.

    Args:
        frames: of the clip; raises ValueError below 1.

    Returns:
        Indices from 0 on, rising. Of a clip shorter than 7 frames, every second frame.
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


#: Quick people in mostly plain clothes, one or two at a time, nothing before them, in good light: what
#: neighbouring frames show differs, few people show much, and an hourglass learns it in minutes.
_EASY = SceneStyle(
    tempo=1.6, patterned=0.2, objects=(0, 6), people=(0.75, 0.25), passers_by=0.0, occluders=0.0,
    shutter=0.3, defocus=0.2, noise=0.5,
)  # fmt: skip

PRESETS = {
    "smoke": SetPlan(12, 3, 2, 7, (3,), 5, (0, 4), 160),
    "tiny": SetPlan(32, 32, 100, 7, (3,), 1, (0,), 256, style=_EASY),
    # Enough for all tables on a CPU in hours.
    "small": SetPlan(
        600, 60, 30, 29, track_labelled(29), 29, track_val_labelled(29), 256, val_stills=150, every_frame=True
    ),
    # The pictures of DensePose-COCO's training and minival sets and the videos of DensePose-Track.
    "full": SetPlan(
        26_437, 250, 50, 30, track_labelled(30), 30, track_val_labelled(30), 512, val_stills=1508
    ),
}


def preset_plan(preset: str, overrides: Sequence[str] = ()) -> SetPlan:
    """A preset by its name, with settings changed.

    Args:
        preset: a key of `PRESETS`.
        overrides: `key=value`, e.g. `stills=100` or `style.tempo=2`.

    Raises:
        ConfigError: an unknown preset or key, or an impossible value.
    """
    if preset not in PRESETS:
        near = did_you_mean(preset, PRESETS)
        raise ConfigError(f"preset = {preset!r}, but one of {', '.join(PRESETS)} is wanted{near}")
    values = to_plain(PRESETS[preset])
    for override in overrides:
        apply_override(values, override)
    plan: SetPlan = from_plain(SetPlan, values)
    return plan
