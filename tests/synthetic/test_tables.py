from __future__ import annotations

import numpy as np
import pytest

from slimdp.synthetic.furniture import KINDS
from slimdp.synthetic.gathering import gather
from slimdp.synthetic.motion import held_posture
from slimdp.synthetic.person import Person, make_person, pose_person, random_shape
from slimdp.synthetic.photograph import PostureShares, SceneStyle
from slimdp.synthetic.presets import PRESETS
from slimdp.synthetic.tables import SEATS, THINGS_ON_TABLES, table_before
from slimdp.synthetic.textures import Texture


@pytest.fixture(scope="module")
def person() -> Person:
    return make_person(random_shape(np.random.default_rng(2)))


def seated(person: Person, seed: int) -> np.ndarray:
    return pose_person(person, held_posture(np.random.default_rng(seed), person, "chair").still).skin


@pytest.mark.parametrize("seed", range(6))
def test_a_table_stands_before_a_person_and_nothing_is_in_the_body(person: Person, seed: int) -> None:
    skin = seated(person, seed)
    props = next(filter(None, (table_before(np.random.default_rng(draw), skin) for draw in range(seed, 99))))
    table = props[0].vertices
    assert table[:, 1].min() == pytest.approx(0, abs=1e-6)
    assert 0.3 < table[:, 1].max() < 1.2
    board = table[:8]
    low, high = board.min(axis=0), board.max(axis=0)
    assert not ((skin > low) & (skin < high)).all(axis=1).any()
    for thing in props[1:]:
        assert thing.vertices[:, 1].min() >= table[:, 1].max() - 1e-6
        low, high = thing.vertices.min(axis=0), thing.vertices.max(axis=0)
        assert not ((skin > low) & (skin < high)).all(axis=1).any()


def test_most_people_on_seats_can_have_a_table(person: Person) -> None:
    tables = [table_before(np.random.default_rng(seed), seated(person, seed)) for seed in range(12)]
    assert sum(bool(props) for props in tables) >= 6
    assert any(len(props) > 1 for props in tables)


def test_where_arms_and_legs_leave_no_room_there_is_none(person: Person) -> None:
    steps = np.linspace(-1, 1, 60)
    crowd = np.stack(np.meshgrid(steps, steps + 1, steps + 1), axis=-1).reshape(-1, 3)  # before the body
    assert table_before(np.random.default_rng(0), np.concatenate([seated(person, 0), crowd])) == []


@pytest.mark.parametrize("make", THINGS_ON_TABLES)
def test_things_lie_on_the_table(make) -> None:
    palette = [Texture(np.zeros((4, 4, 3), np.uint8), 0.1) for _ in range(4)]
    things = make(np.random.default_rng(0), palette)
    vertices = np.concatenate([thing.vertices for thing in things])
    assert vertices[:, 1].min() == pytest.approx(0, abs=1e-6)
    assert np.ptp(vertices, axis=0).max() < 0.75
    for thing in things:
        np.testing.assert_allclose(np.linalg.norm(thing.normals, axis=2), 1, atol=1e-6)


def test_only_those_on_seats_have_tables_and_without_the_setting_nothing_changes(person: Person) -> None:
    assert set(SEATS) < set(KINDS)
    bare = SceneStyle(postures=PostureShares(chair=1.0))
    with_tables = [
        len(gather(np.random.default_rng(seed), [person], bare.replace(tables=1.0))[0].props)
        - len(gather(np.random.default_rng(seed), [person], bare)[0].props)
        for seed in range(8)
    ]
    assert max(with_tables) > 0
    lying = SceneStyle(postures=PostureShares(lie=1.0))
    for seed in range(4):
        once, again = (
            gather(np.random.default_rng(seed), [person], style)[0].points
            for style in (lying, lying.replace(tables=1.0))
        )
        np.testing.assert_array_equal(once, again)


def test_the_preset_of_real_pictures_has_tables() -> None:
    assert PRESETS["people"].style.tables > 0
    assert PRESETS["small"].style.tables == 0
