"""One batch in several parts and in several processes: the same gradient, the same curve."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from slimdp.config import (
    AugmentSettings,
    CropSettings,
    DataSource,
    LossTerm,
    OptimiserSettings,
    TrainConfig,
    config_to_dict,
)
from slimdp.data import read_annotations, write_annotations
from slimdp.losses import count_labels, loss_terms
from slimdp.models import DirectSettings, FpnSettings
from slimdp.models.backbones import BACKBONES
from slimdp.models.direct.normalise import Members, SiteBatchNorm
from slimdp.models.direct.residual_fcn import ResidualFcn
from slimdp.models.direct.sites import ActiveSites
from slimdp.settings_file import dump_yaml
from slimdp.structures import ImageRecord
from slimdp.training import load_checkpoint, train
from slimdp.training.checkpoint import build_model
from slimdp.training.distributed import SyncBatchNorm, sync_batch_norms
from slimdp.training.loop import add_gradients, micro_batches
from slimdp.training.run_folder import read_metrics
from slimdp.training.stage_data import read_stages
from tests.narrow_backbone import Narrow, NarrowNormed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def calm(small_run: TrainConfig) -> TrainConfig:
    """Deepest maps of more than a pixel, float64 and steady optimisers: nothing magnifies rounding."""
    stills, clips = (stage.replace(batch=4, learning_rate=1e-3) for stage in small_run.stages)
    clips = clips.replace(optimiser=OptimiserSettings(name="sgd"), accumulate=2)
    crop = CropSettings(size=128)
    return small_run.replace(
        stages=(stills, clips), crop=crop, precision="float64", log_every=1, checkpoint_every=1000
    )


def gradient(
    config: TrainConfig, accumulate: int, terms: Mapping[str, LossTerm]
) -> tuple[dict[str, Tensor], list[Tensor]]:
    """The loss's terms and the gradient of a batch in so many parts; the batch norms do not look at it."""
    stage = config.stages[0].replace(batch=4, accumulate=accumulate)
    data = read_stages(config.replace(stages=(stage,)))[0]
    model = build_model(config).double().eval()
    parts = next(micro_batches(data.batches(0, workers=0), accumulate, torch.device("cpu"), terms, model))
    assert len(parts) == accumulate
    counts = {name: sum(part.counts[name] for part in parts) for name in parts[0].counts}
    _, losses = add_gradients(model, parts, counts, terms, processes=1, bf16=False)
    return losses, [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("accumulate", [2, 4])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(calm: TrainConfig, accumulate: int) -> None:
    """Every term counts: parts with different numbers of labels weigh as much as they have labels."""
    weights = loss_terms(part=0.7, coarse=1.3, background=0.4, uv=5.0)
    terms, whole = gradient(calm, 1, weights)
    part_terms, parts = gradient(calm, accumulate, weights)
    assert terms.keys() == part_terms.keys()
    for name, value in terms.items():
        assert part_terms[name].item() == pytest.approx(value.item(), rel=1e-9), name
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, rtol=1e-7, atol=1e-9)


def test_every_term_has_its_labels_counted(calm: TrainConfig) -> None:
    """Or parts of a batch could not be put together."""
    batch = next(read_stages(calm)[0].batches(0, workers=0))
    terms, _ = gradient(calm, 1, loss_terms())
    names = {name.rpartition("/")[2] for name in terms} - {"total"}
    assert {"part", "uv", "coarse", "background"} <= names <= set(count_labels(loss_terms(), batch))


