from __future__ import annotations

import numpy as np
import pytest

from slimdp.config import ConfigError
from slimdp.motion.reach import FrameReach
from slimdp.suggest.frames import Cover, VideoKnowledge, alike, cover_share, suggest_frames


def reach_of(rows: list[list[float]]) -> FrameReach:
    """A reach with one cell a frame: rows[f][g] is the trust that frame f gives frame g."""
    table = np.array(rows, dtype=np.float32)
    count = len(table)
    trust = np.zeros((count, 2 * count - 1, 1), np.float32)
    for f in range(count):
        for g in range(count):
            trust[f, count - 1 + g - f, 0] = table[f, g]
    return FrameReach(trust)


#: Three frames that reach one another, and one alone after a cut.
CUT = [[1, 0.9, 0.5, 0], [0.9, 1, 0.9, 0], [0.5, 0.9, 1, 0], [0, 0, 0, 1]]


def chosen(method: str, video: VideoKnowledge, count: int, seed: int = 0) -> list[int]:
    return [each.frame for each in suggest_frames(method, video, count, np.random.default_rng(seed))]


def test_the_best_frame_reaches_most_and_a_frame_alone_comes_next() -> None:
    video = VideoKnowledge(4, reach=reach_of(CUT))
    found = suggest_frames("flow", video, 4, np.random.default_rng(0))
    assert [each.frame for each in found] == [1, 3, 0, 2]
    # 0.9 + 1 + 0.9; then frame 3 itself; then what frames 0 and 2 lack.
    np.testing.assert_allclose([each.gain for each in found], [2.8, 1, 0.1, 0.1], atol=1e-6)


def test_labels_that_are_there_count() -> None:
    video = VideoKnowledge(4, labelled=(1,), reach=reach_of(CUT))
    assert chosen("flow", video, 1) == [3]
    assert chosen("flow", VideoKnowledge(4, labelled=(3,), reach=reach_of(CUT)), 1) == [1]


def test_frames_of_which_a_network_is_unsure_count_more() -> None:
    unsure = np.array([0.0, 0.0, 8.0, 0.0])
    video = VideoKnowledge(4, uncertainty=unsure, reach=reach_of(CUT))
    assert chosen("flow", video, 1) == [2]


