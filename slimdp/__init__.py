"""Thrifty dense human pose from video, after Slim DensePose (Neverova et al., CVPR 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache import __version__
from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from slimdp.dense_pose import DensePose

__all__ = ["DensePose", "__version__"]

load_on_use(__name__)
