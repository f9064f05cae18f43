from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimdp.settings_file import ConfigError
from slimdp.synthetic.presets import PRESETS, preset_plan, track_labelled, track_val_labelled
from tests.small_sets import small_plan


def test_the_sampling_of_densepose_track_by_hand() -> None:
    assert track_labelled(29) == (0, 8, 10, 12, 14, 16, 24)
    assert track_labelled(30) == (0, 8, 10, 12, 14, 16, 24)
    assert track_labelled(7) == (0, 2, 4, 6)
    assert track_labelled(5) == (0, 2, 4)
    assert track_labelled(1) == (0,)
    assert track_labelled(60) == (0, 8, 16, 24, 26, 28, 30, 32, 40, 48, 56)
    assert track_val_labelled(29) == (0, 4, 8, 12, 16, 20, 24, 28)
    assert track_val_labelled(1) == (0,)


@given(st.integers(7, 400))
def test_every_eighth_frame_and_four_at_every_second(frames: int) -> None:
    labelled = track_labelled(frames)
    assert list(labelled) == sorted(set(labelled))
    assert set(range(0, frames, 8)) <= set(labelled)
    assert labelled[-1] < frames
    runs = [start for start in labelled if {start + 2, start + 4, start + 6} <= set(labelled)]
    assert len(runs) == (2 if runs and runs[0] + 8 in labelled and len(runs) == 2 else 1)
    assert len(labelled) == len(range(0, frames, 8)) + 3


@pytest.mark.parametrize("rule", [track_labelled, track_val_labelled])
def test_a_clip_without_frames_is_refused(rule: object) -> None:
    with pytest.raises(ValueError, match="0 frames"):
        rule(0)  # type: ignore[operator]


def test_the_presets_have_the_sizes_they_promise() -> None:
    tiny, small, full = (PRESETS[name] for name in ("tiny", "small", "full"))
    assert (tiny.stills, tiny.train_clips, tiny.frames, tiny.labelled) == (48, 4, 60, (30,))
    assert tiny.every_frame
    assert len(small.labelled) == 7
    assert (full.stills, full.train_clips, full.val_clips) == (26_437, 250, 50)
    # 1680 training and 782 validation frames in DensePose-Track.
    assert full.train_clips * len(full.labelled) == pytest.approx(1680, rel=0.1)


def test_settings_of_a_preset_can_be_changed() -> None:
    plan = preset_plan("smoke", ["stills=2", "annotator_error=1", "style.tempo=2", "val_labelled=[1, 3]"])
    assert (plan.stills, plan.annotator_error, plan.style.tempo, plan.val_labelled) == (2, 1.0, 2.0, (1, 3))
    assert plan.train_clips == PRESETS["smoke"].train_clips
    assert preset_plan("tiny") == PRESETS["tiny"]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("stils=2", "unknown key stils; there are: stills"),
        ("stills=-1", "0 or more"),
        ("stills=two", "whole number"),
        ("size=0", "size = 0"),
        ("frames=3", "frames of 0..2"),
        ("labelled=[1, 1]", "different frames"),
        ("val_labelled=[5]", "val_labelled"),
        ("budget=0", "budget = 0"),
        ("annotator_error=-1", "annotator_error = -1"),
    ],
)
def test_impossible_settings_are_refused(override: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        preset_plan("smoke", [override])


def test_unknown_presets_and_empty_plans_are_refused() -> None:
    with pytest.raises(ConfigError, match="smoke, tiny, small, full"):
        preset_plan("huge")
    with pytest.raises(ConfigError, match="1 or more in all"):
        small_plan(frames=1, size=64)
