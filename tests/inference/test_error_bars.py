"""Error bars: the table by hand and on random errors, their file, and the way from a network to a map."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slimdp import DensePose
from slimdp.__main__ import main
from slimdp.config import ConfigError, CropSettings, DataSource, StageSettings, TrainConfig
from slimdp.data import write_annotations
from slimdp.evaluation import PredictionFile, PredictionWriter
from slimdp.evaluation.predictions import check_prediction
from slimdp.inference.calibration import (
    ErrorSamples,
    coverage,
    expected_bars,
    fit_table,
    middle_distances_cm,
    second_half,
    unseen_coverage,
)
from slimdp.inference.calibration import calibrated as calibrated_bars
from slimdp.inference.error_bars import ErrorBars, bars_file, expected_cm, load_error_bars
from slimdp.models import HourglassSettings, StackedHourglass
from slimdp.structures import DensePoseInstance, DensePoseMaps
from slimdp.surface.body import BodySurface
from slimdp.training.checkpoint import Checkpoint, save_checkpoint
from tests.training.conftest import ellipse_person

TABLE = np.array([0.0, 10.0, 20.0]), np.array([5.0, 15.0, 65.0])


def bars_of(digest: str = "0" * 64, parts: int = 24) -> ErrorBars:
    between = 40 * np.abs(np.subtract.outer(np.arange(parts), np.arange(parts))).astype(float)
    return ErrorBars(digest, 0.9, between, *TABLE, {"on": "a.json", "people": 3})


def maps_of(probability: dict[int, float]) -> DensePoseMaps:
    """Maps of one crop of 2 x 2 px, the same everywhere, of parts' shares; background does not count."""
    scores = torch.full((1, 25, 2, 2), -50.0)
    scores[:, 0] = 7
    for part, share in probability.items():
        scores[:, part] = float(np.log(share))
    nothing = torch.zeros(1, 24, 2, 2)
    return DensePoseMaps(fine_segm=scores, u=nothing, v=nothing, coarse_segm=torch.zeros(1, 15, 2, 2))


def test_bars_of_nobody_are_what_the_parts_expect(flat_surface: BodySurface) -> None:
    bars, maps = expected_bars(flat_surface), maps_of({3: 0.75, 4: 0.25})
    part = torch.full((1, 4, 4), 3)
    expected = 0.25 * middle_distances_cm(flat_surface)[2, 3]
    np.testing.assert_allclose(bars.of(maps, part, 2), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("probability", "expected", "bar"),
    [
        ({3: 1.0}, 0, 5),
        ({3: 0.75, 4: 0.25}, 10, 15),
        ({3: 0.625, 4: 0.375}, 15, 40),
        ({3: 0.6, 5: 0.4}, 32, 65),
    ],
)
def test_bars_by_hand(probability: dict[int, float], expected: float, bar: float) -> None:
    bars, part = bars_of(), torch.full((1, 8, 8), 3, dtype=torch.uint8)
    maps = maps_of(probability)
    np.testing.assert_allclose(expected_cm(maps, part, 4, bars.between_cm), expected, atol=1e-3)
    found = bars.of(maps, part, 4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.full((1, 8, 8), bar), atol=1e-2)
    other = torch.full((1, 8, 8), 4, dtype=torch.uint8)  # the answer decides from where it is measured
    turned = expected_cm(maps, other, 4, bars.between_cm)
    np.testing.assert_allclose(turned, sum(40 * abs(p - 4) * s for p, s in probability.items()), atol=1e-3)


def test_middles_of_parts_are_as_far_apart_as_the_surface_says(flat_surface: BodySurface) -> None:
    found = middle_distances_cm(flat_surface)
    np.testing.assert_allclose(found[0], 100 * np.arange(24), atol=1e-3)  # squares in a row, 1 m apart
    np.testing.assert_allclose(found, found.T)


def samples_of(rng: np.random.Generator, people: int, points: int) -> ErrorSamples:
    """Errors about as large as expected, of people who differ; most are small, some half a metre."""
    person = np.repeat(np.arange(people), points)
    hard = rng.lognormal(0, 0.3, people)[person]
    expected = rng.lognormal(1.5, 1, len(person))
    error = hard * expected * rng.lognormal(0, 0.5, len(person))
    wrong = rng.uniform(40, 60, len(person))
    return ErrorSamples(expected, np.where(rng.random(len(person)) < 0.05, wrong, error), person)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.8, 0.9, 0.95]), st.integers(20, 60))
