"""Annotations in, training batches out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from slimdp.data.augment import Augmentation, change_colours, draw_augmentation, flip_labels
from slimdp.data.boxes import box_around_keypoints, box_from_centre
from slimdp.data.budget import apply_budget
from slimdp.data.clicks import Clicks, count_clicks
from slimdp.data.coco import AnnotationSet, read_annotations, read_outlines
from slimdp.data.crops import BORDER_RGB, crop_affine, crop_image, crop_side
from slimdp.data.frame import FRAME, frame_from_image, frame_pixel_centres, image_from_frame
from slimdp.data.frame_numbers import frame_number
from slimdp.data.images import ImageCache, ImageError, check_image, check_whole, load_image
from slimdp.data.join import join_annotation_files
from slimdp.data.keypoints import KeypointAnchors, keypoint_union, surface_anchors
from slimdp.data.patches import Patch
from slimdp.data.targets import coarse_target
from slimdp.data.validate import AnnotationError
from slimdp.data.write import write_annotations

if TYPE_CHECKING:
    from slimdp.data.dataset import PoseDataset, start_worker
    from slimdp.data.draws import Draw, WeightedDraws
    from slimdp.data.samples import PairSample, PoseSample, collate

__all__ = [
    "BORDER_RGB",
    "FRAME",
    "AnnotationError",
    "AnnotationSet",
    "Augmentation",
    "Clicks",
    "Draw",
    "ImageCache",
    "ImageError",
    "KeypointAnchors",
    "PairSample",
    "Patch",
    "PoseDataset",
    "PoseSample",
    "WeightedDraws",
    "apply_budget",
    "box_around_keypoints",
    "box_from_centre",
    "change_colours",
    "check_image",
    "check_whole",
    "coarse_target",
    "collate",
    "count_clicks",
    "crop_affine",
    "crop_image",
    "crop_side",
    "draw_augmentation",
    "flip_labels",
    "frame_from_image",
    "frame_number",
    "frame_pixel_centres",
    "image_from_frame",
    "join_annotation_files",
    "keypoint_union",
    "load_image",
    "read_annotations",
    "read_outlines",
    "start_worker",
    "surface_anchors",
    "write_annotations",
]

#: What training asks for needs torch, which takes seconds to import and half a gigabyte. It is imported when
#: asked for, so that reading, scoring and drawing do without.
_NEED_TORCH = {
    **dict.fromkeys(["PoseDataset", "start_worker"], "slimdp.data.dataset"),
    **dict.fromkeys(["PairSample", "PoseSample", "collate"], "slimdp.data.samples"),
    **dict.fromkeys(["Draw", "WeightedDraws"], "slimdp.data.draws"),
}


def __getattr__(name: str) -> object:
    if name not in _NEED_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_NEED_TORCH[name]), name)
