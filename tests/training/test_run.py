from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path

import pytest
import torch

from flow_cache.runtime.lock import held_folder
from slimdp.config import (
    AugmentSettings,
    ConfigError,
    CropSettings,
    DataSource,
    ModelSettings,
    OptimiserSettings,
    StageSettings,
    TrainConfig,
    load_config,
)
from slimdp.data import AnnotationError
from slimdp.inference.weights import find_weights
from slimdp.losses import loss_terms
from slimdp.models import FpnSettings, HourglassSettings
from slimdp.structures import PoseBatch
from slimdp.training import (
    CheckpointError,
    NoLabelsError,
    NonFiniteLossError,
    load_checkpoint,
    load_model,
    stage_file,
    train,
)
from slimdp.training.checkpoint import Checkpoint, UnfitWeightsError, build_model, save_checkpoint
from slimdp.training.distributed import DistributedContext
from slimdp.training.loop import NonFiniteGuard
from slimdp.training.run import use_bf16
from slimdp.training.run_folder import read_metrics
from slimdp.training.stage_data import read_stages
from tests.training.weights import same_weights

# As the run that they are compared with, bit for bit.
pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_run_leaves_its_files_and_nothing_half_written(straight: tuple[TrainConfig, Path]) -> None:
    config, out = straight
    names = sorted(p.name for p in out.iterdir())
    assert names == [
        "checkpoints", "config.yaml", "environment.json", "last.pt", "metrics.jsonl", "stage_clips.pt",
        "stage_stills.pt", "tensorboard", "train.log",
    ]  # fmt: skip
    # Of the three a stage that were saved before its end, the last two.
    assert sorted(p.name for p in (out / "checkpoints").iterdir()) == ["step_00000006.pt", "step_00000007.pt"]
    assert load_config(out / "config.yaml") == config
    assert same_weights(out / "last.pt", out / "stage_clips.pt")
    assert not same_weights(out / "stage_stills.pt", out / "stage_clips.pt")
    end = load_checkpoint(out / "stage_stills.pt")
    assert (end.stage, end.step, end.optimizer) == (1, 0, None)
    model, _ = load_model(out / "stage_clips.pt")
    assert model(PoseBatch.of_images(torch.rand(1, 3, 64, 64))).best.fine_segm.isfinite().all()


