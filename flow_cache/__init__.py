"""Optical flow of videos: estimate it once, check it, store it, read any part of it."""

from __future__ import annotations

from flow_cache.around import PeopleBoxes, read_people_boxes
from flow_cache.chain import ChainSummary, chain_flow
from flow_cache.consistency import (
    consistent,
    consistent_points,
    forward_backward_offset,
    forward_backward_offset_points,
    inside_frame,
    sample_flow,
    threshold_in_image,
)
from flow_cache.errors import FlowCacheError, MissingFlowError
from flow_cache.estimators import ESTIMATORS, DenseInverseSearch, FlowEstimator, make_estimator
from flow_cache.hops import plan_hops
from flow_cache.precompute import PrecomputeSummary, precompute
from flow_cache.progress import Progress
from flow_cache.schema import STEPS, VideoRecord
from flow_cache.store import FlowField, FlowStore
from flow_cache.submission import submit
from flow_cache.video import Video, open_video, read_image
from flow_cache.waiting import Submission
from flow_cache.writer import FlowWriter

__all__ = [
    "ESTIMATORS",
    "STEPS",
    "ChainSummary",
    "DenseInverseSearch",
    "FlowCacheError",
    "FlowEstimator",
    "FlowField",
    "FlowStore",
    "FlowWriter",
    "MissingFlowError",
    "PeopleBoxes",
    "PrecomputeSummary",
    "Progress",
    "Submission",
    "Video",
    "VideoRecord",
    "chain_flow",
    "consistent",
    "consistent_points",
    "forward_backward_offset",
    "forward_backward_offset_points",
    "inside_frame",
    "make_estimator",
    "open_video",
    "plan_hops",
    "precompute",
    "read_image",
    "read_people_boxes",
    "sample_flow",
    "submit",
    "threshold_in_image",
]
