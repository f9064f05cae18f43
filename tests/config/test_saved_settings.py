"""Settings as version 0.1.0 left them in checkpoints and folders of runs, key by key."""

from __future__ import annotations

from slimdp.config import config_from_dict, config_to_dict
from slimdp.settings_file import parse_yaml

OLD = """
stages:
  - name: stills
    data: [{annotations: stills.json, images: stills, weight: 1.0, unlabelled: false, budget: {videos:
        null, frames_per_video: null, frames: [], images: 0.5, points: 1.0, parts: kept, masks:
        like_parts, keypoints: kept, seed: 0}}]
    steps: 100
    batch: 16
    learning_rate: 0.001
    warmup: 0.05
    weight_decay: 0.0001
    clip_norm: 1.0
    optimiser: {name: rmsprop, momentum: null, smoothing: 0.95}
    schedule: {name: cosine, drops: [0.7, 0.9], factor: 0.1}
    accumulate: 1
    loss: {part: 2.0, coarse: 1.0, background: 1.0, uv: 5.0, keypoint_part: 0.0, keypoint_uv: 0.0,
        keypoint_map: 1.0, equivariance: 0.0, equivariance_at: segmentation, equivariance_stop: none}
    augment: null
    motion: null
  - name: clips
    data: [{annotations: clips.json, images: clips, weight: 2.0, unlabelled: true}]
    steps: 50
    batch: 8
    learning_rate: 0.001
    warmup: 0.05
    weight_decay: 0.0001
    clip_norm: 1.0
    optimiser: {name: adamw, momentum: null, smoothing: null}
    schedule: {name: cosine, drops: [0.7, 0.9], factor: 0.1}
    accumulate: 1
    loss: {part: 2.0, coarse: 1.0, background: 1.0, uv: 10.0, keypoint_part: 0.0, keypoint_uv: 0.0,
        keypoint_map: 1.0, equivariance: 0.1, equivariance_at: segmentation, equivariance_stop: first}
    augment: null
    motion: {kind: flow, flow: flow.h5, exact: exact, steps: [-2, 2], threshold_px: 5.0, propagate: true,
        warp: {control_points: 5, bend: 0.05, rotation_deg: 15.0, scale: 0.15, shear: 0.1, shift: 0.05}}
model: {stacks: 1, features: 64, keypoints: [nose]}
crop: {size: 256, margin: 0.15}
augment: {scale: 0.25, rotation_deg: 30.0, shift: 0.05, flip: true, colour: 0.3, occlusion: 0.0}
loss: {part: 2.0, coarse: 1.0, background: 1.0, uv: 10.0, keypoint_part: 0.0, keypoint_uv: 0.0,
    keypoint_map: 1.0, equivariance: 0.0, equivariance_at: segmentation, equivariance_stop: none}
motion: {kind: none, flow: flow.h5, exact: exact, steps: [-2, 2], threshold_px: 5.0, propagate: false,
    warp: {control_points: 5, bend: 0.05, rotation_deg: 15.0, scale: 0.15, shear: 0.1, shift: 0.05}}
validation: {data: [{annotations: val.json, images: val, weight: 1.0, unlabelled: false}], every: 1000,
    people: 200, batch: 16}
surface: open
average_decay: 0.9
seed: 0
precision: auto
compile: false
shared_batch_norm: false
workers: 0
log_every: 20
pictures_every: 200
checkpoint_every: 200
keep: 2
"""

NEW = """
stages:
  - name: stills
    data: [{annotations: stills.json, images: stills, budget: {images: 0.5, parts: kept, seed: 0}}]
    steps: 100
    optimiser: {name: rmsprop, beta2: 0.95}
    loss: {uv: 5}
  - name: clips
    data: [{annotations: clips.json, images: clips, weight: 2, unlabelled: true}]
    steps: 50
    batch: 8
    motion: {kind: flow, propagate: true}
    loss: {equivariance: {weight: 0.1, stop: first}}
model: {name: hourglass, stacks: 1, features: 64, keypoints: [nose]}
motion: {flow: flow.h5, exact: exact, frame_offsets: [-2, 2], warp: {bend: 0.05}}
loss: {equivariance: {at: segmentation}, part: 2}
validation: {data: [{annotations: val.json, images: val}]}
ema_decay: 0.9
sync_batchnorm: false
"""


def test_they_are_the_same_settings_today() -> None:
    old = config_from_dict(parse_yaml(OLD), "saved", saved=True)
    assert old == config_from_dict(parse_yaml(NEW), "written")
    assert config_from_dict(config_to_dict(old), "saved again") == old
