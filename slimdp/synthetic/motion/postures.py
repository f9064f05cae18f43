"""Postures: how people sit, crouch, kneel, bend, lie, hang, ride, fly and stand on their hands, at random.

Each family draws the angles of all joints about a few named forms, within the limits of `joints`.
`held_posture` brings what bears weight to the ground, and draws again where limbs would pass through the
body.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from slimdp.synthetic.motion.contact import largest_gap, posture_pose, settle, sketch
from slimdp.synthetic.motion.joints import limits_of
from slimdp.synthetic.motion.solve import Channels, both, mirrored, pose
from slimdp.synthetic.motion.touching import worst
from slimdp.synthetic.person import Person, Pose

#: Limbs may sink this deep into the body (metres), as skin gives way, and what bears weight may be so far
#: off the ground; drawn again beyond it.
SINKS, GAP = 0.03, 0.006
_TRIES = 12


@dataclass(frozen=True)
class Posture:
    """Joints' angles, what bears the weight, and what it rests on."""

    channels: Channels
    contacts: tuple[str, ...] = ()  # regions of the body that touch the ground
    free: tuple[str, ...] = ()  # channels that may change for that
    balance: bool = True  # the weight is over what touches the ground
    on: str = "floor"  # what carries the body: floor, or a kind of furniture
    lift: float = 0.0  # metres of the lowest point over the floor


Family = Callable[[np.random.Generator], Posture]

_FEET = ("heel_l", "heel_r", "toes_l", "toes_r")
_TILTS = ("tilt_x", "tilt_z")
_KNEES = ("calf_l|thigh_l", "calf_r|thigh_r")
_SHINS = ("calf_l|heel_l|toes_l", "calf_r|heel_r|toes_r")


def _legs(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}_{side}" for name in names for side in "lr")


_LEG_JOINTS = _legs("hip_flex", "knee", "ankle")

#: An arm, by what it does; channels without a side.
_ARMS: dict[str, Channels] = {
    "hang": pose(arm_flex=5, arm_out=8, arm_in=12, elbow=18, palm=20),
    "lap": pose(arm_flex=28, arm_out=4, arm_in=38, elbow=72, palm=45),
    "thigh": pose(arm_flex=36, arm_out=8, arm_in=8, elbow=58, palm=60),
    "folded": pose(arm_flex=38, arm_out=6, arm_in=66, elbow=112, palm=30),
    "device": pose(arm_flex=32, arm_out=6, arm_in=26, elbow=105, palm=-20),
    "face": pose(arm_flex=58, arm_out=6, arm_in=30, elbow=138, palm=-10),
    "talk": pose(arm_flex=30, arm_out=22, arm_in=0, elbow=85, palm=-35),
    "behind": pose(arm_flex=-38, arm_out=18, arm_in=-15, elbow=12, palm=50),
    "forward": pose(arm_flex=82, arm_out=6, arm_in=5, elbow=20, palm=40),
    "up": pose(arm_flex=165, arm_out=14, elbow=18, palm=20),
    "head": pose(arm_flex=110, arm_out=40, arm_in=20, elbow=130),
    "aside": pose(arm_flex=10, arm_out=85, elbow=22, palm=20),
    "hip": pose(arm_flex=-20, arm_out=42, arm_in=42, elbow=92, wrist=30),
    "down": pose(arm_flex=62, arm_out=4, arm_in=5, elbow=14, palm=30),
}


def _about(rng: np.random.Generator, spread: float, means: Channels) -> Channels:
    """Channels drawn about means, degrees, within the limits of the joints."""
    drawn = {}
    for name, mean in means.items():
        value = rng.normal(mean, spread * (0.01 if name.startswith("fist") else 1.0))
        drawn[name] = float(np.clip(value, *limits_of(name)))
    return drawn


