"""Moving the labels of one person."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from flow_cache import FlowChain, FlowPair, PointStatus
from slimdp.config import CropSettings
from slimdp.motion import LabelTransfer, RegionSettings, TransferResult, TransferSettings, transfer_person
from slimdp.structures import IGNORE, ImageRecord, LabelSource, PersonAnnotation
from tests.motion.no_labels import NO_LABELS

Annotate = Callable[..., PersonAnnotation]
#: 5 px of the image for a person of 40 px, without a look at the regions.
PAPER = TransferSettings(threshold_px=5 * 256 / 40, regions=RegionSettings(by="none"))


def uniform(right: float, down: float) -> FlowPair:
    flow = np.zeros((2, 80, 96), dtype=np.float32)
    flow[0], flow[1] = right, down
    return FlowPair(flow, -flow)


def transferred(
    person: PersonAnnotation, pair: FlowPair, step: int, image_1: ImageRecord, *people_1: PersonAnnotation
) -> TransferResult:
    transfer = LabelTransfer(
        person, FlowChain((pair,)), step, PAPER, CropSettings(margin=0), people_1=people_1
    )
    return transfer_person(transfer, image_1)


def test_all_labels_move_alike(clip: list[ImageRecord], annotate: Annotate) -> None:
    person = annotate(clip[2])
    move = transferred(person, uniform(8, 5), 2, clip[4])
    moved, status = move.person_1, move.status
    assert (status == PointStatus.KEPT).all()
    np.testing.assert_allclose(moved.box, person.box + np.array([8, 5, 0, 0]), atol=1e-4)
    np.testing.assert_allclose(moved.points, person.points + np.array([8, 5]), atol=1e-4)
    np.testing.assert_array_equal(moved.coarse, person.coarse)
    np.testing.assert_allclose(moved.keypoints, [[54, 30, 2], [0, 0, 0]], atol=1e-4)
    assert (moved.source == LabelSource.PROPAGATED).all()
    assert (moved.step == 2).all()
    assert (moved.image.id, moved.track) == (clip[4].id, 2)


def test_a_growing_person_gets_a_growing_box(clip: list[ImageRecord], annotate: Annotate) -> None:
    y, x = np.mgrid[0:80, 0:96].astype(np.float32)
    there = np.stack([0.25 * (x - 46), 0.25 * (y - 40)])  # points go to 46 + 1.25 (x - 46)
    back = np.stack([-0.2 * (x - 46), -0.2 * (y - 40)])
    person = annotate(clip[2])
    move = transferred(person, FlowPair(there, back), 1, clip[3])
    moved = move.person_1
    # The mask covers 16 x 24 px less a pixel of the frame at each far side: each side moves with it.
    by_hand = [28.0, 17.0, 32 + 0.25 * (16 - 0.125), 40 + 0.25 * (30 - 0.15625)]
    np.testing.assert_allclose(moved.box[2:], by_hand[2:], atol=0.3)
    np.testing.assert_allclose(moved.box[:2] + moved.box[2:] / 2, [46, 40], atol=0.3)
    # The mask's own extent grows by a quarter, whatever its box.
    columns = np.flatnonzero((moved.coarse == 1).any(axis=0))
    extent_px = (columns.max() - columns.min() + 1) * moved.box[2] / 256
    assert extent_px == pytest.approx(20, abs=0.4)


def test_what_hides_becomes_unknown_and_does_not_shrink_the_box(
    clip: list[ImageRecord], annotate: Annotate
) -> None:
    pair = uniform(2, 0)
    pair.flow_1to0[0, :, 48:] += 20  # in the other frame the right half is something else
    person = annotate(clip[2])
    move = transferred(person, pair, 1, clip[3])
    moved, status = move.person_1, move.status
    np.testing.assert_allclose(moved.box, person.box + np.array([2, 0, 0, 0]), atol=1e-4)
    hidden = person.points[:, 0] + 2 > 47.25  # a quarter of 20 px is over 5 px
    assert hidden.any()
    assert (~hidden).any()
    np.testing.assert_array_equal(status == PointStatus.INCONSISTENT, hidden)
    np.testing.assert_allclose(moved.points, person.points[~hidden] + [2, 0], atol=1e-4)
    np.testing.assert_array_equal(moved.uv, person.uv[~hidden])
    column_of_edge = round((48 - moved.box[0]) * 256 / 32)
    np.testing.assert_array_equal(
        moved.coarse[:, : column_of_edge - 9], person.coarse[:, : column_of_edge - 9]
    )
    assert (moved.coarse[:, column_of_edge + 1 :] == IGNORE).all()


def test_labels_that_fail_do_not_pull_the_box(clip: list[ImageRecord], annotate: Annotate) -> None:
    pair = uniform(2, 0)
    pair.flow_0to1[1, 44:] += 25  # nonsense below the hips; the way back does not confirm it
    person = annotate(clip[2])
    move = transferred(person, pair, 1, clip[3])
    moved, status = move.person_1, move.status
    assert 0 < (status == PointStatus.INCONSISTENT).sum() < 20
    np.testing.assert_allclose(moved.box, person.box + np.array([2, 0, 0, 0]), atol=1e-4)


def test_hidden_keypoints_are_not_seen(clip: list[ImageRecord], annotate: Annotate) -> None:
    pair = uniform(2, 0)
    pair.flow_1to0[0, :30] += 20
    move = transferred(annotate(clip[2]), pair, 1, clip[3])
    moved = move.person_1
    assert moved.keypoints is not None
    assert moved.keypoints.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_box_is_clipped_to_the_frame(clip: list[ImageRecord], annotate: Annotate) -> None:
    person = annotate(clip[2])
    move = transferred(person, uniform(44, 0), 1, clip[3])
    moved, status = move.person_1, move.status
    np.testing.assert_allclose(moved.box, [74, 20, 22, 40], atol=1e-4)
    outside = person.points[:, 0] + 44 > 95.5
    np.testing.assert_array_equal(status == PointStatus.OUTSIDE, outside)
    assert 0 < outside.sum() < 20
    move = transferred(person, uniform(90, 0), 1, clip[3])
    moved, status = move.person_1, move.status
    assert moved is None
    assert (status == PointStatus.OUTSIDE).all()


def test_a_person_found_there_keeps_id_box_and_keypoints(clip: list[ImageRecord], annotate: Annotate) -> None:
    box = np.array([40.0, 20, 16, 40])  # narrower than the moved one: to x = 56
    found = annotate(clip[3], **NO_LABELS, id=99, box=box, keypoints=np.array([[1.0, 2, 1], [3, 4, 1]]))
    person = annotate(clip[2])
    move = transferred(person, uniform(2, 0), 1, clip[3], found)
    moved, status = move.person_1, move.status
    assert moved.id == 99
    np.testing.assert_array_equal(moved.box, box)
    np.testing.assert_array_equal(moved.keypoints, found.keypoints)
    np.testing.assert_array_equal(status == PointStatus.OUTSIDE, np.abs(person.points[:, 0] + 2 - 48) > 8)
    assert moved.coarse is not None
    # Its mask is drawn over its own box: the person's mask covers x 40..56 in this frame, all of the box.
    assert (moved.coarse[128, 5:250] == 1).all()


def test_outlines_in_the_other_frame_drop_labels(clip: list[ImageRecord], annotate: Annotate) -> None:
    """A listed person of the target frame has an outline: its own labels stay in it, others' off it."""
    left = np.zeros((80, 96), dtype=bool)
    left[:, :48] = True
    person = annotate(clip[2])
    listed = annotate(clip[3], **NO_LABELS, id=9, track=9, mask=left)
    on_the_left = np.floor(person.points[:, 0] + 2 + 0.5) < 48
    assert 0 < on_the_left.sum() < 20
    move = transferred(person, uniform(2, 0), 1, clip[3], listed)
    np.testing.assert_array_equal(move.status == PointStatus.ELSEWHERE, on_the_left)
    move = transferred(person, uniform(2, 0), 1, clip[3], replace(listed, track=2))
    np.testing.assert_array_equal(move.status == PointStatus.ELSEWHERE, ~on_the_left)
    assert move.person_1 is not None
    assert move.person_1.mask is not None


def test_points_alone_move_the_box_too(clip: list[ImageRecord], annotate: Annotate) -> None:
    person = replace(annotate(clip[2]), coarse=None, keypoints=None)
    move = transferred(person, uniform(-3, 4), 1, clip[3])
    moved = move.person_1
    np.testing.assert_allclose(moved.box, person.box + np.array([-3, 4, 0, 0]), atol=1e-4)
    assert moved.coarse is None
    assert moved.keypoints is None
