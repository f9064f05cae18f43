"""Which people's points are counted together: by size, by video, by what the bootstrap draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Areas, px^2, at which people become medium and large, as COCO has it.
MEDIUM_PX2, LARGE_PX2 = 32.0**2, 96.0**2


@dataclass(frozen=True)
class PeopleGroups:
    """What the K people are called by whom errors were measured; `PointErrors.person` points here."""

    sizes: tuple[str, ...]  # "small", "medium" or "large"
    videos: tuple[str | None, ...]  # None: a still

    @staticmethod
    def of(areas_px2: Sequence[float], videos: Sequence[str | None]) -> PeopleGroups:
        """Groups of people by the `area` that the file says, of the person and not of the box."""
        assert len(areas_px2) == len(videos)
        return PeopleGroups(tuple(size_of(area) for area in areas_px2), tuple(videos))

    @property
    def drawn(self) -> str:
        """What the bootstrap draws: "videos", "people", or "videos and people" of a mixed set."""
        stills = [video is None for video in self.videos]
        return "people" if all(stills) else "videos and people" if any(stills) else "videos"

    def clusters(self) -> np.ndarray:
        """(K,) int64, the same for people of one video; a person of a still is alone."""
        numbers: dict[tuple[str, object], int] = {}
        keys = [
            ("person", index) if video is None else ("video", video)
            for index, video in enumerate(self.videos)
        ]
        return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def size_of(area_px2: float) -> str:
    """COCO's name for the area of a person: small below 32^2 px^2, large from 96^2 on."""
    return "small" if area_px2 < MEDIUM_PX2 else "medium" if area_px2 < LARGE_PX2 else "large"
