from __future__ import annotations

import numpy as np
import pytest

from slimdp.evaluation.predictions import paste_prediction
from slimdp.inference.painting import paint_people, smooth_window, window_of
from slimdp.structures import DensePoseInstance


def instance(
    size: int = 12,
    zoom: float = 1.0,
    at: tuple[float, float] = (0, 0),
    track: int = 1,
    score: float = 1.0,
    seed: int = 0,
) -> DensePoseInstance:
    """A disc of four parts, (u, v) at random; `zoom` image px to a crop px, whose corner lies at `at`."""
    y, x = np.mgrid[:size, :size]
    middle = (size - 1) / 2
    rng = np.random.default_rng(seed)
    return DensePoseInstance(
        annotation_id=track,
        image_id=0,
        box=np.array([*at, size * zoom, size * zoom]),
        score=score,
        crop_from_image=np.array([[1 / zoom, 0, -at[0] / zoom], [0, 1 / zoom, -at[1] / zoom]]),
        part=(1 + (x > middle) + 2 * (y > middle)).astype(np.uint8),
        uv=rng.random((2, size, size)).astype(np.float16),
        foreground=np.hypot(x - middle, y - middle) < size / 2.2,
    )


def slow_window(
    person: DensePoseInstance, x0: int, y0: int, width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rule pixel by pixel: part, uv, and by how much the winner won (of parts and of the person)."""
    size = len(person.part)
    part, uv = np.zeros((height, width), np.uint8), np.zeros((2, height, width))
    margin = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            x, y = person.crop_from_image @ (column + x0, row + y0, 1)
            weight: dict[int, float] = {}
            sums: dict[int, np.ndarray] = {}
            inside = 0.0
            for j in (int(np.floor(y)), int(np.floor(y)) + 1):
                for i in (int(np.floor(x)), int(np.floor(x)) + 1):
                    w = max(0.0, 1 - abs(x - i)) * max(0.0, 1 - abs(y - j))
                    if 0 <= i < size and 0 <= j < size:
                        inside += w * person.foreground[j, i]
                    jj, ii = min(max(j, 0), size - 1), min(max(i, 0), size - 1)
                    label = int(person.part[jj, ii])
                    weight[label] = weight.get(label, 0) + w
                    sums[label] = sums.get(label, np.zeros(2)) + w * person.uv[:, jj, ii].astype(float)
            best = max(sorted(weight), key=lambda label: weight[label])
            others = [w for label, w in weight.items() if label != best]
            margin[row, column] = min(weight[best] - max(others, default=0), abs(inside - 0.5))
            if inside >= 0.5 - 1e-4:
                part[row, column], uv[:, row, column] = best, sums[best] / weight[best]
    return part, uv, margin


@pytest.mark.parametrize(("zoom", "at"), [(3.0, (5.0, 2.0)), (2.37, (4.3, -3.6)), (0.7, (1.25, 0.5))])
def test_a_window_is_what_the_rule_says_pixel_by_pixel(zoom: float, at: tuple[float, float]) -> None:
    person = instance(zoom=zoom, at=at)
    part, uv = smooth_window(person, 2, 1, 40, 36)
    expected_part, expected_uv, margin = slow_window(person, 2, 1, 40, 36)
    # OpenCV rounds places to 1/32 of a pixel: what is nearly even may go either way.
    sure = margin > 0.07
    assert sure.mean() > 0.8
    assert (part == expected_part)[sure].all()
    assert np.abs(uv - expected_uv)[:, sure & (part > 0)].max() < 0.08
    assert np.abs(uv - expected_uv)[:, sure & (part > 0)].mean() < 0.01
    assert (uv[:, part == 0] == 0).all()


def test_a_turned_crop_follows_the_rule_too() -> None:
    turned = DensePoseInstance(
        **{**vars(instance()), "crop_from_image": np.array([[0.3, 0.2, -3], [-0.2, 0.3, 4]])}
    )
    part, uv = smooth_window(turned, 2, 1, 40, 36)
    expected_part, expected_uv, margin = slow_window(turned, 2, 1, 40, 36)
    sure = margin > 0.07
    assert (part == expected_part)[sure].all()
    assert len(np.unique(part[sure])) == 5
    assert np.abs(uv - expected_uv)[:, sure & (part > 0)].max() < 0.08


def test_pixels_of_the_crop_itself_are_as_in_the_crop() -> None:
    person = instance(size=16)
    part, uv = smooth_window(person, 0, 0, 16, 16)
    nearest_part, nearest_uv = paste_prediction(person, 16, 16)
    np.testing.assert_array_equal(part, nearest_part)
    np.testing.assert_allclose(uv, nearest_uv, atol=1e-6)


def test_no_value_leaks_over_the_border_of_two_charts() -> None:
    person = instance(zoom=7.0)
    uv = np.where(person.part % 2 == 1, 0.25, 0.75)[None].repeat(2, 0).astype(np.float16)
    part, found = smooth_window(DensePoseInstance(**{**vars(person), "uv": uv}), 0, 0, 84, 84)
    np.testing.assert_allclose(
        found[:, part > 0], np.where(part % 2 == 1, 0.25, 0.75)[None].repeat(2, 0)[:, part > 0], atol=1e-5
    )


def test_the_window_holds_all_of_the_person() -> None:
    person = instance(zoom=2.6, at=(7.7, 3.1))
    window = window_of(person, 60, 50)
    whole, whole_uv = smooth_window(person, 0, 0, 60, 50)
    h, w = window.part.shape
    place = np.s_[window.y0 : window.y0 + h, window.x0 : window.x0 + w]
    assert (window.part > 0).sum() == (whole > 0).sum()
    np.testing.assert_array_equal(whole[place], window.part)
    np.testing.assert_allclose(whole_uv[:, place[0], place[1]], window.uv, atol=0.05)


def test_the_surest_person_lies_on_top_and_of_equals_the_lower_track() -> None:
    people = [instance(zoom=2, track=4, score=0.6), instance(zoom=2, at=(8, 0), track=7, score=0.9, seed=1)]
    first, second = (paint_people([each], 50, 30) for each in people)
    both = (first.part > 0) & (second.part > 0)
    assert both.sum() > 50
    for order in (people, people[::-1]):
        painted = paint_people(order, 50, 30)
        assert (painted.track[both] == 7).all()
        assert (painted.part[both] == second.part[both]).all()
        assert (painted.uv[:, both] == second.uv[:, both]).all()
        assert (painted.track[(first.part > 0) & ~both] == 4).all()
    even = [DensePoseInstance(**{**vars(each), "score": 0.5}) for each in people]
    assert (paint_people(even, 50, 30).track[both] == 4).all()


def test_people_beyond_the_image_and_nobody() -> None:
    outside = instance(at=(200, 0))
    nobody = DensePoseInstance(**{**vars(instance()), "foreground": np.zeros((12, 12), bool)})
    painted = paint_people([outside, nobody], 50, 30)
    assert not painted.part.any()
    assert not painted.track.any()
    assert painted.iuv.shape == (3, 30, 50)
    half = paint_people([instance(zoom=3, at=(-15, -15))], 50, 30)
    assert half.part[0, 0] > 0
    assert half.iuv.dtype == np.uint8
    assert half.iuv[1, 0, 0] == round(255 * float(half.uv[0, 0, 0]))
