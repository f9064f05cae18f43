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


def test_weights_in_8_bits_answer_nearly_the_same(
    model: StackedHourglass, exported: tuple[Path, float]
) -> None:
    whole = onnx.load(exported[0])
    small = quantised(whole)
    kinds = {tensor.data_type for tensor in small.graph.initializer}
    assert onnx.TensorProto.UINT8 in kinds
    images = np.random.default_rng(0).random((2, 3, 64, 64)).astype(np.float32)
    answers = [onnx_export.session_of(proto).run(["u"], {"images": images})[0] for proto in (whole, small)]
    assert np.abs(answers[0] - answers[1]).mean() < 0.05
    assert not np.array_equal(*answers)
    assert {entry.key for entry in small.metadata_props} >= {entry.key for entry in whole.metadata_props}


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
