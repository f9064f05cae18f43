from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from slimdp.surface import makehuman
from slimdp.surface.makehuman import BodyShape
from slimdp.synthetic.motion import PlacedMotion, random_motion
from slimdp.synthetic.motion.bvh import map_joints, read_bvh
from slimdp.synthetic.motion.retarget import BvhMotion
from slimdp.synthetic.person import Person, make_person, pose_person
from tests.synthetic.bvh_text import Angles, bvh_text


@pytest.fixture(scope="module")
def person() -> Person:
    return make_person(BodyShape())


def _motion(tmp_path: Path, text: str) -> BvhMotion:
    path = tmp_path / "a.bvh"
    path.write_text(text)
    return BvhMotion(read_bvh(path))


#: Arms down, the left elbow bent forwards by 90 degrees, the right thigh by 60, and its knee bent by 80.
STEP: Angles = {
    "LeftArm": (-90, 0, 0), "RightArm": (90, 0, 0), "LeftForeArm": (0, 0, -90), "RightUpLeg": (0, -60, 0),
    "RightLeg": (0, 80, 0),
}  # fmt: skip


def _direction(points: dict[str, np.ndarray], start: str, end: str) -> np.ndarray:
    way = points[end] - points[start]
    return way / np.linalg.norm(way)


def test_bones_point_where_the_recorded_ones_do(tmp_path: Path, person: Person) -> None:
    points = pose_person(person, _motion(tmp_path, bvh_text([STEP])).pose(person, 0.0)).keypoints
    c, s = np.cos, np.sin
    expected = {
        ("left_shoulder", "left_elbow"): [0, -1, 0],
        ("left_elbow", "left_wrist"): [0, 0, 1],
        ("right_shoulder", "right_elbow"): [0, -1, 0],
        ("left_hip", "left_knee"): [0, -1, 0],
        ("right_hip", "right_knee"): [0, -c(np.pi / 3), s(np.pi / 3)],
        ("right_knee", "right_ankle"): [0, -c(np.pi / 9), -s(np.pi / 9)],
    }
    for (start, end), direction in expected.items():
        np.testing.assert_allclose(_direction(points, start, end), direction, atol=0.01, err_msg=end)
    assert points["nose"][2] > points["head_top"][2]


def test_who_faces_aside_does(tmp_path: Path, person: Person) -> None:
    motion = _motion(tmp_path, bvh_text([{**STEP, "Hips": (0, 0, 90)}]))
    points = pose_person(person, motion.pose(person, 0.0)).keypoints
    np.testing.assert_allclose(_direction(points, "left_elbow", "left_wrist"), [1, 0, 0], atol=0.01)
    assert points["left_hip"][2] < points["right_hip"][2]
    assert points["nose"][0] > points["head_top"][0]


def test_unit_names_and_axes_do_not_matter(tmp_path: Path, person: Person) -> None:
    frames = [STEP, {**STEP, "Neck": (0, 0, 20), "LeftUpLeg": (0, -20, 0)}]
    places = [(0.0, 100.0, 0.0), (20.0, 98.0, 50.0)]
    first = _motion(tmp_path, bvh_text(frames, places)).pose(person, 0.05)
    names = {"LeftArm": "mixamorig:LeftArm", "RightLeg": "Bip01 R Calf", "Hips": "Character1_Hips"}
    z_up = Rotation.from_euler("x", 90, degrees=True)
    for text in (
        bvh_text(frames, places, scale=0.3937),
        bvh_text(frames, places, rename=names),
        bvh_text(frames, places, turned=z_up),
    ):
        other = _motion(tmp_path, text).pose(person, 0.05)
        assert other.position == pytest.approx(first.position, abs=1e-3)
        for bone, vector in first.rotations.items():
            np.testing.assert_allclose(other.rotations[bone], vector, atol=2e-3, err_msg=bone)


