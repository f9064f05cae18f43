from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from flow_cache import (
    FlowCacheError,
    FlowPair,
    FlowStore,
    MissingFlowError,
    forward_backward_offset_points,
    precompute,
)
from slimdp.geometry import affine_zoom, apply_affine
from slimdp.inference.decoding import decode, person_log_odds
from slimdp.inference.person_flow import CropFlow, PersonFlow, StoredFlow
from slimdp.inference.smoothing import FlowSmoothing, NoSmoothing
from slimdp.inference.temporal_mean import MeanGrid
from slimdp.inference.video_frames import open_frames
from slimdp.inference.video_records import FrameMaps, PersonMaps, TrackedPerson, VideoFrame
from slimdp.maps import upsample_map
from slimdp.structures import DensePoseMaps
from tests.inference.slow_smoothing import smooth_slowly

STRIDE, SIDE = 4, 8  # maps of 8 x 8 px, crops of 32
WIDE = np.array([-200.0, -200, 600, 600])  # wider than any crop here
HEADS = {"fine_segm": 25, "u": 24, "v": 24, "coarse_segm": 15}


def random_maps(seed: int) -> DensePoseMaps:
    rng = np.random.default_rng(seed)
    # u and v beyond 0..1 too, as networks give them; few parts, so that frames agree now and then
    heads = {head: rng.normal(0.5, 0.5, (1, count, SIDE, SIDE)) for head, count in HEADS.items()}
    heads["fine_segm"][:, 4:] -= 5
    heads["coarse_segm"][:, 0, :, :4] += 12  # nobody on the left
    return DensePoseMaps(**{head: torch.from_numpy(values).float() for head, values in heads.items()})


def person(maps: DensePoseMaps, affine: np.ndarray, track: int = 1) -> PersonMaps:
    box = np.array([0.0, 0, 64, 64])  # the window is the whole crop
    return PersonMaps(TrackedPerson(track, box, 1.0), affine, maps, STRIDE)


def frame(index: int, *people: PersonMaps, image: np.ndarray | None = None) -> FrameMaps:
    black = np.zeros((64, 64, 3), np.uint8)
    return FrameMaps(VideoFrame(index, Fraction(index), black if image is None else image), people)


class ConstantFlow:
    """The same displacement everywhere between two frames, in the crop's px; wrong where it is said to be."""

    def __init__(self, shifts: Sequence[np.ndarray], wrong: np.ndarray | None = None) -> None:
        self._shifts, self._wrong = shifts, wrong
        self.asked: list[int] = []

    def settings(self) -> dict[str, Any]:
        return {}

    def between(self, person: PersonMaps, frame_0: VideoFrame, frame_1: VideoFrame) -> PersonFlow:
        assert frame_1.index == frame_0.index + 1
        self.asked.append(frame_0.index)
        there = np.zeros((2, 64, 64), np.float32) + np.reshape(self._shifts[frame_0.index], (2, 1, 1))
        back = -there
        if self._wrong is not None:
            back[:, self._wrong] += 40
        return PersonFlow(FlowPair(there.astype(np.float32), back.astype(np.float32)), np.eye(2, 3))


def as_arrays(maps: DensePoseMaps) -> dict[str, np.ndarray]:
    return {head: getattr(maps, head)[0].numpy() for head in HEADS}


AFFINES = [
    np.array([[zoom, 0, x], [0, zoom, y]])
    for zoom, x, y in ((1, -10, -8), (1.1, -12, -9), (0.9, -9, -6), (1, -14, -8), (1.05, -8, -10))
]
SHIFTS = [np.array(shift) for shift in ((1.5, -0.5), (0.25, 2.0), (-3.0, 0.75), (2.0, 1.0), (0, 0))]