def test_greedy_cover_is_near_the_best_of_all() -> None:
    """63 % of the best of all pairs are sure (Nemhauser et al. 1978), found here by trying every pair."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        reach = reach_of((rng.random((6, 6)) + np.eye(6)).clip(0, 1).tolist())
        found = cover_share(reach, chosen("flow", VideoKnowledge(6, reach=reach), 2))
        best = max(cover_share(reach, [a, b]) for a in range(6) for b in range(a))
        assert (1 - np.exp(-1)) * best <= found <= best + 1e-6


def test_two_frames_lie_at_the_quarters_and_one_in_the_middle() -> None:
    """Of nine frames in a row, where trust falls with the distance; the greedy first one is the middle."""
    apart = np.abs(np.subtract.outer(np.arange(9), np.arange(9)))
    video = VideoKnowledge(9, reach=reach_of((0.8**apart).tolist()))
    assert chosen("flow", video, 1) == [4]
    assert sorted(chosen("flow", video, 2)) in ([2, 6], [2, 7], [1, 6])
    assert cover_share(video.reach, chosen("flow", video, 2)) > cover_share(video.reach, [4, 1])


def test_the_frames_together_are_no_worse_than_one_after_another() -> None:
    rng = np.random.default_rng(2)
    for _ in range(10):
        reach = reach_of((rng.random((8, 8)) + np.eye(8)).clip(0, 1).tolist())
        video = VideoKnowledge(8, labelled=(5,), reach=reach)
        greedy: list[int] = []
        for _ in range(3):  # the next one alone, each time
            greedy += chosen("flow", VideoKnowledge(8, labelled=(5, *greedy), reach=reach), 1)
        found = chosen("flow", video, 3)
        assert len({*found, 5}) == 4
        assert cover_share(reach, [5, *found]) >= cover_share(reach, [5, *greedy]) - 1e-6


def test_with_features_a_scene_without_labels_comes_before_another_part_of_a_known_one() -> None:
    """A scene of six frames, of which flow reaches three from each, and one of two after a cut."""
    near = np.abs(np.subtract.outer(np.arange(8), np.arange(8))) <= 1
    scene = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    reach = reach_of((near & (scene[:, None] == scene)).astype(float).tolist())
    features = scene[:, None] + 0.05 * np.random.default_rng(0).standard_normal((8, 3))
    assert sorted(chosen("flow", VideoKnowledge(8, reach=reach), 2)) == [1, 4]
    first, second = sorted(chosen("flow", VideoKnowledge(8, features=features, reach=reach), 2))
    assert first < 6 <= second


def test_a_frame_that_looks_as_others_tells_something_of_them() -> None:
    features = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    same = alike(features)
    assert np.allclose(np.diag(same), same[0, 1])
    assert same[0, 1] == pytest.approx(0.5)
    # Each of two features differs by two of its standard deviations: 4 in the mean, half of that.
    assert same[0, 2] == pytest.approx(0.5 * np.exp(-4), rel=1e-3)
    known = VideoKnowledge(4, features=features, reach=reach_of(np.eye(4).tolist()))
    cover = Cover(known)
    nothing = cover.covered([])
    assert nothing.max() == 0
    # All of frame 0, half of frame 1, and a trace of the others.
    assert cover.gain(nothing, 0) == pytest.approx(1 + 0.5 + 2 * 0.5 * np.exp(-4), rel=1e-3)
    assert cover.gain(cover.covered([0]), 1) == pytest.approx(0.5, rel=1e-3)


def test_even_frames() -> None:
    assert chosen("even", VideoKnowledge(10), 2) == [2, 7]
    assert chosen("even", VideoKnowledge(9), 1) == [4]
    # The widest gap of frames 0..8 with 0 labelled is at the end, then in the middle.
    assert chosen("even", VideoKnowledge(9, labelled=(0,)), 2) == [8, 4]


def test_random_frames_are_others_and_follow_the_seed() -> None:
    video = VideoKnowledge(20, labelled=(3, 5))
    found = chosen("random", video, 18)
    assert sorted([*found, 3, 5]) == list(range(20))
    assert found == chosen("random", video, 18)
    assert found != chosen("random", video, 18, seed=1)
    assert len(chosen("random", video, 99)) == 18


def test_features_choose_one_of_each_kind() -> None:
    kinds = np.repeat([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]], [5, 3, 2], axis=0)
    features = kinds + 0.01 * np.random.default_rng(0).random((10, 2))
    found = chosen("features", VideoKnowledge(10, features=features), 3)
    assert {tuple(kinds[frame]) for frame in found} == {(0, 0), (5, 0), (0, 5)}
    # Of kinds without a label the larger one comes first.
    assert chosen("features", VideoKnowledge(10, labelled=(0, 8), features=features), 1)[0] in (5, 6, 7)


@pytest.mark.filterwarnings("error")
def test_features_of_still_shots_are_no_more_kinds_than_they_look() -> None:
    still = VideoKnowledge(10, features=np.ones((10, 4), np.float32))
    assert chosen("features", still, 3) == chosen("even", still, 3) == [1, 5, 8]
    shots = np.repeat(np.array([[0.0, 3.0], [3.0, 0.0]], np.float32), 5, axis=0)
    noise = 1e-6 * np.random.default_rng(0).random((10, 2))  # what sums of a network are rounded to
    for features in (shots, (shots + noise).astype(np.float32)):
        two = VideoKnowledge(10, features=features)
        first, second, third = chosen("features", two, 3)
        assert {first < 5, second < 5} == {True, False}
        assert len({first, second, third}) == 3
        found = suggest_frames("features", two, 9, np.random.default_rng(0))
        assert len({each.frame for each in found}) == 9
        assert [each.gain for each in found[:2]] == [5, 5]
        assert np.isnan([each.gain for each in found[2:]]).all()
    assert sorted(chosen("features", VideoKnowledge(10, features=shots), 2)) == [2, 7]
    # The shot of frame 2 is done; then the frame that is farthest from all labels.
    labelled = VideoKnowledge(10, labelled=(2,), features=shots)
    assert chosen("features", labelled, 2) == [7, 0]


@pytest.mark.parametrize(
    ("method", "count", "message"),
    [
        ("flow", 1, "--flow"),
        ("features", 1, "--weights"),
        ("best", 1, "choose one of: random"),
        ("even", 0, "0 frames"),
    ],
)
def test_what_is_missing_is_named(method: str, count: int, message: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=message):
        chosen(method, VideoKnowledge(4), count)


def test_a_labelled_frame_must_be_there() -> None:
    with pytest.raises(ValueError, match="frame 4 is labelled, but the video has 4 frames"):
        VideoKnowledge(4, labelled=(4,))