def _arms(rng: np.random.Generator, names: str, alike: float = 0.5) -> Channels:
    """Both arms, each any of the names, or both the same."""
    choices = names.split()
    left = str(rng.choice(choices))
    right = left if rng.random() < alike else str(rng.choice(choices))
    channels: Channels = {}
    for side, name in (("l", left), ("r", right)):
        channels |= _about(rng, 10, {f"{key}_{side}": value for key, value in _ARMS[name].items()})
        channels[f"fist_{side}"] = float(rng.uniform(0, 0.8))
    return channels


def _trunk(rng: np.random.Generator, flex: float = 10.0, spread: float = 7.0) -> Channels:
    """Spine and head; `flex` is how round the back is, degrees."""
    means = pose(
        spine_flex=flex, spine_twist=0.0, spine_side=0.0, head_nod=rng.normal(0, 10),
        head_turn=rng.normal(0, 18), head_tilt=0.0,
    )  # fmt: skip
    return _about(rng, spread, means)


def _leg(rng: np.random.Generator, side: str, spread: float, **means: float) -> Channels:
    return _about(rng, spread, {f"{name}_{side}": value for name, value in means.items()})


def _both_legs(rng: np.random.Generator, spread: float, **means: float) -> Channels:
    return _leg(rng, "l", spread, **means) | _leg(rng, "r", spread, **means)


def chair(rng: np.random.Generator) -> Posture:
    """Sit on a chair, stool, bench or sofa: feet down, stretched, tucked back, or a leg over the other."""
    kind = str(rng.choice(["chair", "stool", "bench", "sofa"], p=[0.4, 0.15, 0.15, 0.3]))
    form = str(rng.choice(["down", "down", "stretched", "tucked", "crossed", "figure four", "lean"]))
    back = rng.uniform(-25, -2) if kind == "sofa" else rng.uniform(-12, 6)
    arms = _arms(rng, "lap thigh thigh folded device face talk hang head", 0.6)
    channels = pose(pelvis_pitch=back) | _trunk(rng, rng.uniform(2, 26))
    hips, knees = rng.uniform(78, 96), rng.uniform(78, 98)
    contacts: tuple[str, ...] = _FEET
    if form == "stretched":
        hips, knees, contacts = rng.uniform(68, 84), rng.uniform(15, 60), ("heel_l", "heel_r")
    elif form == "tucked":
        hips, knees, contacts = rng.uniform(80, 95), rng.uniform(98, 118), ("toes_l", "toes_r")
    elif form == "lean":
        channels |= pose(pelvis_pitch=rng.uniform(10, 28), spine_flex=rng.uniform(20, 45), head_nod=-15.0)
        hips += 14
        arms = _arms(rng, "down thigh lap device", 0.9)
    legs = _both_legs(rng, 4, hip_flex=hips + back, hip_out=rng.uniform(-2, 24), knee=knees, ankle=0)
    free = _LEG_JOINTS
    if form == "crossed":
        legs |= _leg(rng, "l", 3, hip_flex=hips + back + 16, hip_out=-14, hip_turn=0, knee=85, ankle=25)
        contacts, free = ("heel_r", "toes_r"), ("hip_flex_r", "knee_r", "ankle_r")
    elif form == "figure four":
        legs |= _leg(rng, "l", 4, hip_flex=hips + back + 8, hip_out=32, hip_turn=50, knee=105, ankle=10)
        contacts, free = ("heel_r", "toes_r"), ("hip_flex_r", "knee_r", "ankle_r")
    return Posture(channels | arms | legs, contacts, free, balance=False, on=kind)


