"""Saved predictions and their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from slimdp.evaluation.annotators import (
        TruePoints,
        annotator_errors,
        annotators_in_percent,
        mean_error_map,
        pair_with_annotations,
        pair_with_maps,
        read_annotators,
        report_annotators,
    )
    from slimdp.evaluation.average_precision import AveragePrecision
    from slimdp.evaluation.densepose_results import (
        Detection,
        JsonListError,
        ResultFileError,
        read_results,
        write_results,
    )
    from slimdp.evaluation.ground_truth import EvaluationSet, GroundTruth, ImageTruth, read_truths
    from slimdp.evaluation.keypoints import (
        KeypointErrors,
        KeypointMetric,
        keypoint_rows,
        ratio_to,
        read_keypoint_scores,
    )
    from slimdp.evaluation.metric import Metric, MetricSettings, Predicted, Score, ScoreKind
    from slimdp.evaluation.point_report import (
        PeopleGroups,
        PointCurve,
        PointReport,
        point_curves,
        report_points,
    )
    from slimdp.evaluation.points import (
        PointErrors,
        PointMetric,
        PointScores,
        point_errors,
        summarize,
        table_row,
    )
    from slimdp.evaluation.predictions import (
        PredictionFile,
        PredictionFileError,
        PredictionOrigin,
        PredictionWriter,
        as_detection,
        nearest_pixels,
        paste_prediction,
    )
    from slimdp.evaluation.scorer import (
        METRICS,
        POINT_SCORES,
        Evaluation,
        Scorer,
        describe_score,
        evaluate_files,
        evaluate_keypoints,
        evaluate_scores,
        write_scores,
    )
    from slimdp.evaluation.similarity import KAPPAS, kappa_by_part
    from slimdp.evaluation.stability import StabilityCount, isi, itf, measure_stability, psnr, ssim

__all__ = [
    "KAPPAS", "METRICS", "POINT_SCORES", "AveragePrecision", "Detection", "Evaluation", "EvaluationSet",
    "GroundTruth", "ImageTruth", "JsonListError", "KeypointErrors", "KeypointMetric", "Metric",
    "MetricSettings", "PeopleGroups", "PointCurve", "PointErrors", "PointMetric", "PointReport",
    "PointScores", "Predicted", "PredictionFile", "PredictionFileError", "PredictionOrigin",
    "PredictionWriter", "ResultFileError", "Score", "ScoreKind", "Scorer", "StabilityCount", "TruePoints",
    "annotator_errors", "annotators_in_percent", "as_detection", "describe_score", "evaluate_files",
    "evaluate_keypoints", "evaluate_scores", "isi", "itf", "kappa_by_part", "keypoint_rows", "mean_error_map",
    "measure_stability", "nearest_pixels", "pair_with_annotations", "pair_with_maps", "paste_prediction",
    "point_curves", "point_errors", "psnr", "ratio_to", "read_annotators", "read_keypoint_scores",
    "read_results", "read_truths", "report_annotators", "report_points", "ssim", "summarize", "table_row",
    "write_results", "write_scores",
]  # fmt: skip

load_on_use(__name__)
