from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from slimdp.evaluation import point_errors, summarize
from slimdp.structures import DensePoseInstance, PersonAnnotation
from slimdp.surface.body import BodySurface

SIDE_M = 0.5  # of a part of the flat surface


def slow_errors(prediction: DensePoseInstance, person: PersonAnnotation) -> tuple[list[float], list[float]]:
    """Full and localization errors on the flat surface, one point at a time, without the surface class."""
    full, localization = [], []
    size = len(prediction.part)
    for (x, y), true_part, true_uv in zip(person.points, person.part, person.uv):
        (a, b, c), (d, e, f) = prediction.crop_from_image
        column, row = math.floor(a * x + b * y + c + 0.5), math.floor(d * x + e * y + f + 0.5)
        error = math.inf
        if 0 <= column < size and 0 <= row < size:
            u, v = (float(value) for value in prediction.uv[:, row, column])
            dx = (int(prediction.part[row, column]) + SIDE_M * u) - (
                int(true_part) + SIDE_M * float(true_uv[0])
            )
            error = math.hypot(dx, SIDE_M * (v - float(true_uv[1])))
        localization.append(error)
        seen = error < math.inf and prediction.foreground[row, column]
        full.append(error if seen else math.inf)
    return full, localization


def without_points(person: PersonAnnotation) -> PersonAnnotation:
    return dataclasses.replace(
        person, points=person.points[:0], part=person.part[:0], uv=person.uv[:0],
        source=person.source[:0], step=person.step[:0],
    )  # fmt: skip


def test_a_perfect_prediction_scores_100(flat_surface: BodySurface, perfect_pair: Any) -> None:
    pairs = [perfect_pair(annotation_id) for annotation_id in (1, 2, 3)]
    errors = point_errors([p for _, p in pairs], [a for a, _ in pairs], flat_surface)
    assert len(errors.part) == 180
    for form in summarize(errors).values():
        # A distance of 0 comes out as the root of a rounding error: the areas fall short by that much.
        assert form == pytest.approx(
            {"5cm": 100, "10cm": 100, "20cm": 100, "auc10": 100, "auc30": 100}, abs=1e-3
        )


def test_errors_agree_with_a_slow_reference(flat_surface: BodySurface, perfect_pair: Any) -> None:
    rng = np.random.default_rng(0)
    people, predictions, full, localization = [], [], [], []
    for annotation_id in range(1, 6):
        person, prediction = perfect_pair(annotation_id)
        # Some points leave the crop; parts, coordinates and foreground are disturbed.
        person = dataclasses.replace(person, points=person.points + rng.normal(0, 15, person.points.shape))
        prediction = dataclasses.replace(
            prediction,
            part=rng.integers(1, 25, prediction.part.shape).astype(np.uint8),
            uv=rng.uniform(0, 1, prediction.uv.shape).astype(np.float16),
            foreground=rng.uniform(size=prediction.part.shape) < 0.5,
        )
        people.append(person)
        predictions.append(prediction)
        slow = slow_errors(prediction, person)
        full += slow[0]
        localization += slow[1]
    errors = point_errors(predictions[::-1], people, flat_surface)  # the order of predictions is free
    np.testing.assert_allclose(errors.localization_m, localization, atol=1e-6)
    np.testing.assert_allclose(errors.full_m, full, atol=1e-6)
    assert 0.05 < np.isinf(localization).mean() < 0.5 < np.isinf(full).mean()
    np.testing.assert_array_equal(errors.person, np.repeat(np.arange(5), 60))
    np.testing.assert_array_equal(errors.part, np.concatenate([p.part for p in people]))


def test_background_is_wrong_in_the_full_form_only(flat_surface: BodySurface, perfect_pair: Any) -> None:
    person, prediction = perfect_pair()
    nobody = dataclasses.replace(prediction, foreground=np.zeros_like(prediction.foreground))
    scores = summarize(point_errors([nobody], [person], flat_surface))
    assert scores["full"] == {"5cm": 0, "10cm": 0, "20cm": 0, "auc10": 0, "auc30": 0}
    assert scores["localization"]["5cm"] == 100