def floor(rng: np.random.Generator) -> Posture:
    """Sit on the floor: legs crossed, straight, knees up, to a side, or apart."""
    form = str(
        rng.choice(["crossed", "crossed", "straight", "knees up", "knees up", "side", "apart", "one up"])
    )
    # Who has a knee up rolls back on the pelvis, as the hip bends no further.
    back = rng.uniform(-42, -16) if form in ("knees up", "one up") else rng.uniform(-22, 2)
    channels = pose(pelvis_pitch=back) | _trunk(rng, rng.uniform(5, 25) - 0.5 * back)
    arms = _arms(rng, "lap thigh device face talk folded forward", 0.6)
    contacts: tuple[str, ...] = ("seat", *_SHINS)
    if form == "crossed":
        legs = _leg(rng, "l", 4, hip_flex=82 + back, hip_out=36, hip_turn=46, knee=118, ankle=25)
        legs |= _leg(rng, "r", 4, hip_flex=76 + back, hip_out=40, hip_turn=46, knee=98, ankle=25)
    elif form == "straight":
        legs = _both_legs(rng, 4, hip_flex=91 + back, hip_out=rng.uniform(-4, 14), knee=10, ankle=12)
    elif form == "knees up":
        # Thigh and calf lean on each other like a roof: the thigh rises by half of what the knee bends.
        bent = min(rng.uniform(55, 125), 52 - 2 * back)
        hips = 90 + 0.5 * bent + back
        legs = _both_legs(rng, 3, hip_flex=hips, hip_out=rng.uniform(0, 22), knee=bent, ankle=15)
        arms = _arms(rng, "forward face device folded", 0.8)
        contacts = ("seat", *_FEET)
    elif form == "side":
        legs = _leg(rng, "l", 5, hip_flex=82 + back, hip_out=34, hip_turn=44, knee=120, ankle=30)
        legs |= _leg(rng, "r", 5, hip_flex=80 + back, hip_out=24, hip_turn=-34, knee=125, ankle=35)
    elif form == "apart":
        legs = _both_legs(rng, 6, hip_flex=90 + back, hip_out=rng.uniform(25, 48), knee=8, ankle=10)
    else:
        legs = _leg(rng, "l", 6, hip_flex=136 + back, hip_out=4, knee=92, ankle=10)
        legs |= _leg(rng, "r", 6, hip_flex=91 + back, hip_out=14, knee=12, ankle=12)
    if back < -12 and rng.random() < 0.6:  # who leans back holds on behind
        arms = _arms(rng, "behind", 1.0)
        contacts = (*contacts, "hand_l", "hand_r")
    free = (*_TILTS, *_legs("hip_flex", "hip_out", "knee", "ankle", "arm_flex", "elbow"), "spine_flex")
    return Posture(channels | arms | legs, contacts, free, balance=False)


def crouch(rng: np.random.Generator) -> Posture:
    """Squat deep or half, on the soles or on the toes, or crouch on one knee more than on the other."""
    deep = rng.random() < 0.6
    knees = rng.uniform(115, 145) if deep else rng.uniform(60, 110)
    hips = 0.72 * knees + rng.uniform(0, 20)
    pitch = rng.uniform(5, 30)
    soles = rng.random() < 0.5
    out, ankle = rng.uniform(4, 34), (-20 if soles else 10)
    legs = _both_legs(rng, 5, hip_flex=hips, hip_out=out, hip_turn=0.5 * out, knee=knees, ankle=ankle)
    if not soles:
        legs |= both(toes=40.0)
    if rng.random() < 0.3:
        legs |= _leg(rng, "r", 5, hip_flex=hips - 45, hip_out=8, knee=min(knees + 10, 148), ankle=0, toes=50)
        contacts: tuple[str, ...] = ("heel_l", "toes_l", "toes_r")
    else:
        contacts = _FEET if soles else ("toes_l", "toes_r")
    channels = pose(pelvis_pitch=pitch) | _trunk(rng, rng.uniform(10, 42))
    arms = _arms(rng, "down forward lap face thigh device talk", 0.7)
    return Posture(channels | arms | legs, contacts, (*_TILTS, *_LEG_JOINTS))


