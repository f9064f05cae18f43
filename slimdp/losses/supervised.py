"""What the labels say of the predictions: named terms, alike at every stack, weighted and summed here alone.

Parts are learned at the few labelled points, and the outline of the person from the coarse masks
(DensePose, 3.1; Slim DensePose, 4). Every mean divides by the number of its labels, and is 0 with a
gradient of 0 where there are none.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from slimdp.config import LossSettings
from slimdp.geometry import map_from_crop, sample_at_points
from slimdp.structures import IGNORE, PARTS, PoseBatch, Prediction

BACKGROUND = 0


def part_loss(part_logits: Tensor, points: Tensor, point_crop: Tensor, part: Tensor) -> Tensor:
    """Cross entropy of the part scores, read bilinearly at the labelled points.

    Args:
        part_logits: (B, 25, h, w).
        points: (P, 2) x, y, map px.
        point_crop: (P,) int64 in 0..B-1.
        part: (P,) int64, 1..24.

    Returns:
        scalar, nats a point.
    """
    logits = sample_at_points(part_logits, points, point_crop)
    return F.cross_entropy(logits, part, reduction="sum") / max(len(part), 1)


def uv_loss(
    u: Tensor, v: Tensor, points: Tensor, point_crop: Tensor, part: Tensor, uv: Tensor, beta: float = 1.0
) -> Tensor:
    """Smooth L1 on u and v of the labelled part, read bilinearly at the labelled points, summed over the two.

    Args:
        u, v: (B, 24, h, w), one channel a part.
        points: (P, 2) x, y, map px.
        point_crop: (P,) int64 in 0..B-1.
        part: (P,) int64, 1..24.
        uv: (P, 2) in [0, 1].
        beta: the error below which the loss is a parabola.

    Returns:
        scalar, a point.
    """
    # Each (crop, part) as a map of its own: only the labelled part's channel is read.
    channel = point_crop * PARTS + part - 1
    predicted = torch.cat(
        [sample_at_points(maps.flatten(0, 1).unsqueeze(1), points, channel) for maps in (u, v)], dim=1
    )
    return F.smooth_l1_loss(predicted, uv, reduction="sum", beta=beta) / max(len(part), 1)


def coarse_loss(coarse_logits: Tensor, coarse: Tensor) -> Tensor:
    """Cross entropy of the coarse part scores at every labelled pixel of the maps.

    Args:
        coarse_logits: (B, 15, h, w).
        coarse: (B, h, w) int64, 0..14, or IGNORE where unknown.

    Returns:
        scalar, nats a pixel.
    """
    known = (coarse != IGNORE).sum().clamp(min=1)
    return F.cross_entropy(coarse_logits, coarse, ignore_index=IGNORE, reduction="sum") / known


def background_loss(part_logits: Tensor, coarse: Tensor) -> Tensor:
    """Cross entropy of the part scores to background, at the pixels that the coarse masks call background.

    Points lie on the body alone, so without this term nothing would teach the part scores where it ends.

    Args:
        part_logits: (B, 25, h, w).
        coarse: (B, h, w) int64, 0..14, or IGNORE where unknown.

    Returns:
        scalar, nats a pixel.
    """
    outside = torch.where(coarse == BACKGROUND, BACKGROUND, IGNORE)
    return coarse_loss(part_logits, outside)


def supervised_terms(prediction: Prediction, batch: PoseBatch) -> dict[str, Tensor]:
    """The terms of one stack, without their weights, by the name of their weight in `LossSettings`."""
    size = prediction.coarse_logits.shape[-2:]
    if batch.coarse.shape[-2:] != size:
        raise ValueError(
            f"coarse labels of {tuple(batch.coarse.shape[-2:])} px for maps of {tuple(size)} px: "
            "make the labels a quarter of the crop's size"
        )
    points = map_from_crop(batch.points)
    return {
        "part": part_loss(prediction.part_logits, points, batch.point_crop, batch.part),
        "coarse": coarse_loss(prediction.coarse_logits, batch.coarse),
        "background": background_loss(prediction.part_logits, batch.coarse),
        "uv": uv_loss(prediction.u, prediction.v, points, batch.point_crop, batch.part, batch.uv),
    }


def supervised_loss(
    predictions: Sequence[Prediction], batch: PoseBatch, weights: LossSettings
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weigh and sum the terms of all stacks: supervision at every one (Newell et al., 3.3).

    Args:
        predictions: one a stack.
        batch: the labels, on the same device.
        weights: of the terms; a weight of 0 leaves the term in the report alone.

    Returns:
        scalar total with gradient, and the unweighted terms without, named like `stack0/part`.

    Raises:
        ValueError: there is no prediction, or the coarse labels have another size than the maps.
    """
    if not predictions:
        raise ValueError("no predictions to compare with the labels")
    total = predictions[0].part_logits.new_zeros(())
    report = {}
    for stack, prediction in enumerate(predictions):
        for name, term in supervised_terms(prediction, batch).items():
            total = total + getattr(weights, name) * term
            report[f"stack{stack}/{name}"] = term.detach()
    return total, report
