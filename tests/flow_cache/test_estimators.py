from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from flow_cache.errors import FlowCacheError
from flow_cache.estimators import ESTIMATORS, DenseInverseSearch, settings_hash, settings_of
from flow_cache.video import read_image


def read_flo(path: Path) -> np.ndarray:
    """The Middlebury format: a magic number, width, height, then (H, W, 2) float32. Returns (2, H, W)."""
    content = path.read_bytes()
    assert content[:4] == b"PIEH"
    width, height = np.frombuffer(content, np.int32, 2, offset=4)
    return np.frombuffer(content, np.float32, offset=12).reshape(height, width, 2).transpose(2, 0, 1)


@pytest.mark.parametrize(("shift", "axis", "expected"), [(1, 1, (1, 0)), (-2, 1, (-2, 0)), (1, 0, (0, 1))])
def test_flow_takes_the_first_frame_to_the_second(
    texture: np.ndarray, shift: int, axis: int, expected: tuple[float, float]
) -> None:
    moved = np.roll(texture, shift, axis=axis)
    flow_0to1 = DenseInverseSearch().estimate(texture[None], moved[None])[0]
    assert flow_0to1.shape == (2, *texture.shape[:2])
    assert flow_0to1.dtype == np.float32
    inner = flow_0to1[:, 8:-8, 8:-8].reshape(2, -1)
    np.testing.assert_allclose(np.median(inner, axis=1), expected, atol=0.1)


def test_each_pair_of_a_batch_is_estimated_by_itself(texture: np.ndarray) -> None:
    right, left = np.roll(texture, 3, axis=1), np.roll(texture, -3, axis=1)
    estimator = DenseInverseSearch("fast")
    both = estimator.estimate(np.stack([texture, texture]), np.stack([right, left]))
    np.testing.assert_array_equal(both[0], estimator.estimate(texture[None], right[None])[0])
    np.testing.assert_array_equal(both[1], estimator.estimate(texture[None], left[None])[0])


def test_flying_chairs(samples: Path) -> None:
    errors_px, lengths_px = [], []
    for index in range(4):
        frames = [read_image(samples / f"flow/chairs_{index}_{side}.png")[None] for side in (0, 1)]
        truth = read_flo(samples / f"flow/chairs_{index}.flo")
        flow = DenseInverseSearch().estimate(*frames)[0]
        errors_px.append(np.hypot(*(flow - truth)).mean())
        lengths_px.append(np.hypot(*truth).mean())
    print(f"end-point error {np.mean(errors_px):.2f} px; zero flow {np.mean(lengths_px):.2f} px")
    assert np.mean(errors_px) < 5.0
    assert np.mean(errors_px) < np.mean(lengths_px)


def test_settings_tell_estimators_apart() -> None:
    medium, fast = DenseInverseSearch(), DenseInverseSearch("fast")
    assert ESTIMATORS[medium.name] is DenseInverseSearch
    assert settings_of(medium) == {"preset": "medium"}
    assert settings_hash(medium) == settings_hash(DenseInverseSearch("medium")) != settings_hash(fast)
    assert pickle.loads(pickle.dumps(fast)) == fast


def test_bad_input_is_refused(texture: np.ndarray) -> None:
    with pytest.raises(FlowCacheError, match="preset 'slow' of dis; choices: ultrafast, fast, medium"):
        DenseInverseSearch("slow")
    estimator = DenseInverseSearch()
    with pytest.raises(FlowCacheError, match=r"frames_0 of shape \(96, 128, 3\)"):
        estimator.estimate(texture, texture)
    with pytest.raises(FlowCacheError, match="type float64"):
        estimator.estimate(texture[None], texture[None] / 255)
    with pytest.raises(FlowCacheError, match="differ in shape"):
        estimator.estimate(texture[None], texture[None, :90])
    with pytest.raises(FlowCacheError, match="at least 16 px"):
        estimator.estimate(texture[None, :15], texture[None, :15])
