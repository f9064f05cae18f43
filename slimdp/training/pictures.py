"""Pictures of a batch for the log."""

from __future__ import annotations

import numpy as np

from slimdp.geometry import upsample_map
from slimdp.report.drawing import contact_sheet, draw_points, overlay_parts
from slimdp.structures import PoseBatch, Prediction


def labels_and_prediction(batch: PoseBatch, prediction: Prediction, people: int = 4) -> np.ndarray:
    """The first crops of a batch, a row each: with the labelled points, and under the predicted parts.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    count = min(people, len(batch.image))
    images = (batch.image[:count] * 255).round().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
    parts = upsample_map(prediction.part_logits[:count].detach().float()).argmax(dim=1).cpu().numpy()
    points, point_part = batch.points.cpu().numpy(), batch.part.cpu().numpy()
    point_crop = batch.point_crop.cpu().numpy()
    rows = []
    for i, (image, part) in enumerate(zip(images, parts)):
        mine = point_crop == i
        rows.append(
            [
                draw_points(image, points[mine], point_part[mine], radius=1),
                overlay_parts(image, part, part > 0),
            ]
        )
    return contact_sheet(rows)