def test_workers_change_nothing(straight: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = straight
    train(config.replace(workers=2), tmp_path / "run")
    assert same_weights(whole / "stage_clips.pt", tmp_path / "run" / "stage_clips.pt")


def test_another_seed_changes_the_weights(straight: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = straight
    train(config.replace(seed=config.seed + 1), tmp_path / "run")
    assert not same_weights(whole / "stage_clips.pt", tmp_path / "run" / "stage_clips.pt")


def test_a_run_leaves_the_random_state_and_the_flags_of_its_caller(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, _ = straight
    torch.manual_seed(5)
    wanted = torch.rand(4)
    torch.manual_seed(5)
    train(config.replace(stages=config.stages[:1]), tmp_path / "run")
    assert torch.equal(torch.rand(4), wanted)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_run_trains_deterministically_without_the_compiler(
    straight: tuple[TrainConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's own switch imports its compiler: 2 s of computing time before the first step."""
    config, _ = straight
    seen: list[int] = []
    check = NonFiniteGuard.check

    def watched(*arguments: object) -> None:
        seen.append(torch.get_deterministic_debug_mode())
        check(*arguments)  # type: ignore[arg-type]

    def refused(*_: object) -> None:
        pytest.fail("the compiler was asked for")

    monkeypatch.setattr(NonFiniteGuard, "check", watched)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", refused)
    torch.set_deterministic_debug_mode("warn")
    try:
        train(config.replace(stages=config.stages[:1]), tmp_path / "run")
        assert torch.get_deterministic_debug_mode() == 1
    finally:
        torch.set_deterministic_debug_mode("default")
    assert seen == [2] * config.stages[0].steps


def test_a_finished_run_resumes_to_its_result(straight: tuple[TrainConfig, Path]) -> None:
    config, out = straight
    before = (out / "stage_clips.pt").stat().st_mtime_ns
    assert train(config, out, resume=True) == stage_file(out, "clips")
    assert (out / "stage_clips.pt").stat().st_mtime_ns == before


def test_resuming_where_nothing_is_begins(straight: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = straight
    train(config.replace(stages=config.stages[:1]), tmp_path / "run", resume=True)
    assert same_weights(whole / "stage_stills.pt", tmp_path / "run" / "stage_stills.pt")


def test_a_folder_with_a_run_is_not_overwritten(straight: tuple[TrainConfig, Path]) -> None:
    config, out = straight
    with pytest.raises(CheckpointError, match="already holds a run"):
        train(config, out)


def test_resuming_with_other_settings_is_refused(straight: tuple[TrainConfig, Path]) -> None:
    config, out = straight
    with pytest.raises(ConfigError, match=r"loss\.uv: 10\.0, 1\.0"):
        train(config.replace(loss=loss_terms(uv=1.0)), out, resume=True)


def test_two_runs_share_their_first_stage(straight: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = straight
    train(config, tmp_path / "run", initial=whole / "stage_stills.pt")
    assert same_weights(whole / "stage_clips.pt", tmp_path / "run" / "stage_clips.pt")
    assert not (tmp_path / "run" / "stage_stills.pt").exists()


def test_a_shared_stage_must_have_the_same_settings(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, whole = straight
    stages = (config.stages[0].replace(steps=5), config.stages[1])
    with pytest.raises(ConfigError, match=r"stages\.0\.steps: 4, 5"):
        train(config.replace(stages=stages), tmp_path / "run", initial=whole / "stage_stills.pt")
    assert not (tmp_path / "run").exists()


def test_a_beginning_that_leaves_no_stage_to_train_is_refused(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    """It would end at once, and name a checkpoint that nobody wrote."""
    config, whole = straight
    for resume in (False, True):
        with pytest.raises(
            ConfigError, match=r"stages\.1\.name = 'clips', but every stage counts as done by"
        ):
            train(config, tmp_path / "run", resume=resume, initial=whole / "stage_clips.pt")
    one = config.replace(stages=config.stages[:1])
    with pytest.raises(ConfigError, match=r"stage_stills\.pt; rename the stage to train further"):
        train(one, tmp_path / "run", initial=whole / "stage_stills.pt")
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_resumed_without_a_change(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    """Its checkpoint is there, so that to resume it is no mistake, wherever it began."""
    config, whole = straight
    out = tmp_path / "run"
    end = train(config, out, initial=whole / "stage_stills.pt", bar=False)
    before = end.read_bytes()
    assert train(config, out, resume=True, initial=whole / "stage_stills.pt", bar=False) == end
    assert end.read_bytes() == before


def test_weights_alone_are_taken_where_no_stage_is_shared(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, whole = straight
    finer = config.stages[0].replace(name="finer", steps=1, learning_rate=1e-12)
    train(config.replace(stages=(finer,)), tmp_path / "run", initial=whole / "stage_clips.pt")
    before, after = (
        load_checkpoint(p).model for p in (whole / "stage_clips.pt", tmp_path / "run" / "stage_finer.pt")
    )
    assert torch.allclose(before["stem.0.weight"], after["stem.0.weight"], atol=1e-9)


def test_a_beginning_of_another_network_is_refused_by_its_settings(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, whole = straight
    start, out = whole / "stage_clips.pt", tmp_path / "other"
    stages = (config.stages[0].replace(name="finer"),)
    remedies = "set these keys as there, or begin with other weights"

    def said(model: ModelSettings) -> str:
        with pytest.raises(UnfitWeightsError) as refused:
            train(config.replace(stages=stages, model=model, loss=loss_terms()), out, initial=start)
        assert not out.exists()
        return str(refused.value).removeprefix(f"{start} has another network: ")

    wider = HourglassSettings(stacks=1, features=12)
    assert said(wider) == f"model.features is 8 there and 12 here; {remedies}"
    assert said(FpnSettings(channels=8, stacks=2, keypoints=("nose",))) == (
        "model.name is hourglass there and fpn here; model.keypoints is [] there and ['nose'] here; "
        f"model.stacks is 1 there and 2 here; model.features is 8 there; {remedies}"
    )
    of_ours = load_checkpoint(find_weights("people-192")).config.model
    assert said(of_ours).endswith(f"{remedies}, such as people-192 of those that come with slimdp")


def test_settings_that_change_no_weight_may_differ_from_those_of_the_beginning(
    small_run: TrainConfig, tmp_path: Path
) -> None:
    model = FpnSettings(channels=8)
    start, first = tmp_path / "start.pt", small_run.stages[:1]
    config = small_run.replace(stages=first, model=model, loss=loss_terms())
    weights = build_model(config).state_dict()
    save_checkpoint(start, Checkpoint(config, stage=1, step=0, model=weights))
    stage = config.stages[0].replace(name="finer", steps=1)
    other = config.replace(stages=(stage,), model=model.replace(weights="imagenet.pth"))
    end = load_checkpoint(train(other, tmp_path / "run", initial=start, bar=False))
    assert end.model.keys() == weights.keys()


def test_the_middle_of_a_stage_is_no_beginning(straight: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, whole = straight
    middle = dataclasses.replace(load_checkpoint(whole / "stage_stills.pt"), step=1)
    save_checkpoint(tmp_path / "middle.pt", middle)
    with pytest.raises(CheckpointError, match="not the end of a stage"):
        train(config, tmp_path / "run", initial=tmp_path / "middle.pt")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"annotations": "nowhere.json"}, r"stages\.1\.data\.0\.annotations = 'nowhere\.json': no such file"),
        ({"images": "nowhere"}, r"stages\.1\.data\.0\.images = 'nowhere': no such folder"),
    ],
)
def test_missing_data_is_named_before_anything_is_written(
    small_run: TrainConfig, ellipses: DataSource, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    broken = small_run.stages[1].replace(data=(ellipses.replace(**change),))
    config = small_run.replace(stages=(small_run.stages[0], broken))
    with pytest.raises(ConfigError, match=words):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_picture_is_named_before_anything_is_written(
    small_run: TrainConfig, ellipses: DataSource, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    source = ellipses.replace(images=str(empty))
    stages = (small_run.stages[0], small_run.stages[1].replace(data=(source,)))
    with pytest.raises(AnnotationError, match=r"ellipse_1\.png"):
        train(small_run.replace(stages=stages), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("device", ["warp", "cuda:99"])
def test_a_device_that_is_not_there_is_named(small_run: TrainConfig, tmp_path: Path, device: str) -> None:
    with pytest.raises(ConfigError, match=f"device = '{device}'"):
        train(small_run, tmp_path / "run", device=device)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(small_run: TrainConfig, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="run"):
        train(small_run, tmp_path / "run")


def test_a_file_in_place_of_the_folder_is_named(small_run: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    with pytest.raises(OSError, match="run"):
        train(small_run, tmp_path / "run")


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_batch(
    small_run: TrainConfig, tmp_path: Path
) -> None:
    wild = small_run.stages[0].replace(learning_rate=1e30, warmup=0.0)
    with pytest.raises(NonFiniteLossError) as caught:
        train(small_run.replace(stages=(wild,)), tmp_path / "run")
    message = str(caught.value)
    assert "stage 'stills', step 1" in message
    people = read_stages(small_run.replace(stages=(wild,)))[0].batch_people(1)
    assert len(people) == 2
    for person in people:
        assert f"{person.image.file} (annotation {person.id})" in message


def test_a_batch_without_labels_stops_the_run_and_is_named(
    small_run: TrainConfig, ellipses: DataSource, tmp_path: Path
) -> None:
    """Nothing but points is learned from, and the crops are moved until none is in sight."""
    config = small_run.replace(
        stages=(StageSettings(name="points", data=(ellipses,), steps=200, batch=1),),
        crop=CropSettings(size=128),
        augment=AugmentSettings(shift=0.95, flip=False),
        loss=loss_terms(coarse=0, background=0),
    )
    with pytest.raises(NoLabelsError, match=r"stage 'points', step \d+: no label in sight") as caught:
        train(config, tmp_path / "run")
    assert re.search(r"ellipse_\d\.png \(annotation 10\d\)", str(caught.value))


def test_outlines_alone_are_learned_from(small_run: TrainConfig, tmp_path: Path) -> None:
    """A batch without a point in sight: its terms are 0, and nothing is divided by 0."""
    stage = small_run.stages[0].replace(steps=2)
    config = small_run.replace(stages=(stage,), augment=AugmentSettings(shift=0.95, flip=False))
    final = load_checkpoint(train(config, tmp_path / "run"))
    assert all(value.isfinite().all() for value in final.model.values())


def test_a_stage_may_have_a_loss_and_changes_of_its_own(
    straight: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    config, whole = straight
    first, second = config.stages
    for change in ({"loss": loss_terms(uv=3.0)}, {"augment": AugmentSettings(flip=False, colour=0)}):
        changed = config.replace(stages=(first, second.replace(**change)))
        out = tmp_path / "_".join(change)
        train(changed, out)
        assert same_weights(whole / "stage_stills.pt", out / "stage_stills.pt")
        assert not same_weights(whole / "stage_clips.pt", out / "stage_clips.pt")


@pytest.mark.parametrize("name", ["rmsprop", "sgd"])
def test_a_stage_may_have_an_optimiser_of_its_own(
    straight: tuple[TrainConfig, Path], tmp_path: Path, name: str
) -> None:
    config, whole = straight
    second = config.stages[1].replace(optimiser=OptimiserSettings(name=name), learning_rate=1e-4)
    train(config.replace(stages=(config.stages[0], second)), tmp_path / "run")
    assert same_weights(whole / "stage_stills.pt", tmp_path / "run" / "stage_stills.pt")
    assert not same_weights(whole / "stage_clips.pt", tmp_path / "run" / "stage_clips.pt")


def test_the_folder_says_what_it_ran_on_at_every_start(straight: tuple[TrainConfig, Path]) -> None:
    _, out = straight
    starts = json.loads((out / "environment.json").read_text())
    assert starts[0]["versions"]["torch"] == torch.__version__
    assert starts[0]["processes"] == 1
    if (Path(__file__).parents[2] / ".git").exists():
        assert re.fullmatch("[0-9a-f]{40}", starts[0]["git"]["commit"])
    log = (out / "train.log").read_text()
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d stills: step 2/4, loss", log, re.MULTILINE)
    assert [row["step"] for row in read_metrics(out / "metrics.jsonl")] == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("batch", "words"), [(3, "but a multiple of that number"), (2, "2 or more a process")]
)
def test_a_batch_that_cannot_be_dealt_out_is_refused(small_run: TrainConfig, batch: int, words: str) -> None:
    stage = small_run.stages[0].replace(batch=batch)
    config = small_run.replace(stages=(stage,), sync_batchnorm=False)
    with pytest.raises(ConfigError, match=rf"stages\.0\.batch = {batch},.*2 processes.*{words}"):
        read_stages(config, DistributedContext(0, 2))


def test_bf16_runs_on_a_cpu_only_when_asked_for(small_run: TrainConfig, tmp_path: Path) -> None:
    config = small_run.replace(stages=small_run.stages[:1], precision="bf16")
    final = load_checkpoint(train(config, tmp_path / "run"))
    assert final.model["stem.0.weight"].dtype == torch.float32
    assert all(value.isfinite().all() for value in final.model.values())
    assert not use_bf16("auto", torch.device("cpu"))


@pytest.mark.slow
def test_a_compiled_network_learns_the_same(straight: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config, _ = straight
    config = config.replace(stages=config.stages[:1], precision="float64")
    plain, compiled = (
        load_checkpoint(train(config.replace(compile=on), tmp_path / str(on))).model for on in (False, True)
    )
    for name, value in plain.items():
        assert torch.allclose(value, compiled[name], rtol=1e-5, atol=1e-7), name


def test_two_trainings_do_not_share_a_folder(small_run: TrainConfig, tmp_path: Path) -> None:
    with held_folder(tmp_path), pytest.raises(CheckpointError, match="is in use: process"):
        train(small_run, tmp_path)
    assert list(tmp_path.iterdir()) == []
