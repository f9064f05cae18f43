"""Saved predictions and their scores."""

from slimdp.evaluation.localization import point_errors, score_points
from slimdp.evaluation.paste import nearest_pixels, paste_prediction
from slimdp.evaluation.predictions import (
    PredictionFile,
    PredictionFileError,
    PredictionOrigin,
    PredictionWriter,
    read_predictions,
)
from slimdp.evaluation.ratios import (
    PointErrors,
    PointScores,
    auc,
    ratio_within,
    summarize,
    summarize_parts,
)
from slimdp.evaluation.scores import write_scores

__all__ = [
    "PointErrors",
    "PointScores",
    "PredictionFile",
    "PredictionFileError",
    "PredictionOrigin",
    "PredictionWriter",
    "auc",
    "nearest_pixels",
    "paste_prediction",
    "point_errors",
    "ratio_within",
    "read_predictions",
    "score_points",
    "summarize",
    "summarize_parts",
    "write_scores",
]
