"""BlazePose as a backbone, and reading weights from .tflite files."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import tflite
import torch
import torch.nn.functional as F

from slimdp.config import ConfigError
from slimdp.models.backbones import BlazePose
from slimdp.models.backbones.tflite_file import read_convolutions
from slimdp.models.backbones.weights import load_weights

#: What pose_landmark_full.tflite computes up to its heat maps: outputs, inputs, kernel; inputs of 1 are
#: depthwise. Read from the file of @mediapipe/pose 0.5.1675469404; None: convolutions that are not used.
PUBLISHED: tuple[tuple[str | None, int, int, int], ...] = (
    ("stem.0", 24, 3, 3), ("blocks.0.depthwise.0", 24, 1, 3), ("blocks.0.project", 16, 24, 1),
    ("blocks.1.expand.0", 64, 16, 1), (None, 16, 1, 3), (None, 8, 16, 1),
    ("blocks.1.depthwise.0", 64, 1, 3), ("blocks.1.project", 24, 64, 1),
    ("blocks.2.expand.0", 144, 24, 1), ("blocks.2.depthwise.0", 144, 1, 3), ("blocks.2.project", 24, 144, 1),
    ("blocks.3.expand.0", 144, 24, 1), ("laterals.4.0.0", 24, 1, 3), ("laterals.4.1.0", 48, 24, 1),
    ("blocks.3.depthwise.0", 144, 1, 5), ("blocks.3.project", 32, 144, 1),
    ("blocks.4.expand.0", 192, 32, 1), ("blocks.4.depthwise.0", 192, 1, 5), ("blocks.4.project", 32, 192, 1),
    ("blocks.5.expand.0", 192, 32, 1), ("laterals.8.0.0", 32, 1, 3), ("laterals.8.1.0", 48, 32, 1),
    ("blocks.5.depthwise.0", 192, 1, 3), ("blocks.5.project", 64, 192, 1),
    ("blocks.6.expand.0", 384, 64, 1), ("blocks.6.depthwise.0", 384, 1, 3), ("blocks.6.project", 64, 384, 1),
    ("blocks.7.expand.0", 384, 64, 1), ("blocks.7.depthwise.0", 384, 1, 3), ("blocks.7.project", 64, 384, 1),
    ("blocks.8.expand.0", 384, 64, 1), ("blocks.8.depthwise.0", 384, 1, 5), ("blocks.8.project", 88, 384, 1),
    ("blocks.9.expand.0", 528, 88, 1), ("blocks.9.depthwise.0", 528, 1, 5), ("blocks.9.project", 88, 528, 1),
    ("blocks.10.expand.0", 528, 88, 1), ("blocks.10.depthwise.0", 528, 1, 5),
    ("blocks.10.project", 88, 528, 1),
    ("blocks.11.expand.0", 528, 88, 1), ("laterals.16.0.0", 88, 1, 3), ("laterals.16.1.0", 48, 88, 1),
    ("blocks.11.depthwise.0", 528, 1, 5), ("blocks.11.project", 144, 528, 1),
    ("blocks.12.expand.0", 864, 144, 1), ("blocks.12.depthwise.0", 864, 1, 5),
    ("blocks.12.project", 144, 864, 1),
    ("blocks.13.expand.0", 864, 144, 1), ("blocks.13.depthwise.0", 864, 1, 5),
    ("blocks.13.project", 144, 864, 1),
    ("blocks.14.expand.0", 864, 144, 1), ("blocks.14.depthwise.0", 864, 1, 5),
    ("blocks.14.project", 144, 864, 1),
    ("top.0.0", 864, 144, 1), ("top.1.0", 864, 1, 3),
    ("laterals.32.0.0", 864, 1, 3), ("laterals.32.1.0", 48, 864, 1),
    (None, 48, 1, 3), (None, 8, 48, 1), (None, 39, 48, 1),
)  # fmt: skip
Layer = tuple[np.ndarray, np.ndarray]  # weight as the file has it, bias


def tflite_model(layers: Sequence[Layer], kind: int = tflite.TensorType.FLOAT16) -> bytes:
    """A file of convolutions, those of weights (1, k, k, O) depthwise ones; halves pass a DEQUANTIZE each."""
    builder = flatbuffers.Builder()
    kinds = tflite.BuiltinOperator
    codes = [kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D, kinds.DEQUANTIZE]
    tensors, buffers, operators = [], [], []

    def tensor(values: np.ndarray, its_kind: int) -> int:
        shape = builder.CreateNumpyVector(np.array(values.shape, np.int32))
        data = builder.CreateByteVector(values.tobytes())
        tflite.BufferStart(builder)
        tflite.BufferAddData(builder, data)
        buffers.append(tflite.BufferEnd(builder))
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, shape)
        tflite.TensorAddType(builder, its_kind)
        tflite.TensorAddBuffer(builder, len(buffers) - 1)
        tensors.append(builder.EndObject())
        return len(tensors) - 1

    def operator(code: int, inputs: list[int]) -> int:
        output = tensor(np.zeros(0, np.float32), tflite.TensorType.FLOAT32)
        ins, outs = (builder.CreateNumpyVector(np.array(each, np.int32)) for each in (inputs, [output]))
        tflite.OperatorStart(builder)
        tflite.OperatorAddOpcodeIndex(builder, codes.index(code))
        tflite.OperatorAddInputs(builder, ins)
        tflite.OperatorAddOutputs(builder, outs)
        operators.append(builder.EndObject())
        return output

    def weights(values: np.ndarray) -> int:
        if kind == tflite.TensorType.FLOAT32:
            return tensor(values.astype(np.float32), kind)
        return operator(kinds.DEQUANTIZE, [tensor(values.astype(np.float16), kind)])

    x = tensor(np.zeros(0, np.float32), tflite.TensorType.FLOAT32)
    for weight, bias in layers:
        code = kinds.DEPTHWISE_CONV_2D if len(weight) == 1 and weight.shape[3] == len(bias) else kinds.CONV_2D
        x = operator(code, [x, weights(weight), weights(bias)])

    def vector(offsets: Sequence[int]) -> int:
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    its_tensors, its_operators = vector(tensors), vector(operators)
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, its_tensors)
    tflite.SubGraphAddOperators(builder, its_operators)
    graphs = vector([builder.EndObject()])
    its_codes = []
    for code in codes:
        tflite.OperatorCodeStart(builder)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, code)
        its_codes.append(builder.EndObject())
    its_codes_vector, its_buffers = vector(its_codes), vector(buffers)
    tflite.ModelStart(builder)
    tflite.ModelAddOperatorCodes(builder, its_codes_vector)
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, its_buffers)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    return bytes(builder.Output())


def published(rng: np.random.Generator) -> list[Layer]:
    """Layers of the shapes and in the order of MediaPipe's file, of random values that 16 bits hold."""
    layers = []
    for _, outputs, inputs, kernel in PUBLISHED:
        shape = (1, kernel, kernel, outputs) if inputs == 1 else (outputs, kernel, kernel, inputs)
        layers.append(
            (rng.normal(size=shape).astype(np.float16), rng.normal(size=outputs).astype(np.float16))
        )
    return layers