def kneel(rng: np.random.Generator) -> Posture:
    """Kneel upright, on the heels, on one knee, or on all fours."""
    form = str(rng.choice(["upright", "heels", "one", "one", "fours", "fours"]))
    channels = _trunk(rng, rng.uniform(0, 24))
    arms = _arms(rng, "hang lap thigh device forward talk hip", 0.5)
    contacts: tuple[str, ...] = (*_KNEES, "toes_l|heel_l", "toes_r|heel_r")
    free = (*_TILTS, *_legs("hip_flex", "knee", "ankle"))
    if form == "upright":
        legs = _both_legs(rng, 5, hip_flex=rng.uniform(0, 25), hip_out=8, knee=92, ankle=50)
        channels |= pose(pelvis_pitch=rng.uniform(-5, 15))
    elif form == "heels":
        legs = _both_legs(rng, 3, hip_flex=78, hip_out=rng.uniform(2, 20), knee=140, ankle=50)
        channels |= pose(pelvis_pitch=rng.uniform(-5, 20))
    elif form == "one":
        legs = _leg(rng, "l", 5, hip_flex=88, hip_out=10, knee=92, ankle=0)
        legs |= _leg(rng, "r", 5, hip_flex=4, hip_out=4, knee=94, ankle=20, toes=45)
        channels |= pose(pelvis_pitch=rng.uniform(-4, 24))
        contacts = ("heel_l", "toes_l", "calf_r|thigh_r", "toes_r")
    else:
        pitch = rng.uniform(70, 100)
        legs = _both_legs(rng, 6, hip_flex=pitch + rng.uniform(-15, 15), hip_out=4, knee=90, ankle=50)
        channels |= pose(pelvis_pitch=pitch, head_nod=rng.uniform(-40, 10), spine_flex=rng.uniform(-10, 20))
        arms = _about(rng, 6, both(arm_flex=88, arm_out=6, elbow=12, palm=20, wrist=-50))
        contacts = (*contacts, "hand_l", "hand_r")
        free = (*free, *_legs("arm_flex", "elbow"))
    return Posture(channels | arms | legs, contacts, free, balance=False)


def bend(rng: np.random.Generator) -> Posture:
    """Stand and bend forwards or aside, with hands that hang, rest on the knees, or reach to the floor."""
    pitch, flex = rng.uniform(12, 80), rng.uniform(10, 55)
    knees = rng.uniform(2, 50)
    legs = _both_legs(rng, 4, hip_flex=pitch + 0.4 * knees, hip_out=rng.uniform(0, 18), knee=knees, ankle=-5)
    channels = pose(pelvis_pitch=pitch) | _trunk(rng, flex)
    channels |= pose(
        head_nod=rng.uniform(-35, 15), spine_twist=rng.normal(0, 16), spine_side=rng.normal(0, 10)
    )
    arms = _arms(rng, "down down forward thigh lap behind hip up", 0.6)
    return Posture(channels | arms | legs, _FEET, (*_TILTS, *_LEG_JOINTS))


def lie(rng: np.random.Generator) -> Posture:
    """Lie on the back, the front or a side; on the floor, or on something soft."""
    form = str(rng.choice(["back", "back", "front", "side", "side"]))
    on = "bed" if rng.random() < 0.45 else "floor"
    channels = _trunk(rng, rng.uniform(0, 14), 5)
    free = (*_TILTS, *_legs("hip_flex", "hip_out", "knee", "arm_flex", "arm_out"), "head_nod", "spine_flex")
    if form == "back":
        channels |= pose(pelvis_pitch=-90.0, head_nod=rng.uniform(0, 30))
        arms = _arms(rng, "hang aside head up lap folded device", 0.5)
        legs = _lying_legs(rng)
        contacts: tuple[str, ...] = ("seat", "chest|head", *_SHINS)
    elif form == "front":
        turned = float(rng.choice([-1, 1]) * rng.uniform(30, 62))
        channels |= pose(pelvis_pitch=90.0, spine_flex=rng.uniform(-22, 0), head_turn=turned)
        arms = _about(
            rng, 14, both(arm_flex=rng.uniform(60, 150), arm_out=rng.uniform(20, 60), elbow=85, palm=30)
        )
        legs = _both_legs(rng, 6, hip_flex=0, hip_out=rng.uniform(2, 14), knee=8, ankle=48)
        if rng.random() < 0.3:
            legs |= _leg(rng, "l", 6, hip_flex=20, hip_out=50, hip_turn=40, knee=70, ankle=30)
        contacts = ("seat|belly", "chest|lowerarm_l|lowerarm_r", *_SHINS)
    else:
        channels |= pose(pelvis_roll=90.0, spine_flex=rng.uniform(0, 35), head_tilt=rng.uniform(-5, 25))
        arms = _about(rng, 14, pose(arm_flex_r=70, arm_out_r=-5, elbow_r=70, arm_in_r=10))
        arms |= _about(rng, 14, pose(arm_flex_l=60, arm_out_l=0, elbow_l=60, arm_in_l=20))
        hips = rng.uniform(5, 80)
        # The upper leg lies on the lower one.
        legs = _leg(rng, "l", 5, hip_flex=hips, hip_out=-10, knee=0.9 * hips + 10, ankle=15)
        free = tuple(name for name in free if name != "hip_out_l")
        legs |= _leg(rng, "r", 8, hip_flex=0.7 * hips, hip_out=0, knee=hips + 5, ankle=15)
        contacts = ("seat", "chest|upperarm_l|upperarm_r", "|".join(_SHINS), "head|upperarm_l|upperarm_r")
    lift = float(rng.uniform(0.25, 0.6)) if on == "bed" else 0.0
    return Posture(channels | arms | legs, contacts, free, balance=False, on=on, lift=lift)


