"""What a store holds, to be compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flow_cache import FlowStore


def contents(path: Path) -> dict[tuple[str, int, int], bytes]:
    """Every finished field of a store."""
    with FlowStore(path) as store:
        return {
            (video, int(frame), step): store.read(video, int(frame), step).displacement.tobytes()
            for video in store.videos()
            for step in store.steps(video)
            for frame in np.flatnonzero(store.finished(video, step))
        }
