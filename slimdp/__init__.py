"""Thrifty dense human pose from video, after Slim DensePose (Neverova et al., CVPR 2019)."""

from flow_cache import __version__

__all__ = ["__version__"]
