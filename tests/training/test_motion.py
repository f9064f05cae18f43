"""Training on pairs of pictures."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from slimdp.config import (
    ConfigError,
    DataSource,
    NoMotion,
    TrainConfig,
    config_from_dict,
    config_to_dict,
    load_config,
)
from slimdp.data import read_annotations, write_annotations
from slimdp.losses import loss_terms
from slimdp.motion import FlowMotion, TpsMotion
from slimdp.structures import BoxSource
from slimdp.training import train
from slimdp.training.checkpoint import load_checkpoint
from slimdp.training.run_folder import read_metrics
from slimdp.training.stage_data import read_stages


@pytest.fixture
def warped(small_run: TrainConfig) -> TrainConfig:
    """Warped pairs, learned from by their labels and by their features."""
    return small_run.replace(
        motion=TpsMotion(propagate=True),
        loss=loss_terms(equivariance={"weight": 1.0, "at": "level_2"}),
    )


def test_a_run_on_pairs_comes_out_the_same_stopped_or_not(warped: TrainConfig, tmp_path: Path) -> None:
    whole = load_checkpoint(train(warped, tmp_path / "whole"))
    short = warped.replace(stages=warped.stages[:1])
    train(short, tmp_path / "parts")
    rest = load_checkpoint(train(warped, tmp_path / "rest", initial=tmp_path / "parts" / "stage_stills.pt"))
    for name, value in whole.model.items():
        torch.testing.assert_close(value, rest.model[name], rtol=0, atol=0)
    losses = [
        record
        for record in read_metrics(tmp_path / "whole" / "metrics.jsonl")
        if "loss/stack0/equivariance" in record
    ]
    assert len(losses) == 4
    assert all(0 < record["loss/stack0/equivariance"] < 2 for record in losses)


def test_a_batch_holds_both_pictures_of_every_person(warped: TrainConfig) -> None:
    (stage, _) = read_stages(warped)
    batch = next(stage.batches(0, workers=0))
    assert batch.images.shape[0] == 2 * warped.stages[0].batch
    assert batch.pairs is not None
    assert batch.pairs.tolist() == [[0, 2], [1, 3]]
    none = warped.stages[0].replace(motion=NoMotion(), loss=loss_terms())
    (stage,) = read_stages(warped.replace(stages=(none,)))
    assert next(stage.batches(0, workers=0)).pairs is None


def test_features_are_taught_without_any_label(
    warped: TrainConfig, ellipses: DataSource, tmp_path: Path
) -> None:
    found = read_annotations(ellipses.annotations, ellipses.images)
    bare = [
        dataclasses.replace(
            p,
            points=p.points[:0],
            part=p.part[:0],
            uv=p.uv[:0],
            source=p.source[:0],
            step=p.step[:0],
            coarse=None,
            box_source=BoxSource.CENTRE,
        )
        for p in found.people
    ]
    write_annotations(tmp_path / "bare.json", found.images, bare)
    source = DataSource(annotations=str(tmp_path / "bare.json"), images=ellipses.images, unlabelled=True)
    stage = warped.stages[0].replace(data=(source,))
    config = warped.replace(stages=(stage,), motion=TpsMotion())
    train(config, tmp_path / "run")
    (*_, last) = (r for r in read_metrics(tmp_path / "run" / "metrics.jsonl") if "loss/total" in r)
    # Nothing but what two pictures share, and what is outside of a rough box is not known.
    assert last["loss/total"] == pytest.approx(last["loss/stack0/equivariance"], rel=1e-5)
    assert 0 < last["loss/total"] < 2


def test_what_a_stage_says_is_laid_over_what_the_run_says(warped: TrainConfig, tmp_path: Path) -> None:
    values = config_to_dict(warped)
    values["stages"][1]["motion"] = {"kind": "none"}
    values["stages"][1]["loss"] = {"equivariance": 0.0}
    again = config_from_dict(values, "here")
    assert again.stages[1].motion == NoMotion(propagate=True)
    file = tmp_path / "a.yaml"
    file.write_text(
        "stages: [{name: a, data: [{annotations: a, images: b}], steps: 1, motion: {kind: tps}}]\n"
        "motion: {flow: f.h5, propagate: true}\n"
    )
    assert load_config(file).stages[0].motion == TpsMotion(propagate=True)


def test_settings_that_need_one_another(warped: TrainConfig) -> None:
    with pytest.raises(
        ConfigError, match=r"stages.0: loss.equivariance = 1 needs a second picture .* motion.kind"
    ):
        read_stages(warped.replace(motion=NoMotion()))
    source = warped.stages[0].data[0].replace(unlabelled=True)
    stage = warped.stages[0].replace(data=(source,))
    with pytest.raises(ConfigError, match=r"stages.0.data.0.unlabelled = true, but only loss.equivariance"):
        read_stages(warped.replace(stages=(stage,), loss=loss_terms()))
    with pytest.raises(
        ConfigError, match=r"stages.0.motion.flow = 'nowhere.h5': no flow store at nowhere.h5"
    ):
        read_stages(warped.replace(motion=FlowMotion(flow="nowhere.h5")))
