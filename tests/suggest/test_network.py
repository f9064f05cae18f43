from __future__ import annotations

import numpy as np
import pytest
import torch

from slimdp.config import CropSettings
from slimdp.models.hourglass import StackedHourglass
from slimdp.structures import DensePoseMaps
from slimdp.suggest.network import describe_frames, mean_entropy


def test_the_entropy_by_hand() -> None:
    """Of two pixels one is a person, by even odds between two parts; what the other says does not count."""
    fine = torch.full((1, 25, 1, 2), -60.0)
    fine[0, 1:3, 0, 0] = 0.0
    fine[0, 0, 0, 1] = 60.0
    coarse = torch.full((1, 15, 1, 2), -60.0)
    coarse[0, 1, 0, 0], coarse[0, 0, 0, 1] = 0.0, 60.0
    empty = torch.zeros(1, 24, 1, 2)
    assert mean_entropy(DensePoseMaps(fine, empty, empty, coarse)) == pytest.approx(np.log(2), abs=1e-5)


def test_frames_that_look_alike_have_like_features() -> None:
    torch.manual_seed(0)
    model = StackedHourglass(stacks=1, features=8)
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 255, (2, 80, 90, 3)).astype(np.uint8)
    box = np.array([10.0, 10, 60, 50])
    frames = [(one, [box]), (one, [box, box]), (other, [box]), (one, [])]
    features, unsure = describe_frames(model, frames, CropSettings(size=64))
    assert features.shape == (4, 32)
    assert unsure.shape == (4,)
    np.testing.assert_allclose(features[0], features[1], atol=1e-5)
    assert np.abs(features[0] - features[2]).max() > 1e-4
    assert np.abs(features[0] - features[3]).max() > 1e-4  # the whole picture
    assert (unsure > 0).all()
    assert model.training
