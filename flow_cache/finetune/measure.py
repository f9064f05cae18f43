"""How far an estimator's flow is from that of a store, on people and everywhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from flow_cache.estimators import FlowEstimator
from flow_cache.finetune.samples import Field
from flow_cache.runtime.progress import tracked


def flow_errors(
    estimator: FlowEstimator, fields: Sequence[Field], title: str = "measure"
) -> list[dict[str, float | int | str]]:
    """Median and 95th percentile of the end-point error, px, by frames between and by where.

    A row has `frames`, `where` (people, all), `pixels`, `median_px` and `95_px`. Pixels whose flow is not
    known do not count; hidden ones, whose flow a store may have, do.
    """
    found: dict[tuple[int, str], list[np.ndarray]] = defaultdict(list)
    for field in tracked(fields, title, "fields"):
        flow = estimator.estimate(np.stack([field.image_0, field.image_1]), [(0, 1)])[0]
        error_px = np.hypot(*(flow - field.flow_0to1()))
        known = np.isfinite(error_px)
        frames, people = abs(field.step), field.people_0
        found[frames, "all"].append(error_px[known])
        if people is not None:
            found[frames, "people"].append(error_px[known & people])
    return [
        {"frames": frames, "where": where, **_summary(np.concatenate(errors))}
        for (frames, where), errors in sorted(found.items())
    ]


def _summary(error_px: np.ndarray) -> dict[str, float | int]:
    middle, far = np.percentile(error_px, (50, 95)) if error_px.size else (np.nan, np.nan)
    return {"pixels": error_px.size, "median_px": round(float(middle), 3), "95_px": round(float(far), 3)}
