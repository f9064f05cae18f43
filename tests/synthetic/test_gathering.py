from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from slimdp.settings_file import ConfigError
from slimdp.surface import load_surface
from slimdp.synthetic.furniture import KINDS, _Seat, furniture_for, rod, seat_height
from slimdp.synthetic.gathering import framing_camera, gather
from slimdp.synthetic.motion import held_posture
from slimdp.synthetic.motion.contact import posture_pose, skin_of
from slimdp.synthetic.motion.solve import both, pose
from slimdp.synthetic.objects import cushion
from slimdp.synthetic.person import Person, make_person, pose_person, random_shape
from slimdp.synthetic.photograph import PhotoSettings, PostureShares, SceneStyle, photograph
from slimdp.synthetic.presets import PRESETS, preset_plan
from slimdp.synthetic.scene import random_scene, render_frame
from slimdp.synthetic.textures import Texture

SITTING = SceneStyle(postures=PostureShares(chair=1.0))


@pytest.fixture(scope="module")
def people() -> Sequence[Person]:
    rng = np.random.default_rng(2)
    return [make_person(random_shape(rng)) for _ in range(2)]


@pytest.mark.parametrize("seed", range(4))
def test_a_seat_bears_the_seat_and_stands_on_the_floor(people: Sequence[Person], seed: int) -> None:
    rng = np.random.default_rng(seed)
    held = held_posture(rng, people[0], "chair")
    skin = pose_person(people[0], held.still).skin
    props = furniture_for(rng, held.on, skin)
    corners = np.concatenate([prop.vertices for prop in props])
    assert corners[:, 1].min() == pytest.approx(0, abs=0.005)
    under = skin[skin_of("seat"), 1].min()
    assert 0 <= seat_height(skin) - under <= 0.01
    # Something is at that height where the seat is lowest.
    x, _, z = skin[skin_of("seat")][skin[skin_of("seat"), 1].argmin()]
    tops = [prop.vertices for prop in props]
    heights = np.concatenate([top[:, 1] for top in tops])
    assert np.abs(heights - under).min() < 0.01
    low, high = corners.min(axis=0), corners.max(axis=0)
    assert low[0] < x < high[0]
    assert low[2] < z < high[2]


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_can_be_made_for_anybody(people: Sequence[Person], kind: str) -> None:
    family = {"bed": "lie", "bar": "hang", "bat": "swing", "racket": "swing"}.get(kind, "chair")
    family = "ride" if kind in ("bicycle", "animal") else family
    rng = np.random.default_rng(1)
    skin = pose_person(people[1], held_posture(rng, people[1], family).still).skin
    for prop in furniture_for(rng, kind, skin):
        assert np.isfinite(prop.vertices).all()
        assert prop.vertices[:, 1].min() > -0.01
        np.testing.assert_allclose(np.linalg.norm(prop.normals, axis=2), 1, atol=1e-6)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no furniture 'throne'; there are floor, chair"):
        furniture_for(np.random.default_rng(0), "throne", np.zeros((3, 3)))


def test_a_rod_ends_where_it_should() -> None:
    texture = Texture(np.zeros((4, 4, 3), np.uint8), 0.1)
    start, end = np.array([0.2, 0.4, -0.1]), np.array([1.2, 0.4, 0.9])
    made = rod(start, end, 0.05, texture)
    way = (end - start) / np.linalg.norm(end - start)
    along = (made.vertices - start) @ way
    assert along.min() == pytest.approx(0, abs=1e-9)
    assert along.max() == pytest.approx(np.sqrt(2))
    off = np.linalg.norm(made.vertices - start - along[:, None] * way, axis=1)
    assert off.max() == pytest.approx(0.05)


def test_people_who_gather_keep_apart(people: Sequence[Person]) -> None:
    for seed in range(4):
        guests = gather(np.random.default_rng(seed), people, SITTING.replace(before=seed % 2))
        first, second = (guest.points for guest in guests)
        assert np.linalg.norm(first[:, None] - second[None], axis=2).min() > 0.02
        assert all(guest.props for guest in guests)


def test_shares_that_add_up_to_a_little_more_than_1_are_shares(people: Sequence[Person]) -> None:
    """As floats may; nobody moves then."""
    style = SceneStyle(postures=PostureShares(chair=1.0, floor=1e-10))
    (guest,) = gather(np.random.default_rng(0), people[:1], style)
    assert guest.props