@pytest.mark.parametrize("causal", [False, True])
def test_maps_are_the_mean_along_the_flow_as_the_slow_way_has_it(causal: bool) -> None:
    frames = [frame(i, person(random_maps(i), AFFINES[i])) for i in range(5)]
    reach = 2 if causal else 1
    smoother = FlowSmoothing(reach, causal, ConstantFlow(SHIFTS))
    smoothed = list(smoother.smooth(frames))
    assert [maps.frame.index for maps in smoothed] == list(range(5))
    for i in range(5):
        window = range(max(i - 2, 0), i + 1) if causal else range(max(i - 3, 0), min(i + 4, 5))
        slow = smooth_slowly(
            [as_arrays(frames[j].people[0].maps) for j in window],
            [AFFINES[j] for j in window],
            [SHIFTS[j] for j in window],
            i - window[0],
            STRIDE,
            reach,
        )
        one = smoothed[i].people[0]
        assert one.stride == STRIDE // 2
        np.testing.assert_allclose(person_log_odds(one.maps)[0], slow["log_odds"], atol=2e-5)
        near = slow["near"]
        assert 0.2 < near.mean() < 0.98
        own = frames[i].people[0].maps.map(lambda maps: upsample_map(maps, 2))
        parts = own.fine_segm[0, 1:], own.u[0], own.v[0]
        fast = one.maps.fine_segm[0, 1:], one.maps.u[0], one.maps.v[0]
        for name, of_own, of_fast in zip(("parts", "u", "v"), parts, fast, strict=True):
            wanted = np.where(near, slow[name], of_own.numpy())
            np.testing.assert_allclose(of_fast, wanted, atol=2e-5, err_msg=f"frame {i} {name}")


def test_still_frames_stay_as_they_are() -> None:
    maps = random_maps(0).map(lambda each: each.clamp(0, 1))
    frames = [frame(i, person(maps, AFFINES[0])) for i in range(4)]
    finer = maps.map(lambda each: upsample_map(each, 2))
    log_odds = upsample_map(person_log_odds(maps)[None], 2)[0]
    for smoothed in FlowSmoothing(flow=ConstantFlow([np.zeros(2)] * 4)).smooth(frames):
        same = smoothed.people[0].maps
        torch.testing.assert_close(person_log_odds(same), log_odds)
        torch.testing.assert_close(same.fine_segm[:, 1:], finer.fine_segm[:, 1:])
        torch.testing.assert_close(same.u, finer.u)
        torch.testing.assert_close(same.v, finer.v)


def test_who_is_seen_in_every_frame_is_there_where_frames_disagree_about_the_part() -> None:
    parts = (1, 2, 1, 2)  # left, right, left, right
    frames = []
    for i, part in enumerate(parts):
        maps = DensePoseMaps(**{head: torch.zeros(1, count, SIDE, SIDE) for head, count in HEADS.items()})
        maps.fine_segm[:, part], maps.fine_segm[:, 0] = 10, 7  # the mean score of either part is 5
        frames.append(frame(i, person(maps.map(torch.clone), AFFINES[0])))
    for smoothed in FlowSmoothing(reach=1, flow=ConstantFlow([np.zeros(2)] * 4)).smooth(frames):
        one = smoothed.people[0]
        answer = decode(one.maps, one.stride)
        assert answer.foreground.all()
        assert set(answer.part.unique().tolist()) <= {1, 2}


