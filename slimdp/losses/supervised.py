"""What the labels say of the predictions: named terms, alike at every stack.

Parts are learned at the few labelled points, and the outline of the person from the coarse masks
(DensePose, 3.1; Slim DensePose, 4). A keypoint may be learned as one more point, whose label is the place of
the body's surface where it is anchored, or as a heat map (Slim DensePose, 5.2; Newell et al., 3.1). Every sum
is divided by the number of its labels, and is 0 with a gradient of 0 where there are none.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from slimdp.losses.targets import MapLabels
from slimdp.maps import sample_at_points
from slimdp.structures import IGNORE, DensePoseMaps


def part_errors(fine_segm: Tensor, points: Tensor, point_image: Tensor, part: Tensor) -> Tensor:
    """Cross entropy of the part scores, read bilinearly at the labelled points.

    Args:
        fine_segm: (B, 1 + parts, h, w).
        points: (P, 2) x, y, map px.
        point_image: (P,) int64 in 0..B-1.
        part: (P,) int64, 1..parts.

    Returns:
        (P,) nats.
    """
    logits = sample_at_points(fine_segm, points, point_image)
    return F.cross_entropy(logits, part, reduction="none")


def uv_errors(
    u: Tensor, v: Tensor, points: Tensor, point_image: Tensor, part: Tensor, uv: Tensor, beta: float = 1.0
) -> Tensor:
    """Smooth L1 on u and v of the labelled part, read bilinearly at the labelled points, summed over the two.

    Args:
        u, v: (B, parts, h, w), one channel a part.
        points: (P, 2) x, y, map px.
        point_image: (P,) int64 in 0..B-1.
        part: (P,) int64, 1..parts.
        uv: (P, 2) in [0, 1].
        beta: the error below which the loss is a parabola.

    Returns:
        (P,).
    """
    predicted = torch.stack([sample_at_points(maps, points, point_image, part - 1) for maps in (u, v)], dim=1)
    return F.smooth_l1_loss(predicted, uv, reduction="none", beta=beta).sum(1)


def pixel_error_sum(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of scores (B, C, h, w) at the pixels of labels (B, h, w) that are not IGNORE, summed."""
    return F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")


def heat_error_sum(keypoint_maps: Tensor, heat: Tensor, known: Tensor) -> Tensor:
    """Squared error of heat maps (B, K, h, w), summed over their pixels and the known ones (B, K) of them.

    A map of zeros costs the integral of the squared Gaussian, pi: sums, unlike means, do not shrink with the
    size of the map.
    """
    return ((keypoint_maps - heat).square().sum((2, 3)) * known).sum()


def supervised_sums(prediction: DensePoseMaps, labels: MapLabels) -> dict[str, Tensor]:
    """The sum of each term of one stage over its labels, by the name of its weight in `LossSettings`.

    `prediction` has the maps of each person's image.

    `keypoint_map` is among them where the network has heat maps. A point pulls as hard as its confidence
    says. Half precision is compared in float32.

    Raises:
        ValueError: coarse labels or keypoints do not fit the maps.
    """
    _check_sizes(prediction, labels)
    prediction = prediction.full_precision()
    at = labels.points, labels.instance_index, labels.part
    part = part_errors(prediction.fine_segm, *at)
    uv = uv_errors(prediction.u, prediction.v, *at, labels.uv) * labels.uv_known
    sums = {
        "part": (part * labels.confidence).sum(),
        "uv": (uv * labels.confidence).sum(),
        "coarse": pixel_error_sum(prediction.coarse_segm, labels.coarse),
        # Points lie on the body alone: without this nothing would teach the part scores where it ends.
        "background": pixel_error_sum(prediction.fine_segm, labels.outside),
        "keypoint_part": (part * labels.keypoint_confidence).sum(),
        "keypoint_uv": (uv * labels.keypoint_confidence).sum(),
    }
    if prediction.keypoint_maps is not None:
        assert labels.heat is not None
        assert labels.heat_known is not None
        sums["keypoint_map"] = heat_error_sum(prediction.keypoint_maps, labels.heat, labels.heat_known)
    return sums


def _check_sizes(prediction: DensePoseMaps, labels: MapLabels) -> None:
    size, found = tuple(prediction.coarse_segm.shape[-2:]), tuple(labels.coarse.shape[-2:])
    if found != size:
        raise ValueError(
            f"coarse labels of {found} px for maps of {size} px: make the labels a quarter of the crop's size"
        )
    if prediction.keypoint_maps is None:
        return
    wanted, given = prediction.keypoint_maps.shape[1], 0 if labels.heat is None else labels.heat.shape[1]
    if wanted != given:
        raise ValueError(
            f"a network with {wanted} keypoint heat maps, but a batch with {given} keypoints: give the data "
            "set the names of the model's keypoints"
        )
