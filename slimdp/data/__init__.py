"""Annotations in, training batches out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from flow_cache.coco import AnnotationError
    from slimdp.data.annotation_file import AnnotationSet, read_annotations, read_outlines
    from slimdp.data.augment import (
        Augmentation,
        Patch,
        change_colours,
        change_picture,
        draw_augmentation,
        flip_labels,
    )
    from slimdp.data.box_frame import FRAME, frame_from_image, frame_pixel_centres, image_from_frame
    from slimdp.data.budget import apply_budget
    from slimdp.data.clicks import Clicks, count_clicks
    from slimdp.data.crops import BORDER_RGB, coarse_target, crop_affine, crop_image, crop_side
    from slimdp.data.dataset import ImageCache, PoseDataset, PoseSample, collate, start_worker
    from slimdp.data.frame_numbers import frame_number
    from slimdp.data.keypoints import KeypointAnchors, keypoint_union, surface_anchors
    from slimdp.data.pictures import PictureDataset, PictureSample, collate_pictures, picture_affine
    from slimdp.data.sampler import SampleIndex, WeightedSampler
    from slimdp.data.write import join_annotation_files, write_annotations

__all__ = [
    "BORDER_RGB", "FRAME", "AnnotationError", "AnnotationSet", "Augmentation", "Clicks", "ImageCache",
    "KeypointAnchors", "Patch", "PictureDataset", "PictureSample", "PoseDataset", "PoseSample",
    "SampleIndex", "WeightedSampler", "apply_budget", "change_colours", "change_picture", "coarse_target",
    "collate", "collate_pictures", "count_clicks", "crop_affine", "crop_image", "crop_side",
    "draw_augmentation", "flip_labels", "frame_from_image", "frame_number", "frame_pixel_centres",
    "image_from_frame", "join_annotation_files", "keypoint_union", "picture_affine", "read_annotations",
    "read_outlines", "start_worker", "surface_anchors", "write_annotations",
]  # fmt: skip

load_on_use(__name__)
