from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache.errors import FlowCacheError
from flow_cache.estimators import ESTIMATORS, DenseInverseSearch, FlowEstimator, settings_hash
from flow_cache.estimators.dis import PRESETS
from flow_cache.exchange import read_flo
from flow_cache.video import read_image


def chairs_error_px(samples: Path, estimator: FlowEstimator) -> tuple[float, float]:
    """Mean end-point error over the FlyingChairs pairs, and that of no flow at all."""
    errors_px, lengths_px = [], []
    for index in range(4):
        frames = np.stack([read_image(samples / f"flow/chairs_{index}_{side}.png") for side in (0, 1)])
        truth = read_flo(samples / f"flow/chairs_{index}.flo")
        errors_px.append(np.hypot(*(estimator.estimate(frames, [(0, 1)])[0] - truth)).mean())
        lengths_px.append(np.hypot(*truth).mean())
    return float(np.mean(errors_px)), float(np.mean(lengths_px))


@pytest.mark.parametrize(("shift", "axis", "expected"), [(1, 1, (1, 0)), (-2, 1, (-2, 0)), (1, 0, (0, 1))])
def test_flow_takes_the_first_frame_to_the_second(
    texture: np.ndarray, shift: int, axis: int, expected: tuple[float, float]
) -> None:
    moved = np.roll(texture, shift, axis=axis)
    flow_0to1 = DenseInverseSearch().estimate(np.stack([texture, moved]), [(0, 1)])[0]
    assert flow_0to1.shape == (2, *texture.shape[:2])
    assert flow_0to1.dtype == np.float32
    inner = flow_0to1[:, 8:-8, 8:-8].reshape(2, -1)
    np.testing.assert_allclose(np.median(inner, axis=1), expected, atol=0.1)


def test_each_pair_of_a_batch_is_estimated_by_itself(texture: np.ndarray) -> None:
    frames = np.stack([texture, np.roll(texture, 3, axis=1), np.roll(texture, -3, axis=1)])
    estimator = DenseInverseSearch("fast")
    three = estimator.estimate(frames, [(0, 1), (0, 2), (2, 0)])
    for flow, (first, second) in zip(three, [(0, 1), (0, 2), (2, 0)], strict=True):
        alone = estimator.estimate(frames[[first, second]], [(0, 1)])[0]
        np.testing.assert_array_equal(flow, alone)


def test_finer_presets_follow_what_is_a_few_pixels_wide() -> None:
    rng = np.random.default_rng(0)
    limb, width, shift = slice(40, 45), 5, 3
    behind, drawn = (rng.integers(0, 256, (96, side, 3)).astype(np.uint8) for side in (96, width))
    frame_0, drawn = cv2.GaussianBlur(behind, (0, 0), 2), cv2.GaussianBlur(drawn, (0, 0), 1.5)
    frame_1 = frame_0.copy()
    frame_0[:, limb], frame_1[:, 40 + shift : 45 + shift] = drawn, drawn
    error_px = {}
    for preset in ("medium", "fine", "finest"):
        flow = DenseInverseSearch(preset).estimate(np.stack([frame_0, frame_1]), [(0, 1)])[0]
        off = flow[:, 8:-8, limb] - np.reshape([shift, 0], (2, 1, 1))
        error_px[preset] = float(np.median(np.linalg.norm(off, axis=0)))
    assert error_px["fine"] < min(1.0, error_px["medium"]), error_px
    assert error_px["finest"] < min(1.0, error_px["medium"]), error_px


def test_flying_chairs(samples: Path) -> None:
    error_px, no_flow_px = chairs_error_px(samples, DenseInverseSearch())
    print(f"end-point error {error_px:.2f} px; zero flow {no_flow_px:.2f} px")
    assert error_px < 5.0
    assert error_px < no_flow_px


def test_settings_tell_estimators_apart() -> None:
    medium, fast = DenseInverseSearch(), DenseInverseSearch("fast")
    assert ESTIMATORS[medium.name] is DenseInverseSearch
    assert medium.settings() == {"preset": "medium"}
    assert settings_hash(medium) == settings_hash(DenseInverseSearch("medium")) != settings_hash(fast)
    assert pickle.loads(pickle.dumps(fast)) == fast


def test_bad_input_is_refused(texture: np.ndarray) -> None:
    with pytest.raises(FlowCacheError, match="preset 'slow' of dis; choices: ultrafast, fast, medium, fine"):
        DenseInverseSearch("slow")
    estimator = DenseInverseSearch()
    frames = np.stack([texture, texture])
    with pytest.raises(FlowCacheError, match=r"frames of shape \(96, 128, 3\)"):
        estimator.estimate(texture, [(0, 1)])
    with pytest.raises(FlowCacheError, match="type float64"):
        estimator.estimate(frames / 255, [(0, 1)])
    with pytest.raises(FlowCacheError, match="at least 16 px"):
        estimator.estimate(frames[:, :15], [(0, 1)])
    with pytest.raises(FlowCacheError, match=r"pairs \[\(0, 2\)\] of 2 frames"):
        estimator.estimate(frames, [(0, 1), (0, 2)])
    with pytest.raises(FlowCacheError, match="wanted at least one"):
        estimator.estimate(frames, [])


@pytest.mark.parametrize("preset", PRESETS)
def test_dis_gives_the_same_flow_whatever_it_estimated_before(preset: str) -> None:
    """OpenCV chooses finer scales for small images, and keeps the choice."""
    rng = np.random.default_rng(0)

    def pair(height: int, width: int) -> np.ndarray:
        noise = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3)).astype(np.uint8), (0, 0), 2)
        return np.stack([noise, np.roll(noise, 2, axis=1)])

    wide, small = pair(56, 100), pair(64, 64)
    dis = DenseInverseSearch(preset)
    before = dis.estimate(wide, [(0, 1)])
    dis.estimate(small, [(0, 1)])
    np.testing.assert_array_equal(dis.estimate(wide, [(0, 1)]), before)
