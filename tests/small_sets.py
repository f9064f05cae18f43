"""Rendered sets as tests ask for them."""

from __future__ import annotations

from typing import Any

from slimdp.synthetic.presets import SetPlan

_NOTHING = {
    "stills": 0, "train_clips": 0, "val_clips": 0, "frames": 4, "labelled": (0,), "val_frames": 1,
    "val_labelled": (0,), "size": 96,
}  # fmt: skip


def small_plan(**changes: Any) -> SetPlan:
    """What is asked for and nothing else: clips of four frames of 96 px, the first of them labelled."""
    return SetPlan(**{**_NOTHING, **changes})
