"""Maps made steady over time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from slimdp.inference.video_records import FrameMaps


class NoSmoothing:
    """Each frame by itself."""

    behind = ahead = 0

    def settings(self) -> dict[str, Any]:
        """What decides its answers, as JSON."""
        return {"smoothing": "none"}

    def smooth(self, frames: Iterable[FrameMaps]) -> Iterator[FrameMaps]:
        """The same frames."""
        yield from frames
