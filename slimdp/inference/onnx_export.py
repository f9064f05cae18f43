"""A trained network as an ONNX file, for programs without torch: a browser, a phone, a server.

The file takes crops and gives answers: decoding is in it. What it needs to be used is in its metadata, which
any ONNX library reads (`Metadata` below, and docs/export.md):

| tensor | shape | type | what it is |
|---|---|---|---|
| images (input) | (B, 3, S, S) | float32 | crops, red, green, blue in 0..1 |
| part | (B, S, S) | uint8 | the best of the parts 1..P, on background too |
| uv | (B, 2, S, S) | float32 | u and v in [0, 1] on that part |
| person | (B, S, S) | float32 | log odds of a person: over 0 the pixel is the person |
| fine_segm, u, v, coarse_segm | (B, C, S / stride, S / stride) | float32 | the network's own maps |
"""

from __future__ import annotations

import importlib.util
import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from flow_cache import __version__
from flow_cache.runtime.atomic import atomic_write
from slimdp.config import CropSettings
from slimdp.data.crops import BORDER_RGB
from slimdp.inference.decoding import decode_together
from slimdp.models import DensePoseModel
from slimdp.settings_file import ConfigError
from slimdp.structures import PoseBatch

if TYPE_CHECKING:
    import onnx

#: What the extra `export` brings.
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
INPUT = "images"
MAPS = ("fine_segm", "u", "v", "coarse_segm")
OUTPUTS = ("part", "uv", "person", *MAPS)
#: The largest difference to torch of a file that counts as the same network.
TOLERANCE = 1e-4
#: The share of pixels that may be of another part: there two parts are as good, and either wins.
_MOST_TIES = 1e-3
_OPSET = 18
_PREPARATION = (
    "Per person: take the box x, y, width, height (px, pixel centres at integers). side = max(width, height) "
    "* (1 + 2 * margin); zoom = size / side. Pixel (i, j) of the crop shows the image at x + (width - 1) / 2 "
    "+ (i - (size - 1) / 2) / zoom, y + (height - 1) / 2 + (j - (size - 1) / 2) / zoom, bilinearly, averaged "
    "over squares of floor(1 / zoom) px where that is over 1, and smoothed by 1 2 1 both ways where zoom * "
    "floor(1 / zoom) is under 0.6; border_rgb outside of the image. Order red, green, blue; divide by 255; "
    "(B, 3, size, size) float32."
)
_READING = (
    "Pixel (i, j) is the person where person > 0; part has 1..P by the names of layout, uv has u, v in 0..1. "
    "It lies in the image where the preparation says. fine_segm, u, v, coarse_segm are maps before enlarging."
)


@dataclass(frozen=True)
class Metadata:
    """What a file says of itself, each under `slimdp_NAME`, as JSON."""

    version: str  # of slimdp
    weights_sha256: str  # of the checkpoint
    size: int  # S, px of the crop
    margin: float  # of the box's longer side, added on each side
    border_rgb: tuple[int, int, int]  # 0..255, outside of the image
    stride: int  # px of the crop to a px of the maps
    surface: str  # whose charts u and v are of
    layout: dict[str, Any]  # the parts (`PartLayout.as_json`)
    preparation: str  # of the input, in words
    reading: str  # of the output, in words

    @staticmethod
    def of(model: DensePoseModel, crop: CropSettings, surface: str, weights_sha256: str) -> Metadata:
        """That of a network."""
        return Metadata(
            __version__, weights_sha256, crop.size, crop.margin, BORDER_RGB, model.spec.stride, surface,
            model.layout.as_json(), _PREPARATION, _READING,
        )  # fmt: skip


