"""From pictures with boxes to dense pose."""

from slimdp.inference.predictor import (
    DecodedMaps,
    decode,
    describe_origin,
    predict_people,
    predict_to_file,
    run_model,
)

__all__ = ["DecodedMaps", "decode", "describe_origin", "predict_people", "predict_to_file", "run_model"]
