"""What a user brings to the rendering: pictures to stand before, and recorded motions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Assets:
    """Files that scenes draw from at random; where there are none, everything is procedural."""

    backgrounds: tuple[Path, ...] = ()  # pictures
    motions: tuple[Path, ...] = ()  # BVH files
