"""Saved predictions and their scores."""

from slimdp.evaluation.average_precision import PrecisionRecall, accumulate
from slimdp.evaluation.densepose_results import ResultFileError, read_results, write_results
from slimdp.evaluation.detected import as_detection, as_detections
from slimdp.evaluation.evaluate import Evaluation, evaluate_files, score_instances
from slimdp.evaluation.instances import DensePoints, Detection, ImageMask, Truth
from slimdp.evaluation.json_entries import JsonListError
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
from slimdp.evaluation.similarity import KAPPAS_M
from slimdp.evaluation.truths import TruthFile, read_truths

__all__ = [
    "KAPPAS_M",
    "DensePoints",
    "Detection",
    "Evaluation",
    "ImageMask",
    "JsonListError",
    "PointErrors",
    "PointScores",
    "PrecisionRecall",
    "PredictionFile",
    "PredictionFileError",
    "PredictionOrigin",
    "PredictionWriter",
    "ResultFileError",
    "Truth",
    "TruthFile",
    "accumulate",
    "as_detection",
    "as_detections",
    "auc",
    "evaluate_files",
    "nearest_pixels",
    "paste_prediction",
    "point_errors",
    "ratio_within",
    "read_predictions",
    "read_results",
    "read_truths",
    "score_instances",
    "score_points",
    "summarize",
    "summarize_parts",
    "write_results",
    "write_scores",
]