def test_an_offset_by_hand(flat_surface: BodySurface, perfect_pair: Any) -> None:
    # v is off by 0.16: 8 cm on the flat surface.
    person, prediction = perfect_pair()
    person = dataclasses.replace(person, uv=np.full_like(person.uv, 0.5))
    prediction = dataclasses.replace(prediction, uv=np.full_like(prediction.uv, 0.5))
    prediction.uv[1] += np.float16(0.16)
    scores = summarize(point_errors([prediction], [person], flat_surface))["full"]
    assert scores == pytest.approx(
        {"5cm": 0, "10cm": 100, "20cm": 100, "auc10": 20, "auc30": 100 * 22 / 30}, abs=0.2
    )


def test_missing_people_raise_or_count_as_wrong(flat_surface: BodySurface, perfect_pair: Any) -> None:
    pairs = [perfect_pair(annotation_id) for annotation_id in (1, 2, 3)]
    people, predictions = [a for a, _ in pairs], [p for _, p in pairs]
    with pytest.raises(ValueError, match=r"2 of 3 people with points, first image 1 \(a.png\), annotation 1"):
        point_errors(predictions[2:], people, flat_surface)
    scores = summarize(point_errors(predictions[2:], people, flat_surface, missing="wrong"))
    assert scores["localization"]["20cm"] == pytest.approx(100 / 3)
    assert scores["full"]["20cm"] == pytest.approx(100 / 3)
    nobody = summarize(point_errors([], people, flat_surface, missing="wrong"))
    assert nobody["localization"]["20cm"] == 0


def test_annotation_ids_may_repeat_across_images(flat_surface: BodySurface, perfect_pair: Any) -> None:
    first, second = perfect_pair(1, image_id=1), perfect_pair(1, image_id=2)
    wrong = dataclasses.replace(second[1], part=25 - second[1].part)
    errors = point_errors([wrong, first[1]], [first[0], second[0]], flat_surface)
    assert summarize(errors)["localization"]["5cm"] == pytest.approx(50)


def test_people_without_points_are_not_scored(flat_surface: BodySurface, perfect_pair: Any) -> None:
    person, prediction = perfect_pair(1)
    unlabelled = without_points(perfect_pair(2)[0])
    errors = point_errors([prediction, perfect_pair(2)[1]], [unlabelled, person], flat_surface)
    assert len(errors.part) == 60
    assert set(errors.person) == {1}
    with pytest.raises(ValueError, match="none of the 1 people has annotated points"):
        point_errors([prediction], [unlabelled], flat_surface)


def test_doubles_are_refused(flat_surface: BodySurface, perfect_pair: Any) -> None:
    person, prediction = perfect_pair(1)
    with pytest.raises(ValueError, match="two predictions for image 1, annotation 1"):
        point_errors([prediction, prediction], [person], flat_surface)
    with pytest.raises(ValueError, match="two annotations with id 1"):
        point_errors([prediction], [person, person], flat_surface)


def test_points_without_uv_are_no_truth(flat_surface: BodySurface, perfect_pair: Any) -> None:
    pairs = [perfect_pair(annotation_id) for annotation_id in (1, 2)]
    people, predictions = [a for a, _ in pairs], [p for _, p in pairs]
    known = np.arange(60) % 3 == 0
    alone = dataclasses.replace(people[1], uv=np.where(known[:, None], people[1].uv, np.nan))
    errors = point_errors(predictions, [people[0], alone], flat_surface)
    wanted = point_errors(predictions, [people[0], people[1].with_points(known)], flat_surface)
    for field in dataclasses.fields(errors):
        np.testing.assert_array_equal(getattr(errors, field.name), getattr(wanted, field.name))
    nothing = dataclasses.replace(people[0], uv=np.full_like(people[0].uv, np.nan))
    with pytest.raises(ValueError, match="none of the 1 people has annotated points"):
        point_errors(predictions, [nothing], flat_surface)
