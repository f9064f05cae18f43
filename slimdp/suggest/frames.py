"""Which frames of a video to label next.

    random    by chance
    even      evenly spread over time
    features  k-means on features of a network, the frame nearest to each centre
    flow      cover: the frames whose labels, carried along flow, reach most of the video; with features of
              a network a label also tells something of frames that look alike

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

#: What a label tells a network of a frame that looks the same, of what the flow would bring there.
_ALIKE = 0.5


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
    return _in_widest_gaps(video, [], count)


def _in_widest_gaps(video: VideoKnowledge, found: list[Suggestion], count: int) -> list[Suggestion]:
    """What was found, and as many frames more as make `count`, each as far from all others as can be."""
    found = list(found)
    while len(found) < count:
        known = sorted({*video.labelled, *(each.frame for each in found)})
        apart = np.abs(np.arange(video.frames)[:, None] - np.array(known)).min(axis=1)
        frame = int(apart.argmax())
        found.append(Suggestion(frame, float(apart[frame])))
    return found


def _by_features(video: VideoKnowledge, count: int, rng: np.random.Generator) -> list[Suggestion]:
    """The frames nearest to the centres of as many clusters as there shall be labelled frames; clusters with
    a labelled frame are done, and of the others the largest come first.

    There are no more clusters than kinds of frames that look different to the network: a still shot is one.
    What is left to choose then is spread evenly over time.
    """
    if video.features is None:
        raise ConfigError("features of a network are wanted: name --weights")
    kinds = _kinds(video.features)
    if kinds == 1:
        return _even(video, count, rng)
    scaled = video.features / np.maximum(video.features.std(axis=0), 1e-6)
    clusters = min(count + len(video.labelled), kinds)
    centres, cluster = kmeans2(scaled.astype(np.float64), clusters, minit="++", rng=rng)
    size = np.bincount(cluster, minlength=clusters)
    new = np.flatnonzero(size)
    new = np.setdiff1d(new, cluster[list(video.labelled)])
    found: list[Suggestion] = []
    for each in new[np.argsort(-size[new], kind="stable")][:count]:
        mine = np.flatnonzero(cluster == each)
        distance = cdist(centres[each : each + 1], scaled[mine])[0]
        nearest = mine[distance <= distance.min() + 1e-6]  # the frames of a still shot are all as near
        found.append(Suggestion(int(nearest[len(nearest) // 2]), float(size[each])))
    if len(found) == count:
        return found
    spread = _in_widest_gaps(video, found, count)[len(found) :]
    return [*found, *(Suggestion(each.frame, np.nan) for each in spread)]  # a gap is no size of a cluster


def _kinds(features: np.ndarray) -> int:
    """How many of some features (F, D) are different, beyond what a network's sums are rounded to."""
    scale = max(float(np.abs(features).max()), 1e-12)
    return len(np.unique(np.round(features / scale, 5), axis=0))


def _by_flow(video: VideoKnowledge, count: int, rng: np.random.Generator) -> list[Suggestion]:
    """Cover by all `count` frames together; where a network is unsure of a frame, reaching it counts more."""
    if video.reach is None:
        raise ConfigError("flow of the video is wanted: name --flow")
    cover = Cover(video)
    first = _greedy(cover, video, video.free, count)
    chosen = _exchanged(cover, video, [each.frame for each in first])
    return _greedy(cover, video, np.array(chosen), count)  # the same frames, the best first


class Cover:
    """What labels of some frames are worth for all: by flow, and for frames that look alike to a network."""

    def __init__(self, video: VideoKnowledge) -> None:
        assert video.reach is not None
        self._reach, count = video.reach, video.frames
        self._weight = np.ones(count)
        if video.uncertainty is not None:
            self._weight = video.uncertainty / max(float(video.uncertainty.mean()), 1e-12)
        self._alike = (
            np.zeros((count, count), np.float32) if video.features is None else alike(video.features)
        )

    def covered(self, frames: Sequence[int]) -> np.ndarray:
        """How well labels of some frames tell each cell of each frame, (F, K) in 0..1."""
        best = self._reach.covered(frames)
        for frame in frames:
            np.maximum(best, self._alike[frame][:, None], out=best)
        return best

    def gain(self, covered: np.ndarray, frame: int) -> float:
        """How many frames' worth of cover a frame's labels would add to `covered` (F, K)."""
        there, mine = self._reach.window(frame)
        told = np.maximum(covered, self._alike[frame][:, None])
        told[there] = np.maximum(told[there], self._reach.trust[frame, mine])
        return float(((told - covered).mean(axis=1) * self._weight).sum())


def alike(features: np.ndarray) -> np.ndarray:
    """How much labels of a frame tell a network of another one that no flow reaches, (F, F) in 0..1.

    It falls with the squared distance of standardised features (F, D); two frames of the whole video are 1
    apart on average.
    """
    scaled = features / np.maximum(features.std(axis=0), 1e-6)
    distance = cdist(scaled, scaled, "sqeuclidean") / (2 * features.shape[1])
    return (_ALIKE * np.exp(-2 * distance)).astype(np.float32)  # type: ignore[no-any-return]


def _greedy(cover: Cover, video: VideoKnowledge, choice: np.ndarray, count: int) -> list[Suggestion]:
    """Of the frames `choice` the one that adds most to the cover, then the one that adds most to that."""
    free, labelled = choice.tolist(), list(video.labelled)
    found: list[Suggestion] = []
    while len(found) < count:
        covered = cover.covered([*labelled, *(each.frame for each in found)])
        gains = [cover.gain(covered, frame) for frame in free]
        found.append(Suggestion(free.pop(int(np.argmax(gains))), max(gains)))
    return found


def _exchanged(cover: Cover, video: VideoKnowledge, chosen: list[int]) -> list[int]:
    """Each frame gives way to the one within its reach that covers more beside all others, until none does.

    The first frame of a greedy cover lies in the middle, where two frames do worse than at the quarters.
    """
    assert video.reach is not None
    moved = True
    while moved:
        moved = False
        for place, frame in enumerate(chosen):
            others = [*video.labelled, *chosen[:place], *chosen[place + 1 :]]
            covered = cover.covered(others)
            near = np.setdiff1d(np.arange(video.frames)[video.reach.window(frame)[0]], others)
            gains = [cover.gain(covered, each) for each in near.tolist()]
            if max(gains) > cover.gain(covered, frame) * (1 + 1e-6):
                chosen[place], moved = int(near[int(np.argmax(gains))]), True
    return chosen


METHODS: dict[str, Callable[[VideoKnowledge, int, np.random.Generator], list[Suggestion]]] = {
    "random": _random, "even": _even, "features": _by_features, "flow": _by_flow,
}  # fmt: skip


def cover_share(reach: FrameReach, labelled: Sequence[int]) -> float:
    """The share of the video, 0..1, that labels of some frames reach, by trust."""
    return float(reach.covered(labelled).mean())