def test_between_frames_the_way_is_even_and_then_goes_back(tmp_path: Path, person: Person) -> None:
    motion = _motion(tmp_path, bvh_text([{"LeftArm": (-80, 0, 0)}, {"LeftArm": (-20, 0, 0)}]))

    def below(seconds: float) -> float:
        points = pose_person(person, motion.pose(person, seconds)).keypoints
        way = _direction(points, "left_shoulder", "left_elbow")
        return float(np.rad2deg(np.arctan2(-way[1], way[0])))

    assert [below(t) for t in (0.0, 0.025, 0.05, 0.1, 0.15, 0.2, -0.05)] == pytest.approx(
        [80, 65, 50, 20, 50, 80, 50], abs=0.5
    )


def test_the_way_is_scaled_by_the_legs_and_jumps_are_kept(tmp_path: Path, person: Person) -> None:
    places = [(0.0, 98.0, 0.0)] * 30 + [(0.0, 128.0, 49.0)] + [(0.0, 98.0, 98.0)] * 30
    motion = _motion(tmp_path, bvh_text([{}] * 61, places))
    poses = [motion.pose(person, t) for t in (0.0, 3.0, 6.0)]
    legs = person.build.leg / 98.1  # 90 cm from hip to ankle, and 1.09 times that to the sole
    assert poses[2].position[2] - poses[0].position[2] == pytest.approx(98 * legs, rel=1e-3)
    assert poses[0].position[2] == pytest.approx(
        -poses[2].position[2] - 2 * person.build.joints["pelvis"][2], abs=1e-6
    )
    assert [pose.position[1] for pose in poses] == pytest.approx([0, (30 - 0.04 * 98.1) * legs, 0], abs=1e-3)


def _recording(person: Person, motion: PlacedMotion, frames: int) -> str:
    """Our own skeleton in its rest pose (arms out and bent, neither T nor A), moved by our own motion."""
    rig, joints = makehuman.rig(), person.joints
    lines, order = ["HIERARCHY"], []

    def write(bone: int, depth: int) -> None:
        order.append(rig.names[bone])
        above = joints[rig.parents[bone]] if depth else np.zeros(3)
        lines.extend([f"{'JOINT' if depth else 'ROOT'} {rig.names[bone]}", "{"])
        lines.append("OFFSET " + " ".join(f"{value:.9f}" for value in joints[bone] - above))
        position = "" if depth else "Xposition Yposition Zposition "
        lines.append(f"CHANNELS {3 if depth else 6} {position}Yrotation Xrotation Zrotation")
        children = [child for child in range(len(rig.names)) if rig.parents[child] == bone]
        for child in children:
            write(child, depth + 1)
        if not children:
            lines.extend(["End Site", "{", "OFFSET 0 0 0", "}"])
        lines.append("}")

    write(rig.names.index("pelvis"), 0)
    lines += ["MOTION", f"Frames: {frames}", "Frame Time: 0.04"]
    for frame in range(frames):
        pose = motion.pose(person, 0.04 * frame)
        x, _, z = pose.position
        row = [*(joints[order.index("pelvis") + 1] + [x, 0, z])]
        for name in order:
            turn = Rotation.from_rotvec(pose.rotations.get(name, np.zeros(3)))
            if name == "pelvis":
                turn = Rotation.from_rotvec([0, pose.yaw, 0]) * turn
            row += turn.as_euler("YXZ", degrees=True).tolist()
        lines.append(" ".join(f"{value:.9f}" for value in row))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("activity", ["walk", "kick", "throw"])
