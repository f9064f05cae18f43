from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slimdp.structures import ImageRecord
from slimdp.surface import BodySurface, load_surface
from slimdp.surface.makehuman import BodyShape
from slimdp.synthetic.exact_flow import exact_flow
from slimdp.synthetic.labels import CLIPS, label_people
from slimdp.synthetic.person import Person, Pose, make_person, pose_person
from slimdp.synthetic.render import Camera, RayCaster, RenderedFrame, look_at
from slimdp.synthetic.scene import Scene, random_scene, render_frame

SIZE = 96


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    return load_surface("open")


@pytest.fixture(scope="module")
def scene() -> Scene:
    return random_scene(np.random.default_rng(4), SIZE, may_move=True)


@pytest.fixture(scope="module")
def frames(scene: Scene, surface: BodySurface) -> list[RenderedFrame]:
    return [render_frame(scene, surface, index, np.random.default_rng(index)) for index in range(3)]


@pytest.fixture(scope="module")
def person() -> Person:
    return make_person(BodyShape())


def test_projection_by_hand() -> None:
    camera = Camera(
        100,
        80,
        50.0,
        (49.5, 39.5),
        look_at(np.array([0, 1, 4.0]), np.array([0, 1, 0.0]), 0),
        np.array([0, 1, 4.0]),
    )
    points = np.array([[0, 1, 0], [1, 1, 0], [0, 2, 0], [1, 1, 2]], dtype=float)
    pixels, depth = camera.project(points)
    np.testing.assert_allclose(pixels, [[49.5, 39.5], [62, 39.5], [49.5, 27], [74.5, 39.5]])
    np.testing.assert_allclose(depth, [4, 4, 4, 2])
    np.testing.assert_allclose(
        camera.position + camera.directions(pixels) * depth[:, None], points, atol=1e-12
    )


def test_rays_hit_where_the_points_project(frames: list[RenderedFrame], surface: BodySurface) -> None:
    frame = frames[0]
    hit = np.flatnonzero(frame.hits.person == 0)
    corners = frame.people[0].skin[surface.faces[frame.hits.face[hit]]]
    pixels, depth = frame.camera.project(np.einsum("nk,nkc->nc", frame.hits.barycentric[hit], corners))
    expected = np.column_stack([hit % SIZE, hit // SIZE])
    np.testing.assert_allclose(pixels, expected, atol=0.02)
    np.testing.assert_allclose(depth, frame.hits.depth[hit], rtol=1e-3)


def test_a_person_in_front_hides_the_one_behind(person: Person, surface: BodySurface) -> None:
    near, far = (pose_person(person, Pose({}, position=(0, 0, z))) for z in (1.0, -1.0))
    position = np.array([0, 0.9, 5.0])
    camera = Camera(SIZE, SIZE, 110.0, (47.5, 47.5), look_at(position, np.array([0, 0.9, 0.0]), 0), position)
    y, x = np.mgrid[:SIZE, :SIZE]
    pixels = np.column_stack([x.ravel(), y.ravel()])
    both = RayCaster((far, near), surface, camera).cast(pixels)
    alone = RayCaster((near,), surface, camera).cast(pixels)
    np.testing.assert_array_equal(both.person == 1, alone.person == 0)


def test_flow_to_the_same_frame_is_zero_and_all_is_seen(
    frames: list[RenderedFrame], surface: BodySurface
) -> None:
    flow, visible = exact_flow(frames[0], frames[0], surface)
    np.testing.assert_allclose(flow, 0, atol=0.02)
    assert visible.mean() > 0.999


def test_what_gets_behind_the_camera_is_not_seen(person: Person, surface: BodySurface) -> None:
    """What is behind the camera projects too, upside down: here to pixels that show the same person."""
    position = np.array([0, 0.9, 0.0])
    camera = Camera(SIZE, SIZE, 140.0, (47.5, 47.5), look_at(position, np.array([0, 0.9, -1.0]), 0), position)
    before, behind = (pose_person(person, Pose({}, position=(0, 0, z))) for z in (-3.0, 3.0))
    y, x = np.mgrid[:SIZE, :SIZE]
    pixels = np.column_stack([x.ravel(), y.ravel()])

    hits = RayCaster((before,), surface, camera).cast(pixels)
    blank = np.zeros((SIZE, SIZE, 3), np.uint8)
    frame, gone = (RenderedFrame(blank, hits, camera, (people,)) for people in (before, behind))
    shown = hits.person.reshape(SIZE, SIZE) == 0
    assert shown.sum() > 500
    assert exact_flow(frame, frame, surface)[1][shown].all()
    assert not exact_flow(frame, gone, surface)[1][shown].any()
    image = ImageRecord(1, Path("a.jpg"), "a.jpg", SIZE, SIZE)
    (labelled,) = label_people(gone, image, surface, 10, np.random.default_rng(0), CLIPS)
    assert labelled.keypoints is not None
    assert not labelled.keypoints.any()


def test_keypoints_lie_on_their_joints_and_say_what_hides_them(person: Person, surface: BodySurface) -> None:
    position = np.array([0, 0.9, 4.0])
    camera = Camera(SIZE, SIZE, 170.0, (47.5, 47.5), look_at(position, np.array([0, 0.9, 0.0]), 0), position)
    image = ImageRecord(1, Path("a.jpg"), "a.jpg", SIZE, SIZE)
    y, x = np.mgrid[:SIZE, :SIZE]

    def keypoints(yaw: float) -> dict[str, np.ndarray]:
        posed = pose_person(person, Pose({}, yaw=yaw))
        hits = RayCaster((posed,), surface, camera).cast(np.column_stack([x.ravel(), y.ravel()]))
        frame = RenderedFrame(np.zeros((SIZE, SIZE, 3), np.uint8), hits, camera, (posed,))
        (labelled,) = label_people(frame, image, surface, 10, np.random.default_rng(0), CLIPS)
        assert labelled.keypoints is not None
        return dict(zip(labelled.keypoint_names, labelled.keypoints))

    front, back = keypoints(0.0), keypoints(np.pi)
    assert {name: point[2] for name, point in front.items() if point[2] != 2} == {}
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "ear"):
        # Who looks at the camera has the left side on the right of the picture.
        assert front[f"left_{joint}"][0] > 48 > front[f"right_{joint}"][0]
        assert back[f"left_{joint}"][0] < 48 < back[f"right_{joint}"][0]
    column = [front[name][1] for name in ("head_top", "nose", "head_bottom", "left_hip", "left_ankle")]
    assert column == sorted(column)
    assert back["nose"][2] == 1  # the head is before it
    side = keypoints(np.pi / 2)  # the person's front to the right of the picture: the right side is seen
    assert (side["right_ear"][2], side["left_ear"][2]) == (2, 1)
    assert side["right_shoulder"][2] == 2 > side["left_shoulder"][2]
