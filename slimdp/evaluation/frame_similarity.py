"""How much pictures of a video resemble the next one: ITF and ISI (Direct Dense Pose, 6.3 and table 4).

That paper takes them of videos of drawn dense pose, where flicker lowers both. Pictures are (H, W) or
(H, W, 3) uint8; with three channels the error is over all of them, and SSIM is the mean of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import cv2
import numpy as np

_PEAK = 255.0
#: Window and constants of SSIM (Wang et al., 2004, 3.2).
WINDOW, SIGMA = 11, 1.5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2


def itf(frames: Iterable[np.ndarray]) -> float:
    """Interframe transformation fidelity: mean PSNR of neighbouring pictures, dB; infinite if two are equal.

    Raises:
        ValueError: fewer than two pictures, or others than uint8 of one size.
    """
    return _mean_of_neighbours(psnr, frames)


def isi(frames: Iterable[np.ndarray]) -> float:
    """Interframe similarity index: mean SSIM of neighbouring pictures, at most 1; errors as for `itf`."""
    return _mean_of_neighbours(ssim, frames)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio 10 log10(255^2 / MSE), dB, of two pictures; infinite if they are equal."""
    _check(a, b)
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(_PEAK**2 / error))


def ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Structural similarity of two pictures, at most 1 (Wang et al., 2004, 3.2 and equation 13).

    Gaussian windows of 11 x 11 px, sigma 1.5; the mean over the windows that lie inside the picture. The
    pictures are not scaled down first.

    Raises:
        ValueError: others than uint8 of one size, or smaller than a window.
    """
    _check(a, b)
    if min(a.shape[:2]) < WINDOW:
        raise ValueError(f"pictures of {a.shape[:2]} px, but SSIM needs {WINDOW} px each way")
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _windowed(x), _windowed(y)
    variance_x = _windowed(x * x) - mean_x**2
    variance_y = _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    similarity /= (mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)
    return float(similarity.mean())


def _windowed(values: np.ndarray) -> np.ndarray:
    """Gaussian means of all windows that lie inside."""
    half = WINDOW // 2
    blurred = cv2.GaussianBlur(values, (WINDOW, WINDOW), SIGMA)
    return blurred[half : values.shape[0] - half, half : values.shape[1] - half]


def _mean_of_neighbours(
    measure: Callable[[np.ndarray, np.ndarray], float], frames: Iterable[np.ndarray]
) -> float:
    values = [measure(a, b) for a, b in pairwise(frames)]
    if not values:
        raise ValueError("fewer than two pictures: nothing follows the first one")
    return float(np.mean(values))


def _check(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8 or a.ndim not in (2, 3) or not a.size:
        raise ValueError(
            f"pictures of shape {a.shape} and {b.shape}, type {a.dtype} and {b.dtype}; wanted one shape, "
            "(H, W) or (H, W, 3), and uint8"
        )
