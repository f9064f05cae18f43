"""Annotations in, training batches out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from slimdp.data.augment import Augmentation, Patch, change_colours, draw_augmentation, flip_labels
    from slimdp.data.box_frame import FRAME, frame_from_image, frame_pixel_centres, image_from_frame
    from slimdp.data.boxes import box_around_keypoints, box_from_centre
    from slimdp.data.budget import apply_budget
    from slimdp.data.clicks import Clicks, count_clicks
    from slimdp.data.coco import AnnotationSet, read_annotations, read_outlines
    from slimdp.data.crops import BORDER_RGB, coarse_target, crop_affine, crop_image, crop_side
    from slimdp.data.dataset import PairSample, PoseDataset, PoseSample, collate, start_worker
    from slimdp.data.frame_numbers import frame_number
    from slimdp.data.images import ImageCache, ImageError, check_image, load_image, verify_image
    from slimdp.data.keypoints import KeypointAnchors, keypoint_union, surface_anchors
    from slimdp.data.sampler import SampleIndex, WeightedSampler
    from slimdp.data.validate import AnnotationError
    from slimdp.data.write import join_annotation_files, write_annotations

__all__ = [
    "BORDER_RGB",
    "FRAME",
    "AnnotationError",
    "AnnotationSet",
    "Augmentation",
    "Clicks",
    "ImageCache",
    "ImageError",
    "KeypointAnchors",
    "PairSample",
    "Patch",
    "PoseDataset",
    "PoseSample",
    "SampleIndex",
    "WeightedSampler",
    "apply_budget",
    "box_around_keypoints",
    "box_from_centre",
    "change_colours",
    "check_image",
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
    "verify_image",
    "write_annotations",
]

#: Where each public name lives; it is loaded on first use.
_HOMES = {
    "Augmentation": "slimdp.data.augment",
    "change_colours": "slimdp.data.augment",
    "draw_augmentation": "slimdp.data.augment",
    "flip_labels": "slimdp.data.augment",
    "box_around_keypoints": "slimdp.data.boxes",
    "box_from_centre": "slimdp.data.boxes",
    "apply_budget": "slimdp.data.budget",
    "Clicks": "slimdp.data.clicks",
    "count_clicks": "slimdp.data.clicks",
    "AnnotationSet": "slimdp.data.coco",
    "read_annotations": "slimdp.data.coco",
    "read_outlines": "slimdp.data.coco",
    "BORDER_RGB": "slimdp.data.crops",
    "crop_affine": "slimdp.data.crops",
    "crop_image": "slimdp.data.crops",
    "crop_side": "slimdp.data.crops",
    "PoseDataset": "slimdp.data.dataset",
    "start_worker": "slimdp.data.dataset",
    "SampleIndex": "slimdp.data.sampler",
    "WeightedSampler": "slimdp.data.sampler",
    "FRAME": "slimdp.data.box_frame",
    "frame_from_image": "slimdp.data.box_frame",
    "frame_pixel_centres": "slimdp.data.box_frame",
    "image_from_frame": "slimdp.data.box_frame",
    "frame_number": "slimdp.data.frame_numbers",
    "ImageCache": "slimdp.data.images",
    "ImageError": "slimdp.data.images",
    "check_image": "slimdp.data.images",
    "verify_image": "slimdp.data.images",
    "load_image": "slimdp.data.images",
    "join_annotation_files": "slimdp.data.write",
    "KeypointAnchors": "slimdp.data.keypoints",
    "keypoint_union": "slimdp.data.keypoints",
    "surface_anchors": "slimdp.data.keypoints",
    "Patch": "slimdp.data.augment",
    "PairSample": "slimdp.data.dataset",
    "PoseSample": "slimdp.data.dataset",
    "collate": "slimdp.data.dataset",
    "coarse_target": "slimdp.data.crops",
    "AnnotationError": "slimdp.data.validate",
    "write_annotations": "slimdp.data.write",
}

load_on_use(__name__)
