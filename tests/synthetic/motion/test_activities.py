from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from slimdp.surface import load_surface, makehuman
from slimdp.surface.makehuman import BodyShape
from slimdp.synthetic.motion import ACTIVITIES, PlacedMotion, random_motion
from slimdp.synthetic.person import Person, make_person, pose_person

#: Degrees a second. A pitcher's arm turns by 7,000, a footballer's knee by 1,700, a sprinter's by 1,100, a
#: walker's by 400 (Zatsiorsky, "Kinetics of human motion"); here athletes are amateurs.
FASTEST = {"throw": 2000, "swing": 1500, "kick": 1500, "box": 1700, "jump": 1700, "run": 1200}
ORDINARY = 850
#: Degrees a second squared: from rest to 1,400 degrees a second in a fiftieth of a second.
QUICKEST = 70_000
SEEDS = (0, 1)
_MAJOR = ("pelvis", "spine", "neck", "head", "upperarm", "lowerarm", "thigh", "calf")


@pytest.fixture(scope="module")
def person() -> Person:
    return make_person(BodyShape())


def _turning(motion: PlacedMotion, person: Person, rate: float, seconds: float) -> dict[str, np.ndarray]:
    """Bone -> its angular velocity against its parent (T, 3) degrees a second."""
    poses = [motion.pose(person, t) for t in np.arange(0, seconds, 1 / rate)]
    out = {}
    for bone in poses[0].rotations:
        if bone.startswith(_MAJOR):
            turns = Rotation.from_rotvec(np.stack([pose.rotations[bone] for pose in poses]))
            out[bone] = np.rad2deg((turns[:-1].inv() * turns[1:]).as_rotvec()) * rate
    return out


def _check_speeds(activity: str, seed: int, person: Person, seconds: float) -> None:
    motion = random_motion(np.random.default_rng(seed), activity)
    for bone, velocity in _turning(motion, person, 60, seconds).items():
        speed = np.linalg.norm(velocity, axis=1)
        assert speed.max() < FASTEST.get(activity, ORDINARY), (bone, seed)
        change = np.linalg.norm(np.diff(velocity, axis=0), axis=1) * 60
        assert change.max() < QUICKEST, (bone, seed)


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_joints_move_no_faster_than_peoples(activity: str, person: Person) -> None:
    _check_speeds(activity, 0, person, 2.0)


@pytest.mark.slow
@pytest.mark.parametrize("activity", ACTIVITIES)
def test_joints_move_no_faster_than_peoples_in_many_clips(activity: str, person: Person) -> None:
    for seed in range(1, 7):
        _check_speeds(activity, seed, person, 3.0)


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_poses_change_smoothly_and_are_the_same_for_the_same_time(activity: str, person: Person) -> None:
    motion = random_motion(np.random.default_rng(7), activity)
    first, second = (pose_person(person, motion.pose(person, t)).skin for t in (0.5, 0.501))
    again = pose_person(person, motion.pose(person, 0.5)).skin
    np.testing.assert_array_equal(first, again)
    assert 0 < np.linalg.norm(first - second, axis=1).max() < 0.03  # 30 m/s
    for far in (-40.0, 1000.0):
        assert np.isfinite(motion.pose(person, far).position).all()


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_no_clip_comes_twice(activity: str, person: Person) -> None:
    def wrists(seed: int) -> np.ndarray:
        motion = random_motion(np.random.default_rng(seed), activity)
        poses = [pose_person(person, motion.pose(person, t)) for t in (0.0, 0.7)]
        return np.concatenate([pose.keypoints["left_wrist"] for pose in poses])

    assert np.linalg.norm(wrists(0) - wrists(1)) > 0.02


