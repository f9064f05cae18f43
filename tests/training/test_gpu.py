"""What is different on a GPU: number formats, prefetching, and a check of the numbers that comes later."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from slimdp.config import AugmentSettings, CropSettings, DataSource, TrainConfig
from slimdp.losses import loss_terms
from slimdp.training import NonFiniteLossError, load_checkpoint, train
from slimdp.training.checkpoint import build_model
from slimdp.training.loop import micro_batches
from slimdp.training.run_folder import read_metrics
from slimdp.training.stage_data import read_stages

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


def test_parts_arrive_as_they_left(small_run: TrainConfig) -> None:
    data, model = read_stages(small_run)[0], build_model(small_run)
    on_cpu = micro_batches(data.batches(0, workers=0), 1, torch.device("cpu"), loss_terms(), model)
    on_gpu = micro_batches(data.batches(0, workers=2, pin=True), 1, torch.device("cuda"), loss_terms(), model)
    for (one,), (other,) in zip(on_cpu, on_gpu, strict=True):
        assert one.counts == other.counts
        for name, value in vars(one.batch).items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, getattr(other.batch, name).cpu()), name


def test_a_gpu_learns_what_a_cpu_learns(small_run: TrainConfig, tmp_path: Path) -> None:
    config = small_run.replace(crop=CropSettings(size=128), precision="float64", log_every=1, workers=2)
    for device in ("cpu", "cuda"):
        train(config, tmp_path / device, device=device)
    curves = [read_metrics(tmp_path / device / "metrics.jsonl") for device in ("cpu", "cuda")]
    for one, other in zip(*curves, strict=True):
        assert other["loss/total"] == pytest.approx(one["loss/total"], rel=1e-6)


def test_bf16_learns_a_picture_as_float32_does(
    small_run: TrainConfig, ellipses: DataSource, tmp_path: Path
) -> None:
    stage = small_run.stages[0].replace(steps=80, batch=3, learning_rate=6e-3)
    model = small_run.model.replace(features=32)
    still = AugmentSettings(scale=0, rotation_deg=0, shift=0, flip=False, colour=0)
    config = small_run.replace(stages=(stage,), model=model, augment=still, log_every=80)
    ends = {}
    for precision in ("auto", "float32"):
        train(config.replace(precision=precision), tmp_path / precision, device="cuda")
        ends[precision] = read_metrics(tmp_path / precision / "metrics.jsonl")[-1]["loss/total"]
    assert max(ends.values()) < 1.0  # even scores cost 9.1


def test_a_loss_that_is_not_finite_is_named_a_few_steps_later(small_run: TrainConfig, tmp_path: Path) -> None:
    wild = small_run.stages[0].replace(steps=40, learning_rate=1e30, warmup=0.0)
    config = small_run.replace(stages=(wild,), checkpoint_every=1)
    with pytest.raises(NonFiniteLossError, match="stage 'stills', step 1:") as caught:
        train(config, tmp_path / "run", device="cuda")
    people = read_stages(config)[0].batch_people(1)
    assert all(f"(annotation {person.id})" in str(caught.value) for person in people)
    last = load_checkpoint(tmp_path / "run" / "last.pt")
    assert all(value.isfinite().all() for value in last.model.values() if value.is_floating_point())
