"""People as DensePose cuts them: 24 parts, 14 coarse parts, and the keypoints of COCO and PoseTrack.

DensePose numbers the halves of each limb but does not name them; here the lower number of a pair is the
back and the higher one the front (as for the torso, 1 back and 2 front), and 23 is the head's right half.
"""

from __future__ import annotations

from slimdp.surface.layout import Part, PartLayout

#: COCO's 17 keypoints, in its order.
COCO_KEYPOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
#: PoseTrack's 15, in its order.
POSETRACK_KEYPOINTS = ("nose", "head_bottom", "head_top", *COCO_KEYPOINTS[5:])
#: The 17 of its files, which keep places for two ears after the head.
POSETRACK_FILE_KEYPOINTS = (*POSETRACK_KEYPOINTS[:3], "left_ear", "right_ear", *COCO_KEYPOINTS[5:])

#: In DensePose's order (docs/data.md), with the public evaluator's kappa, which is behind published AP.
_PARTS = (
    # name, coarse part, mirror image, kappa in metres
    Part("torso back", "torso", "torso back", 0.351),
    Part("torso front", "torso", "torso front", 0.351),
    Part("right hand", "right hand", "left hand", 0.107),
    Part("left hand", "left hand", "right hand", 0.107),
    Part("left foot", "left foot", "right foot", 0.126),
    Part("right foot", "right foot", "left foot", 0.126),
    Part("right upper leg back", "right upper leg", "left upper leg back", 0.237),
    Part("left upper leg back", "left upper leg", "right upper leg back", 0.237),
    Part("right upper leg front", "right upper leg", "left upper leg front", 0.237),
    Part("left upper leg front", "left upper leg", "right upper leg front", 0.237),
    Part("right lower leg back", "right lower leg", "left lower leg back", 0.173),
    Part("left lower leg back", "left lower leg", "right lower leg back", 0.173),
    Part("right lower leg front", "right lower leg", "left lower leg front", 0.173),
    Part("left lower leg front", "left lower leg", "right lower leg front", 0.173),
    Part("left upper arm back", "left upper arm", "right upper arm back", 0.142),
    Part("right upper arm back", "right upper arm", "left upper arm back", 0.142),
    Part("left upper arm front", "left upper arm", "right upper arm front", 0.142),
    Part("right upper arm front", "right upper arm", "left upper arm front", 0.142),
    Part("left lower arm back", "left lower arm", "right lower arm back", 0.128),
    Part("right lower arm back", "right lower arm", "left lower arm back", 0.128),
    Part("left lower arm front", "left lower arm", "right lower arm front", 0.128),
    Part("right lower arm front", "right lower arm", "left lower arm front", 0.128),
    Part("right head", "head", "left head", 0.150),
    Part("left head", "head", "right head", 0.150),
)  # fmt: skip

PEOPLE = PartLayout(
    category="person",
    parts=_PARTS,
    coarse_parts=(
        "torso", "right hand", "left hand", "left foot", "right foot", "right upper leg", "left upper leg",
        "right lower leg", "left lower leg", "left upper arm", "right upper arm", "left lower arm",
        "right lower arm", "head",
    ),
    keypoints=(*COCO_KEYPOINTS, *POSETRACK_KEYPOINTS[1:3]),
)  # fmt: skip
