"""A row may look at the people whom the network of another row finds."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import torch

from slimdp.__main__ import main
from slimdp.config import ConfigError, DataSource, TrainConfig, config_to_dict
from slimdp.evaluation import PredictionFile
from slimdp.evaluation.scorer import evaluate_scores
from slimdp.models import MODELS
from slimdp.settings_file import dump_yaml, parse_yaml
from slimdp.structures import ModelOutput, PoseBatch
from slimdp.studies import Study, plan_runs, read_study
from slimdp.studies.executor import run_status
from slimdp.studies.plan import select
from slimdp.studies.prepare import prepare
from slimdp.surface import load_surface
from tests.studies.here import carry_out_here, results_of
from tests.training.test_picture_network import Boxed, BoxedSettings

COLUMNS = "columns: {30cm: points.localization.30cm, AP: iou.AP50, AR: iou.AR50, time: seconds_an_image}\n"


@pytest.fixture
def make(
    make_study: Callable[..., Study], base_config: TrainConfig, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Study]:  # fmt: skip
    """Makes a study whose row `middle` finds somebody in the middle of every picture."""
    monkeypatch.setitem(MODELS, "boxed", BoxedSettings)
    values: dict[str, Any] = {**config_to_dict(base_config), "model": {"name": "boxed"}, "loss": {}}
    values["augment"]["rotation_deg"] = 0

    def make(more: str = COLUMNS, **finders: str) -> Study:
        plain = "base: base.yaml\n"
        rows = {"crops": plain, "found": plain, "middle": dump_yaml(values)}
        file = make_study(tmp_path / "study", rows, (0,), more=more).file
        content = parse_yaml(file.read_text())
        for row, finder in finders.items():
            content["rows"][row] = {"settings": f"{row}.yaml", "boxes_of": finder}
        file.write_text(dump_yaml(content))
        return read_study(file)

    return make


def see_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the network of `middle` find nobody."""
    forward = Boxed.forward

    def blind(self: Boxed, batch: PoseBatch, features: Collection[str] = ()) -> ModelOutput:
        if batch.to_detect:
            nobody = torch.zeros(0, dtype=torch.int64)
            batch = PoseBatch.of_pictures(batch.images, nobody, batch.images.new_zeros(0, 4))
        return forward(self, batch, features)

    monkeypatch.setattr(Boxed, "forward", blind)


def test_a_row_waits_for_its_finder_and_trains_with_others(
    make: Callable[..., Study], tmp_path: Path
) -> None:
    plan = plan_runs(make(found="middle"))
    stills, clips, crops, first, middle, found, last = plan
    assert [run.row for run in plan] == [None, None, "crops", None, None, "found", "middle"]
    assert (crops.needs, last.needs) == ((stills, clips), (first, middle))
    assert found.needs == (stills, clips, first, middle)
    assert (clips.rows, middle.rows) == (("crops", "found"), ("found", "middle"))
    assert select(plan, ["found"], [0]) == (stills, clips, first, middle, found)
    assert found.checkpoint(tmp_path) == clips.checkpoint(tmp_path)


def test_its_scores_are_those_of_the_files(
    make: Callable[..., Study], labels: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study, out = make(found="middle"), tmp_path / "out"
    carry_out_here(study, out, ["found"])
    (scored,) = results_of(out)
    found = next(run for run in plan_runs(study) if run.row == "found")
    assert found.finder is not None
    where = ["--annotations", labels.annotations, "--images", labels.images]
    assert main(["predict", str(found.finder.checkpoint(out)), *where, "--out", "found.h5"]) == 0
    words = ["predict", str(found.checkpoint(out)), *where, "--boxes", "found.h5", "--out", "p.h5"]
    assert main(words) == 0
    with PredictionFile("found.h5") as boxes, PredictionFile("p.h5") as predictions:
        assert [person.score for person in predictions] == [person.score for person in boxes]
    names = ["points.localization.30cm", "iou.AP50", "iou.AR50"]
    scores = evaluate_scores("p.h5", labels.annotations, load_surface("open"), names)
    assert {name: scored["scores"][""][name] for name in names} == pytest.approx(scores, abs=0.01)
    assert scored["scores"][""]["points.localization.30cm"] > 0
    assert scored["scores"][""]["seconds_an_image"] > 0
    # Of another finder, or of none, it is another row.
    assert not prepare(study, out, ["found"], device="cpu").todo
    with pytest.raises(ConfigError, match=r"found/seed_0: boxes_of: shared/\w+/seed_0, none"):
        prepare(make(), out, ["found"], device="cpu")


def test_a_row_whose_network_finds_nobody_scores_nothing(
    make: Callable[..., Study], labels: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself, or where it is to be looked for people of another row; its file alike."""
    monkeypatch.chdir(tmp_path)
    see_nobody(monkeypatch)
    study, out = make(found="middle"), tmp_path / "out"
    carry_out_here(study, out, ["found", "middle"])
    names = ["points.localization.30cm", "iou.AP50", "iou.AR50"]
    for scored in results_of(out):
        assert [scored["scores"][""][name] for name in names] == [0, 0, 0], scored["row"]
    assert {scored["row"] for scored in results_of(out)} == {"found", "middle"}
    middle = next(run for run in plan_runs(study) if run.row == "middle")
    where = ["--annotations", labels.annotations]
    words = ["predict", str(middle.checkpoint(out)), *where, "--images", labels.images, "--out", "nobody.h5"]
    assert main(words) == 0
    words = ["evaluate", "--predictions", "nobody.h5", *where, "--out", "scores.json"]
    assert main([*words, "--score", "points.localization.30cm"]) == 0
    scores = json.loads(Path("scores.json").read_text())
    assert scores["points"]["localization"]["10cm"] == scores["iou"]["AP"] == 0
    assert scores["scores"] == {"points.localization.30cm": 0}


def test_scores_of_people_in_given_boxes_refuse_those_whom_a_network_found(
    make: Callable[..., Study], labels: DataSource, tmp_path: Path
) -> None:
    """They would be 0 for everybody, whatever the network says."""
    with pytest.raises(ValueError, match=r"overlap\.iou compares people in given boxes"):
        carry_out_here(make(more="columns: {a: overlap.iou}\n"), tmp_path / "out", ["middle"])


def test_a_finder_that_fails_blocks_the_row(make: Callable[..., Study], tmp_path: Path) -> None:
    prepared = prepare(make(found="middle"), tmp_path / "out", ["found"], device="cpu")
    stills, clips, first, middle, found = prepared.todo
    done = {stills.folder, clips.folder, first.folder}
    for run in (stills, clips, first):
        run.checkpoint(prepared.out).parent.mkdir(parents=True)
        run.checkpoint(prepared.out).touch()
    status = run_status(prepared, set(done))
    assert (status.ready, status.waiting) == ((middle,), (found,))
    assert run_status(prepared, set(done), failures=[middle.folder]).blocked == (found,)


def test_wrong_finders_are_refused(make: Callable[..., Study]) -> None:
    with pytest.raises(ConfigError, match=r"unknown key rows\.found\.boxes_of\.midle; there are: crops"):
        make(found="midle")
    with pytest.raises(ConfigError, match=r"rows\.found\.boxes_of = 'crops', which looks at .* 'middle'"):
        make(found="crops", crops="middle")
    with pytest.raises(ConfigError, match=r"rows\.found\.boxes_of = 'found', which looks at"):
        make(found="found")
    with pytest.raises(ConfigError, match=r"boxes_of = 'crops', whose network \(hourglass\) finds nobody"):
        plan_runs(make(found="crops"))