def _lying_legs(rng: np.random.Generator) -> Channels:
    """Legs of who lies on the back: straight, or one or both knees up."""
    legs = _both_legs(rng, 4, hip_flex=2, hip_out=rng.uniform(2, 20), hip_turn=20, knee=6, ankle=30)
    for side in "lr":
        if rng.random() < 0.35:
            bent = rng.uniform(50, 115)
            legs |= _leg(rng, side, 5, hip_flex=0.5 * bent, hip_out=rng.uniform(0, 30), knee=bent, ankle=25)
    return legs


def hang(rng: np.random.Generator) -> Posture:
    """Hang from a bar by the hands."""
    arms = _about(rng, 6, both(arm_flex=172, arm_out=rng.uniform(5, 25), elbow=rng.uniform(6, 70), palm=20))
    legs = _both_legs(rng, 9, hip_flex=rng.uniform(-8, 70), hip_out=8, knee=rng.uniform(5, 90), ankle=30)
    channels = pose(pelvis_pitch=rng.normal(0, 10), pelvis_roll=rng.normal(0, 5)) | _trunk(rng, 0)
    return Posture(channels | arms | both(fist=0.95) | legs, on="bar", lift=float(rng.uniform(0.1, 0.7)))


def invert(rng: np.random.Generator) -> Posture:
    """Stand on the hands, turn a cartwheel, or stand on head and hands."""
    form = str(rng.choice(["hands", "wheel", "head"]))
    split = rng.uniform(0, 50)
    legs = _leg(rng, "l", 8, hip_flex=split * 0.6, hip_out=4, knee=rng.uniform(0, 60), ankle=35)
    legs |= _leg(rng, "r", 8, hip_flex=-0.3 * split, hip_out=4, knee=rng.uniform(0, 70), ankle=35)
    arms = _about(rng, 4, both(arm_flex=170, arm_out=12, elbow=8, palm=10, wrist=-50))
    channels = pose(pelvis_pitch=180 + rng.normal(0, 12)) | _trunk(rng, -6, 5)
    contacts: tuple[str, ...] = ("hand_l", "hand_r")
    if form == "wheel":
        channels = pose(pelvis_roll=rng.uniform(120, 240)) | _trunk(rng, 0, 8)
        legs = _both_legs(rng, 7, hip_flex=5, hip_out=rng.uniform(28, 55), knee=8, ankle=30)
        contacts = ("hand_l",) if rng.random() < 0.4 else contacts
    elif form == "head":
        arms = _about(rng, 5, both(arm_flex=125, arm_out=20, elbow=95, palm=20, wrist=-20))
        contacts = ("hand_l", "hand_r", "head")
    return Posture(channels | arms | legs, contacts, (*_TILTS, *_legs("arm_flex", "elbow")))


