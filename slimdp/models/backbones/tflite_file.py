"""Weights of networks that come as .tflite files: the convolutions, as they follow one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from slimdp.config import ConfigError

_REMEDY = "the package tflite reads it, which is not installed; run: pip install 'slimdp[backbones]'"
#: tflite's numbers of the types of tensors that hold weights.
_TYPES: dict[int, type[np.generic]] = {0: np.float32, 1: np.float16}


def read_convolutions(file: Path) -> dict[str, Tensor]:
    """`N.weight` (O, I, k, k) and `N.bias` (O,) of the N-th convolution, from 0 on, in 32 bits.

    Of one channel each (depthwise), I is 1. Nothing in the file is run. Raises ConfigError where the package
    tflite is not there, and anything that reading beyond a damaged file raises.
    """
    try:
        import tflite
    except ImportError as error:
        raise ConfigError(f"{file}: {_REMEDY}") from error
    content = file.read_bytes()
    if not tflite.Model.ModelBufferHasIdentifier(content, 0):
        raise ValueError("no TensorFlow Lite model")
    model = tflite.Model.GetRootAs(content, 0)
    graph, kinds = model.Subgraphs(0), tflite.BuiltinOperator
    operators = [graph.Operators(number) for number in range(graph.OperatorsLength())]
    codes = [_code(model.OperatorCodes(operator.OpcodeIndex())) for operator in operators]
    halves = {
        int(operator.Outputs(0)): int(operator.Inputs(0))
        for operator, code in zip(operators, codes)
        if code == kinds.DEQUANTIZE
    }
    found: dict[str, Tensor] = {}
    of_convolutions = (kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D)
    convolutions = [(o, code) for o, code in zip(operators, codes) if code in of_convolutions]
    for number, (operator, code) in enumerate(convolutions):
        weight, bias = (
            _values(model, graph, halves.get(index := int(operator.Inputs(place)), index)) for place in (1, 2)
        )
        # (O, k, k, I), of depthwise ones (1, k, k, O).
        axes = (3, 0, 1, 2) if code == kinds.DEPTHWISE_CONV_2D else (0, 3, 1, 2)
        found[f"{number}.weight"], found[f"{number}.bias"] = weight.permute(axes).contiguous(), bias
    return found


def _code(operator: Any) -> int:
    """What an operator is: files of before 2020 have it in 8 bits."""
    return max(int(operator.BuiltinCode()), int(operator.DeprecatedBuiltinCode()))


def _values(model: Any, graph: Any, index: int) -> Tensor:
    tensor = graph.Tensors(index)
    kind = _TYPES.get(tensor.Type())
    if kind is None:
        raise ValueError(f"weights of type {tensor.Type()}, but float32 or float16 is wanted")
    values = np.frombuffer(model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes(), kind)
    return torch.from_numpy(values.reshape(tensor.ShapeAsNumpy()).astype(np.float32))