def test_features_at_every_stride() -> None:
    network = BlazePose().eval()
    with torch.no_grad():
        found = network(torch.rand(2, 3, 64, 96))
    channels = {4: 24 + 48, 8: 32 + 48, 16: 88 + 48, 32: 864 + 48}
    assert network.channels == channels
    shapes = {stride: tuple(each.shape) for stride, each in found.items()}
    assert shapes == {s: (2, c, 64 // s, 96 // s) for s, c in channels.items()}


def test_its_own_pyramid_adds_coarser_levels_enlarged() -> None:
    network = BlazePose().eval()
    with torch.no_grad():
        found = network(torch.rand(1, 3, 64, 64))
        trunk, own = found[4].split([24, 48], 1)
        coarser = F.interpolate(found[8][:, 32:], scale_factor=2, mode="bilinear")
        torch.testing.assert_close(own, network.laterals["4"](trunk) + coarser)


def test_weights_of_a_file_go_where_it_computes_with_them(tmp_path: Path) -> None:
    layers = published(np.random.default_rng(0))
    file = tmp_path / "pose_landmark_full.tflite"
    file.write_bytes(tflite_model(layers))
    network = BlazePose()
    digest = load_weights(network, str(file))
    assert re.fullmatch("[0-9a-f]{64}", digest)
    state = network.state_dict()
    for (name, _, inputs, _), (weight, bias) in zip(PUBLISHED, layers):
        if name is None:
            continue
        axes = (3, 0, 1, 2) if inputs == 1 else (0, 3, 1, 2)
        np.testing.assert_array_equal(state.pop(f"{name}.weight").numpy(), weight.transpose(axes))
        np.testing.assert_array_equal(state.pop(f"{name}.bias").numpy(), bias)
    assert not state


def test_weights_in_32_bits_are_read_too(tmp_path: Path) -> None:
    file = tmp_path / "x.tflite"
    weight, bias = np.full((2, 1, 1, 3), 0.1, np.float32), np.array([0.3, 0.7], np.float32)
    file.write_bytes(tflite_model([(weight, bias)], tflite.TensorType.FLOAT32))
    found = read_convolutions(file)
    assert found["0.weight"].shape == (2, 3, 1, 1)
    np.testing.assert_array_equal(found["0.bias"].numpy(), bias)


def test_a_network_of_ours_keeps_its_names() -> None:
    weights = BlazePose().state_dict()
    assert BlazePose.renamed(weights).keys() == weights.keys()


def test_damaged_and_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.tflite"
    whole = tflite_model(published(np.random.default_rng(0)))
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match="damaged"):
        load_weights(BlazePose(), str(file))
    file.write_bytes(b"\0" * 100)
    with pytest.raises(ConfigError, match="damaged or no file of weights: no TensorFlow Lite model"):
        load_weights(BlazePose(), str(file))
    file.write_bytes(tflite_model(published(np.random.default_rng(0))[:20]))
    with pytest.raises(ConfigError, match="is not of BlazePose: it lacks"):
        load_weights(BlazePose(), str(file))


def test_without_the_package_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.tflite"
    file.write_bytes(b"")
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(ConfigError, match=r"pip install 'slimdp\[backbones\]'"):
        load_weights(BlazePose(), str(file))
