from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from slimdp.evaluation.stability import isi, itf, psnr, ssim


def slow_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Window by window, from the paper's equation 13 alone."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = a[y : y + 11, x : x + 11].astype(float), b[y : y + 11, x : x + 11].astype(float)
            mean_p, mean_q = (window * p).sum(), (window * q).sum()
            variance_p, variance_q = (window * (p - mean_p) ** 2).sum(), (window * (q - mean_q) ** 2).sum()
            covariance = (window * (p - mean_p) * (q - mean_q)).sum()
            top = (2 * mean_p * mean_q + c1) * (2 * covariance + c2)
            values.append(top / ((mean_p**2 + mean_q**2 + c1) * (variance_p + variance_q + c2)))
    return float(np.mean(values))


def image(seed: int, shape: tuple[int, ...] = (16, 19)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_psnr_by_hand() -> None:
    black, grey = np.zeros((4, 4), np.uint8), np.full((4, 4), 51, np.uint8)
    assert psnr(black, grey) == pytest.approx(20 * np.log10(5))  # the error is a fifth of the range
    one = black.copy()
    one[0, 0] = 255
    assert psnr(black, one) == pytest.approx(10 * np.log10(16))
    assert psnr(black, black) == np.inf


def test_ssim_by_hand() -> None:
    # Flat pictures have no variance: only the term of the means is left.
    a, b = np.full((12, 12), 100, np.uint8), np.full((12, 12), 120, np.uint8)
    c1 = (0.01 * 255) ** 2
    assert ssim(a, b) == pytest.approx((2 * 100 * 120 + c1) / (100**2 + 120**2 + c1))
    assert ssim(a, a) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(4))
def test_fast_and_slow_ssim_agree(seed: int) -> None:
    a = image(seed)
    noise = np.random.default_rng(seed).normal(0, 20 * seed, a.shape)
    b = np.clip(a + noise, 0, 255).astype(np.uint8)
    assert ssim(a, b) == pytest.approx(slow_ssim(a, b), abs=1e-9)
    assert ssim(a, 255 - a) == pytest.approx(slow_ssim(a, 255 - a), abs=1e-9)


def test_three_channels_are_averaged() -> None:
    a, b = image(1, (14, 15, 3)), image(2, (14, 15, 3))
    assert ssim(a, b) == pytest.approx(np.mean([ssim(a[..., c], b[..., c]) for c in range(3)]))


def test_video_measures_are_means_of_neighbours() -> None:
    frames = [image(seed) for seed in range(4)]
    assert itf(frames) == pytest.approx(np.mean([psnr(a, b) for a, b in pairwise(frames)]))
    assert isi(iter(frames)) == pytest.approx(np.mean([ssim(a, b) for a, b in pairwise(frames)]))
    assert isi([frames[0]] * 3) == pytest.approx(1)


def test_bad_pictures() -> None:
    with pytest.raises(ValueError, match="fewer than two"):
        itf([image(0)])
    with pytest.raises(ValueError, match="wanted one shape"):
        psnr(image(0), image(0, (16, 18)))
    with pytest.raises(ValueError, match="uint8"):
        psnr(image(0).astype(float), image(0).astype(float))
    with pytest.raises(ValueError, match="SSIM needs 11"):
        ssim(image(0, (10, 30)), image(1, (10, 30)))