def fly(rng: np.random.Generator) -> Posture:
    """Be in the air: leap, dive, tuck, or spread all limbs."""
    form = str(rng.choice(["leap", "dive", "tuck", "spread"]))
    pitch = {"leap": rng.normal(5, 15), "dive": rng.uniform(50, 150), "tuck": rng.uniform(-30, 150)}
    channels = pose(
        pelvis_pitch=float(pitch.get(form, rng.normal(0, 25))), pelvis_roll=float(rng.normal(0, 12))
    )
    channels |= _trunk(rng, 35 if form == "tuck" else 0, 10)
    arms = _arms(rng, "up up aside forward head behind", 0.5)
    if form == "leap":
        legs = _leg(rng, "l", 15, hip_flex=60, hip_out=8, knee=40, ankle=30)
        legs |= _leg(rng, "r", 15, hip_flex=-10, hip_out=8, knee=50, ankle=40)
    elif form == "dive":
        legs = _both_legs(rng, 6, hip_flex=rng.uniform(-5, 40), hip_out=3, knee=8, ankle=45)
        arms = _arms(rng, "up", 1.0)
    elif form == "tuck":
        legs = _both_legs(rng, 8, hip_flex=100, hip_out=8, knee=110, ankle=30)
        arms = _arms(rng, "forward down up", 0.9)
    else:
        legs = _both_legs(rng, 12, hip_flex=20, hip_out=38, knee=25, ankle=30)
    return Posture(channels | arms | legs, lift=float(rng.uniform(0.15, 1.0)))


def swing(rng: np.random.Generator) -> Posture:
    """Swing a bat with both hands or a racket with one: wound up, or through."""
    twist = float(rng.choice([-1, 1]) * rng.uniform(15, 45))
    knees = rng.uniform(10, 55)
    legs = _leg(rng, "l", 6, hip_flex=0.5 * knees + 10, hip_out=18, hip_turn=15, knee=knees, ankle=0)
    legs |= _leg(rng, "r", 6, hip_flex=0.5 * knees, hip_out=18, hip_turn=15, knee=knees, ankle=0)
    channels = pose(pelvis_pitch=rng.uniform(0, 25), pelvis_yaw=0.0) | _trunk(rng, 12)
    channels |= pose(spine_twist=twist, head_turn=-twist)
    if rng.random() < 0.5:  # a bat: the hands are together, before the chest or over a shoulder
        high = rng.uniform(45, 100)
        arms = _about(rng, 5, both(arm_flex=high, arm_out=-8, arm_in=28, elbow=rng.uniform(40, 95), fist=0.9))
        on = "bat"
    else:
        arms = _arms(rng, "forward talk hip aside")
        arms |= _about(rng, 15, pose(arm_flex_r=rng.uniform(-30, 165), arm_out_r=rng.uniform(10, 100)))
        arms |= _about(rng, 15, pose(elbow_r=rng.uniform(5, 95), palm_r=30)) | pose(fist_r=0.9)
        on = "racket"
    return Posture(channels | arms | legs, _FEET, (*_TILTS, *_LEG_JOINTS), on=on)


def ride(rng: np.random.Generator) -> Posture:
    """Straddle a bicycle, a motor bicycle, or an animal."""
    kind = str(rng.choice(["bicycle", "animal"]))
    lean = rng.uniform(8, 45) if kind == "bicycle" else rng.uniform(-8, 20)
    channels = pose(pelvis_pitch=lean) | _trunk(rng, rng.uniform(5, 30)) | pose(head_nod=-0.7 * lean)
    if kind == "bicycle":
        turn = rng.uniform(0, 2 * np.pi)
        legs: Channels = {}
        for side, phase in (("l", turn), ("r", turn + np.pi)):
            up = 0.5 + 0.5 * np.cos(phase)
            legs |= _leg(rng, side, 3, hip_flex=lean + 22 + 45 * up, hip_out=4, knee=35 + 70 * up, ankle=8)
        arms = _about(rng, 5, both(arm_flex=40 + 0.7 * lean, arm_out=10, elbow=22, palm=50, fist=0.9))
    else:
        spread = rng.uniform(24, 38)
        legs = _both_legs(
            rng, 4, hip_flex=58 + lean, hip_out=spread, hip_turn=spread, knee=rng.uniform(55, 88), ankle=0
        )
        arms = _arms(rng, "lap forward down talk device", 0.8)
    return Posture(channels | arms | legs, on=kind, lift=float(rng.uniform(0.12, 0.5)))