def test_whom_no_frame_shows_stays_nowhere() -> None:
    maps = DensePoseMaps(**{head: torch.zeros(1, count, SIDE, SIDE) for head, count in HEADS.items()})
    maps.fine_segm[:, 0] = 20
    frames = [frame(i, person(maps.map(torch.clone), AFFINES[i])) for i in range(5)]
    for smoothed in FlowSmoothing(reach=1, flow=ConstantFlow(SHIFTS)).smooth(frames):
        assert not decode(smoothed.people[0].maps, STRIDE // 2).foreground.any()


@pytest.mark.parametrize("gap", [1, 2])
def test_nothing_is_read_behind_a_frame_without_the_person(gap: int) -> None:
    frames = [frame(i, person(random_maps(i), AFFINES[i])) for i in range(5)]
    frames[gap] = replace(frames[gap], people=())
    one = next(iter(FlowSmoothing(reach=1, flow=ConstantFlow(SHIFTS)).smooth(frames))).people[0]
    other = next(iter(FlowSmoothing(reach=1, flow=ConstantFlow(SHIFTS)).smooth(frames[:gap]))).people[0]
    for head, values in as_arrays(one.maps).items():
        np.testing.assert_array_equal(values, as_arrays(other.maps)[head], err_msg=head)


def test_maps_as_fine_as_the_crop_are_no_finer_smoothed_and_those_given_stay() -> None:
    maps = random_maps(0)
    frames = [frame(i, replace(person(random_maps(i), np.eye(2, 3)), stride=1)) for i in range(2)]
    before = as_arrays(frames[0].people[0].maps.map(torch.clone))
    one = next(iter(FlowSmoothing(flow=ConstantFlow([np.zeros(2)] * 2)).smooth(frames))).people[0]
    assert one.stride == 1
    assert one.maps.u.shape == maps.u.shape
    large = person(_maps_of_side(64), np.eye(2, 3))
    of_large = next(iter(FlowSmoothing(flow=ConstantFlow([])).smooth([frame(0, large)]))).people[0]
    assert (of_large.stride, of_large.size) == (large.stride, large.size)
    for head, values in as_arrays(frames[0].people[0].maps).items():
        np.testing.assert_array_equal(values, before[head])


def test_pixels_that_fail_the_check_keep_what_they_had_and_weights_add_up() -> None:
    wrong = np.zeros((64, 64), bool)
    wrong[:, :24] = True
    frames = [frame(i, person(random_maps(i), AFFINES[0])) for i in range(3)]
    flow = ConstantFlow([np.zeros(2)] * 3, wrong)
    middle = list(FlowSmoothing(reach=1, flow=flow).smooth(frames))[1].people[0]
    hidden = (MeanGrid.of(frames[1].people[0]).places[:, 0] < 24).reshape(2 * SIDE, 2 * SIDE)
    assert 0 < hidden.sum() < hidden.size
    each = [upsample_map(person_log_odds(f.people[0].maps)[None], 2)[0, 0].numpy() for f in frames]
    result = person_log_odds(middle.maps)[0].numpy()
    np.testing.assert_allclose(result[hidden], each[1][hidden], atol=1e-5)
    own_twice = np.average(each, axis=0, weights=[1, 2, 1])
    np.testing.assert_allclose(result[~hidden], own_twice[~hidden], atol=1e-5)


def test_what_lies_beside_the_window_of_a_box_stays_as_it_is() -> None:
    narrow = [person(random_maps(i), np.eye(2, 3)) for i in range(2)]
    box = TrackedPerson(1, np.array([9.0, 4, 2, 24]), 1.0)
    frames = [frame(i, replace(each, person=box)) for i, each in enumerate(narrow)]
    assert frames[0].people[0].window == (2, 0, 18, 32)  # half of the crop, around the box
    one = next(iter(FlowSmoothing(flow=ConstantFlow([np.zeros(2)] * 2)).smooth(frames))).people[0]
    wide = next(iter(FlowSmoothing(flow=ConstantFlow([np.zeros(2)] * 2)).smooth(
        [frame(i, each) for i, each in enumerate(narrow)]
    ))).people[0]  # fmt: skip
    own = upsample_map(person_log_odds(narrow[0].maps)[None], 2)[0, 0]
    odds, odds_wide = (person_log_odds(each.maps)[0] for each in (one, wide))
    inside = slice(1, 9)  # centres at 0.5, 2.5, ... px of the crop
    torch.testing.assert_close(odds[:, inside], odds_wide[:, inside])
    torch.testing.assert_close(odds[:, :1], own[:, :1])
    torch.testing.assert_close(odds[:, 9:], own[:, 9:])
    assert not torch.allclose(odds_wide[:, 9:], own[:, 9:])


@pytest.mark.parametrize(
    ("box", "wanted"),
    [
        ((8, 4, 48, 24), (0, 0, 64, 36)),  # wide: 8 px around it left and right, so 8 px above and below
        ((8, 20, 48, 24), (0, 12, 64, 52)),
        ((30, 0, 4, 64), (16, 0, 48, 64)),  # at least half of the crop
        ((56, 8, 8, 48), (32, 0, 64, 64)),
        ((-100, -100, 300, 300), (0, 0, 64, 64)),
        ((0, 0, 0, 0), (0, 0, 32, 32)),
    ],
)
def test_the_window_of_a_box(box: tuple[float, ...], wanted: tuple[int, ...]) -> None:
    tracked = TrackedPerson(1, np.array(box, float), 1.0)
    assert PersonMaps(tracked, np.eye(2, 3), _maps_of_side(16), STRIDE).window == wanted


def test_somebody_else_and_somebody_who_comes_later_are_no_neighbours() -> None:
    one = [person(random_maps(i), AFFINES[0]) for i in range(3)]
    other = [person(random_maps(10 + i), AFFINES[0], track=2) for i in range(3)]
    still = ConstantFlow([np.zeros(2)] * 3)
    frames = [frame(0, one[0]), frame(1, one[1], other[1]), frame(2, other[2])]
    first, both, last = FlowSmoothing(reach=1, flow=still).smooth(frames)
    assert [p.person.track for p in both.people] == [1, 2]

    def mean_odds(own: PersonMaps, other: PersonMaps) -> torch.Tensor:
        odds = (2 * person_log_odds(own.maps) + person_log_odds(other.maps)) / 3
        return upsample_map(odds[None], 2)[0]

    torch.testing.assert_close(person_log_odds(first.people[0].maps), mean_odds(one[0], one[1]))
    torch.testing.assert_close(person_log_odds(both.people[0].maps), mean_odds(one[1], one[0]))
    torch.testing.assert_close(person_log_odds(last.people[0].maps), mean_odds(other[2], other[1]))


def test_each_flow_is_asked_for_once_and_frames_come_as_soon_as_they_can() -> None:
    flow = ConstantFlow([np.zeros(2)] * 9)
    came: list[int] = []

    def frames() -> Any:
        for i in range(9):
            came.append(i)
            yield frame(i, person(random_maps(i), AFFINES[0]))

    for smoothed in FlowSmoothing(reach=1, flow=flow).smooth(frames()):
        assert came[-1] == min(smoothed.frame.index + 3, 8)
    assert sorted(flow.asked) == list(range(8))
    came.clear()
    for smoothed in FlowSmoothing(reach=2, causal=True, flow=flow).smooth(frames()):
        assert came[-1] == smoothed.frame.index


def texture(seed: int, height: int = 120, width: int = 160) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)


