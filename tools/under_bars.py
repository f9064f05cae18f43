"""What share of the errors at keypoints lies under their error bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slimdp.evaluation import KeypointErrors, PredictionFile, nearest_pixels


def share_under_bars(errors: KeypointErrors, predictions: Path) -> float | None:
    """Percent of the keypoints on predicted foreground; None where the file has no bars, or none is there."""
    under: list[np.ndarray] = []
    with PredictionFile(predictions) as file:
        for place, person in enumerate(errors.people):
            chosen = errors.person == place
            answer = file.read(person.image.id, person.id)
            if answer.error_cm is None or person.keypoints is None or not chosen.any():
                continue
            row_of = {name: row for row, name in enumerate(person.keypoint_names)}
            rows = [row_of[name] for name in errors.name[chosen].tolist()]
            pixels, inside = nearest_pixels(answer, person.keypoints[rows, :2])
            column, row = pixels.T
            seen = inside & answer.foreground[row, column]
            under.append((100 * errors.own_m[chosen] <= answer.error_cm[row, column])[seen])
    found = np.concatenate(under) if under else np.zeros(0)
    return 100 * float(found.mean()) if len(found) else None
