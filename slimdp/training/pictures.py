"""Pictures of a batch for the log."""

from __future__ import annotations

import numpy as np
import torch

from slimdp.inference import decode
from slimdp.report.panels import draw_row, panel
from slimdp.structures import DensePoseMaps, PoseBatch
from slimdp.surface.interface import Surface


def training_picture(
    batch: PoseBatch, prediction: DensePoseMaps, surface: Surface | None, people: int = 4
) -> np.ndarray:
    """The first crops of a batch, a row each: as seen, predicted parts and u, labels, and their errors.

    The errors are geodesic, of the best of the 24 parts at the pixel nearest to the point (localization
    only), in training mode: of the network as it is, not of its average. Without a surface there are none.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    count = min(people, len(batch.images))
    images = (batch.images[:count] * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    with torch.no_grad():
        maps = decode(prediction.map(lambda maps: maps[:count].detach()))
    point_image, points, part, uv = (
        values.cpu().numpy() for values in (batch.point_image, batch.points, batch.part, batch.uv)
    )
    rows = []
    for i in range(count):
        mine = point_image == i
        found = (maps.part[i].cpu().numpy(), maps.uv[i].cpu().numpy(), maps.foreground[i].cpu().numpy())
        column, row = np.floor(points[mine] + 0.5).astype(int).T
        errors_m = None
        if surface is not None:
            said = found[0][row, column].astype(np.int64), found[1][:, row, column].T
            known = ~np.isnan(uv[mine]).any(axis=1)
            truth = part[mine][known], uv[mine][known]
            errors_m = np.full(len(known), np.nan)
            errors_m[known] = surface.distance_between(said[0][known], said[1][known], *truth)
        rows.append(draw_row(np.ascontiguousarray(images[i]), found, points[mine], part[mine], errors_m))
    return panel(rows)
