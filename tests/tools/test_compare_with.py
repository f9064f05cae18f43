from __future__ import annotations

import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest

from tools.compare_with import (
    Command,
    Renamed,
    compare,
    differences,
    flatten,
    read_figures,
    renamed_path,
    renamed_settings,
    words_of,
)

PLAIN = Renamed()


@pytest.mark.parametrize(
    ("old", "new", "equal", "difference"),
    [
        (1.5, 1.5, 1, 0.0),
        (1, 1.0, 1, 0.0),
        (math.nan, math.nan, 1, 0.0),
        (math.inf, math.inf, 1, 0.0),
        (math.nan, 1.0, 0, math.inf),
        (math.inf, 1.0, 0, math.inf),
        (0.25, 0.5, 0, 0.25),
        (100.0, 50.0, 0, 0.5),  # over the larger size
        (1_000_000_000, 1_000_000_001, 0, 1.0),  # whole numbers are counts and ids
        ("nose", "nose", 1, 0.0),
        ("nose", "knee", 0, math.inf),
        (None, None, 1, 0.0),
        (None, 0.0, 0, math.inf),
        (True, 1, 0, math.inf),
    ],
)
def test_one_figure(old: object, new: object, equal: int, difference: float) -> None:
    assert differences(old, new) == (1, equal, pytest.approx(difference))


def test_arrays_are_compared_value_by_value() -> None:
    old = np.array([[0.0, math.nan], [2.0, 4.0]])
    new = np.array([[0.0, math.nan], [2.0, 8.0]])
    assert differences(old, new) == (4, 3, 0.5)
    assert differences(old, old[:1]) == (4, 0, math.inf)
    whole = np.array([3, 250], np.uint8)
    assert differences(whole, np.array([9, 0], np.uint8)) == (2, 0, 250.0)  # not by the bytes' own arithmetic
    assert differences(np.zeros(0), np.zeros(0)) == (0, 0, 0.0)


def test_what_nests_is_compared_by_path_and_what_is_missing_is_a_difference() -> None:
    old = flatten({"a": [{"b": 1.0}, {"b": 2.0}], "none": [], "seconds": 3.0})
    assert old == {"a.0.b": 1.0, "a.1.b": 2.0, "none": []}
    new = flatten({"a": [{"b": 1.0}, {"b": 2.0 + 1e-9}], "c": 4})
    found = compare(old, new, PLAIN)
    assert (found.figures, found.equal, found.largest) == (4, 1, math.inf)
    assert found.faults == ["none: [] -> missing", "c: missing -> 4"]


def test_a_difference_below_the_tolerance_is_told_and_forgiven() -> None:
    found = compare({"x": 1.0, "y": 2.0}, {"x": 1.0 + 1e-9, "y": 2.0}, PLAIN)
    assert (found.figures, found.equal, found.faults) == (2, 1, [])
    assert 0 < found.largest < 1e-8
    assert compare({"x": 1.0}, {"x": 1.0 + 1e-5}, PLAIN).faults == ["x: 1.0 -> 1.00001"]


def test_figures_follow_their_new_names() -> None:
    renamed = Renamed(
        figures={"metrics.jsonl: *.loss/total": "metrics.jsonl: *.loss", "metrics.jsonl: *.rate": ""},
        added=("scores.json: points.auc50",),
    )
    old = {"run/metrics.jsonl: 0.loss/total": 1.0, "run/metrics.jsonl: 0.rate": 2.0, "scores.json: ap": 3.0}
    new = {"run/metrics.jsonl: 0.loss": 1.0, "scores.json: ap": 3.0, "scores.json: points.auc50": 4.0}
    assert compare(old, new, renamed).faults == []
    assert len(compare(old, new, PLAIN).faults) == 4


def test_the_longest_path_renames_and_takes_what_is_below_along() -> None:
    renames = {"motion": "pairs", "motion.steps": "pairs.frame_offsets", "stages.*.motion": "stages.*.pairs"}
    assert renamed_path(("motion", "kind"), renames) == ("pairs", "kind")
    assert renamed_path(("motion", "steps"), renames) == ("pairs", "frame_offsets")
    assert renamed_path(("stages", "#1", "motion", "kind"), renames) == ("stages", "#1", "pairs", "kind")
    assert renamed_path(("crop", "size"), renames) == ("crop", "size")
    assert renamed_path(("motion",), {"motion": ""}) is None


def test_settings_keep_their_form_under_other_names() -> None:
    settings = {
        "stages": [{"name": "a", "motion": {"kind": "none", "steps": [-1, 1]}}, {"name": "b"}],
        "n": [],
    }
    assert renamed_settings(settings, {}, {}) == settings
    renames = {"stages.*.motion.steps": "stages.*.motion.frame_offsets", "n": ""}
    assert renamed_settings(settings, renames, {"stages.*.motion.kind = none": "off"}) == {
        "stages": [{"name": "a", "motion": {"kind": "off", "frame_offsets": [-1, 1]}}, {"name": "b"}]
    }


def test_commands_and_options_follow_their_new_names() -> None:
    command = Command("slimdp predict", ("a.pt",), {"--out": "a.h5", "--flip-test": "", "--way": "fast"})
    assert words_of(command, Path("tree"), PLAIN)[1:] == [
        "-m", "slimdp", "predict", "a.pt", "--out", "a.h5", "--flip-test", "--way", "fast",
    ]  # fmt: skip
    renamed = Renamed(
        commands={"slimdp predict": "slimdp run"},
        options={
            "slimdp predict 0": "--checkpoint",
            "slimdp predict --flip-test": "",
            "slimdp predict --way fast": "--speed 2",
        },
    )
    assert words_of(command, Path("tree"), renamed)[1:] == [
        "-m", "slimdp", "run", "--checkpoint", "a.pt", "--out", "a.h5", "--speed", "2",
    ]  # fmt: skip
    table = words_of(Command("tools/make_table.py"), Path("tree"), PLAIN)
    assert table[1:] == [str(Path("tree/tools/make_table.py"))]


def test_outputs_of_every_kind_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"x": [1, None]}))
    (tmp_path / "a.jsonl").write_text('{"x": 1, "images_per_second": 2}\n{"x": NaN}\n')
    (tmp_path / "a.csv").write_text("row,5cm\nfull,1.5\n")
    (tmp_path / "a.png").write_bytes(b"bytes")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["maps/part"] = np.arange(3)
        file["names"] = ["nose"]
    assert read_figures(tmp_path / "a.json") == {"x.0": 1, "x.1": None}
    lines = read_figures(tmp_path / "a.jsonl")
    assert lines["0.x"] == 1
    assert math.isnan(lines["1.x"])
    assert read_figures(tmp_path / "a.csv") == {"0.0": "row", "0.1": "5cm", "1.0": "full", "1.1": 1.5}
    assert list(read_figures(tmp_path / "a.png")) == ["bytes"]
    arrays = read_figures(tmp_path / "a.h5")
    assert arrays["maps.part"].tolist() == [0, 1, 2]
    assert arrays["names"] == repr([b"nose"])
