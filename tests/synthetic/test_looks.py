from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from slimdp.surface import BodySurface, load_surface
from slimdp.surface.makehuman import BodyShape
from slimdp.synthetic.looks import (
    PATTERNS,
    Look,
    clothed_skin,
    dress,
    random_look,
)
from slimdp.synthetic.looks.look import face_normals, moved_out
from slimdp.synthetic.person import make_person

FEET, HANDS, LEGS, ARMS = (5, 6), (3, 4), tuple(range(7, 15)), tuple(range(15, 23))


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    return load_surface("open")


@pytest.fixture(scope="module")
def everybody() -> list[Look]:
    return [random_look(np.random.default_rng(seed)) for seed in range(200)]


def centres(
    surface: BodySurface, parts: tuple[int, ...] = tuple(range(1, 25))
) -> tuple[np.ndarray, np.ndarray]:
    """The middles of the triangles of parts."""
    face = np.flatnonzero(np.isin(surface.face_part, parts))
    return face, np.full((len(face), 3), 1 / 3)


def dressed_in(looks: list[Look], top: str, bottom: str = "") -> Look:
    return next(
        look for look in looks if look.top.kind == top and look.bottom.kind in (bottom or look.bottom.kind)
    )


def same(one: object, other: object) -> bool:
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else one == other


def test_the_same_seed_gives_the_same_look_and_another_seed_another(everybody: list[Look]) -> None:
    assert same(everybody[3], random_look(np.random.default_rng(3)))
    assert not same(everybody[3], everybody[4])


def test_a_look_survives_pickling(everybody: list[Look], surface: BodySurface) -> None:
    copy = pickle.loads(pickle.dumps(everybody[0]))
    assert same(copy, everybody[0])
    at = centres(surface)
    np.testing.assert_array_equal(dress(copy, surface).colour(*at), dress(everybody[0], surface).colour(*at))


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_patterned_is_the_share_of_garments_that_are_not_plain(share: float) -> None:
    looks = [random_look(np.random.default_rng(seed), share) for seed in range(250)]
    plain = [garment.cloth.kind == "plain" for look in looks for garment in (look.top, look.bottom)]
    assert 1 - np.mean(plain) == pytest.approx(share, abs=0.07)


def test_every_pattern_and_garment_is_worn(everybody: list[Look]) -> None:
    patterns = {garment.cloth.kind for look in everybody for garment in (look.top, look.bottom)}
    assert patterns == set(PATTERNS)
    tops = Counter(look.top.kind for look in everybody)
    assert set(tops) == {"t-shirt", "shirt", "tank", "sweater", "hoodie", "jacket", "dress"}
    assert len({look.bottom.kind for look in everybody}) == 6
    assert 0.02 < np.mean([look.wear.hat != "none" for look in everybody]) < 0.3


def test_colours_are_finite_and_in_range(everybody: list[Look], surface: BodySurface) -> None:
    at = centres(surface)
    for look in everybody[:40]:
        colour = dress(look, surface).colour(*at)
        assert colour.shape == (len(at[0]), 3)
        assert np.isfinite(colour).all()
        assert colour.min() >= 0
        assert colour.max() <= 1


def test_colours_do_not_depend_on_what_else_is_asked(everybody: list[Look], surface: BodySurface) -> None:
    face, weights = centres(surface)
    some = np.random.default_rng(0).permutation(len(face))[:500]
    for look in everybody[:5]:
        np.testing.assert_allclose(
            dress(look, surface).colour(face[some], weights[some]),
            dress(look, surface).colour(face, weights)[some],
            atol=1e-5,
        )
    assert dress(everybody[0], surface).colour(face[:0], weights[:0]).shape == (0, 3)


def test_clothes_lie_where_they_are_cut(everybody: list[Look], surface: BodySurface) -> None:
    def thickness(look: Look, parts: tuple[int, ...], low: float, high: float) -> np.ndarray:
        vertex = np.unique(surface.faces[np.isin(surface.face_part, parts)])
        height = surface.vertices[vertex, 1]
        return dress(look, surface).thickness()[vertex[(height > low) & (height < high)]]

    tank = replace(dressed_in(everybody, "tank", "shorts"), hair=everybody[0].hair)
    assert thickness(tank, ARMS, -1, 0.38).max() == 0
    shorts = replace(tank.bottom, reach=0.6)
    assert thickness(replace(tank, bottom=shorts), LEGS, -0.6, -0.4).max() == 0  # between boots and shorts
    jacket = dressed_in(everybody, "jacket")
    assert thickness(jacket, ARMS, 0.25, 0.4).mean() > 0.01
    assert thickness(replace(jacket, wear=replace(jacket.wear, gloves=False)), HANDS, -1, 0.18).max() == 0
    barefoot = replace(tank, shoes=replace(tank.shoes, kind="barefoot", sock_top=-0.2))
    assert thickness(barefoot, FEET, -1, 1).max() == 0


