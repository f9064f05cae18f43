from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from slimdp.config import CropSettings, ModelSpec
from slimdp.data.crops import BORDER_RGB, crop_affine, crop_image
from slimdp.inference import onnx_export
from slimdp.inference.decoding import decode
from slimdp.inference.onnx_export import (
    OUTPUTS,
    DecodedNetwork,
    Metadata,
    export_onnx,
    quantised,
    require_packages,
)
from slimdp.inference.predictor import run_model
from slimdp.models import StackedHourglass
from slimdp.settings_file import ConfigError
from slimdp.surface.layout import layout_from_json
from slimdp.surface.people import PEOPLE

onnx = pytest.importorskip("onnx", reason="needs pip install 'slimdp[export]'")
pytest.importorskip("onnxruntime", reason="needs pip install 'slimdp[export]'")
pytest.importorskip("onnxscript", reason="needs pip install 'slimdp[export]'")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "export.md"
CROP = CropSettings(size=64, margin=0.2)


@pytest.fixture(scope="module")
def model() -> StackedHourglass:
    torch.manual_seed(0)
    return StackedHourglass(stacks=1, features=8).eval()


@pytest.fixture(scope="module")
def exported(model: StackedHourglass, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    path = tmp_path_factory.mktemp("export") / "people.onnx"
    return path, export_onnx(model, Metadata.of(model, CROP, "open", "a" * 64), path)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_number_of_crops_gives_what_torch_and_the_decoder_give(
    model: StackedHourglass, exported: tuple[Path, float], count: int
) -> None:
    session = onnx_export.session_of(onnx.load(exported[0]))
    images = torch.rand(count, 3, 64, 64, generator=torch.Generator().manual_seed(count))
    found = dict(zip(OUTPUTS, session.run(list(OUTPUTS), {"images": images.numpy()}), strict=True))
    maps = run_model(model, images)
    for name in ("fine_segm", "u", "v", "coarse_segm"):
        np.testing.assert_allclose(found[name], getattr(maps, name).numpy(), atol=1e-4)
    decoded = decode(maps, model.spec.stride)
    same = found["part"] == decoded.part.numpy()
    assert same.mean() > 0.999
    uv = decoded.uv.numpy()
    np.testing.assert_allclose(np.where(same[:, None], found["uv"], uv), uv, atol=1e-4)
    sure = np.abs(found["person"]) > 1e-4
    assert ((found["person"] > 0) == decoded.foreground.numpy())[sure].all()
    assert found["part"].dtype == np.uint8
    assert found["part"].shape == (count, 64, 64)


def test_the_metadata_says_how_to_use_it(exported: tuple[Path, float]) -> None:
    proto = onnx.load(exported[0])
    found = {entry.key: json.loads(entry.value) for entry in proto.metadata_props}
    assert found["slimdp_size"] == 64
    assert found["slimdp_margin"] == 0.2
    assert found["slimdp_border_rgb"] == list(BORDER_RGB)
    assert found["slimdp_stride"] == 4
    assert layout_from_json(found["slimdp_layout"]) == PEOPLE
    assert found["slimdp_weights_sha256"] == "a" * 64
    assert "divide by 255" in found["slimdp_preparation"]
    assert "person > 0" in found["slimdp_reading"]
    assert exported[1] < 1e-4


def test_the_file_names_no_file_of_this_machine(exported: tuple[Path, float]) -> None:
    content = exported[0].read_bytes()
    assert str(Path(onnx_export.__file__).parent).encode() not in content
    assert b"stack_trace" not in content


def test_weights_in_8_bits_are_off_by_half_a_step_of_their_channel(exported: tuple[Path, float]) -> None:
    whole = onnx.load(exported[0])
    before = whole.SerializeToString()
    small = quantised(whole)
    assert whole.SerializeToString() == before
    onnx.checker.check_model(small, full_check=True)
    weights, stored = (
        {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
        for proto in (whole, small)
    )
    convolved = {node.input[1] for node in whole.graph.node if node.op_type == "Conv"}
    assert len(convolved) > 20
    for name in convolved:
        codes, scale = stored[f"{name}.codes"], stored[f"{name}.scale"].reshape(-1, 1, 1, 1)
        assert codes.dtype == np.int8
        largest = np.abs(weights[name]).max(axis=(1, 2, 3), keepdims=True)
        np.testing.assert_allclose(scale, largest / 127, rtol=1e-6)
        assert (np.abs(codes * scale - weights[name]) <= 0.5001 * scale).all()
        assert name not in stored
    assert small.metadata_props == whole.metadata_props


def test_a_file_of_weights_in_8_bits_answers_the_same_and_is_small(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = StackedHourglass(stacks=1, features=80).eval()
    export_onnx(model, Metadata.of(model, CROP, "open", ""), tmp_path / "whole.onnx")
    protos = [whole_proto := onnx.load(tmp_path / "whole.onnx"), quantised(whole_proto)]
    assert len(protos[1].SerializeToString()) < len(protos[0].SerializeToString()) / 3
    sessions, images = [onnx_export.session_of(proto) for proto in protos], crops_of_all_lights()
    whole, small = (session.run(["person", "u"], {"images": images}) for session in sessions)
    for wanted, found in zip(whole, small, strict=True):
        assert np.abs(found - wanted).mean() < 0.02 * np.abs(wanted).mean() + 1e-3
        assert not np.array_equal(found, wanted)
    for index in range(len(images)):  # the crops beside it change nothing
        alone = sessions[1].run(["person", "u"], {"images": images[index : index + 1]})
        for beside, each in zip(small, alone, strict=True):
            np.testing.assert_allclose(beside[index], each[0], rtol=1e-4, atol=1e-4)


def crops_of_all_lights() -> np.ndarray:
    """Four crops of blobs, from dark to bright."""
    noise = np.random.default_rng(0).random((4, 64, 64, 3)).astype(np.float32)
    light = np.array([0.05, 0.3, 0.7, 1.0], np.float32)
    blobs = np.stack([cv2.GaussianBlur(each, (0, 0), 4) * by for each, by in zip(noise, light, strict=True)])
    return blobs.transpose(0, 3, 1, 2)


def test_the_weights_of_each_kind_of_layer_have_scales_by_their_outputs() -> None:
    """Of a made-up graph: 2 channels to 3, whose weights are a hundred times as large in each next one."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    rng, large = np.random.default_rng(0), np.array([1, 1e2, 1e4], np.float32)
    shapes = {"Conv": (3, 2, 1, 1), "ConvTranspose": (2, 3, 1, 1), "Gemm": (2, 3), "MatMul": (2, 3)}
    shapes["GemmT"] = (3, 2)
    for kind, shape in shapes.items():
        channels = [3 if axis == shape.index(3) else 1 for axis in range(len(shape))]
        weight = rng.uniform(-1, 1, shape).astype(np.float32) * large.reshape(channels)
        more = {"transB": 1} if kind == "GemmT" else {}
        node = helper.make_node(kind.removesuffix("T"), ["x", "w"], ["y"], **more)
        sides = [None] * (len(shape) - 2)
        ends = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, count, *sides])
            for name, count in (("x", 2), ("y", 3))
        ]
        graph = helper.make_graph([node], kind, ends[:1], ends[1:], [numpy_helper.from_array(weight, "w")])
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        x = rng.uniform(-1, 1, (4, 2, *[1] * len(sides))).astype(np.float32)
        wanted, found = (
            onnx_export.session_of(each).run(["y"], {"x": x})[0] for each in (proto, quantised(proto))
        )
        off = np.abs(found - wanted).reshape(4, 3).max(axis=0)
        assert (off <= 2 * 0.51 * large / 127).all(), kind
        assert off.all(), kind


def test_a_file_that_answers_otherwise_is_not_written(
    model: StackedHourglass, exported: tuple[Path, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(network: DecodedNetwork, size: int) -> Any:
        proto = onnx.load(exported[0])
        for tensor in proto.graph.initializer:
            if tensor.name.endswith("to_maps.bias"):
                values = onnx.numpy_helper.to_array(tensor) + np.float32(1e-3)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        return proto

    monkeypatch.setattr(onnx_export, "_traced", broken)
    with pytest.raises(ValueError, match=r"answers otherwise in onnxruntime than in torch, by up to 0\.001"):
        export_onnx(model, Metadata.of(model, CROP, "open", ""), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_said(
    model: StackedHourglass, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = StackedHourglass(stacks=1, features=8)
    whole.spec = ModelSpec(**{**vars(model.spec), "input": "image"})
    with pytest.raises(ConfigError, match="only crops are exported"):
        export_onnx(whole, Metadata.of(model, CROP, "open", ""), tmp_path / "a.onnx")
    monkeypatch.setattr(onnx_export, "PACKAGES", ("onnx", "onnx_that_is_not_there"))
    with pytest.raises(ConfigError, match=r"needs onnx_that_is_not_there: pip install 'slimdp\[export\]'"):
        require_packages()


def test_the_example_of_the_page_runs(
    model: StackedHourglass,
    exported: tuple[Path, float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("people.onnx").write_bytes(exported[0].read_bytes())
    noise = np.random.default_rng(0).integers(0, 256, (200, 180, 3)).astype(np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 5)
    Image.fromarray(image).save("picture.jpg", quality=100)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, str(PAGE), "exec"), names)
    assert names["seen"] <= set(PEOPLE.part_names)
    # The crop is where ours is: of a smooth picture they hardly differ.
    stored = np.array(Image.open("picture.jpg"))
    ours = crop_image(stored, crop_affine(np.array([60.0, 20, 80, 160]), CROP), 64)
    assert np.abs(names["crop"].astype(int) - ours).mean() < 4
