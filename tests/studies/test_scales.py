"""Rows whose network looks at its pictures or crops at several scales when it is scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from slimdp.__main__ import main
from slimdp.config import ConfigError, DataSource, TrainConfig, config_to_dict
from slimdp.evaluation.scorer import evaluate_scores
from slimdp.inference import predict_people, predict_set
from slimdp.models import MODELS
from slimdp.settings_file import dump_yaml, parse_yaml
from slimdp.structures import DensePoseInstance
from slimdp.studies import Study, executor, find_studies, plan_runs, read_study
from slimdp.studies.page import person_panels
from slimdp.studies.prepare import prepare
from slimdp.surface import load_surface
from tests.studies.here import carry_out_here, results_of
from tests.training.test_picture_network import BoxedSettings

PLAIN = "base: base.yaml\n"


@pytest.fixture
def make(make_study: Callable[..., Study], tmp_path: Path) -> Callable[..., Study]:
    """Makes a study of rows of the same training, each with its scales, or none."""

    def make(**scales: object) -> Study:
        file = make_study(tmp_path / "study", dict.fromkeys(scales, PLAIN), (0,)).file
        content = parse_yaml(file.read_text())
        for row, wanted in scales.items():
            if wanted is not None:
                content["rows"][row] = {"settings": f"{row}.yaml", "scales": wanted}
        file.write_text(dump_yaml(content))
        return read_study(file)

    return make


def test_rows_of_other_scales_share_their_training(make: Callable[..., Study]) -> None:
    stills, clips, one, three = plan_runs(make(one=None, three=[0.75, 1, 1.25]))
    assert (one.upstream, three.upstream) == ((stills, clips), (stills, clips))
    assert (one.scales, three.scales) == ((1.0,), (0.75, 1.0, 1.25))


def test_its_scores_are_those_of_the_files(
    make: Callable[..., Study], labels: DataSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study, out = make(one=None, two=[0.5, 2]), tmp_path / "out"
    scored = []

    def predict_one_set(*given: Any) -> Any:
        scored.append(given[-1])
        return predict_set(*given)

    # By their scores alone a network that learned for two steps may not tell one scale from another.
    monkeypatch.setattr(executor, "predict_set", predict_one_set)
    carry_out_here(study, out)
    assert scored == [(1.0,), (0.5, 2.0)]
    scores = {each["row"]: each["scores"][""] for each in results_of(out)}
    two = next(run for run in plan_runs(study) if run.row == "two")
    where = ["--annotations", labels.annotations, "--images", labels.images]
    words = ["predict", str(two.checkpoint(out)), *where, "--scales", "0.5", "2", "--out", "p.h5"]
    assert main(words) == 0
    names = list(study.score_names)
    wanted = evaluate_scores("p.h5", labels.annotations, load_surface("open"), names)
    assert {name: scores["two"][name] for name in wanted} == pytest.approx(wanted, abs=0.01)
    assert not prepare(study, out, None, device="cpu").todo
    # So its people on the page are: what is told of them is counted from these predictions.
    seen = []

    def predict(*given: Any, scales: Sequence[float] = (1.0,), **more: Any) -> Iterator[DensePoseInstance]:
        seen.append(tuple(scales))
        return predict_people(*given, scales=scales, **more)

    monkeypatch.setattr(person_panels, "predict_people", predict)
    (swept,) = find_studies([out])
    panel = person_panels.people_images(swept, 1, device="cpu").panels[0]
    assert seen == [(1.0,), (0.5, 2.0)]
    assert [line.title for line in panel.lines] == ["labels", "one", "two"]
    with pytest.raises(ConfigError, match=r"two/seed_0: scales: \[0\.5, 2\.0\], \[1\.0\]"):
        prepare(make(one=None, two=None), out, ["two"], device="cpu")


@pytest.mark.parametrize("wrong", [[], [0], [9], ["one"]])
def test_wrong_scales_are_refused(make: Callable[..., Study], wrong: list[object]) -> None:
    with pytest.raises(ConfigError, match=r"rows\.one\.scales"):
        make(one=wrong)


def test_a_network_that_finds_people_has_one_scale(
    make: Callable[..., Study], base_config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, "boxed", BoxedSettings)
    make(one=[2])
    values = {**config_to_dict(base_config), "model": {"name": "boxed"}, "loss": {}}
    values["augment"]["rotation_deg"] = 0
    (tmp_path / "study" / "one.yaml").write_text(dump_yaml(values))
    with pytest.raises(
        ConfigError, match=r"rows\.one\.scales = \[2\.0\], whose network \(boxed\) finds people"
    ):
        plan_runs(read_study(tmp_path / "study" / "study.yaml"))
