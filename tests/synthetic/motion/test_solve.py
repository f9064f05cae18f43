from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimdp.surface.makehuman import BodyShape
from slimdp.synthetic.motion.solve import (
    AT_EASE,
    LIMITS,
    mirrored,
    smooth_max,
    smooth_min,
    solve,
    turn,
    turn_about,
    within,
)
from slimdp.synthetic.person import Person, PosedPerson, make_person, pose_person


@pytest.fixture(scope="module")
def person() -> Person:
    return make_person(BodyShape())


def _posed(person: Person, **channels: float) -> PosedPerson:
    return pose_person(person, solve({**AT_EASE, **channels}, person))


@pytest.mark.parametrize(
    ("channel", "degrees", "moved", "axis", "sign"),
    [
        ("elbow_l", 90, "left_wrist", 2, 1),
        ("arm_out_l", 60, "left_wrist", 0, 1),
        ("arm_out_r", 60, "right_wrist", 0, -1),
        ("arm_flex_r", 80, "right_wrist", 2, 1),
        ("pelvis_pitch", 30, "nose", 2, 1),
        ("pelvis_roll", 20, "nose", 0, 1),
        ("pelvis_yaw", 30, "nose", 0, 1),
        ("spine_flex", 40, "nose", 2, 1),
        ("spine_side", 25, "nose", 0, 1),
        ("spine_twist", 40, "left_shoulder", 2, -1),
        ("head_nod", 30, "nose", 1, -1),
        ("head_turn", 40, "nose", 0, 1),
        ("head_tilt", 25, "head_top", 0, 1),
        ("foot_pitch_l", 40, "left_ankle", 1, 1),
        ("knee_out_r", 30, "right_knee", 0, -1),
    ],
)
def test_joints_bend_the_way_they_are_named(
    person: Person, channel: str, degrees: float, moved: str, axis: int, sign: int
) -> None:
    base = {"pelvis_y": -0.15}
    before, after = (_posed(person, **base, **{channel: value}) for value in (0.0, degrees))
    assert sign * (after.keypoints[moved] - before.keypoints[moved])[axis] > 0.02


def test_standing_at_ease_is_upright_with_hanging_arms(person: Person) -> None:
    posed = _posed(person)
    points = posed.keypoints
    assert points["left_wrist"][1] < points["left_hip"][1] + 0.08
    for side in ("left", "right"):
        hip, knee, ankle = (points[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        bend = np.arccos(
            (knee - hip) @ (ankle - knee) / np.linalg.norm(knee - hip) / np.linalg.norm(ankle - knee)
        )
        assert bend < np.deg2rad(16)
    assert np.ptp(posed.skin[:, 1]) == pytest.approx(np.ptp(person.skin[:, 1]), abs=0.05)


@given(
    feet=st.lists(st.floats(-0.3, 0.3), min_size=4, max_size=4),
    pelvis=st.tuples(st.floats(-0.15, 0.15), st.floats(-0.5, 0.05), st.floats(-0.15, 0.15)),
    yaw=st.floats(-40, 40),
)
@settings(max_examples=40, deadline=None)
def test_feet_stand_where_they_are_put(
    feet: list[float], pelvis: tuple[float, float, float], yaw: float
) -> None:
    person = make_person(BodyShape())
    x, y, z = pelvis
    build = person.build
    steps = {"foot_x_l": feet[0], "foot_z_l": feet[1], "foot_x_r": feet[2], "foot_z_r": feet[3]}
    posed = _posed(person, pelvis_x=x, pelvis_y=y, pelvis_z=z, pelvis_yaw=yaw, **steps)
    for side, name in (("l", "left"), ("r", "right")):
        at = (
            build.joints[f"thigh_{side}"][0] + build.leg * steps[f"foot_x_{side}"],
            build.leg * steps[f"foot_z_{side}"],
        )
        np.testing.assert_allclose(posed.keypoints[f"{name}_ankle"][[0, 2]], at, atol=0.004)
        assert posed.keypoints[f"{name}_ankle"][1] == pytest.approx(build.ankle, abs=0.012)


def test_a_rolling_foot_stays_on_its_ball(person: Person) -> None:
    left = [vertex for vertex in np.flatnonzero(person.skin[:, 1] < 0.01) if person.skin[vertex, 0] > 0]
    toes = [
        vertex for vertex in left if abs(person.skin[vertex, 2] - person.build.joints["ball_l"][2]) < 0.01
    ]
    flat, rolled = (_posed(person, pelvis_y=-0.1, foot_pitch_l=pitch).skin[toes] for pitch in (0.0, 35.0))
    assert np.linalg.norm(flat - rolled, axis=1).max() < 0.02


def test_feet_off_the_floor_lift_the_body(person: Person) -> None:
    posed = _posed(person, foot_y_l=0.3, foot_y_r=0.2, pelvis_y=0.15)
    assert posed.skin[:, 1].min() == pytest.approx(0.2 * person.build.leg)


def test_a_mirrored_pose_is_the_mirror_image(person: Person) -> None:
    channels = {
        **AT_EASE, "arm_out_l": 70, "elbow_r": 80, "palm_l": 40, "spine_twist": 20, "pelvis_yaw": 15,
        "head_tilt": 10, "foot_x_l": 0.1, "foot_z_r": 0.3, "pelvis_roll": 8, "knee_out_l": 12,
        "foot_yaw_r": -30, "wrist_r": 30,
    }  # fmt: skip
    one, other = (pose_person(person, solve(pose, person)) for pose in (channels, mirrored(channels)))
    assert mirrored(mirrored(channels)) == channels
    for joint in ("wrist", "elbow", "shoulder", "knee", "ankle"):
        for side, across in (("left", "right"), ("right", "left")):
            expected = one.keypoints[f"{side}_{joint}"] * [-1, 1, 1]
            np.testing.assert_allclose(other.keypoints[f"{across}_{joint}"], expected, atol=0.004)


def test_smooth_extremes_by_hand() -> None:
    assert smooth_min(1.0, 5.0, 1.0) == 1.0
    assert smooth_min(2.0, 2.0, 1.0) == pytest.approx(1.75)  # a quarter of the softness below
    assert smooth_max(2.0, 2.0, 1.0) == pytest.approx(2.25)


@given(st.floats(-1e4, 1e4), st.sampled_from(sorted(LIMITS)))
def test_no_joint_leaves_its_limits(value: float, joint: str) -> None:
    low, high = LIMITS[joint]
    assert low <= within(value, (low, high)) <= high
    inside = (low + high) / 2 + value / 1e4 * 0.39 * (high - low)
    assert within(inside, (low, high)) == pytest.approx(inside)


def test_turns_about_the_axes_are_those_about_any_axis() -> None:
    for name, axis in zip("xyz", np.eye(3)):
        np.testing.assert_allclose(turn(name, 0.7), turn_about(axis, 0.7), atol=1e-12)
    np.testing.assert_allclose(turn("z", np.pi / 2) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