def test_our_own_motions_come_back_from_a_file(tmp_path: Path, activity: str) -> None:
    person = make_person(BodyShape())
    motion = random_motion(np.random.default_rng(2), activity)
    recorded = _motion(tmp_path, _recording(person, motion, 40))
    limbs = ("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")
    for t in (0.2, 0.52, 0.92, 1.28):
        one, other = (pose_person(person, source.pose(person, t)) for source in (motion, recorded))
        for side in ("left", "right"):
            for first, middle, last in limbs:
                for start, end in ((first, middle), (middle, last)):
                    ways = (
                        _direction(pose.keypoints, f"{side}_{start}", f"{side}_{end}")
                        for pose in (one, other)
                    )
                    np.testing.assert_allclose(*ways, atol=0.03, err_msg=f"{t} {side} {end}")
        # Not the collar bones, nor how the spine is bent: the skin as a whole is close all the same.
        offset = one.skin - other.skin
        assert np.median(np.linalg.norm(offset - offset.mean(axis=0), axis=1)) < 0.04


def test_channels_may_come_in_any_order(tmp_path: Path) -> None:
    text = (
        "HIERARCHY\nROOT a\n{\nOFFSET 0 1 0\nCHANNELS 4 Yrotation Zposition Xrotation xPosition\n"
        "JOINT b\n{\nOFFSET 0 0 2\nCHANNELS 0\nEnd Site\n{\nOFFSET 1 0 0\n}\n}\n}\n"
        "MOTION\nFrames: 1\nFrame Time: 0.5\n90 3 90 4\n"
    )
    path = tmp_path / "a.bvh"
    path.write_text(text)
    clip = read_bvh(path)
    assert [joint.name for joint in clip.joints] == ["a", "b", "b end"]
    assert clip.frame_seconds == 0.5
    rotations, places = clip.local
    np.testing.assert_allclose(places[0], [[4, 1, 3], [0, 0, 2], [1, 0, 0]])
    # About y after about x: z goes to -y, and x to -z.
    turned = Rotation.from_quat(rotations[0, 0]).apply([[0, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(turned, [[0, -1, 0], [0, 0, -1]], atol=1e-12)


GOOD = bvh_text([STEP, STEP])
STILL = "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 0\n}\nMOTION\nFrames: 1\nFrame Time: 1\n"
DEEP = "HIERARCHY\nROOT j0\n" + "".join(
    "{\nOFFSET 0 1 0\nCHANNELS 1 Xrotation\n" + f"JOINT j{number}\n" for number in range(1, 300)
)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("", r"line 0: the file ends where 'HIERARCHY' is wanted"),
        ("solid cube\n", r"line 1: found 'solid cube', but 'HIERARCHY' is wanted"),
        (GOOD[: GOOD.index("LeftForeArm")], r"a\.bvh, line \d+: "),
        (GOOD[: GOOD.index("MOTION")], r"ends where 'MOTION' is wanted; is it cut off"),
        (GOOD[: GOOD.rindex("\n", 0, -1)], r"ends where frame 2 of 2"),
        (GOOD[:-30], r"line \d+: \d+ values, but 60 are wanted: frame 2 of 2"),
        (
            GOOD.replace("Zrotation", "Wrotation", 1),
            r"line 5: channel 'Wrotation' of Hips; there are Xposition",
        ),
        (GOOD.replace("CHANNELS 6", "CHANNELS 5", 1), r"line 5: Hips announces 5 channels and names 6"),
        (GOOD.replace("Frames: 2", "Frames: 0"), r"0 frames, but a whole number of at least 1"),
        (GOOD.replace("Frame Time: 0.1", "Frame Time: 0"), r"0 seconds a frame"),
        (
            GOOD.replace("OFFSET 0.000000", "OFFSET nan", 1),
            r"line 4: an offset x, y, z: a value that is not finite",
        ),
        (
            GOOD.replace("OFFSET 0.000000 -45", "OFFSET 1e308 -45", 1),
            r"an offset x, y, z: 1e\+308, the x of LeftLeg; 1e\+06 at most",
        ),
        (GOOD.replace("Frames: 2", "Frames: 1000000000"), r"the number of frames: 1e\+09; 1e\+06 at most"),
        (GOOD.replace("Frames: 2", "Frames: 999999"), r"ends where frame 3 of 999999"),
        (GOOD.replace("Frame Time: 0.1", "Frame Time: -1"), r"-1 seconds a frame, but more than 0"),
        (GOOD[: GOOD.rindex("\n", 0, -1)] + "\n" + "1e99 " * 60, r"1e\+99, the Xposition of Hips"),
        (DEEP, r"j200 is the end of more than 200 joints below one another"),
        (STILL, "no joint has a channel"),
        (GOOD.replace("OFFSET 0.000000", "OFFSET zero", 1), r"line 4: an offset x, y, z: could not convert"),
        (
            GOOD.replace("JOINT Spine2", "JOIN Spine2", 1),
            r"found 'JOIN Spine2', but JOINT, End Site or } is wanted",
        ),
    ],
)
def test_broken_files_say_what_is_wrong_and_where(tmp_path: Path, broken: str, message: str) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(broken)
    with pytest.raises(ValueError, match=message):
        read_bvh(path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(ValueError, match="this is no text"):
        read_bvh(path)


@pytest.mark.parametrize(
    ("offset", "names"),
    [
        ("28.000000 0.000000 0.000000", "LeftArm and LeftForeArm"),
        ("10.000000 0.000000 0.000000", "LeftUpLeg and RightUpLeg"),
    ],
)
def test_joints_in_one_place_are_named(tmp_path: Path, offset: str, names: str) -> None:
    text = GOOD.replace(f"OFFSET {offset}", "OFFSET 0 0 0", 1)
    if "UpLeg" in names:
        text = text.replace(f"OFFSET -{offset}", "OFFSET 0 0 0", 1)
    with pytest.raises(ValueError, match=f"joints {names}.* lie in one place"):
        _motion(tmp_path, text)


def test_a_skeleton_without_legs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no joint found for thigh_l among Hips, .*tentacle"):
        _motion(tmp_path, bvh_text([STEP], rename={"LeftUpLeg": "tentacle"}))


@pytest.mark.parametrize(
    "names",
    [
        "Hips LHipJoint LeftUpLeg LeftLeg RightUpLeg RightLeg LeftShoulder LeftArm LeftForeArm "
        "RightShoulder RightArm RightForeArm",
        "mixamorig:Hips mixamorig:LeftUpLeg mixamorig:LeftLeg mixamorig:RightUpLeg mixamorig:RightLeg "
        "mixamorig:LeftArm mixamorig:LeftForeArm mixamorig:RightArm mixamorig:RightForeArm",
        "joint_Root Hips UpperLeg_L LowerLeg_L UpperLeg_R LowerLeg_R Shoulder_L UpperArm_L LowerArm_L "
        "UpperArm_R LowerArm_R",
        "Bip01 Bip01_Pelvis Bip01_L_Thigh Bip01_L_Calf Bip01_R_Thigh Bip01_R_Calf Bip01_L_Clavicle "
        "Bip01_L_UpperArm Bip01_L_Forearm Bip01_R_UpperArm Bip01_R_Forearm",
        "root lfemur ltibia rfemur rtibia lclavicle lhumerus lradius rhumerus rradius",
        "pelvis thigh_l calf_l thigh_r calf_r clavicle_l upperarm_l lowerarm_l upperarm_r lowerarm_r",
        "Hips LeftHip LeftKnee RightHip RightKnee LeftCollar LeftShoulder LeftElbow RightShoulder RightElbow",
    ],
)
def test_the_usual_skeletons_are_known(names: str) -> None:
    found = map_joints(names.split())
    listed = names.split()
    assert len(set(found.values())) == len(found)
    wanted = (
        "hips",
        "thigh_l",
        "calf_l",
        "thigh_r",
        "calf_r",
        "upperarm_l",
        "lowerarm_l",
        "upperarm_r",
        "lowerarm_r",
    )
    order = [listed.index(found[joint]) for joint in wanted]
    assert order == sorted(order)
    assert not {"LHipJoint", "lclavicle", "LeftCollar", "Bip01_L_Clavicle"} & set(found.values())
