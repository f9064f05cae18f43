from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from slimdp.config import (
    AugmentSettings,
    ConfigError,
    CropSettings,
    DataSource,
    StageSettings,
    TrainConfig,
)
from slimdp.models import HourglassSettings
from slimdp.structures import PoseBatch
from slimdp.training import load_checkpoint, train
from slimdp.training.stage_data import read_stages, stage_seeds
from tests.surface.densepose_files import symmetry_tables, tiny_body, write_charts, write_symmetry


def same(first: PoseBatch, second: PoseBatch) -> bool:
    one, other = first.tensors(), second.tensors()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_stage_gives_a_batch_a_step(small_run: TrainConfig) -> None:
    stills, clips = read_stages(small_run)
    batches = list(stills.batches(0, workers=0))
    assert len(batches) == 4
    assert batches[0].images.shape == (2, 3, 64, 64)
    assert [len(batch.images) for batch in clips.batches(0, workers=0)] == [3] * 4


def test_a_later_start_gives_the_rest_of_the_batches(small_run: TrainConfig) -> None:
    stage = read_stages(small_run)[0]
    whole, rest = (list(stage.batches(first, workers=0)) for first in (0, 3))
    assert len(rest) == 1
    assert same(whole[3], rest[0])
    assert not same(whole[2], rest[0])


def test_worker_processes_change_nothing_and_leave_opencv_alone(small_run: TrainConfig) -> None:
    # OpenCV's threads must be running before the fork: that is what a worker could wait for in vain.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        image = torch.rand(512, 512, 3).numpy()
        cv2.GaussianBlur(image, (31, 31), 5)
        stage = read_stages(small_run)[0]
        alone, helped = (list(stage.batches(0, workers=workers)) for workers in (0, 2))
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(threads)
    assert len(helped) == 4
    assert all(same(one, other) for one, other in zip(alone, helped))


def test_the_people_of_a_batch_are_those_it_shows(small_run: TrainConfig) -> None:
    stage = read_stages(small_run)[1]
    for step, batch in enumerate(stage.batches(0, workers=0)):
        assert [person.id for person in stage.batch_people(step)] == batch.annotation_id.tolist()


def test_stages_and_seeds_draw_differently() -> None:
    drawn = [stage_seeds(seed, stage) for seed in (0, 1) for stage in (0, 1)]
    assert len({number for pair in drawn for number in pair}) == 8
    assert stage_seeds(0, 1) == stage_seeds(0, 1)


@pytest.mark.parametrize("flip", [True, False])
def test_an_unknown_surface_is_named(small_run: TrainConfig, flip: bool) -> None:
    config = small_run.replace(surface="sphere", augment=AugmentSettings(flip=flip))
    with pytest.raises(ConfigError, match=r"surface = 'sphere'.*open"):
        read_stages(config)


def test_flips_go_by_the_surface_s_own_tables(small_run: TrainConfig, tmp_path: Path) -> None:
    write_charts(tmp_path / "UV_Processed.mat", tiny_body(np.random.default_rng(0)))
    config = small_run.replace(surface=str(tmp_path), augment=AugmentSettings(flip=False))
    read_stages(config)  # nothing is mirrored: no table is needed
    config = config.replace(augment=AugmentSettings(flip=True))
    missing = r"(?s)surface = .*UV_symmetry_transforms\.mat \(for flips\).*augment\.flip = false"
    with pytest.raises(ConfigError, match=missing):
        read_stages(config)
    write_symmetry(tmp_path / "UV_symmetry_transforms.mat", np.full_like(symmetry_tables(), 0.25))
    by_file = torch.cat([batch.uv for batch in read_stages(config)[0].batches(0, workers=0)])
    by_open_body = config.replace(surface="open")
    others = torch.cat([batch.uv for batch in read_stages(by_open_body)[0].batches(0, workers=0)])
    mirrored = (by_file == 0.25).all(dim=1)  # the same crops are mirrored in both
    assert mirrored.any()
    assert not mirrored.all()
    torch.testing.assert_close(by_file[~mirrored], others[~mirrored])
    assert not (others[mirrored] == 0.25).all()


def test_the_real_annotation_goes_through_a_training_step(samples: Path, tmp_path: Path) -> None:
    # A copy: the run must not depend on the folder, and relative file names must work.
    shutil.copytree(samples / "densepose", tmp_path / "densepose")
    source = DataSource(
        annotations=str(tmp_path / "densepose/one_person.json"), images=str(tmp_path / "densepose")
    )
    config = TrainConfig(
        stages=(StageSettings(name="real", data=(source,), steps=2, batch=1),),
        model=HourglassSettings(stacks=1, features=8),
        crop=CropSettings(size=128),
        augment=AugmentSettings(flip=False),
    )
    batch = next(read_stages(config)[0].batches(0, workers=0))
    assert 60 < len(batch.part) <= 125
    final = load_checkpoint(train(config, tmp_path / "run"))
    assert all(value.isfinite().all() for value in final.model.values())
