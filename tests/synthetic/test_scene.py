from __future__ import annotations

import numpy as np
import pytest

from slimdp.synthetic.background import random_background
from slimdp.synthetic.motion import random_motion
from slimdp.synthetic.scene import SceneStyle, random_scene


def test_tempo_makes_everything_faster() -> None:
    slow, fast = (random_motion(np.random.default_rng(1), "dance", tempo) for tempo in (1.0, 2.0))
    person = random_scene(np.random.default_rng(0), 32, False).people[0]
    late, early = slow.pose(person, 0.6), fast.pose(person, 0.3)
    assert late.yaw == pytest.approx(early.yaw)
    assert late.position == pytest.approx(early.position)
    for joint, rotation in late.rotations.items():
        np.testing.assert_allclose(rotation, early.rotations[joint])


def test_a_plain_style_has_no_patterns() -> None:
    style = SceneStyle(patterned=0)
    for seed in range(8):
        for look in random_scene(np.random.default_rng(seed), 32, False, style).looks:
            assert (look.top.cloth.kind, look.bottom.cloth.kind) == ("plain", "plain")


def test_objects_clutter_a_background() -> None:
    def edges(objects: tuple[int, int]) -> float:
        pictures = [random_background(np.random.default_rng(seed), 64, objects) for seed in range(6)]
        return float(np.mean([np.abs(np.diff(picture, axis=1)).mean() for picture in pictures]))

    assert edges((20, 21)) > 1.2 * edges((0, 1))


@pytest.mark.parametrize("bad", [{"tempo": -1.0}, {"patterned": 1.5}, {"objects": (5, 5)}])
def test_impossible_styles_are_refused(bad: dict) -> None:
    with pytest.raises(ValueError, match="wanted tempo"):
        SceneStyle(**bad)