def test_flow_in_the_crops_finds_a_motion_and_its_way_back() -> None:
    wide = texture(0, 200, 240)
    images = [wide[20:140, 30:190], wide[23:143, 26:186]]  # content moves by (4, -3)
    affine = np.array([[2.0, 0, -60], [0, 2.0, -40]])
    one = PersonMaps(TrackedPerson(1, WIDE, 1.0), affine, _maps_of_side(32), STRIDE)
    frames = [VideoFrame(i, Fraction(i), image) for i, image in enumerate(images)]
    flow = CropFlow().between(one, *frames)
    inner = np.array([[50.0, 40], [60, 50], [70, 60]])
    moved, trusted = flow.move(inner, 1.0)
    assert trusted.all()
    np.testing.assert_allclose(moved, inner + [4, -3], atol=0.3)
    back, trusted = flow.move_back(moved, 1.0)
    assert trusted.all()
    np.testing.assert_allclose(back, inner, atol=0.5)
    _, trusted = flow.move(np.array([[0.0, 0.0]]), 1.0)  # outside of the crop
    assert not trusted.any()


def _maps_of_side(side: int) -> DensePoseMaps:
    return DensePoseMaps(**{head: torch.zeros(1, count, side, side) for head, count in HEADS.items()})


def test_points_go_along_the_flow_as_the_plain_check_has_it() -> None:
    rng = np.random.default_rng(0)
    there, back = (6 * cv2.GaussianBlur(rng.normal(size=(48, 64, 2)), (0, 0), 6) for _ in range(2))
    there, back = (flow.transpose(2, 0, 1).astype(np.float32) for flow in (there + 1, back - 1))
    back[:, 20:24, 30:36] = np.nan
    points = rng.uniform(-4, 68, (3000, 2))
    flow = PersonFlow(FlowPair(there, back), np.array([[2.0, 0, -10], [0, 2.0, -20]]))
    moved, trusted = flow.move(points, 0.4)
    start = 2 * points - [10, 20]
    plain, offset = forward_backward_offset_points(start, there, back)
    wanted = (np.where((offset <= 0.8)[:, None], plain, start) + [10, 20]) / 2
    sure = np.abs(offset - 0.8) > 0.05  # the check is made at pixels, and read between them
    assert 0.1 < trusted.mean() < 0.9
    assert (trusted == (offset <= 0.8))[sure].mean() > 0.995
    same = trusted == (offset <= 0.8)
    np.testing.assert_allclose(moved[same], wanted[same], atol=0.02)


