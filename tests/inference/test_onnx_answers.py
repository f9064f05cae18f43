"""When a file's answers are not torch's, by answers that are made up: no ONNX package is needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from slimdp.config import CropSettings
from slimdp.inference import onnx_export
from slimdp.inference.onnx_export import (
    OUTPUTS,
    TOLERANCE,
    DecodedNetwork,
    Metadata,
    export_onnx,
    largest_difference,
)
from slimdp.models import StackedHourglass

Change = Callable[[dict[str, np.ndarray]], None]


@pytest.fixture(scope="module")
def network() -> DecodedNetwork:
    torch.manual_seed(0)
    return DecodedNetwork(StackedHourglass(stacks=1, features=8)).eval()


class Session:
    """Answers as torch does, but for a change of the answers by name."""

    def __init__(self, network: DecodedNetwork, change: Change) -> None:
        self._network, self._change = network, change

    def run(self, outputs: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            answers = [each.numpy().copy() for each in self._network(torch.from_numpy(feeds["images"]))]
        named = dict(zip(OUTPUTS, answers, strict=True))
        self._change(named)
        return [named[name] for name in outputs]


def nothing(answers: dict[str, np.ndarray]) -> None:
    pass


def a_little(answers: dict[str, np.ndarray]) -> None:
    answers["u"][:, 0, 0, 0] += 0.5
    answers["part"][0, 0, 0] += 1  # one pixel of another part may be a tie


def not_a_number(answers: dict[str, np.ndarray]) -> None:
    answers["u"][0, 0, 0, 0] = np.nan


def infinite(answers: dict[str, np.ndarray]) -> None:
    answers["person"][0, 0, 0] = np.inf


def other_parts(answers: dict[str, np.ndarray]) -> None:
    """No pixel is left whose u and v could be compared."""
    answers["part"] += 1


@pytest.mark.parametrize(
    ("change", "wanted"),
    [(nothing, 0), (a_little, 0.5), (not_a_number, math.inf), (infinite, math.inf), (other_parts, math.inf)],
)
def test_differences(
    network: DecodedNetwork, monkeypatch: pytest.MonkeyPatch, change: Change, wanted: float
) -> None:
    monkeypatch.setattr(onnx_export, "session_of", lambda proto: Session(network, change))
    proto: Any = None
    assert largest_difference(network, proto, 64) == pytest.approx(wanted)


@pytest.mark.parametrize("change", [not_a_number, other_parts])
def test_a_file_that_answers_so_is_not_written(
    network: DecodedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    with pytest.raises(ValueError, match=f"than in torch, by up to inf, over {TOLERANCE:g}"):
        export(network, tmp_path / "a.onnx", monkeypatch, change, int8=False)
    assert list(tmp_path.iterdir()) == []


def test_weights_in_8_bits_must_answer_too(
    network: DecodedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"in 8 bits the network gives values that are not finite \(u\)"):
        export(network, tmp_path / "a.onnx", monkeypatch, nothing, int8=True, in_8_bits=not_a_number)
    assert list(tmp_path.iterdir()) == []
    export(network, tmp_path / "b.onnx", monkeypatch, nothing, int8=True, in_8_bits=a_little)
    assert (tmp_path / "b.onnx").read_bytes() == b"small"


def export(
    network: DecodedNetwork, out: Path, monkeypatch: pytest.MonkeyPatch, change: Change, int8: bool,
    in_8_bits: Change = nothing,
) -> None:  # fmt: skip
    """Export by models that are names alone."""
    changes = {"whole": change, "small": in_8_bits}

    def model(name: str) -> Any:
        props = SimpleNamespace(add=lambda **entry: None)
        return SimpleNamespace(name=name, metadata_props=props, SerializeToString=name.encode)

    monkeypatch.setattr(onnx_export, "require_packages", lambda: None)
    monkeypatch.setattr(onnx_export, "_traced", lambda network, size: model("whole"))
    monkeypatch.setattr(onnx_export, "quantised", lambda proto: model("small"))
    monkeypatch.setattr(onnx_export, "session_of", lambda proto: Session(network, changes[proto.name]))
    crop = CropSettings(size=64)
    export_onnx(network.model, Metadata.of(network.model, crop, "open", ""), out, int8)
