"""Saved predictions and their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from slimdp.evaluation.annotators import (
        TruePoints,
        annotator_errors,
        annotators_in_percent,
        pair_with_annotations,
        pair_with_maps,
        read_annotators,
        report_annotators,
    )
    from slimdp.evaluation.average_precision import PrecisionRecall, accumulate
    from slimdp.evaluation.densepose_results import ResultFileError, read_results, write_results
    from slimdp.evaluation.detected import as_detection, as_detections
    from slimdp.evaluation.error_map import mean_error_map
    from slimdp.evaluation.evaluate import Evaluation, evaluate_files, score_instances
    from slimdp.evaluation.frame_similarity import isi, itf, psnr, ssim
    from slimdp.evaluation.ground_truth import GroundTruthFile, read_truths
    from slimdp.evaluation.groups import PeopleGroups
    from slimdp.evaluation.instances import DensePoints, Detection, GroundTruth, ImageMask
    from slimdp.evaluation.json_entries import JsonListError
    from slimdp.evaluation.localization import PointReader, point_errors, score_points
    from slimdp.evaluation.paste import nearest_pixels, paste_prediction
    from slimdp.evaluation.point_report import (
        GroupScores,
        PointCurve,
        PointReport,
        point_curves,
        report_points,
    )
    from slimdp.evaluation.predictions import (
        PredictionFile,
        PredictionFileError,
        PredictionOrigin,
        PredictionWriter,
        read_predictions,
    )
    from slimdp.evaluation.ratios import (
        THRESHOLDS_CM,
        PointErrors,
        PointScores,
        auc,
        ratio_within,
        summarize,
    )
    from slimdp.evaluation.scores import write_scores
    from slimdp.evaluation.similarity import KAPPAS, kappa_by_part
    from slimdp.evaluation.stability import StabilityCount, measure_stability

__all__ = [
    "KAPPAS",
    "THRESHOLDS_CM",
    "DensePoints",
    "Detection",
    "Evaluation",
    "GroundTruth",
    "GroundTruthFile",
    "GroupScores",
    "ImageMask",
    "JsonListError",
    "PeopleGroups",
    "PointCurve",
    "PointErrors",
    "PointReader",
    "PointReport",
    "PointScores",
    "PrecisionRecall",
    "PredictionFile",
    "PredictionFileError",
    "PredictionOrigin",
    "PredictionWriter",
    "ResultFileError",
    "StabilityCount",
    "TruePoints",
    "accumulate",
    "annotator_errors",
    "annotators_in_percent",
    "as_detection",
    "as_detections",
    "auc",
    "evaluate_files",
    "isi",
    "itf",
    "kappa_by_part",
    "mean_error_map",
    "measure_stability",
    "nearest_pixels",
    "pair_with_annotations",
    "pair_with_maps",
    "paste_prediction",
    "point_curves",
    "point_errors",
    "psnr",
    "ratio_within",
    "read_annotators",
    "read_predictions",
    "read_results",
    "read_truths",
    "report_annotators",
    "report_points",
    "score_instances",
    "score_points",
    "ssim",
    "summarize",
    "write_results",
    "write_scores",
]

load_on_use(__name__)
