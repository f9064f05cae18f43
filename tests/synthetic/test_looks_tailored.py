from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from slimdp.surface import load_surface
from slimdp.surface.makehuman import BodyShape
from slimdp.synthetic.looks import Look, clothed_skin, dress, random_look, tailored_skin
from slimdp.synthetic.looks.accessories import FOOTWEAR
from slimdp.synthetic.looks.garments import random_bottom, random_top
from slimdp.synthetic.looks.places import FOOT, HEAD
from slimdp.synthetic.motion.contact import posture_pose
from slimdp.synthetic.motion.solve import pose
from slimdp.synthetic.person import Person, make_person, pose_person, shared_weights, skin_weights

SURFACE = load_surface("open")


@pytest.fixture(scope="module")
def person() -> Person:
    return make_person(BodyShape(gender=0.1))


def look_of(seed: int = 0, shoes: str = "sneakers", bottom: str = "jeans", hat: str = "none") -> Look:
    rng = np.random.default_rng(seed)
    look = random_look(rng, 0.5, 0.2)
    return replace(
        look,
        top=random_top(rng, 0.5, "t-shirt"),
        bottom=random_bottom(rng, 0.5, bottom),
        shoes=replace(look.shoes, kind=shoes, sock_top=-0.2),
        wear=replace(look.wear, hat=hat),
    )


@pytest.mark.parametrize("kind", ["sneakers", "shoes", "boots"])
def test_the_front_of_a_shoe_is_nearly_convex_and_toes_were_not(person: Person, kind: str) -> None:
    look = look_of(shoes=kind)
    places = dress(look, SURFACE).places
    foot = np.flatnonzero((places.region == FOOT) & places.left)
    plain = clothed_skin(look, SURFACE, person.skin)[foot]
    tailored = tailored_skin(look, SURFACE, person.skin)[0][foot]
    low, high = plain[:, 2].min(), plain[:, 2].max()
    toes = plain[:, 2] > low + 0.8 * (high - low)

    def inside(skin: np.ndarray) -> float:
        """How deep the middle of the toes' skin is under the hull, metres."""
        hull = ConvexHull(skin).equations
        return float(np.mean(-(skin[toes] @ hull[:, :3].T + hull[:, 3]).max(axis=1)))

    assert inside(tailored) < 0.4 * inside(plain)
    # Nothing behind the ball of the foot moves.
    heel = plain[:, 2] < low + 0.5 * (high - low)
    np.testing.assert_array_equal(tailored[heel], plain[heel])


def test_bare_feet_keep_their_toes(person: Person) -> None:
    look = look_of(shoes="barefoot")
    assert "barefoot" in FOOTWEAR
    np.testing.assert_array_equal(
        tailored_skin(look, SURFACE, person.skin)[0], clothed_skin(look, SURFACE, person.skin)
    )


def test_trousers_share_nothing_and_skirts_half_of_the_middle(person: Person) -> None:
    assert not tailored_skin(look_of(), SURFACE, person.skin)[1].any()
    shares = tailored_skin(look_of(bottom="skirt"), SURFACE, person.skin)[1]
    assert shares.min() == 0
    assert shares.max() == pytest.approx(0.5)
    weights = shared_weights(shares)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    same = shares == 0
    assert abs(weights[same] - skin_weights()[same]).max() == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_skirt_stays_closed_between_legs_that_part(person: Person, seed: int) -> None:
    skin, shares = tailored_skin(look_of(seed, bottom="skirt"), SURFACE, person.skin)
    wearer = replace(person, skin=skin, own_weights=shared_weights(shares))
    middle = np.flatnonzero(shares > 0.499)
    left = middle[person.skin[middle, 0] > 0]
    right = middle[person.skin[middle, 0] < 0]
    assert min(len(left), len(right)) > 10
    stride = posture_pose(wearer, pose(hip_flex_l=35.0, hip_flex_r=-15.0, hip_out_l=15.0, hip_out_r=15.0))
    for posed in (skin, pose_person(wearer, stride).skin):
        gap = np.linalg.norm(posed[left][:, None] - posed[right][None], axis=2).min(axis=1)
        assert np.median(gap) < 0.012  # metres, about half of an edge of the mesh


def test_the_peak_of_a_cap_is_flat_and_before_the_brow(person: Person) -> None:
    cap = tailored_skin(look_of(hat="cap"), SURFACE, person.skin)[0]
    bare = tailored_skin(look_of(hat="none"), SURFACE, person.skin)[0]
    places = dress(look_of(), SURFACE).places
    head = places.region == HEAD
    forward = (cap - bare)[:, 2]
    peak = np.flatnonzero(head & (forward > 0.05))
    assert len(peak) > 5
    before = np.abs(cap[peak, 0]) < 0.03
    assert np.ptp(cap[peak[before], 1]) < 0.015
    assert not (forward[~head] > 0.05).any()


def test_the_same_look_gives_the_same_skin(person: Person) -> None:
    first, again = (tailored_skin(look_of(bottom="skirt"), SURFACE, person.skin) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
