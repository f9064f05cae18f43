from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slimdp.surface import BodySurface, load_surface
from slimdp.synthetic.assets import Assets
from slimdp.synthetic.motion import PlacedMotion, random_motion
from slimdp.synthetic.scene import Scene, SceneStyle, random_scene, render_frame, way_of
from tests.synthetic.bvh_text import bvh_text


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    return load_surface("open")


def scenes(count: int, style: SceneStyle | None = None, may_move: bool = False) -> list[Scene]:
    return [random_scene(np.random.default_rng([9, seed]), 48, may_move, style) for seed in range(count)]


def test_shares_of_people_that_are_written_with_few_digits_are_shares() -> None:
    style = SceneStyle(people=(0.3333333, 0.3333333, 0.3333333))
    assert 1 <= len(random_scene(np.random.default_rng(0), 32, False, style).people) <= 3


def test_tempo_makes_everything_faster() -> None:
    slow, fast = (random_motion(np.random.default_rng(1), "dance", tempo) for tempo in (1.0, 2.0))
    person = random_scene(np.random.default_rng(0), 32, False).people[0]
    late, early = slow.pose(person, 0.6), fast.pose(person, 0.3)
    assert late.yaw == pytest.approx(early.yaw)
    assert late.position == pytest.approx(early.position)
    for joint, rotation in late.rotations.items():
        np.testing.assert_allclose(rotation, early.rotations[joint])


def test_a_plain_style_has_no_patterns() -> None:
    for scene in scenes(5, SceneStyle(patterned=0)):
        for look in scene.looks:
            assert (look.top.cloth.kind, look.bottom.cloth.kind) == ("plain", "plain")


def test_objects_clutter_a_place() -> None:
    few, many = (
        sum(len(scene.props) for scene in scenes(4, SceneStyle(objects=objects, occluders=0)))
        for objects in ((0, 1), (20, 21))
    )
    assert few <= 4 * 5  # a floor, a ceiling, walls; or a floor and a view
    assert many > few + 4 * 8


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"tempo": -1.0}, "tempo = -1.0, but it must be 0 or more"),
        ({"patterned": 1.5}, "patterned = 1.5"),
        ({"objects": (5, 5)}, "objects = .*0 <= first < second"),
        ({"occluders": 1.1}, "occluders = 1.1"),
        ({"shutter": float("nan")}, "shutter = nan"),
        ({"people": (0.5, 0.4)}, "sum 1"),
        ({"people": ()}, "sum 1"),
        ({"people": (1.5, -0.5)}, "sum 1"),
        ({"noise": -0.1}, "noise = -0.1"),
    ],
)
def test_impossible_styles_are_refused(bad: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneStyle(**bad)


def test_people_keep_apart_and_are_in_the_picture() -> None:
    for scene in scenes(6, SceneStyle(people=(0, 0, 0.5, 0.5), passers_by=0)):
        assert len(scene.people) in (3, 4)
        ways = [way_of(motion, person) for person, motion in zip(scene.people, scene.motions)]
        for index, way in enumerate(ways):
            for other in ways[:index]:
                assert np.linalg.norm((way - other)[:, [0, 2]], axis=1).min() > 0.4
        pixels, depth = scene.camera.at(0.0, np.zeros(3)).project(
            np.array([way[0] for way in ways]) + [0, 1, 0]
        )
        assert (depth > 0.7).all()
        assert ((pixels > 0) & (pixels < 48)).all()


def test_a_placed_motion_is_turned_and_moved_as_a_whole() -> None:
    person = scenes(1)[0].people[0]
    motion = random_motion(np.random.default_rng(3), "walk")
    placed = PlacedMotion(motion, np.pi / 2, (1.0, -2.0))
    for seconds in (0.0, 0.7):
        before, after = motion.pose(person, seconds), placed.pose(person, seconds)
        # A quarter turn about the vertical takes z to x, and x to -z.
        x, y, z = before.position
        np.testing.assert_allclose(after.position, (z + 1, y, -x - 2), atol=1e-12)
        assert after.yaw == pytest.approx(before.yaw + np.pi / 2)


def test_shares_of_people_occluders_and_moving_cameras_are_kept() -> None:
    lonely = scenes(4, SceneStyle(people=(1.0,), occluders=0, moving_camera=0), may_move=True)
    assert {len(scene.people) for scene in lonely} == {1}
    assert all(scene.camera.drift is None and all(p.path is None for p in scene.props) for scene in lonely)
    busy = scenes(4, SceneStyle(people=(0, 1.0), occluders=1, moving_camera=1), may_move=True)
    assert {len(scene.people) for scene in busy} == {2}
    assert all(scene.camera.drift is not None for scene in busy)
    assert all(any(prop.path is not None for prop in scene.props) for scene in busy)
    assert all(scene.camera.drift is None for scene in scenes(3, SceneStyle(moving_camera=1)))


def test_the_same_seed_gives_the_same_picture_in_any_shape(surface: BodySurface) -> None:
    def picture(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        frame = render_frame(random_scene(rng, (56, 40), True), surface, 2, rng)
        assert (frame.camera.width, frame.camera.height) == (56, 40)
        assert frame.hits.person.shape == (56 * 40,)
        return frame.image

    first = picture(5)
    assert first.shape == (40, 56, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, picture(5))
    assert (first != picture(6)).mean() > 0.5


def test_people_move_as_recorded(tmp_path: Path) -> None:
    file = tmp_path / "still.bvh"
    file.write_text(bvh_text([{"LeftArm": (-80, 0, 0)}] * 3))
    style = SceneStyle(people=(1.0,), recorded=1.0)
    for seed in range(3):
        scene = random_scene(np.random.default_rng(seed), 48, True, style, Assets(motions=(file,)))
        first, later = (scene.motions[0].pose(scene.people[0], seconds) for seconds in (0.0, 0.4))
        for bone, rotation in first.rotations.items():  # nobody of our own stands that still
            np.testing.assert_allclose(later.rotations[bone], rotation, atol=1e-6)


# Python orders sets of texts differently in each process; no scene may depend on it.
SCENES = """
import hashlib
import numpy as np
from slimdp.surface.makehuman import BodyShape
from slimdp.synthetic.motion import ACTIVITIES, random_motion
from slimdp.synthetic.person import make_person, pose_person
from slimdp.synthetic.scene import random_scene

digest, person = hashlib.sha256(), make_person(BodyShape())
for activity in ACTIVITIES:
    for seed in range(2):
        motion = random_motion(np.random.default_rng(seed), activity)
        digest.update(pose_person(person, motion.pose(person, 0.7)).skin.tobytes())
for seed in range(3):
    scene = random_scene(np.random.default_rng(seed), 64, True)
    for part in (*scene.people, *scene.props):
        digest.update((part.skin if hasattr(part, "skin") else part.vertices).tobytes())
print(digest.hexdigest())
"""


def test_scenes_do_not_depend_on_the_order_of_sets(capsys: pytest.CaptureFixture[str]) -> None:
    other = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    environment = {**os.environ, "PYTHONHASHSEED": other}
    with subprocess.Popen([sys.executable, "-c", SCENES], stdout=subprocess.PIPE, env=environment) as process:
        exec(SCENES, {})
        here = capsys.readouterr().out
        there, _ = process.communicate()
    assert here == there.decode() != ""
