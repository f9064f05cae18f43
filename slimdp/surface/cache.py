"""The folder that keeps surfaces which took time to make."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder: $SLIMDP_CACHE, or slimdp in the user's cache folder."""
    # Set but empty is as good as unset: Path("") would be the working directory.
    if chosen := os.environ.get("SLIMDP_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slimdp"
