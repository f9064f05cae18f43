"""Which frames of a video to label next.

    random    by chance
    even      evenly spread over time
    features  k-means on features of a network, the frame nearest to each centre
    flow      cover: the frames whose labels, carried along flow, reach most of the video

The last is a sum over all places of all frames of the best trust that a label gets there, which is
submodular: taking the best next frame each time comes to at least 63 % of the best choice (Nemhauser et al.
1978). From there frames are exchanged for others near them while the sum grows. A frame that no other
reaches is worth most, as nothing else would label it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist

from slimdp.config import ConfigError
from slimdp.motion.reach import FrameReach


@dataclass(frozen=True)
class VideoKnowledge:
    """What is known of the F frames of a video."""

    frames: int
    labelled: tuple[int, ...] = ()  # those that have labels already
    features: np.ndarray | None = None  # (F, D), of a network
    uncertainty: np.ndarray | None = None  # (F,) how unsure it is of each frame, any unit
    reach: FrameReach | None = None  # of the flow

    def __post_init__(self) -> None:
        outside = [frame for frame in self.labelled if not 0 <= frame < self.frames]
        if outside:
            raise ValueError(f"frame {outside[0]} is labelled, but the video has {self.frames} frames")

    @property
    def free(self) -> np.ndarray:
        """The frames that have no labels, ascending."""
        return np.setdiff1d(np.arange(self.frames), self.labelled)


@dataclass(frozen=True)
class Suggestion:
    """A frame to label, and what it is worth by the method's own measure; NaN where that has none."""

    frame: int
    gain: float


def suggest_frames(
    method: str, video: VideoKnowledge, count: int, rng: np.random.Generator
) -> list[Suggestion]:
    """The next `count` frames to label, the best first; fewer where there are no more.

    Raises ConfigError for an unknown method, or one that needs what is not known of the video; ValueError for
    a count below 1.
    """
    if method not in METHODS:
        raise ConfigError(f"no method {method!r}; choose one of: {', '.join(METHODS)}")
    if count < 1:
        raise ValueError(f"{count} frames, but 1 or more are wanted")
    return METHODS[method](video, min(count, len(video.free)), rng)


def _random(video: VideoKnowledge, count: int, rng: np.random.Generator) -> list[Suggestion]:
    return [Suggestion(int(frame), np.nan) for frame in rng.permutation(video.free)[:count]]


def _even(video: VideoKnowledge, count: int, rng: np.random.Generator) -> list[Suggestion]:
    """The middle of each of `count` equal shares; with labels the middle of the widest gap each time."""
    if not video.labelled:
        places = [int((place + 0.5) * video.frames / count) for place in range(count)]
        return [Suggestion(frame, np.nan) for frame in places]
    found: list[Suggestion] = []
    while len(found) < count:
        known = sorted({*video.labelled, *(each.frame for each in found)})
        apart = np.abs(np.arange(video.frames)[:, None] - np.array(known)).min(axis=1)
        frame = int(apart.argmax())
        found.append(Suggestion(frame, float(apart[frame])))
    return found


def _by_features(video: VideoKnowledge, count: int, rng: np.random.Generator) -> list[Suggestion]:
    """The frames nearest to the centres of as many clusters as there shall be labelled frames; clusters with
    a labelled frame are done, and of the others the largest come first."""
    if video.features is None:
        raise ConfigError("features of a network are wanted: name --weights")
    scaled = video.features / np.maximum(video.features.std(axis=0), 1e-6)
    clusters = min(count + len(video.labelled), video.frames)
    centres, cluster = kmeans2(scaled.astype(np.float64), clusters, minit="++", rng=rng)
    done = set(cluster[list(video.labelled)].tolist())
    size = np.bincount(cluster, minlength=clusters)
    order = sorted(range(clusters), key=lambda each: (each in done, -size[each]))
    found: list[Suggestion] = []
    free = video.free.tolist()
    for each in order[:count]:
        distance = cdist(centres[each : each + 1], scaled[free])[0]
        found.append(Suggestion(free.pop(int(distance.argmin())), float(size[each])))
    return found


def _by_flow(video: VideoKnowledge, count: int, rng: np.random.Generator) -> list[Suggestion]:
    """Cover by all `count` frames together; where a network is unsure of a frame, reaching it counts more."""
    if video.reach is None:
        raise ConfigError("flow of the video is wanted: name --flow")
    weight = np.ones(video.frames)
    if video.uncertainty is not None:
        weight = video.uncertainty / max(float(video.uncertainty.mean()), 1e-12)
    first = _greedy(video, weight, video.free, count)
    chosen = _exchanged(video, weight, [each.frame for each in first])
    return _greedy(video, weight, np.array(chosen), count)  # the same frames, the best first


def _greedy(video: VideoKnowledge, weight: np.ndarray, choice: np.ndarray, count: int) -> list[Suggestion]:
    """Of the frames `choice` the one that adds most to the cover, then the one that adds most to that."""
    assert video.reach is not None
    covered, free = video.reach.covered(video.labelled), choice.tolist()
    found: list[Suggestion] = []
    while len(found) < count:
        gains = [cover_gain(video.reach, covered, weight, frame) for frame in free]
        best = free.pop(int(np.argmax(gains)))
        found.append(Suggestion(best, max(gains)))
        there, mine = video.reach.window(best)
        covered[there] = np.maximum(covered[there], video.reach.trust[best, mine])
    return found


def _exchanged(video: VideoKnowledge, weight: np.ndarray, chosen: list[int]) -> list[int]:
    """Each frame gives way to the one within its reach that covers more beside all others, until none does.

    The first frame of a greedy cover lies in the middle, where two frames do worse than at the quarters.
    """
    reach, moved = video.reach, True
    assert reach is not None
    while moved:
        moved = False
        for place, frame in enumerate(chosen):
            others = [*video.labelled, *chosen[:place], *chosen[place + 1 :]]
            covered = reach.covered(others)
            near = np.setdiff1d(np.arange(video.frames)[reach.window(frame)[0]], others)
            gains = [cover_gain(reach, covered, weight, each) for each in near.tolist()]
            if max(gains) > cover_gain(reach, covered, weight, frame) * (1 + 1e-6):
                chosen[place], moved = int(near[int(np.argmax(gains))]), True
    return chosen


def cover_gain(reach: FrameReach, covered: np.ndarray, weight: np.ndarray, frame: int) -> float:
    """How many frames' worth of cover a frame's labels would add to `covered` (F, K), weighted (F,)."""
    there, mine = reach.window(frame)
    more = np.maximum(reach.trust[frame, mine] - covered[there], 0).mean(axis=1)
    return float((more * weight[there]).sum())


METHODS: dict[str, Callable[[VideoKnowledge, int, np.random.Generator], list[Suggestion]]] = {
    "random": _random, "even": _even, "features": _by_features, "flow": _by_flow,
}  # fmt: skip


def cover_share(reach: FrameReach, labelled: Sequence[int]) -> float:
    """The share of the video, 0..1, that labels of some frames reach, by trust."""
    return float(reach.covered(labelled).mean())
