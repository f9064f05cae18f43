from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slimdp.data.box_frame import frame_pixel_centres
from slimdp.structures import ImageRecord, LabelSource
from slimdp.surface import PEOPLE, BodySurface, load_surface
from slimdp.synthetic.labels import (
    CLIPS,
    COCO_KEYPOINTS,
    MOST_POINTS_A_REGION,
    POSETRACK_FILE_KEYPOINTS,
    STILLS,
    PositionError,
    label_people,
    true_iuv,
)
from slimdp.synthetic.render import RenderedFrame
from slimdp.synthetic.scene import random_scene, render_frame

SIZE = 96
IMAGE = ImageRecord(1, Path("a.jpg"), "a.jpg", SIZE, SIZE)


@pytest.fixture(scope="module")
def surface() -> BodySurface:
    return load_surface("open")


@pytest.fixture(scope="module")
def frame(surface: BodySurface) -> RenderedFrame:
    """The first frame in which somebody shows at least ten keypoints."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        rendered = render_frame(random_scene(rng, SIZE, may_move=False), surface, 0, rng)
        people = label_people(rendered, IMAGE, surface, 10, rng, CLIPS)
        if any((person.keypoints[:, 2] == 2).sum() >= 10 for person in people):
            return rendered
    raise AssertionError("50 scenes without a person who is seen well")


def test_labels_are_what_the_pixels_show(frame: RenderedFrame, surface: BodySurface) -> None:
    people = label_people(frame, IMAGE, surface, 10, np.random.default_rng(0), STILLS)
    assert people
    truth_part, truth_uv = surface.chart(frame.hits.face, frame.hits.barycentric)
    for person in people:
        index = person.id - 10
        x, y = person.points.astype(int).T
        pixel = y * SIZE + x
        assert (frame.hits.person[pixel] == index).all()
        np.testing.assert_array_equal(person.part, truth_part[pixel])
        np.testing.assert_allclose(person.uv, truth_uv[pixel], atol=1e-6)
        assert (person.source == LabelSource.ANNOTATOR).all()
        assert np.bincount(PEOPLE.coarse_of_part[person.part]).max() <= MOST_POINTS_A_REGION
        np.testing.assert_array_equal(person.mask.ravel(), frame.hits.person == index)
        rows, columns = np.nonzero(person.mask)
        first = columns.min(), rows.min()
        assert person.box.tolist() == [*first, np.ptp(columns) + 1, np.ptp(rows) + 1]
        exact = frame_pixel_centres(person.box)[::16, ::16].reshape(-1, 2)
        clear = (np.abs(exact % 1 - 0.5) > 1e-6).all(axis=1)  # half way between pixels, either would do
        centre = np.minimum(np.rint(exact).astype(int), first + np.ptp([columns, rows], axis=1))
        flat = centre[:, 1] * SIZE + centre[:, 0]
        expected = np.where(frame.hits.person[flat] == index, PEOPLE.coarse_of_part[truth_part[flat]], 0)
        assert (person.coarse[::16, ::16].ravel() == expected)[clear].all()


def test_stills_have_coco_s_keypoints_and_clips_posetrack_s_and_tracks(
    frame: RenderedFrame, surface: BodySurface
) -> None:
    stills, clips = (
        label_people(frame, IMAGE, surface, 10, np.random.default_rng(0), form) for form in (STILLS, CLIPS)
    )
    for still, tracked in zip(stills, clips):
        assert still.keypoint_names == COCO_KEYPOINTS
        assert tracked.keypoint_names == POSETRACK_FILE_KEYPOINTS
        assert still.track is None
        assert tracked.track == tracked.id - 10
        shared = [name for name in COCO_KEYPOINTS if name in POSETRACK_FILE_KEYPOINTS]
        assert len(shared) == 15
        for name in shared:
            at = COCO_KEYPOINTS.index(name), POSETRACK_FILE_KEYPOINTS.index(name)
            np.testing.assert_array_equal(still.keypoints[at[0]], tracked.keypoints[at[1]])


def test_who_shows_too_few_keypoints_gets_no_points_but_stays(
    frame: RenderedFrame, surface: BodySurface
) -> None:
    """Slim DensePose, 4: fewer than six visible keypoints are filtered out."""
    everybody = label_people(frame, IMAGE, surface, 10, np.random.default_rng(0), CLIPS)
    strict = replace(CLIPS, fewest_keypoints=18)  # of 17
    nobody = label_people(frame, IMAGE, surface, 10, np.random.default_rng(0), strict)
    assert [person.id for person in nobody] == [person.id for person in everybody]
    for person, other in zip(nobody, everybody):
        assert person.points.shape == (0, 2)
        assert person.part.shape == (0,)
        assert person.uv.shape == (0, 2)
        assert person.coarse is None
        np.testing.assert_array_equal(person.keypoints, other.keypoints)
        np.testing.assert_array_equal(person.box, other.box)
    for person in everybody:
        seen = (person.keypoints[:, 2] == 2).sum()
        assert (len(person.points) > 0) == (seen >= 6) == (person.coarse is not None)


def test_a_budget_keeps_a_random_choice_of_the_points(frame: RenderedFrame, surface: BodySurface) -> None:
    everything, thrifty = (
        label_people(frame, IMAGE, surface, 10, np.random.default_rng(0), STILLS, budget)[0]
        for budget in (None, 7)
    )
    assert len(thrifty.points) == 7 < len(everything.points)
    all_points = set(map(tuple, everything.points.tolist()))
    assert set(map(tuple, thrifty.points.tolist())) < all_points
    np.testing.assert_array_equal(thrifty.coarse, everything.coarse)


def test_an_annotator_s_error_moves_the_label_and_not_the_pixel(
    frame: RenderedFrame, surface: BodySurface
) -> None:
    exact, wrong = (
        label_people(frame, IMAGE, surface, 10, np.random.default_rng(0), STILLS, None, error)[0]
        for error in (None, PositionError(surface, 1.0))
    )
    np.testing.assert_array_equal(wrong.points, exact.points)
    np.testing.assert_array_equal(wrong.coarse, exact.coarse)
    assert np.mean((wrong.uv != exact.uv).any(axis=1)) > 0.9
    there, truth = (surface.locate(person.part, person.uv) for person in (wrong, exact))
    distance = surface.geodesic_distance(*there, *truth)
    assert 0.01 < distance.mean() < 0.1


def test_the_true_map_is_that_of_the_hits(frame: RenderedFrame, surface: BodySurface) -> None:
    iuv = true_iuv(frame, surface)
    assert iuv.shape == (SIZE, SIZE, 3)
    assert iuv.dtype == np.uint8
    nobody = frame.hits.person.reshape(SIZE, SIZE) < 0
    assert not iuv[nobody].any()
    part, uv = surface.chart(frame.hits.face, frame.hits.barycentric)
    body = ~nobody.ravel()
    np.testing.assert_array_equal(iuv.reshape(-1, 3)[body, 0], part[body])
    np.testing.assert_allclose(iuv.reshape(-1, 3)[body, 1:] / 255, uv[body], atol=0.5 / 255 + 1e-6)


def test_coarse_masks_follow_the_flip_of_parts() -> None:
    np.testing.assert_array_equal(
        PEOPLE.coarse_of_part[PEOPLE.flip_part], PEOPLE.flip_coarse[PEOPLE.coarse_of_part]
    )
