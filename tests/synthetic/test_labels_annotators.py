from __future__ import annotations

import numpy as np
import pytest

from slimdp.surface import PEOPLE, BodySurface, load_surface
from slimdp.synthetic.labels import (
    ERROR_CM_OF_COARSE,
    MOST_POINTS_A_REGION,
    PositionError,
    annotators_points,
)


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    return load_surface("open")


def random_points(surface: BodySurface, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    # As many of each coarse part: hands have more faces than a torso.
    coarse = PEOPLE.coarse_of_part[surface.face_part]
    face = np.concatenate([rng.choice(np.flatnonzero(coarse == label), count) for label in range(1, 15)])
    return face, rng.dirichlet([1.0, 1.0, 1.0], len(face))


def test_every_region_that_is_seen_gets_points_and_none_more_than_fourteen() -> None:
    region = np.zeros((40, 60), dtype=int)
    region[5:35, 5:40], region[10:12, 45:47] = 1, 2
    points = annotators_points(region, np.random.default_rng(0))
    labels = region[points[:, 1], points[:, 0]]
    assert set(labels) == {1, 2}
    assert (labels == 1).sum() == MOST_POINTS_A_REGION
    big = points[labels == 1]
    gaps = np.linalg.norm(big[:, None] - big[None], axis=2) + 1000 * np.eye(len(big))
    assert gaps.min() > 3  # k-means spreads them


def test_a_picture_without_regions_gets_no_points() -> None:
    assert annotators_points(np.zeros((5, 7), dtype=int), np.random.default_rng(0)).shape == (0, 2)


def test_a_whole_person_gets_100_to_150_points_and_half_a_one_fewer() -> None:
    """Areas of coarse parts as on a person who stands before the camera, in pixels of a 256 px picture."""
    area = {1: 1700, 14: 500, 2: 90, 3: 90, 4: 160, 5: 160, 6: 800, 7: 800, 8: 620, 9: 620}
    area |= {10: 330, 11: 330, 12: 230, 13: 230}
    whole = np.zeros((14, 1700), dtype=int)
    for row, (label, pixels) in enumerate(area.items()):
        whole[row, :pixels] = label
    half = np.where(np.isin(whole, [1, 14, 10, 11, 12, 13]), whole, 0)
    counts = [len(annotators_points(region, np.random.default_rng(0))) for region in (whole, half)]
    assert 100 <= counts[0] <= 150
    assert counts[1] < 0.75 * counts[0]


def test_errors_have_the_size_of_the_table(surface: BodySurface) -> None:
    face, barycentric = random_points(surface, 250)
    moved = PositionError(surface, 1.0).displace(face, barycentric, np.random.default_rng(1))
    error_cm = 100 * surface.geodesic_distance(face, barycentric, *moved)
    coarse = PEOPLE.coarse_of_part[surface.face_part[face]]
    for label in range(1, 15):
        expected = ERROR_CM_OF_COARSE[label] * np.sqrt(np.pi / 2)  # the mean of a Rayleigh distance
        assert error_cm[coarse == label].mean() == pytest.approx(expected, rel=0.15)


def test_points_stay_on_their_coarse_part_but_may_change_front_for_back(surface: BodySurface) -> None:
    face, barycentric = random_points(surface, 60)
    moved, weights = PositionError(surface, 2.0).displace(face, barycentric, np.random.default_rng(1))
    before, after = surface.face_part[face], surface.face_part[moved]
    np.testing.assert_array_equal(PEOPLE.coarse_of_part[after], PEOPLE.coarse_of_part[before])
    assert 0.05 < np.mean(before != after) < 0.5
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights.min() >= 0


def test_the_scale_multiplies_and_zero_moves_nothing(surface: BodySurface) -> None:
    face, barycentric = random_points(surface, 60)
    none = PositionError(surface, 0.0).displace(face, barycentric, np.random.default_rng(1))
    assert none[0] is face
    assert none[1] is barycentric
    means = []
    for scale in (0.25, 0.5):
        moved = PositionError(surface, scale).displace(face, barycentric, np.random.default_rng(1))
        means.append(surface.geodesic_distance(face, barycentric, *moved).mean())
    assert means[1] == pytest.approx(2 * means[0], rel=0.05)


def test_the_points_of_all_are_as_far_off_as_those_of_people(surface: BodySurface) -> None:
    """Slim DensePose, table 2, "Human": 65, 92, 98 % within 5, 10, 20 cm, with points as people get them."""
    points_a_part = {
        1: 14,
        14: 10,
        2: 5,
        3: 5,
        4: 6,
        5: 6,
        6: 13,
        7: 13,
        8: 11,
        9: 11,
        10: 8,
        11: 8,
        12: 7,
        13: 7,
    }
    face, barycentric = random_points(surface, 300)
    moved = PositionError(surface, 1.0).displace(face, barycentric, np.random.default_rng(1))
    error_cm = 100 * surface.geodesic_distance(face, barycentric, *moved)
    coarse = PEOPLE.coarse_of_part[surface.face_part[face]]
    weight = np.array([0, *(points_a_part[label] for label in range(1, 15))])[coarse]
    within = [100 * np.average(error_cm < limit, weights=weight) for limit in (5, 10, 20)]
    assert within == pytest.approx([65, 92, 98], abs=3)


def test_a_negative_scale_is_refused(surface: BodySurface) -> None:
    with pytest.raises(ValueError, match="annotator_error = -1"):
        PositionError(surface, -1)