class DecodedNetwork(nn.Module):
    """A network over crops with the decoding of its answer, as the file has it."""

    def __init__(self, model: DensePoseModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Crops (B, 3, S, S) in 0..1 to `OUTPUTS`."""
        maps = self.model(PoseBatch.of_images(images)).best
        return *decode_together(maps, self.model.spec.stride), *(getattr(maps, name) for name in MAPS)


def export_onnx(model: DensePoseModel, metadata: Metadata, out: Path, int8: bool = False) -> float:
    """Write a network as an ONNX file of any number of crops, whole or not at all.

    It is run beside torch before it takes its name; one with weights in 8 bits is run once more.

    Args:
        model: over crops; on the CPU.
        metadata: what the file says of itself.
        out: the file.
        int8: keep the weights in 8 bits (`quantised`), which makes the file a quarter as large.

    Returns:
        The largest difference of u, v and scores to torch's, before weights were put into 8 bits.

    Raises:
        ConfigError: the extra `export` is not installed, or the network takes whole pictures.
        ValueError: the file's answers are not torch's, or in 8 bits not finite.
    """
    require_packages()
    if model.spec.input != "crop":
        raise ConfigError("the network takes whole pictures with the people in them; only crops are exported")
    network = DecodedNetwork(model).eval()
    proto = _traced(network, metadata.size)
    for name, value in vars(metadata).items():
        proto.metadata_props.add(key=f"slimdp_{name}", value=json.dumps(value))
    difference = largest_difference(network, proto, metadata.size)
    if not difference <= TOLERANCE:
        raise ValueError(
            f"the network answers otherwise in onnxruntime than in torch, by up to {difference:.2g}, over "
            f"{TOLERANCE:g}: it may hold an operation that this torch does not export rightly"
        )
    if int8:
        proto = quantised(proto)
        _require_finite(proto, metadata.size)
    with atomic_write(out) as temporary:
        temporary.write_bytes(proto.SerializeToString())
    return difference


def _require_finite(proto: onnx.ModelProto, size: int) -> None:
    """Raise ValueError, naming the outputs, where a model's answers to a batch are not finite."""
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    found = session_of(proto).run(list(OUTPUTS), {INPUT: images.numpy()})
    wrong = [name for name, each in zip(OUTPUTS, found, strict=True) if not np.isfinite(each).all()]
    if wrong:
        raise ValueError(
            f"with its weights in 8 bits the network gives values that are not finite ({', '.join(wrong)}); "
            "export it without --int8"
        )


def require_packages() -> None:
    """Raise ConfigError where what the extra `export` brings is not installed."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"slimdp export needs {', '.join(missing)}: pip install 'slimdp[export]'")


def _traced(network: DecodedNetwork, size: int) -> onnx.ModelProto:
    """The network's operations; B is free."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch's exporter, on its own insides
        program = torch.onnx.export(
            network,
            (torch.zeros(2, 3, size, size),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            opset_version=_OPSET,
            verbose=False,
        )
    assert program is not None
    proto: onnx.ModelProto = program.model_proto
    _forget_traces(proto)
    return proto


def _forget_traces(proto: onnx.ModelProto) -> None:
    """Remove what the exporter notes of where each operation comes from: files of this machine, by name."""
    graph = proto.graph
    for noted in (graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        del noted.metadata_props[:]
        noted.doc_string = ""


def largest_difference(network: DecodedNetwork, proto: onnx.ModelProto, size: int) -> float:
    """By how much onnxruntime's u, v and scores differ from torch's at most, over batches of 1 and 3 crops.

    Where torch's two best parts are closer than that, either may win: a few pixels of another part do not
    count. Infinite where they are more than that, or something is not finite.
    """
    session, generator = session_of(proto), torch.Generator().manual_seed(0)
    largest = 0.0
    for count in (1, 3):
        images = torch.rand(count, 3, size, size, generator=generator)
        with torch.no_grad():
            expected = [each.numpy() for each in network(images)]
        found = session.run(list(OUTPUTS), {INPUT: images.numpy()})
        same = expected[0] == found[0]
        finite = all(np.isfinite(each).all() for each in (*expected, *found))
        if not finite or (~same).mean() > _MOST_TIES:
            return math.inf
        for name, theirs, ours in zip(OUTPUTS[1:], expected[1:], found[1:], strict=True):
            apart = np.abs(theirs - ours)
            largest = max(
                largest, float((apart.transpose(0, 2, 3, 1)[same] if name == "uv" else apart).max())
            )
    return largest


def session_of(proto: onnx.ModelProto) -> Any:
    """An onnxruntime session of a model, on the CPU."""
    import onnxruntime

    return onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])


def quantised(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with the weights of its layers in 8 bits, and a scale for each channel of the output.

    Activations stay as they are. In 8 bits they would take scales of what runs, over whole tensors: a crop's
    answer would depend on the crops beside it, and maps of few large numbers would lose the small ones.
    """
    import onnx
    from onnx import helper, numpy_helper

    small = onnx.ModelProto()
    small.CopyFrom(proto)
    graph = small.graph
    weights, restored = {each.name: each for each in graph.initializer}, []
    for name, axis in _weights_of_layers(graph).items():
        codes, scale = _in_8_bits(numpy_helper.to_array(weights[name]), axis)
        names = f"{name}.codes", f"{name}.scale"
        weights[name].CopyFrom(numpy_helper.from_array(codes, names[0]))
        graph.initializer.append(numpy_helper.from_array(scale, names[1]))
        restored.append(helper.make_node("DequantizeLinear", names, [name], axis=axis))
    nodes = [*restored, *graph.node]  # in the order in which they are computed
    del graph.node[:]
    graph.node.extend(nodes)
    return small


def _weights_of_layers(graph: onnx.GraphProto) -> dict[str, int]:
    """Names of the weights of convolutions and products with matrices, and the axis of output channels."""
    import onnx

    stored = {
        each.name: len(each.dims) for each in graph.initializer if each.data_type == onnx.TensorProto.FLOAT
    }
    found = {}
    for node in graph.node:
        name = node.input[1] if len(node.input) > 1 else ""
        if stored.get(name, 0) < 2:
            continue
        if node.op_type == "Conv":
            found[name] = 0
        elif node.op_type == "ConvTranspose":
            found[name] = 1
        elif node.op_type == "Gemm":
            found[name] = 0 if any(each.name == "transB" and each.i for each in node.attribute) else 1
        elif node.op_type == "MatMul":
            found[name] = stored[name] - 1
    return found


def _in_8_bits(weight: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes int8 and a scale float32 for each index of the axis; codes * scale is off by half a scale."""
    others = tuple(each for each in range(weight.ndim) if each != axis)
    scale = (np.abs(weight).max(axis=others, keepdims=True) / 127).astype(np.float32)
    scale[scale == 0] = 1  # of a channel without weights
    codes = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
    return codes, scale.ravel()