def torchrun(processes: int, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, *command, "-m", "slimdp", "train", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def with_torchrun(config: TrainConfig, folder: Path) -> None:
    (folder / "settings.yaml").write_text(dump_yaml(config_to_dict(config)))
    done = torchrun(2, folder, "settings.yaml", "--out", "together", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["together/stage_clips.pt"]


def _train_as(rank: int, port: int, config: TrainConfig, out: Path) -> None:
    told = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": 2,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    os.environ.update({name: str(value) for name, value in told.items()})
    torch.set_num_threads(1)
    train(config, out, device="cpu", bar=False)


def with_forks(config: TrainConfig, folder: Path) -> None:
    """What torchrun tells its processes, told to forked ones, which have everything imported."""
    fork = multiprocessing.get_context("fork")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = [(rank, port, config, folder / "together") for rank in (0, 1)]
    processes = [fork.Process(target=_train_as, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]


@pytest.mark.parametrize("launch", [with_forks, pytest.param(with_torchrun, marks=pytest.mark.slow)])
def test_two_processes_learn_what_one_learns(
    calm: TrainConfig, tmp_path: Path, launch: Callable[[TrainConfig, Path], None]
) -> None:
    """Two stages, the second one with accumulation: the same losses at every step, the same weights."""
    train(calm, tmp_path / "alone")
    launch(calm, tmp_path)
    assert_same_curves(tmp_path, "clips", steps=8)
    # Only the first process wrote.
    log = (tmp_path / "together" / "train.log").read_text()
    assert log.count("stills: step 1/4") == 1


def assert_same_curves(folder: Path, stage: str, steps: int) -> None:
    """Of the runs alone and together in a folder: the losses of every step, and the end of a stage."""
    alone, together = (read_metrics(folder / name / "metrics.jsonl") for name in ("alone", "together"))
    assert [row["step"] for row in together] == list(range(1, steps + 1))
    for one, other in zip(alone, together, strict=True):
        losses = {name for name in one if name.startswith("loss/")} | {"gradient_norm", "learning_rate"}
        for name in losses:
            assert other[name] == pytest.approx(one[name], rel=1e-8), (name, one["step"])
    ends = [load_checkpoint(folder / name / f"stage_{stage}.pt").model for name in ("alone", "together")]
    for name, value in ends[0].items():
        assert torch.allclose(value, ends[1][name], rtol=1e-6, atol=1e-8), name


@pytest.fixture
def some_empty(ellipses: DataSource, tmp_path: Path) -> DataSource:
    """Four pictures, of which two show nobody."""
    folder = tmp_path / "some_empty"
    shutil.copytree(ellipses.images, folder)
    known = read_annotations(folder / "labels.json", folder)
    pictures = [*known.images[:2]]
    for number in (8, 9):
        name = f"empty_{number}.png"
        cv2.imwrite(str(folder / name), np.full((96, 96, 3), 20 * number, np.uint8))
        pictures.append(ImageRecord(number, folder / name, name, 96, 96))
    people = [person for person in known.people if person.image.id in (1, 2)]
    write_annotations(folder / "labels.json", pictures, people)
    return DataSource(annotations=str(folder / "labels.json"), images=str(folder), unlabelled=True)


@pytest.mark.parametrize("instance_norm", [True, False])
def test_two_processes_see_people_and_nobody_as_one_sees_them(
    calm: TrainConfig, some_empty: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    instance_norm: bool,
) -> None:  # fmt: skip
    """A network's own losses weigh by what they count, and statistics are over all active sites."""
    monkeypatch.setitem(BACKBONES, "narrow", Narrow)
    stage = calm.stages[0].replace(data=(some_empty,), batch=4, optimiser=OptimiserSettings(name="sgd"))
    model = DirectSettings(backbone="narrow", channels=32, tower=1, instance_norm=instance_norm)
    config = calm.replace(
        stages=(stage,), model=model, crop=CropSettings(size=64), loss=loss_terms(),
        augment=AugmentSettings(rotation_deg=0),
    )  # fmt: skip
    train(config, tmp_path / "alone")
    with_forks(config, tmp_path)
    assert_same_curves(tmp_path, stage.name, stage.steps)


def test_two_processes_keep_a_backbone_as_it_is(
    calm: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rate 0: they wait for no gradient of it, and its batch norms, which they share, learn nothing."""
    monkeypatch.setitem(BACKBONES, "narrow_normed", NarrowNormed)
    first = calm.stages[0].replace(steps=2, optimiser=OptimiserSettings(name="sgd"))
    stages = (first.replace(name="held", backbone_rate=0.0), first.replace(name="free"))
    config = calm.replace(
        stages=stages, model=FpnSettings(channels=8, backbone="narrow_normed"), loss=loss_terms()
    )
    train(config, tmp_path / "alone")
    with_forks(config, tmp_path)
    assert_same_curves(tmp_path, "free", steps=4)
    held, free = (load_checkpoint(tmp_path / "together" / f"stage_{stage.name}.pt").model for stage in stages)
    built = build_model(config).state_dict()
    kept = {name for name in built if torch.equal(built[name], held[name])}
    assert kept == {name for name in built if name.startswith("backbone.")}
    assert not any(torch.equal(free[name], held[name]) for name in kept if name.endswith(".weight"))


@pytest.mark.slow
def test_what_goes_wrong_in_two_processes_ends_both(calm: TrainConfig, tmp_path: Path) -> None:
    stage = calm.stages[0].replace(batch=3)
    settings = dump_yaml(config_to_dict(calm.replace(stages=(stage,))))
    (tmp_path / "settings.yaml").write_text(settings)
    done = torchrun(2, tmp_path, "settings.yaml", "--out", "together", "--device", "cpu")
    assert done.returncode != 0
    assert "stages.0.batch = 3" in done.stderr
    assert not (tmp_path / "together").exists()


@pytest.fixture
def group_of_one(tmp_path: Path) -> Iterator[None]:
    """A process group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()


@pytest.mark.usefixtures("group_of_one")
def test_shared_batch_norm_is_batch_norm_for_one_process() -> None:
    """Value, gradients and running statistics, against torch's own."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.BatchNorm2d(3)).double()
    nn.init.normal_(plain[0].weight)
    nn.init.normal_(plain[0].bias)
    shared = nn.Sequential(nn.BatchNorm2d(3)).double()
    shared.load_state_dict(plain.state_dict())
    before = dict(shared.named_parameters())
    assert sync_batch_norms(shared, torch.device("cpu")) is shared
    assert isinstance(shared[0], SyncBatchNorm)
    assert all(value is before[name] for name, value in shared.named_parameters())
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64) * 3 + 7
    results = []
    for model in (plain, shared):
        image = x.clone().requires_grad_()
        y = model(image)
        (y * torch.arange(5)).pow(2).sum().backward()
        results.append([y, image.grad, *(p.grad for p in model.parameters()), *model.buffers()])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other)
    assert torch.allclose(plain.eval()(x), shared.eval()(x))


@pytest.mark.usefixtures("group_of_one")
@pytest.mark.parametrize("sites", [0, 1, 2, 20])
def test_shared_norm_of_sites_is_that_of_one_process(sites: int) -> None:
    """Value, gradients and running statistics; fewer than two sites leave the statistics alone."""
    torch.manual_seed(0)
    plain, shared = SiteBatchNorm(3).double(), SiteBatchNorm(3).double()
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.running_mean)
    shared.load_state_dict(plain.state_dict())
    assert sync_batch_norms(shared, torch.device("cpu")) is shared
    assert shared.group is not None
    members = Members(torch.ones(sites, 1), torch.ones(sites, 1))
    x, pull = torch.randn(2, sites, 3, dtype=torch.float64) * 3 + 7
    results = []
    for norm in (plain, shared):
        values = x.clone().requires_grad_()
        y = norm(values, members)
        (y * pull).sum().backward()
        results.append([y, values.grad, *(p.grad for p in norm.parameters()), *norm.buffers()])
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other)
    assert int(shared.num_batches_tracked) == (sites > 1)
    assert torch.allclose(plain.eval()(x, members), shared.eval()(x, members))


@pytest.mark.usefixtures("group_of_one")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_norm_of_sites_stays_what_it_is_where_batch_norms_are_converted(device: str) -> None:
    """torch's conversion, as for GPUs, would make a layer of it that takes no members."""
    mask = torch.zeros(1, 6, 5, dtype=torch.bool)
    mask[0, 1:4] = True
    sites = ActiveSites.of(mask)
    fcn = sync_batch_norms(ResidualFcn(4, instance_aware=False), torch.device(device))
    found = fcn(torch.randn(15, 4), sites, Members.of(mask, torch.zeros(1, dtype=torch.int64), sites))
    assert found.isfinite().all()
    assert int(fcn.get_buffer("firsts.0.norm.num_batches_tracked")) == 1
