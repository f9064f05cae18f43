from __future__ import annotations

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from slimdp.surface import BodySurface, load_surface, makehuman
from slimdp.surface.makehuman import BodyShape
from slimdp.synthetic.person import (
    BONES_A_VERTEX,
    STATURE,
    Person,
    Pose,
    blend,
    cross,
    height_for,
    helper_rotations,
    limb_frame,
    local_rotations,
    make_person,
    pose_person,
    random_shape,
    skin_weights,
    twist_bones,
)


@pytest.fixture(scope="module")
def person() -> Person:
    return make_person(BodyShape())


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    return load_surface("open")


def _litres(skin: np.ndarray, surface: BodySurface) -> float:
    return 1000 * trimesh.Trimesh(skin, surface.faces, process=False).volume


def test_without_rotations_the_skin_is_that_of_the_rest_pose(person: Person) -> None:
    posed = pose_person(person, Pose({}))
    np.testing.assert_allclose(posed.skin, person.skin, atol=1e-6)
    assert posed.skin[:, 1].min() == pytest.approx(0)


def test_a_turn_by_half_looks_back(person: Person) -> None:
    posed = pose_person(person, Pose({}, yaw=np.pi))
    np.testing.assert_allclose(posed.skin, person.skin * [-1, 1, -1], atol=1e-6)
    assert posed.keypoints["nose"][2] < posed.keypoints["head_top"][2]


def test_a_turned_pelvis_moves_the_body_as_one_piece(person: Person) -> None:
    turn = Rotation.from_euler("x", 90, degrees=True)
    posed = pose_person(person, Pose({"pelvis": turn.as_rotvec()}, position=(0.3, 0.2, 0.0)))
    joint = person.build.joints["pelvis"]
    expected = turn.apply(person.skin - joint) + joint
    expected += [0.3, 0.2 - expected[:, 1].min(), 0.0]
    np.testing.assert_allclose(posed.skin, expected, atol=1e-6)


def test_a_bone_that_the_rig_lacks_is_refused(person: Person) -> None:
    with pytest.raises(ValueError, match="turns tail, but the rig has only"):
        pose_person(person, Pose({"tail": np.zeros(3)}))


@pytest.mark.parametrize(
    "rotations",
    [
        {"lowerarm_l": [0, 0, 1.2]},
        {"thigh_l": [-1.9, 0, 0], "calf_l": [2.3, 0, 0], "thigh_r": [-1.9, 0, 0], "calf_r": [2.3, 0, 0]},
        {"upperarm_r": [0, 0, -2.0], "hand_r": [0.5, 0.5, 0.5]},
        {"spine_01": [0.4, 0, 0], "spine_02": [0.4, 0, 0], "spine_03": [0, 0.5, 0]},
    ],
)
def test_the_body_keeps_its_volume(rotations: dict, person: Person, surface: BodySurface) -> None:
    posed = pose_person(person, Pose({bone: np.array(vector) for bone, vector in rotations.items()}))
    assert _litres(posed.skin, surface) == pytest.approx(_litres(person.skin, surface), rel=0.06)


def test_skin_weights_are_few_and_sum_to_one() -> None:
    weights = skin_weights().toarray()
    rig = makehuman.rig()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    merged = weights[:, : len(rig.names)].copy()
    for column, (limb, _) in enumerate(twist_bones(), start=len(rig.names)):
        merged[:, rig.names.index(limb)] += weights[:, column]
    assert (merged > 0).sum(axis=1).max() <= BONES_A_VERTEX
    np.testing.assert_allclose(merged, rig.weights, atol=0.035)


def test_a_rigid_motion_of_all_bones_moves_the_skin_rigidly() -> None:
    rng = np.random.default_rng(0)
    count = skin_weights().shape[1]
    skin = rng.normal(size=(makehuman.BODY_VERTICES, 3))
    turn, offset = Rotation.random(random_state=3), np.array([0.1, -0.4, 2.0])
    parents = np.arange(-1, count - 1)
    moved = blend(
        np.tile(turn.as_matrix(), (count, 1, 1)), np.tile(offset, (count, 1)), parents, skin, skin_weights()
    )
    np.testing.assert_allclose(moved, turn.apply(skin) + offset, atol=1e-12)


