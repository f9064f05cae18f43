from __future__ import annotations

import numpy as np
import pytest

from slimdp.surface import makehuman
from slimdp.surface.makehuman import BodyShape
from slimdp.synthetic.motion.contact import regions, settle, sketch, skin_of, skin_of_bones
from slimdp.synthetic.motion.joints import JOINT_LIMITS, bone_rotations, limits_of
from slimdp.synthetic.motion.postures import GAP, POSTURES, SINKS, Held, held_posture
from slimdp.synthetic.motion.solve import both, pose
from slimdp.synthetic.motion.touching import solids_of
from slimdp.synthetic.person import Person, make_person, pose_person

SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def person() -> Person:
    return make_person(BodyShape(gender=0.3, weight=0.6))


@pytest.fixture(scope="module")
def postures(person: Person) -> dict[tuple[str, int], Held]:
    return {
        (family, seed): held_posture(np.random.default_rng([4, seed]), person, family)
        for family in POSTURES
        for seed in SEEDS
    }


def angle(bone: np.ndarray, other: np.ndarray) -> float:
    return float(np.rad2deg(np.arccos(bone @ other / np.linalg.norm(bone) / np.linalg.norm(other))))


@pytest.mark.parametrize("bend", [0.0, 30.0, 75.0, 120.0])
def test_a_knee_bends_by_its_channel_and_back(person: Person, bend: float) -> None:
    body = sketch(person, both(knee=bend, hip_flex=40))
    hip, knee, foot = (body.joints[makehuman.rig().names.index(b)] for b in ("thigh_l", "calf_l", "foot_l"))
    # Limits are soft: within a tenth of the range of a limit an angle is bent away from it.
    assert angle(knee - hip, foot - knee) == pytest.approx(bend, abs=4)
    if bend > 10:
        assert np.cross(knee - hip, foot - knee)[0] > 0  # the calf goes backwards


def test_a_thigh_rises_forwards_and_sideways_by_hand(person: Person) -> None:
    names = makehuman.rig().names
    world = bone_rotations(pose(hip_flex_l=90.0, hip_out_r=45.0), person.build)
    down = {side: person.build.frames[f"thigh_{side}"][:, 0] for side in "lr"}
    np.testing.assert_allclose(world["thigh_l"] @ down["l"], [0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(world["thigh_r"] @ down["r"], np.array([-1, -1, 0]) / np.sqrt(2), atol=1e-6)
    assert {"thigh_l", "calf_r", "foot_l", "ball_r"} <= set(world) <= set(names)


@pytest.mark.parametrize("family", POSTURES)
def test_all_joints_are_within_their_limits(postures: dict[tuple[str, int], Held], family: str) -> None:
    for seed in SEEDS:
        for name, value in postures[family, seed].channels.items():
            low, high = limits_of(name)
            assert low <= value <= high, (seed, name)
            assert name[:-2] in JOINT_LIMITS or name in JOINT_LIMITS or name.startswith(("pelvis", "tilt"))


@pytest.mark.parametrize("family", sorted(set(POSTURES) - {"hang", "fly", "ride"}))
def test_what_bears_weight_is_within_a_centimetre_of_the_ground(
    person: Person, postures: dict[tuple[str, int], Held], family: str
) -> None:
    for seed in SEEDS:
        held = postures[family, seed]
        skin = pose_person(person, held.still).skin
        assert skin[:, 1].min() == pytest.approx(held.still.position[1])
        assert held.contacts
        if held.gap >= GAP:
            continue  # of all tries none was better, which the next test counts
        for contact in held.contacts:
            lowest = min(skin[skin_of(region), 1].min() for region in contact.split("|"))
            assert lowest - held.still.position[1] < 0.01, (seed, contact)


def test_nearly_all_postures_are_without_faults(postures: dict[tuple[str, int], Held]) -> None:
    assert np.mean([held.faults < 1 for held in postures.values()]) > 0.95


@pytest.mark.parametrize("family", POSTURES)
def test_no_forearm_passes_through_the_trunk(
    person: Person, postures: dict[tuple[str, int], Held], family: str
) -> None:
    for seed in SEEDS:
        held = postures[family, seed]
        if held.faults >= 1:
            continue
        body, skin = sketch(person, held.channels), pose_person(person, held.still).skin
        skin = skin - [0, skin[:, 1].min() - body.points[:, 1].min(), 0]
        for side in "lr":
            forearm = skin[skin_of_bones(f"lowerarm_{side}", f"hand_{side}")]
            for name in ("seat", "belly", "chest", "head"):
                solid = solids_of(person)[name]
                rest = (forearm - body.offsets[solid.bone]) @ body.rotations[solid.bone]
                # All of the skin, where the posture was drawn by some of it.
                assert solid.depth(rest).max() < SINKS + 0.02, (seed, side, name)


def test_the_depth_in_a_solid_is_that_of_a_slow_reference(person: Person) -> None:
    solid = solids_of(person)["chest"]
    skin = person.skin[skin_of_bones("spine_03", "clavicle_l", "clavicle_r")]
    axis = solid.origin + solid.axes[0] * np.mean(solid.span)
    # On its axis a point is as deep as the skin in no direction is near, or an end is.
    along = (skin - solid.origin) @ solid.axes[0]
    near = skin[np.abs(along - np.mean(solid.span)) < np.ptp(solid.span) / 20]
    widest = max(
        float(np.linalg.norm(point - axis - solid.axes[0] * ((point - axis) @ solid.axes[0])))
        for point in near
    )
    depth = float(solid.depth(axis[None])[0])
    assert 0 < depth <= min(widest, np.ptp(solid.span) / 2) + 1e-9
    assert solid.depth(axis[None] + [0, 0, 1.0])[0] < 0
    assert solid.depth(axis[None] + [0, 3.0, 0])[0] < 0


def test_settling_brings_both_feet_to_the_ground_and_keeps_what_is_not_free(person: Person) -> None:
    uneven = both(hip_flex=30, knee=60, ankle=-10) | pose(hip_flex_l=45.0, arm_flex_l=33.0)
    feet = ("heel_l", "toes_l", "heel_r", "toes_r")
    free = [f"{name}_{side}" for name in ("hip_flex", "knee", "ankle") for side in "lr"]
    before, settled = sketch(person, uneven), settle(person, uneven, feet, free, balance=False)
    after = sketch(person, settled)

    def unlike(body: object) -> float:
        return float(np.ptp([body.of(foot)[:, 1].min() for foot in feet]))  # type: ignore[attr-defined]

    assert unlike(before) > 0.05
    assert unlike(after) < 0.006
    assert settled["arm_flex_l"] == 33.0
    assert {name: value for name, value in settled.items() if name not in free} == pose(arm_flex_l=33.0)


def test_the_same_seed_gives_the_same_posture_and_another_another(person: Person) -> None:
    first, again, other = (held_posture(np.random.default_rng(seed), person, "floor") for seed in (6, 6, 7))
    assert first.channels == again.channels != other.channels
    assert first.still.position == again.still.position


def test_an_unknown_family_is_refused(person: Person) -> None:
    with pytest.raises(ValueError, match="no posture 'fold'; there are chair"):
        held_posture(np.random.default_rng(0), person, "fold")


def test_the_regions_are_parts_of_the_body_that_do_not_overlap() -> None:
    every = np.concatenate([skin_of(name) for name in regions()])
    assert len(every) == len(set(every.tolist()))
    for name, some in regions().items():
        assert set(some) <= set(skin_of(name))
