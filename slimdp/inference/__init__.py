"""From pictures with boxes to dense pose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_cache.runtime.lazy_package import load_on_use

if TYPE_CHECKING:
    from slimdp.inference.decoding import DecodedMaps, decode
    from slimdp.inference.found_people import FoundPeople
    from slimdp.inference.predictor import (
        describe_origin,
        detect_to_file,
        predict_found,
        predict_people,
        predict_set,
        predict_to_file,
        predict_where_found,
        run_model,
    )

__all__ = [
    "DecodedMaps", "FoundPeople", "decode", "describe_origin", "detect_to_file", "predict_found",
    "predict_people", "predict_set", "predict_to_file", "predict_where_found", "run_model",
]  # fmt: skip

load_on_use(__name__)