def test_the_level_lies_under_the_bars_that_it_was_fitted_for(seed: int, level: float, points: int) -> None:
    samples = samples_of(np.random.default_rng(seed), 30, points)
    knots, bars = table = fit_table(samples, level)
    assert (np.diff(knots) > 0).all()
    assert (np.diff(bars) >= 0).all()
    assert coverage(samples, table) == pytest.approx(level, abs=2 / len(samples.error_cm))


def test_people_who_were_not_fitted_on_lie_under_the_bars_as_often() -> None:
    found = [unseen_coverage(samples_of(np.random.default_rng(seed), 80, 60)) for seed in range(5)]
    assert 0.88 <= np.mean(found) <= 0.92
    same = ErrorSamples(
        np.tile(np.arange(1.0, 41), 80), np.tile(np.arange(1.0, 41), 80), np.arange(80).repeat(40)
    )
    knots, bars = fit_table(same)
    at = np.interp([10.5, 30.5], knots, bars)
    np.testing.assert_allclose(at, [10.5, 30.5], rtol=0.1)  # the error is the expected one


def test_what_cannot_be_fitted_is_refused() -> None:
    samples = samples_of(np.random.default_rng(0), 3, 10)
    with pytest.raises(ValueError, match="30 points on people that the network sees, but 400"):
        fit_table(samples)
    with pytest.raises(ValueError, match=r"level = 90, but a share"):
        fit_table(samples, 90)


def samples_with(points: list[int]) -> ErrorSamples:
    """People with so many points each."""
    samples = samples_of(np.random.default_rng(0), 1, sum(points))
    return dataclasses.replace(samples, person=np.repeat(np.arange(len(points)), points))


def test_the_halves_of_the_people_have_about_as_many_points() -> None:
    even = samples_with([800, *[100] * 8])  # by lot, a half has 300 to 400 points in one split of two
    for seed in range(10):
        second = second_half(even, seed)
        assert second.sum() == 800
        assert all(len(set(second[even.person == person])) == 1 for person in range(9))
        assert 0 < unseen_coverage(even, seed=seed) < 1
    same = samples_with([10] * 100)
    assert not np.array_equal(second_half(same, 0), second_half(same, 1))
    np.testing.assert_array_equal(second_half(same, 1), second_half(same, 1))
    assert not len(second_half(samples_with([])))


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (
            [349, 0, 349, 349],
            "1047 points of 3 people lie on .* they are 698 and 349, but 400 are wanted in each",
        ),
        ([2000], "2000 points of 1 people .* they are 2000 and 0"),
        ([], "0 points of 0 people .* they are 0 and 0"),
    ],
)
def test_too_few_points_are_told_as_they_are(points: list[int], said: str, flat_surface: BodySurface) -> None:
    for refused in (
        lambda: unseen_coverage(samples_with(points)),
        lambda: calibrated_bars(Path("a.pt"), samples_with(points), flat_surface),
    ):
        with pytest.raises(ValueError, match=said):
            refused()


@pytest.mark.parametrize(
    ("points", "more", "said"),
    [
        (199, [], "796 points of 4 people are annotated; .* they are 398 and 398, but 400"),
        (0, [], "none of the 4 people has annotated points"),
    ],
)
def test_what_calibrate_cannot_do_is_told_before_the_network_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], points: int, more: list[str], said: str
) -> None:
    people = [ellipse_person(tmp_path, number, points=points) for number in (1, 2, 3, 4)]
    write_annotations(tmp_path / "labels.json", [person.image for person in people], people)
    words = [
        "calibrate",
        tmp_path / "none.pt",
        "--annotations",
        tmp_path / "labels.json",
        "--images",
        tmp_path,
    ]
    assert main([str(word) for word in [*words, *more]]) == 2
    assert re.search(said, capsys.readouterr().err)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that sees a person everywhere."""
    torch.manual_seed(0)
    state = StackedHourglass(stacks=1, features=8).state_dict()
    for name, value in state.items():
        if name.endswith(("coarse_segm.bias", "fine_segm.bias")):
            value[0] -= 9
    config = TrainConfig(
        stages=(StageSettings(name="a", data=(DataSource(annotations="a", images="a"),), steps=1),),
        model=HourglassSettings(stacks=1, features=8),
        crop=CropSettings(size=64),
    )
    path = tmp_path_factory.mktemp("weights") / "people.pt"
    save_checkpoint(path, Checkpoint(config, 1, 0, state))
    return path


@pytest.fixture(scope="module")
def calibrated(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The checkpoint with bars beside it, and the folder of the people that they were fitted on."""
    folder = tmp_path_factory.mktemp("people")
    people = [ellipse_person(folder, number, points=200) for number in (1, 2, 3, 4)]
    write_annotations(folder / "labels.json", [person.image for person in people], people)
    words = ["calibrate", checkpoint, "--annotations", folder / "labels.json", "--images", folder]
    assert main([str(word) for word in words]) == 0
    return checkpoint, folder


