"""Thrifty dense human pose from video, after Slim DensePose (Neverova et al., CVPR 2019)."""

__version__ = "0.1.0"

__all__ = ["__version__"]