def test_who_is_before_whom(people: Sequence[Person]) -> None:
    aside = []
    for seed in range(6):
        first, second = gather(np.random.default_rng(seed), people, SITTING.replace(before=1.0))
        aside.append(abs(first.points[:, 0].mean() - second.points[:, 0].mean()))
    assert np.median(aside) < 0.45


@pytest.mark.parametrize("close", [0.0, 1.0])
def test_the_camera_has_people_in_its_frame(people: Sequence[Person], close: float) -> None:
    style = SITTING.replace(close=close)
    cut = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        guests = gather(rng, people[:1], style)
        camera = framing_camera(rng, (64, 48), guests, style, False).at(0.0, np.zeros(3))
        pixels, depth = camera.project(guests[0].points)
        assert depth.min() > 0.3
        inside = ((pixels > 0) & (pixels < [64, 48])).all(axis=1)
        assert inside.any()
        cut.append(1 - inside.mean())
    assert (np.mean(cut) > 0.3) == bool(close)


def test_grey_pictures_have_no_colour_and_the_brightness_of_the_coloured() -> None:
    rng = np.random.default_rng(0)
    light = rng.uniform(0, 0.7, (8, 8, 3)).astype(np.float32)
    depth, still = np.ones((8, 8)), np.zeros((8, 8, 2))
    noisy = PhotoSettings(grey=True, read_noise=0.01)
    grey = photograph(light, depth, still, noisy, np.random.default_rng(1))
    assert (grey == grey[..., :1]).all()
    white = np.full((2, 2, 3), 0.5, np.float32)
    settings = [PhotoSettings(), PhotoSettings(grey=True)]
    plain, same = (photograph(white, np.ones((2, 2)), np.zeros((2, 2, 2)), each, rng) for each in settings)
    np.testing.assert_allclose(plain.astype(int), same, atol=1)


def test_the_same_seed_gives_the_same_scene_of_postures() -> None:
    surface, style = load_surface("open"), PRESETS["people"].style
    images = []
    for _ in range(2):
        rng = np.random.default_rng(11)
        images.append(render_frame(random_scene(rng, 48, False, style), surface, 0, rng).image)
    np.testing.assert_array_equal(*images)


def test_shares_of_postures_are_settings_that_add_up_to_one_at_most() -> None:
    plan = preset_plan("people", ["style.postures.chair=0.3", "style.grey=1"])
    assert (plan.style.postures.chair, plan.style.grey) == (0.3, 1.0)
    assert not SceneStyle().postures.any
    assert PRESETS["people"].style.postures.any
    with pytest.raises(ConfigError, match="add up to 1 at most"):
        PostureShares(chair=0.7, lie=0.4)


def test_a_cushion_is_as_large_as_a_box_and_its_corners_are_round() -> None:
    texture = Texture(np.zeros((4, 4, 3), np.uint8), 0.1)
    size, radius = np.array([0.6, 0.2, 0.4]), 0.05
    made = cushion(np.array([1.0, 2.0, 3.0]), size, radius, texture)
    local = made.vertices - [1, 2, 3]
    np.testing.assert_allclose(np.ptp(local, axis=0), size)
    beyond = np.linalg.norm(np.maximum(np.abs(local) - (size / 2 - radius), 0), axis=1)
    np.testing.assert_allclose(beyond, radius, atol=1e-9)
    # Faces and normals look outwards.
    corners = local[made.faces]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("fc,fc->f", facing, corners.mean(axis=1)) > -1e-12).all()
    assert (np.einsum("fkc,fc->fk", made.normals, corners.mean(axis=1)) > 0).all()


def test_a_rest_leans_as_the_back_does(people: Sequence[Person]) -> None:
    skins = []
    for pitch in (0.0, -25.0):
        seated = both(hip_flex=90 + pitch, knee=90) | pose(pelvis_pitch=pitch)
        skins.append(pose_person(people[0], posture_pose(people[0], seated)).skin)
    upright, leaning = skins
    assert _Seat(leaning, 0.05).lean - _Seat(upright, 0.05).lean == pytest.approx(np.deg2rad(25), abs=0.12)
    for skin in (upright, leaning):
        seat = _Seat(skin, 0.05)
        trunk = np.concatenate([skin[skin_of(name)] for name in ("belly", "chest")])
        trunk = trunk[trunk[:, 1] < seat.top + 0.5]
        before = trunk[:, 2] - (seat.back - np.tan(seat.lean) * (trunk[:, 1] - seat.top))
        assert before.min() > -1e-9  # nobody is in the rest
        assert before.min() < 0.04