def test_from_the_command_to_maps(calibrated: tuple[Path, Path], tmp_path: Path) -> None:
    checkpoint, folder = calibrated
    bars = load_error_bars(checkpoint)
    assert bars is not None
    assert (bars.level, bars.fitted["people"], bars.fitted["points"]) == (0.9, 4, 800)
    assert bars.fitted["share_under"] == pytest.approx(0.9, abs=0.01)
    model = DensePose.load(checkpoint, detector=None, device="cpu")
    (person,) = model(folder / "ellipse_1.png")
    assert person.error_cm.shape == person.mask.shape
    assert person.error_cm[person.mask].min() >= bars.bar_cm[0] - 0.1
    assert person.error_cm.max() <= bars.bar_cm[-1] * 1.001
    assert not person.error_cm[~person.mask].any()
    words = ["predict", checkpoint, "--annotations", folder / "labels.json", "--images", folder]
    assert main([str(word) for word in [*words, "--out", tmp_path / "p.h5"]]) == 0
    with PredictionFile(tmp_path / "p.h5") as file:
        instance = next(iter(file))
    assert instance.error_cm is not None
    assert instance.error_cm.shape == (64, 64)
    video = ["video", folder / "ellipse_1.png", "--weights", checkpoint, "--detector", "follow"]
    assert main([str(word) for word in [*video, "--write", "error", "--out", tmp_path / "v"]]) == 0
    assert (tmp_path / "v" / "error.png").is_file()


def test_without_bars_there_is_no_map(
    checkpoint: Path, calibrated: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "alone.pt"
    alone.write_bytes(checkpoint.read_bytes())
    assert load_error_bars(alone) is None
    (person,) = DensePose.load(alone, detector=None, device="cpu")(calibrated[1] / "ellipse_1.png")
    with pytest.raises(ValueError, match="no error bars; slimdp calibrate"):
        _ = person.error_cm
    video = ["video", calibrated[1] / "ellipse_1.png", "--weights", alone, "--detector", "follow"]
    assert main([str(word) for word in [*video, "--write", "error", "--out", tmp_path / "v"]]) == 2
    assert "no error bars to draw" in capsys.readouterr().err


def test_a_file_that_is_damaged_or_of_other_weights_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "people-1.pt"
    checkpoint.write_bytes(b"weights")
    path = bars_of().save(checkpoint)
    assert path == bars_file(checkpoint) == tmp_path / "people-1.error.json"
    with pytest.raises(ConfigError, match=r"people-1\.error\.json is of other weights"):
        load_error_bars(checkpoint)
    whole = json.loads(path.read_text())
    damages = [
        {**whole, "format": "other"}, {**whole, "bar_cm": [3, 2, 1]}, {**whole, "expected_cm": [1, 2]},
        {**whole, "between_cm": [[1, 2]]}, {**whole, "level": "high"}, {**whole, "bar_cm": None}, [],
        {name: value for name, value in whole.items() if name != "fitted"},
    ]  # fmt: skip
    for damage in damages:
        path.write_text(json.dumps(damage))
        with pytest.raises(ConfigError, match=r"people-1\.error\.json.*slimdp calibrate"):
            load_error_bars(checkpoint)
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"people-1\.error\.json"):
        load_error_bars(checkpoint)


def test_predictions_hold_bars_of_all_or_of_nobody(tmp_path: Path) -> None:
    maps = np.ones((8, 8), np.uint8), np.zeros((2, 8, 8), np.float16), np.ones((8, 8), bool)
    box = np.array([0.0, 0, 8, 8])
    bare = DensePoseInstance(1, 1, box, 1.0, np.eye(2, 3), *maps)
    known = dataclasses.replace(bare, annotation_id=2, error_cm=np.full((8, 8), 7.5, np.float16))
    for first, second in ((bare, known), (known, bare)):
        with PredictionWriter(tmp_path / "mixed.h5", 8) as writer:
            writer.write(first)
            with pytest.raises(ValueError, match="wanted of all or of none"):
                writer.write(second)
    with PredictionWriter(tmp_path / "p.h5", 8) as writer:
        writer.write(known)
    with PredictionFile(tmp_path / "p.h5") as file:
        found = file.read(1, 2).error_cm
    assert found is not None
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, 7.5)
    negative = dataclasses.replace(known, error_cm=np.full((8, 8), -1, np.float16))
    with pytest.raises(ValueError, match="error_cm"):
        check_prediction(negative, 8, "p.h5")