def test_the_face_stays_clean(everybody: list[Look], surface: BodySurface) -> None:
    nose = surface.vertices[surface.keypoints["nose"]]
    near = np.linalg.norm(surface.vertices - nose, axis=1) < 0.03
    for look in everybody[:10]:
        if look.hair.beard == "none":
            assert dress(look, surface).thickness()[near].max() == 0


def test_thickness_is_what_garments_have(everybody: list[Look], surface: BodySurface) -> None:
    most = [dress(look, surface).thickness() for look in everybody[:16]]
    assert min(thickness.min() for thickness in most) >= 0
    assert max(thickness.max() for thickness in most) <= 0.08


def test_no_triangle_turns_over_on_any_body(everybody: list[Look], surface: BodySurface) -> None:
    rng = np.random.default_rng(0)
    for index in range(21):
        shape = BodyShape(*rng.random(5), tuple(rng.dirichlet([0.5] * 3).tolist()))
        skin = make_person(shape).skin if index else surface.vertices
        moved = clothed_skin(everybody[index], surface, skin)
        turn = np.einsum("fc,fc->f", face_normals(moved, surface.faces), face_normals(skin, surface.faces))
        assert (turn > 0).all()
        assert np.linalg.norm(moved - skin, axis=1).max() > 0.004


def test_the_average_body_s_thickness_nearly_fits_any_body(
    everybody: list[Look], surface: BodySurface
) -> None:
    skins = [
        make_person(BodyShape(weight=weight, gender=gender)).skin
        for weight, gender in ((0, 0), (1, 0), (1, 1))
    ]
    for look in everybody[:8]:
        thickness = dress(look, surface).thickness()
        for skin in (surface.vertices, *skins):
            moved = moved_out(skin, surface.faces, thickness)
            turn = np.einsum(
                "fc,fc->f", face_normals(moved, surface.faces), face_normals(skin, surface.faces)
            )
            assert (turn <= 0).sum() <= 4  # of 26,756


def test_left_and_right_differ_only_by_what_is_worn(everybody: list[Look], surface: BodySurface) -> None:
    """Nothing is painted that would tell left from right on all people alike."""
    left = np.flatnonzero(
        np.isin(surface.face_part, LEGS) & (surface.vertices[surface.faces][:, :, 0] > 0).all(axis=1)
    )
    mirrored = surface.vertices[surface.faces].mean(axis=1) * [-1, 1, 1]
    centre = surface.vertices[surface.faces].mean(axis=1)
    right = np.array([np.linalg.norm(centre - mirrored[face], axis=1).argmin() for face in left[:60]])
    weights = np.full((60, 3), 1 / 3)
    gaps = [
        dress(look, surface).colour(left[:60], weights) - dress(look, surface).colour(right, weights)
        for look in everybody
    ]
    spread = np.std([gap.mean(axis=0) for gap in gaps], axis=0) / np.sqrt(len(gaps))
    assert (np.abs(np.mean([gap.mean(axis=0) for gap in gaps], axis=0)) < 4 * spread).all()


def test_hair_greys_and_beards_follow_the_body() -> None:
    def share(kind: str, gender: float) -> float:
        looks = [random_look(np.random.default_rng(seed), gender=gender) for seed in range(100)]
        return float(
            np.mean(
                [look.hair.beard != "none" if kind == "beard" else look.top.kind == "dress" for look in looks]
            )
        )

    assert share("beard", 0.0) == 0
    assert share("beard", 1.0) > 0.3
    assert share("dress", 1.0) == 0
    assert share("dress", 0.0) > 0.05


def test_a_surface_without_keypoints_cannot_be_dressed(everybody: list[Look], surface: BodySurface) -> None:
    with pytest.raises(ValueError, match="no keypoints left_eye"):
        dress(everybody[0], replace(surface, keypoints={})).thickness()
