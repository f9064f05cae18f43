"""A loss and a source of pairs from outside of the package, each one file that a settings file imports."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slimdp.config import ConfigError, TrainConfig, config_from_dict, config_to_dict
from slimdp.losses import LOSSES
from slimdp.motion import PAIR_SOURCES
from slimdp.training import train
from slimdp.training.checkpoint import load_checkpoint
from slimdp.training.run_folder import read_metrics

LOSS = '''
"""Part scores that are sure of themselves: their entropy at every map pixel."""

from typing import ClassVar

from slimdp.losses import LOSSES, LossTerm


class EntropyLoss(LossTerm):
    """Entropy of the part scores; it needs no labels."""

    needs_labels: ClassVar[bool] = False
    floor: float = 0.0  # nats that cost nothing

    def count(self, batch):
        return batch.coarse.numel()

    def sums(self, output, labels):
        logs = [maps.fine_segm.log_softmax(dim=1) for maps in output.stages]
        return [(-(log.exp() * log).sum(dim=1) - self.floor).clamp(min=0).sum() for log in logs]


LOSSES["entropy"] = EntropyLoss
'''
PAIRS = '''
"""Second pictures by the simplest motion there is: the first crop, some px to the left."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from slimdp.config import MotionSettings
from slimdp.motion import PAIR_SOURCES


class ShiftMotion(MotionSettings):
    """The first crop moved to the left."""

    kind: Literal["shift"] = "shift"
    px: int = 4

    def source(self, people):
        return ShiftPairs(self.px)


@dataclass(frozen=True)
class ShiftView:
    """What is known of the way between the two crops."""

    image: np.ndarray
    crop_from_image: np.ndarray
    px: int

    def warp_to_source(self, points_1):
        return points_1 + [self.px, 0], np.ones(len(points_1), dtype=bool)

    def warp_to_target(self, points_0):
        return points_0 - [self.px, 0], np.ones(len(points_0), dtype=bool)

    def transfer_labels(self, points_0, confidence):
        return *self.warp_to_target(points_0), confidence


@dataclass(frozen=True)
class ShiftPairs:
    """Shifts the first crop."""

    px: int

    def view(self, people, index, change, rng):
        person = people.person(index)
        image, affine = people.picture(person.image.file, person.box, change)
        return ShiftView(np.roll(image, -self.px, axis=1), affine, self.px)


PAIR_SOURCES["shift"] = ShiftMotion
'''


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both files where Python finds them; afterwards the registries are as they were."""
    (tmp_path / "entropy_loss.py").write_text(LOSS)
    (tmp_path / "shifted_pairs.py").write_text(PAIRS)
    monkeypatch.syspath_prepend(tmp_path)
    losses, sources = dict(LOSSES), dict(PAIR_SOURCES)
    yield
    for registry, before in ((LOSSES, losses), (PAIR_SOURCES, sources)):
        registry.clear()
        registry.update(before)
    for module in ("entropy_loss", "shifted_pairs"):
        sys.modules.pop(module, None)


def test_a_loss_and_a_source_of_pairs_from_outside_train(
    outside: None, small_run: TrainConfig, tmp_path: Path
) -> None:
    values = config_to_dict(small_run) | {
        "imports": ["entropy_loss", "shifted_pairs"],
        "loss": {"entropy": {"weight": 0.5, "floor": 0.1}, "equivariance": 1.0},
        "motion": {"kind": "shift", "px": 8, "propagate": True},
    }
    for stage in values["stages"]:
        stage.pop("loss"), stage.pop("motion")
    config = config_from_dict(values, "outside")
    result = train(config, tmp_path / "run")
    losses = [record for record in read_metrics(tmp_path / "run" / "metrics.jsonl") if "loss/total" in record]
    assert losses
    for record in losses:
        assert 0 < record["loss/stack0/entropy"] < 4
        assert 0 < record["loss/stack0/equivariance"] < 2
    # The checkpoint names both, and reads again by its own imports.
    assert load_checkpoint(result).config == config
    assert config.plain()["loss"]["entropy"] == {"weight": 0.5, "floor": 0.1}
    with pytest.raises(ConfigError, match=r"loss.entropy.flor"):
        config_from_dict({**values, "loss": {"entropy": {"flor": 1}}}, "outside")
    with pytest.raises(ConfigError, match=r"unknown key motion.pixels"):
        config_from_dict({**values, "motion": {"kind": "shift", "pixels": 1}}, "outside")
