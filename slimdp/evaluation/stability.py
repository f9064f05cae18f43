"""Whether predictions of a video are steady: surface points of pixels along the flow, and pictures alike.

ITF and ISI (Direct Dense Pose, 6.3 and table 4) say how much a picture of a video resembles the next one.
That paper takes them of videos of drawn dense pose, where flicker lowers both. Pictures are (H, W) or
(H, W, 3) uint8; with three channels the error is over all of them, and SSIM is the mean of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np

from flow_cache import FlowChain, FlowChainReader, FlowSource, propagate_points, threshold_in_image
from flow_cache.runtime.progress import tracked
from slimdp.config import CropSettings
from slimdp.data import AnnotationSet, crop_side
from slimdp.evaluation.predictions import PredictionFile, nearest_pixels, paste_prediction
from slimdp.motion import FramePlaces
from slimdp.structures import DensePoseInstance, PersonAnnotation
from slimdp.surface import Surface

#: A surface point that moves farther between two frames has jumped, metres.
JUMP_M = 0.05
#: Largest forward-backward offset, px of a 256 px crop: as labels are propagated (Slim DensePose, 5.4).
THRESHOLD_PX = 5.0
_PEAK = 255.0
#: Window and constants of SSIM (Wang et al., 2004, 3.2).
WINDOW, SIGMA = 11, 1.5
_C1, _C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2


@dataclass(frozen=True)
class StabilityCount:
    """Pixels of people that the flow takes from a frame to another one, and what became of them."""

    pairs: int = 0  # a person in two frames
    propagated: int = 0  # pixels of the person in the first frame that pass the check, into the second crop
    lost: int = 0  # of these: background for the prediction of the second frame
    moved: int = 0  # of the others: predicted at another place of the body, too far from the first

    def __add__(self, other: StabilityCount) -> StabilityCount:
        return StabilityCount(*(a + b for a, b in zip(astuple(self), astuple(other))))

    def in_percent(self) -> dict[str, float | None]:
        """{"moved": of pixels that stay the person, "lost": of all propagated ones, ...}; None of none."""
        stayed = self.propagated - self.lost
        return {
            "moved": 100 * self.moved / stayed if stayed else None,
            "lost": 100 * self.lost / self.propagated if self.propagated else None,
            "pairs": self.pairs,
            "pixels": self.propagated,
        }


def measure_stability(
    predictions: PredictionFile,
    annotations: AnnotationSet,
    store: FlowSource,
    surface: Surface,
    jump_m: float = JUMP_M,
    step: int = 1,
    threshold_px: float = THRESHOLD_PX,
    first_frame: int | None = None,
) -> dict[str, StabilityCount]:
    """Follow the pixels of people from frame to frame, and count by video where predictions jump on the body.

    A person is known in both frames by its track. What is hidden, leaves the picture or has no flow fails the
    forward-backward check, of `threshold_px` in px of a 256 px crop, and is not counted. A surface point may
    move by `jump_m`, from each frame to the one `step` later, whose flow the store has both ways.
    `first_frame` is the number that pictures give to the first frame of their video; None: find out.

    Raises:
        ValueError: a step below 1, a jump that is not positive, or nobody who is predicted in two frames
            `step` apart. AnnotationError, flow_cache.MissingFlowError: frames that the store lacks, or
            others than its flow was computed from.
    """
    check_step(step, jump_m)
    counts: dict[str, StabilityCount] = {}
    followed = [
        person
        for person in annotations.people
        if None not in (person.track, person.image.video) and (person.image.id, person.id) in predictions
    ]
    images = (person.image for person in followed)
    places = FramePlaces(store, images, annotations.images, first_frame=first_frame)
    for person_0, person_1, chain in _pairs(followed, store, places, step):
        limit_px = threshold_in_image(threshold_px, crop_side(person_0.box, CropSettings()))
        prediction_0 = predictions.read(person_0.image.id, person_0.id)
        prediction_1 = predictions.read(person_1.image.id, person_1.id)
        count = measure_pair(prediction_0, prediction_1, chain, surface, jump_m, limit_px)
        video = places.place(person_0.image).video
        counts[video] = counts.get(video, StabilityCount()) + count
    if not counts:
        remedy = "predict people in neighbouring frames, or choose another --step"
        found = f"nobody with a track id is predicted in two frames {step} apart"
        raise ValueError(f"{predictions.path}: {found}; {remedy}")
    return counts


def measure_pair(
    prediction_0: DensePoseInstance,
    prediction_1: DensePoseInstance,
    chain: FlowChain,
    surface: Surface,
    jump_m: float = JUMP_M,
    limit_px: float = THRESHOLD_PX,
) -> StabilityCount:
    """The same for one person in two frames; `limit_px` is in px of the image."""
    height, width = chain.pairs[0].flow_0to1.shape[1:]
    part_0, uv_0 = paste_prediction(prediction_0, width, height)
    row, column = np.nonzero(part_0)

    def read_1(points_1: np.ndarray) -> PointAnswers:
        pixels, inside = nearest_pixels(prediction_1, points_1)
        x, y = pixels.T
        uv_1 = prediction_1.uv[:, y, x].T.astype(np.float32)
        return PointAnswers(inside, prediction_1.foreground[y, x], prediction_1.part[y, x], uv_1)

    pixels_0 = np.column_stack([column, row])
    answers_0 = part_0[row, column], uv_0[:, row, column].T
    return count_followed(pixels_0, *answers_0, read_1, chain, surface, jump_m, limit_px)


class PointAnswers(NamedTuple):
    """What a prediction of a frame says of a person at N places; the others count only where `inside`."""

    inside: np.ndarray  # (N,) bool: whether the prediction has an answer there at all
    person: np.ndarray  # (N,) bool: whether it is the person
    part: np.ndarray  # (N,) 1..P where it is
    uv: np.ndarray  # (N, 2) float32


def count_followed(
    pixels_0: np.ndarray,
    part_0: np.ndarray,
    uv_0: np.ndarray,
    read_1: Callable[[np.ndarray], PointAnswers],
    chain: FlowChain,
    surface: Surface,
    jump_m: float,
    limit_px: float,
) -> StabilityCount:
    """Follow a person's pixels (N, 2) x, y px of frame 0, of part (N,) and uv (N, 2), to frame 1, and count.

    `read_1` tells what the prediction of frame 1 says at places (M, 2) x, y px. What leaves the crop of the
    second frame has no answer there, neither the person nor background, and is not counted. `limit_px` is the
    forward-backward check's, px of the image.
    """
    moved = propagate_points(pixels_0, chain, limit_px)
    kept = np.flatnonzero(moved.kept)
    inside, person, part_1, uv_1 = read_1(moved.points_1[kept])
    stays = inside & person
    start = kept[stays]
    distance_m = surface.distance_between(part_0[start], uv_0[start], part_1[stays], uv_1[stays])
    return StabilityCount(
        1, int(inside.sum()), int((inside & ~person).sum()), int((distance_m > jump_m).sum())
    )


def check_step(step: int, jump_m: float) -> None:
    """Raise ValueError unless there is a step forwards and a jump that is a distance."""
    if step < 1 or not jump_m > 0:
        raise ValueError(f"step {step}, jump {jump_m} m; wanted 1 or more, and a positive distance")


def _pairs(
    people: Iterable[PersonAnnotation], store: FlowSource, places: FramePlaces, step: int
) -> Iterator[tuple[PersonAnnotation, PersonAnnotation, FlowChain]]:
    """Everyone of some people in two frames of a video, with the flow between them, read once a frame."""
    chains = FlowChainReader(store)
    frames: dict[tuple[str, str | None], dict[int, dict[int | None, PersonAnnotation]]] = {}
    for person in people:
        place = places.place(person.image)
        of_video = frames.setdefault((place.video, person.image.video), {})
        of_video.setdefault(place.index, {})[person.track] = person
    starts = [(key, frame) for key, of_video in frames.items() for frame in sorted(of_video)]
    for (video, vid_id), frame_0 in tracked(starts, "stability", "frames"):
        of_video = frames[video, vid_id]
        people_0, people_1 = of_video[frame_0], of_video.get(frame_0 + step, {})
        both = [track for track in people_0 if track in people_1]
        if not both or not places.place(people_0[both[0]].image).holds(frame_0 + step):
            continue
        chain = chains.read(video, frame_0, (step,))
        yield from ((people_0[track], people_1[track], chain) for track in both)


def itf(frames: Iterable[np.ndarray]) -> float:
    """Interframe transformation fidelity: mean PSNR of neighbouring pictures, dB; infinite if two are equal.

    Raises ValueError for fewer than two pictures, or others than uint8 of one size.
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
    pictures are not scaled down first. Raises ValueError for others than uint8 of one size, or smaller than a
    window.
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
        found = f"pictures of shape {a.shape} and {b.shape}, type {a.dtype} and {b.dtype}"
        raise ValueError(f"{found}; wanted one shape, (H, W) or (H, W, 3), and uint8")
