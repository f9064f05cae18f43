from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from slimdp.evaluation.annotators import mean_error_map, smooth_on_body
from slimdp.report import save_png
from slimdp.report.body import BACK, FRONT, GREY, texture_colours, texture_image, view_body
from slimdp.report.drawing import PART_COLOURS
from slimdp.report.panels import ERROR_COLOURS, PersonView
from slimdp.surface import load_surface
from slimdp.surface.body import BodySurface

GREEN, RED = (np.array(ERROR_COLOURS[index][1]) for index in (0, -1))


def test_means_on_the_body_against_a_plain_loop(flat_surface: BodySurface) -> None:
    rng = np.random.default_rng(0)
    vertex, values, sigma_m = rng.integers(0, 40, 60), rng.uniform(0, 1, (60, 3)), 0.2
    smooth = smooth_on_body(flat_surface, vertex, values, sigma_m)
    for place in range(0, len(flat_surface.vertices), 7):
        distance_m = np.linalg.norm(flat_surface.vertices[vertex] - flat_surface.vertices[place], axis=1)
        weight = np.exp(-(distance_m**2) / (2 * sigma_m**2)) * (distance_m <= 3 * sigma_m)
        if weight.sum() == 0:
            assert np.isnan(smooth[place]).all()
        else:
            np.testing.assert_allclose(smooth[place], weight @ values / weight.sum(), rtol=1e-6)
    # The map of errors is the same with one channel.
    part, uv = np.full(5, 2), rng.uniform(0, 1, (5, 2))
    one = mean_error_map(flat_surface, part, uv, np.full(5, 0.03))
    np.testing.assert_allclose(one[np.isfinite(one)], 0.03)


def test_colours_go_where_part_and_uv_say(flat_surface: BodySurface) -> None:
    # Corners of the squares of parts 1 and 2, 9 vertices each: (0, 0) is their first vertex, (1, 1) the last.
    colours = texture_colours(
        flat_surface,
        np.array([1, 1, 2]),
        np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]),
        np.array([[100, 0, 0], [200, 0, 0], [0, 50, 0]]),
    )
    assert colours[0].tolist() == [150, 0, 0]
    assert colours[17].tolist() == [0, 50, 0]
    assert np.isnan(np.delete(colours, [0, 17], axis=0)).all()
    nothing = texture_colours(flat_surface, np.zeros(0, int), np.zeros((0, 2)), np.zeros((0, 3)))
    assert np.isnan(nothing).all()


def test_a_body_in_two_colours() -> None:
    surface = load_surface("open")
    assert isinstance(surface, BodySurface)
    colours = np.full((len(surface.vertices), 3), np.nan)
    colours[surface.vertices[:, 0] > 0] = (250, 20, 20)  # the person's left
    views = [view_body(surface, side, 240) for side in (FRONT, BACK)]
    image = texture_image(surface, views, colours).astype(int)
    red = (image[..., 0] > 100) & (image[..., 1] < 40)
    grey = (np.ptp(image, axis=2) == 0) & (image[..., 0] <= GREY) & (image[..., 0] > 60)
    middle = image.shape[1] // 2
    # Seen from the front the left is on the right, seen from the back on the left.
    for half, side in ((np.s_[:, :middle], 1), (np.s_[:, middle:], -1)):
        red_x, grey_x = (np.nonzero(mask[half])[1].mean() for mask in (red, grey))
        assert side * (red_x - grey_x) > 5


def test_labels_and_predictions_of_a_person(
    perfect_pair: Any, flat_surface: BodySurface, tmp_path: Path
) -> None:
    save_png(tmp_path / "a.png", np.full((60, 80, 3), 90, np.uint8))
    person, prediction = perfect_pair(1, file=str(tmp_path / "a.png"))
    left = np.arange(64) < 32
    prediction = dataclasses.replace(prediction, foreground=np.broadcast_to(left, (64, 64)).copy())
    view = PersonView(person, size=128)
    image, parts, _, _ = view.true_images()
    assert len(np.unique(image[20:100, 20:100].reshape(-1, 3), axis=0)) == 1
    assert (parts == PART_COLOURS[person.part[0]]).all(axis=2).any()
    errors_m = np.where(np.arange(len(person.part)) % 2, 0.01, np.inf)
    error, part, _, _ = view.found_images(prediction, errors_m)
    for colour in (GREEN, RED):
        assert (error == colour).all(axis=2).sum() > 40
    # What the network does not see stays as it is: the right half of the crop.
    changed = (part != image).any(axis=2)
    assert changed[40:90, 30:50].all()
    assert not changed[:, 80:].any()
    # ... unless the labels say that the person is there: then it is faint.
    masked = dataclasses.replace(person, mask=np.ones((60, 80), dtype=bool))
    faint = PersonView(masked, size=128).found_images(prediction, errors_m)[1]
    strength = np.abs(faint.astype(int) - image).sum(axis=2)
    assert (faint[40:90, 30:50] == part[40:90, 30:50]).all()
    assert 0 < np.median(strength[40:90, 80:100]) < np.median(strength[40:90, 30:50])
