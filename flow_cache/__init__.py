"""Optical flow of videos: estimate it once, check it, store it, read any part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from flow_cache.chain import (
        FlowChain,
        FlowChainReader,
        FlowPair,
        FlowSource,
        PointStatus,
        PropagatedPoints,
        consistent,
        consistent_points,
        forward_backward_offset,
        forward_backward_offset_points,
        inside_frame,
        plan_chain,
        propagate_points,
        sample_flow,
        threshold_in_image,
        trace_points,
    )
    from flow_cache.chained import ChainSummary, chain_flow
    from flow_cache.errors import FlowCacheError, MissingFlowError
    from flow_cache.estimators import ESTIMATORS, DenseInverseSearch, FlowEstimator, make_estimator
    from flow_cache.images import read_image
    from flow_cache.precompute import PrecomputeSummary, Progress, precompute
    from flow_cache.roi import PeopleBoxes, read_people_boxes
    from flow_cache.schema import STEPS, VideoRecord
    from flow_cache.store import FlowField, FlowStore
    from flow_cache.submission import Submission, submit
    from flow_cache.video import Video, open_video
    from flow_cache.writer import FlowWriter

#: Of slimdp and flow_cache, which come together; setup.cfg reads it here.
__version__ = "0.1.0"

__all__ = [
    "ESTIMATORS", "STEPS", "ChainSummary", "DenseInverseSearch", "FlowCacheError", "FlowChain",
    "FlowChainReader", "FlowEstimator", "FlowField", "FlowPair", "FlowSource", "FlowStore", "FlowWriter",
    "MissingFlowError", "PeopleBoxes", "PointStatus", "PrecomputeSummary", "Progress", "PropagatedPoints",
    "Submission", "Video", "VideoRecord", "chain_flow", "consistent", "consistent_points",
    "forward_backward_offset", "forward_backward_offset_points", "inside_frame", "make_estimator",
    "open_video", "plan_chain", "precompute", "propagate_points", "read_image", "read_people_boxes",
    "sample_flow", "submit", "threshold_in_image", "trace_points",
]  # fmt: skip

load_on_use(__name__)