def stretch(rng: np.random.Generator) -> Posture:
    """Stand on one leg or two with the other limbs anywhere: reach, stretch, kick."""
    legs = _leg(
        rng, "r", 5, hip_flex=rng.uniform(0, 25), hip_out=rng.uniform(0, 15), knee=rng.uniform(2, 40), ankle=0
    )
    lifted = rng.random() < 0.6
    if lifted:
        legs |= _leg(
            rng, "l", 15, hip_flex=rng.uniform(-20, 110), hip_out=15, knee=rng.uniform(5, 120), ankle=20
        )
    else:
        legs |= _leg(rng, "l", 6, hip_flex=10, hip_out=rng.uniform(0, 35), knee=12, ankle=0)
    channels = pose(pelvis_pitch=rng.normal(5, 12), pelvis_roll=rng.normal(0, 7)) | _trunk(rng, 5, 14)
    arms = _arms(rng, "up up aside forward head face hip behind folded talk down", 0.3)
    contacts = ("heel_r", "toes_r") if lifted else _FEET
    return Posture(channels | arms | legs, contacts, (*_TILTS, *_LEG_JOINTS))


POSTURES: dict[str, Family] = {
    "chair": chair, "floor": floor, "crouch": crouch, "kneel": kneel, "bend": bend, "lie": lie, "hang": hang,
    "invert": invert, "fly": fly, "swing": swing, "ride": ride, "stretch": stretch,
}  # fmt: skip


@dataclass(frozen=True, eq=False)  # one of them is equal to itself alone
class Held:
    """A pose that a person of a certain build holds, and what carries it."""

    still: Pose
    channels: Channels
    on: str
    contacts: tuple[str, ...]
    sinks: float  # metres: how deep a limb is in the body
    gap: float  # metres: how far what bears weight is off the ground

    @property
    def faults(self) -> float:
        """Under 1 where limbs sink in and contacts gape no more than they may."""
        return max(self.sinks / SINKS, self.gap / GAP)

    def pose(self, person: Person, seconds: float) -> Pose:
        """As `Motion.pose`."""
        return self.still


def held_posture(rng: np.random.Generator, person: Person, family: str) -> Held:
    """A posture of a family, a key of POSTURES, that suits a person's body.

    Drawn again while limbs sink deeper than SINKS into the body; of _TRIES the best is taken. Raises
    ValueError for an unknown family.
    """
    if family not in POSTURES:
        raise ValueError(f"no posture {family!r}; there are {', '.join(POSTURES)}")
    best: Held | None = None
    for _ in range(_TRIES):
        posture = POSTURES[family](rng)
        if rng.random() < 0.5:
            posture = _mirrored(posture)
        if worst(person, sketch(person, posture.channels)) > 2 * SINKS:
            continue
        found = _settled(person, posture)
        if best is None or found.faults < best.faults:
            best = found
        if best.faults < 1:
            break
    return best or _settled(person, posture)


def _settled(person: Person, posture: Posture) -> Held:
    channels = posture.channels
    if posture.contacts:
        channels = settle(person, channels, posture.contacts, posture.free, posture.balance)
    body, contacts = sketch(person, channels), posture.contacts
    sinks, gap = worst(person, body), largest_gap(body, contacts)
    still = replace(posture_pose(person, channels), position=(0.0, posture.lift, 0.0))
    return Held(still, channels, posture.on, contacts, sinks, gap)


def _mirrored(posture: Posture) -> Posture:
    def other(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            re.sub(r"_([lr])\b", lambda end: "_r" if end[1] == "l" else "_l", name) for name in names
        )

    return replace(
        posture,
        channels=mirrored(posture.channels),
        contacts=other(posture.contacts),
        free=other(posture.free),
    )