def test_a_crop_is_shrunk_for_its_flow_about_pixel_centres() -> None:
    affine = np.array([[2.0, 0, -60], [0, 2.0, -40]])
    one = PersonMaps(TrackedPerson(1, WIDE, 1.0), affine, _maps_of_side(64), STRIDE)  # a crop of 256
    image = VideoFrame(0, Fraction(0), texture(0))
    flow = CropFlow().between(one, image, image)
    assert flow.pair.flow_0to1.shape == (2, 192, 192)
    corners = np.array([[-0.5, -0.5], [255.5, 255.5]])  # the crop's edges, crop px
    image_px = (corners - affine[:, 2]) / 2
    np.testing.assert_allclose(apply_affine(flow.flow_from_image, image_px), [[-0.5, -0.5], [191.5, 191.5]])
    assert affine_zoom(flow.flow_from_image) == pytest.approx(1.5)


def test_another_scene_does_not_smear() -> None:
    affine = np.array([[1.0, 0, -20], [0, 1.0, -20]])
    maps = [_maps_of_side(SIDE * 2) for _ in range(4)]
    for i, each in enumerate(maps):
        each.fine_segm[:, 1 + i // 2] = 10  # part 1 before the cut, 2 after it
    frames = [replace(frame(i, image=texture(i // 2)), people=(person(maps[i], affine),)) for i in range(4)]
    smoothed = list(FlowSmoothing(reach=2).smooth(frames))
    for i, each in enumerate(smoothed):
        fine = each.people[0].maps.fine_segm[0]
        smeared = (fine[2 - i // 2] > 0).float().mean()
        assert smeared < 0.02, f"frame {i}: {smeared:.0%} of the pixels took something from the other scene"


def test_stored_flow_is_read_around_people(tmp_path: Path) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    wide = texture(0, 200, 240)
    for i in range(3):
        cv2.imwrite(str(folder / f"{i}.png"), wide[20 + 3 * i : 140 + 3 * i, 30 - 4 * i : 190 - 4 * i])
    precompute([folder], tmp_path / "flow.h5", [1, -1])
    source = open_frames(folder)
    frames = list(source.frames())
    one = PersonMaps(
        TrackedPerson(1, WIDE, 1.0),
        np.array([[2.0, 0, -60], [0, 2.0, -40]]),
        _maps_of_side(32),
        STRIDE,
    )
    with FlowStore(tmp_path / "flow.h5") as store:
        flow = StoredFlow(store, source).between(one, frames[0], frames[1])
        points = np.array([[50.0, 40], [60, 50]])
        moved, trusted = flow.move(points, 1.0)
        assert trusted.all()
        np.testing.assert_allclose(moved, points + [4, -3], atol=0.3)
        with pytest.raises(FlowCacheError, match="the flow of video 'walk' is of 160 x 120 px"):
            StoredFlow(store, replace(source, info=replace(source.info, width=100)))
        with pytest.raises(MissingFlowError):
            StoredFlow(store, source).between(one, frames[2], replace(frames[2], index=3))
        assert StoredFlow(store, source).settings()["estimator"] == "dis"


def test_no_smoothing_gives_the_same_frames() -> None:
    frames = [frame(i) for i in range(3)]
    assert list(NoSmoothing().smooth(frames)) == frames
    for bad in ({"reach": 0}, {"threshold_px": 0.0}):
        with pytest.raises(ValueError, match="wanted 1 or more"):
            FlowSmoothing(**bad)  # type: ignore[arg-type]
