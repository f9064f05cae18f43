"""The check that gives carried labels a probability."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache import FlowChain, FlowPair, PointStatus
from slimdp.config import ConfigError
from slimdp.motion import LearnedCheck
from slimdp.motion.carried_features import FEATURES, CarriedPoints
from slimdp.motion.learned_check import SHIPPED, CheckNetwork


def test_the_network_is_as_computed_by_hand() -> None:
    layers = [(np.float32([[1, 0], [0, -1]]), np.float32([0, 0])), (np.float32([[1, 1]]), np.float32([-1]))]
    network = CheckNetwork(np.float32([1, 0]), np.float32([2, 1]), layers)
    # (3 - 1) / 2 = 1 and max(-2, 0) = 0: 1 + 0 - 1 = 0;  1 and max(3, 0) = 3: 1 + 3 - 1 = 3
    found = network.probability(np.float32([[3, 2], [3, -3]]))
    np.testing.assert_allclose(found, [0.5, 1 / (1 + np.exp(-3))], rtol=1e-6)


def test_torch_gives_the_same() -> None:
    import torch

    network = CheckNetwork.read(SHIPPED)
    features = np.random.default_rng(0).normal(network.mean, network.deviation, (50, len(FEATURES)))
    values = torch.from_numpy((features - network.mean) / network.deviation)
    for number, (weight, bias) in enumerate(network.layers):
        values = torch.nn.functional.linear(
            values, *map(torch.from_numpy, (weight.astype(float), bias.astype(float)))
        )
        values = values.relu() if number + 1 < len(network.layers) else values.sigmoid()
    np.testing.assert_allclose(network.probability(features), values[:, 0].numpy(), rtol=1e-4)


@pytest.fixture
def textured() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (80, 96, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3).astype(np.float32)


def carried(lab_0: np.ndarray, lab_1: np.ndarray, back: float) -> CarriedPoints:
    flow = np.zeros((2, 80, 96), dtype=np.float32)
    flow[0] = 3
    points = np.random.default_rng(1).uniform(20, 60, (40, 2))
    return CarriedPoints(points, FlowChain((FlowPair(flow, -back * flow),)), 1, lab_0, lab_1, 1.0)


def test_the_shipped_check_believes_what_fits_and_not_what_does_not(textured: np.ndarray) -> None:
    check = LearnedCheck(0.5)
    true = check.judge(carried(textured, np.roll(textured, 3, axis=1), 1.0))
    wrong = check.judge(carried(textured, np.roll(textured, 40, axis=1), -4.0))
    assert np.median(true.probability) > 0.9
    assert np.median(wrong.probability) < 0.3
    assert true.kept.mean() > 0.9
    assert (wrong.status == PointStatus.INCONSISTENT).mean() > 0.9


def test_what_has_no_flow_is_never_right(textured: np.ndarray) -> None:
    flow = np.full((2, 80, 96), np.nan, dtype=np.float32)
    points = np.array([[40.0, 40.0]])
    lost = CarriedPoints(points, FlowChain((FlowPair(flow, flow),)), 1, textured, textured, 1.0)
    judged = LearnedCheck(0.0).judge(lost)
    assert judged.probability.tolist() == [0]
    assert not judged.kept.any()


def test_bad_input_is_named(tmp_path: Path) -> None:
    for least in (-0.1, 1.5):
        with pytest.raises(ConfigError, match=r"one in 0\.\.1 is wanted"):
            LearnedCheck(least)
    other = tmp_path / "check.json"
    other.write_text(json.dumps({"features": ["offset"]}))
    with pytest.raises(ConfigError, match="train it anew"):
        LearnedCheck(0.5, other)