def test_twist_is_what_turns_about_the_axis() -> None:
    axis = np.array([0.0, 0.6, 0.8])
    twist, swing = Rotation.from_rotvec(0.7 * axis), Rotation.from_rotvec([1.1, 0, 0])  # across the axis
    over = Rotation.from_rotvec([np.pi, 0, 0]).as_matrix()
    found = helper_rotations(np.stack([axis, axis]), np.stack([(swing * twist).as_matrix(), over]))
    np.testing.assert_allclose(found[0], twist.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(found[1], np.eye(3), atol=1e-6)


def test_the_cross_product_is_numpys() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_array_equal(cross(a, b), np.cross(a, b))


def test_a_limb_frame_is_right_handed_and_keeps_the_limb() -> None:
    frame = limb_frame(np.array([0.0, -2.0, 0.0]), np.array([3.0, 1.0, 0.0]))
    np.testing.assert_allclose(frame, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], atol=1e-12)
    assert np.linalg.det(frame) == pytest.approx(1)


def test_local_rotations_undo_those_of_the_parents(person: Person) -> None:
    turn = Rotation.from_euler("y", 40, degrees=True).as_matrix()
    local = local_rotations({"pelvis": turn, "head": np.eye(3)})
    np.testing.assert_allclose(local["pelvis"], [0, np.deg2rad(40), 0], atol=1e-12)
    np.testing.assert_allclose(local["head"], [0, -np.deg2rad(40), 0], atol=1e-12)


@pytest.mark.parametrize("bad", [{"gender": 1.5}, {"race": (0.5, 0.1, 0.1)}])
def test_impossible_bodies_are_refused(bad: dict) -> None:
    with pytest.raises(ValueError, match="body shape"):
        BodyShape(**bad)


def test_heavier_bodies_are(person: Person, surface: BodySurface) -> None:
    assert 45 < _litres(person.skin, surface) < 80
    assert _litres(make_person(BodyShape(weight=1.0)).skin, surface) > _litres(person.skin, surface) + 4


@pytest.mark.parametrize(("stature", "gender", "age"), [(1.5, 0.0, 0.1), (1.7, 0.4, 0.8), (1.95, 1.0, 0.0)])
def test_bodies_are_as_tall_as_asked_for(stature: float, gender: float, age: float) -> None:
    shape = BodyShape(gender=gender, age=age, height=height_for(stature, gender, age), weight=0.8)
    vertices = makehuman.shaped_vertices(shape)[: makehuman.BODY_VERTICES]
    assert np.ptp(vertices[:, 1]) == pytest.approx(stature, abs=0.012)


def test_random_bodies_are_adults_of_all_builds(surface: BodySurface) -> None:
    rng = np.random.default_rng(0)
    people = [make_person(random_shape(rng)) for _ in range(12)]
    statures = np.array([np.ptp(person.skin[:, 1]) for person in people])
    assert STATURE[0] - 0.02 < statures.min() < statures.max() < STATURE[1] + 0.02
    assert np.ptp(statures) > 0.15
    litres = np.array([_litres(person.skin, surface) for person in people])
    assert 35 < litres.min() < 60
    assert 65 < litres.max() < 140
    shapes = [random_shape(np.random.default_rng(seed)) for seed in range(300)]
    assert len({(shape.height, shape.weight) for shape in shapes}) == 300


def test_the_arms_of_the_heavy_hang_further_out(person: Person) -> None:
    heavy = make_person(BodyShape(weight=1.0, muscle=0.2))
    assert heavy.build.arm_clearance["l"] > person.build.arm_clearance["l"] > 0
    assert person.build.arm_clearance["l"] == pytest.approx(person.build.arm_clearance["r"], abs=0.02)