def _bend(points: dict[str, np.ndarray], names: tuple[str, str, str]) -> float:
    a, b, c = (points[name] for name in names)
    first, second = b - a, c - b
    return float(np.rad2deg(np.arccos(first @ second / np.linalg.norm(first) / np.linalg.norm(second))))


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_elbows_and_knees_bend_the_right_way_and_not_too_far(activity: str, person: Person) -> None:
    rig = makehuman.rig()
    for seed in SEEDS:
        motion = random_motion(np.random.default_rng(seed), activity)
        for t in np.linspace(0, 4, 6):
            pose = motion.pose(person, t)
            posed = pose_person(person, pose)
            assert set(pose.rotations) <= set(rig.names)
            for side, short in (("left", "l"), ("right", "r")):
                assert _bend(posed.keypoints, (f"{side}_hip", f"{side}_knee", f"{side}_ankle")) < 150
                assert _bend(posed.keypoints, (f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")) < 146
                # A knee turns about the leg's x axis, and never forwards; at rest it is bent by 8.
                calf = np.rad2deg(pose.rotations[f"calf_{short}"])
                assert calf[0] > -8
                assert np.hypot(calf[1], calf[2]) < 10 + 0.15 * calf[0]


@pytest.mark.parametrize("activity", ["walk", "run", "turn", "dance", "squat"])
def test_a_planted_foot_stays_planted(activity: str, person: Person) -> None:
    rate = 30.0
    slips, planted = [], 0
    for seed in SEEDS:
        motion = random_motion(np.random.default_rng(seed), activity)
        points = [pose_person(person, motion.pose(person, t)) for t in np.arange(0, 1.6, 1 / rate)]
        balls = _ball_vertices(person)
        for vertices in balls.values():
            ball = np.array([pose.skin[vertices].mean(axis=0) for pose in points])
            down = (ball[:-1, 1] < 0.012) & (ball[1:, 1] < 0.012)
            planted += int(down.sum())
            slips.extend(np.linalg.norm(np.diff(ball[:, [0, 2]], axis=0), axis=1)[down])
    assert planted > 40
    assert np.quantile(slips, 0.9) < 0.012  # metres a thirtieth of a second


def _ball_vertices(person: Person) -> dict[str, np.ndarray]:
    skin = person.skin
    out = {}
    for side, sign in (("l", 1), ("r", -1)):
        joint = person.build.joints[f"ball_{side}"]
        under = (skin[:, 1] < 0.012) & (sign * skin[:, 0] > 0) & (np.abs(skin[:, 2] - joint[2]) < 0.015)
        out[side] = np.flatnonzero(under)
    return out


@pytest.mark.parametrize("activity", ["jump", "run"])
def test_who_jumps_or_runs_is_in_the_air_at_times(activity: str, person: Person) -> None:
    motion = random_motion(np.random.default_rng(3), activity)
    air = np.array([motion.pose(person, t).position[1] for t in np.arange(0, 4, 0.04)])
    assert air.min() == 0
    assert 0.02 < air.max() < 0.6
    assert 0.02 < np.mean(air > 0.005) < 0.7


@pytest.mark.parametrize("activity", sorted(set(ACTIVITIES) - {"jump", "run"}))
def test_everybody_else_touches_the_floor(activity: str, person: Person) -> None:
    motion = random_motion(np.random.default_rng(3), activity)
    assert max(motion.pose(person, t).position[1] for t in np.arange(0, 4, 0.1)) < 0.03


def test_who_has_fallen_lies(person: Person) -> None:
    for seed in range(6):
        motion = random_motion(np.random.default_rng(seed), "fall")
        standing, lying = (pose_person(person, motion.pose(person, t)) for t in (-10.0, 10.0))
        assert np.ptp(standing.skin[:, 1]) > 1.5
        assert np.ptp(lying.skin[:, 1]) < 0.75
        assert lying.keypoints["nose"][1] < 0.55
        assert lying.skin[:, 1].min() == pytest.approx(0)


@pytest.mark.parametrize("activity", ACTIVITIES)
def test_people_stay_in_the_picture(activity: str, person: Person) -> None:
    for seed in range(4):
        motion = random_motion(np.random.default_rng(seed), activity)
        ways = np.array([motion.pose(person, t).position for t in np.linspace(0, 4, 9)])
        assert np.hypot(ways[:, 0], ways[:, 2]).max() < 1.6


def test_arms_seldom_pass_through_the_trunk(person: Person) -> None:
    surface = load_surface("open")
    rig = makehuman.rig()
    main = rig.weights.argmax(axis=1)
    trunk = np.isin(main, [rig.names.index(bone) for bone in ("pelvis", "spine_01", "spine_02", "spine_03")])
    faces = surface.faces[trunk[surface.faces].all(axis=1)]
    deep = total = 0
    for activity in ACTIVITIES:
        motion = random_motion(np.random.default_rng(5), activity)
        for t in np.linspace(0, 3, 6):
            posed = pose_person(person, motion.pose(person, t))
            points = np.stack(
                [posed.keypoints[f"{s}_{j}"] for s in ("left", "right") for j in ("wrist", "elbow")]
            )
            deep += int(_inside(points, posed.skin, faces).sum())
            total += len(points)
    assert deep / total < 0.02


def _inside(points: np.ndarray, skin: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Which points (N, 3) are behind the nearest of the faces, as those in the trunk are."""
    mesh = trimesh.Trimesh(skin, faces, process=False)
    middle = mesh.triangles_center
    nearest = np.linalg.norm(points[:, None] - middle[None], axis=2).argmin(axis=1)
    return ((points - middle[nearest]) * mesh.face_normals[nearest]).sum(axis=1) < -0.005


def test_an_unknown_activity_is_refused() -> None:
    with pytest.raises(ValueError, match="no activity 'fly'; there are stand, walk"):
        random_motion(np.random.default_rng(0), "fly")


def test_a_placed_motion_is_turned_moved_and_sped_up(person: Person) -> None:
    still = random_motion(np.random.default_rng(0), "walk").motion
    placed = PlacedMotion(still, yaw=np.pi / 2, position=(0.5, -1.0), tempo=2.0)
    base = pose_person(person, still.pose(person, 0.8)).skin
    moved = pose_person(person, placed.pose(person, 0.4)).skin
    x, y, z = base.T
    np.testing.assert_allclose(moved, np.column_stack([z + 0.5, y, -x - 1.0]), atol=1e-9)
