"""Budgets that go through a file, and their command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.__main__ import main
from slimdp.data import AnnotationSet, read_annotations, write_annotations
from tests.data.small_sets import a_set, kept, labelled_frames, stills_with


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[AnnotationSet], Path]:
    """Write a set and black pictures; gives its file."""

    def save(everyone: AnnotationSet) -> Path:
        write_annotations(tmp_path / "a.json", everyone.images, everyone.people)
        for image in everyone.images:
            (tmp_path / image.file_name).parent.mkdir(exist_ok=True)
            black = np.zeros((image.height, image.width, 3), np.uint8)
            cv2.imwrite(str(tmp_path / image.file_name), black)
        return tmp_path / "a.json"

    return save


def test_a_budget_through_a_file_is_the_budget_itself(saved: Callable[[AnnotationSet], Path]) -> None:
    file = saved(stills_with([30, 40, 1, 0, 25], start=5))
    whole = read_annotations(file, file.parent)
    for budget in ({"images": 0.6, "parts": "kept", "seed": 3}, {"points": 0.1}, {"points": 0.4}):
        few = kept(whole, **budget)
        write_annotations(file.parent / "b.json", few.images, few.people)
        back = read_annotations(file.parent / "b.json", file.parent)
        assert [image.labelled for image in back.images] == [image.labelled for image in few.images]
        for person, same in zip(few.people, back.people, strict=True):
            np.testing.assert_allclose(same.points, person.points, atol=1e-9)
            np.testing.assert_array_equal(same.part, person.part)
            np.testing.assert_array_equal(same.uv, person.uv)
            assert (same.coarse is None) == (person.coarse is None)


def test_the_command_takes_one_budget_after_the_other(
    saved: Callable[[AnnotationSet], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(a_set({"a": [0, 8, 16], "b": [4], "c": [2, 3, 5]}, stills=0))
    out = str(file.parent / "b.json")
    command = ["budget", "--annotations", str(file), "--images", str(file.parent)]
    assert main([*command, "--out", out, "--videos", "2", "--frames-per-video", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["each", "whole", "kept"]
    assert ["labelled", "people", "7", "2"] in [line.split() for line in lines]
    assert ["points", "with", "(u,", "v)", "6", "s", "14", "4"] in [line.split() for line in lines]
    assert labelled_frames(read_annotations(out, file.parent)) == {"a": [8], "c": [3]}
    assert main([*command, "--out", out]) == 2
    assert "nothing to leave out: give --keep-images" in capsys.readouterr().err
    assert main([*command, "--out", out, "--frames", "9:3"]) == 2
    assert "--frames 9:3, but FIRST:LAST is wanted" in capsys.readouterr().err


def test_the_command_keeps_shares_and_prices_them(
    saved: Callable[[AnnotationSet], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(stills_with([36] * 10))
    out = file.parent / "b.json"
    command = ["budget", "--annotations", str(file), "--images", str(file.parent)]
    priced = ["--seconds-a-click", "points=10,masks=0,boxes=0,parts=5,keypoints=360"]
    shares = ["--keep-images", "0.5", "--keep-points", "0.1", "--parts", "kept", "--seed", "4"]
    assert main([*command, *shares, *priced, "--out", str(out)]) == 0
    rows = {line[:24].strip(): line.split()[-2:] for line in capsys.readouterr().out.splitlines()}
    assert rows["points with (u, v)"] == ["360", "18"]
    assert rows["points with a part alone"] == ["0", "342"]
    assert rows["hours"] == ["1.0", "0.5"]  # 3600 s; 180 s and 1710 s
    assert rows["hours with keypoints"] == ["2.0", "1.5"]
    entries = json.loads(out.read_text())["annotations"]
    assert sum(u is not None for entry in entries for u in entry["dp_U"]) == 18
    assert main([*command, *priced]) == 0
    assert "kept" not in capsys.readouterr().out
    assert main([*command, "--seconds-a-click", "uv=3"]) == 2
    assert "unknown key seconds_a_click.uv; there are: points, parts" in capsys.readouterr().err


def test_outlines_go_through_as_they_are(saved: Callable[[AnnotationSet], Path]) -> None:
    """They are not drawn: drawn, those of a data set as large as COCO's fill the memory."""
    file = saved(stills_with([12, 12, 12]))
    content = json.loads(file.read_text())
    runs = {"size": [48, 64], "counts": [3022, 50]}
    about = [
        {"segmentation": [[1.0, 2.0, 9.5, 2.0, 9.5, 8.0]], "area": 25.5},
        {"segmentation": runs, "area": 50},
    ]
    for entry, outline in zip(content["annotations"], about, strict=False):
        entry |= outline
    file.write_text(json.dumps(content))
    out = file.parent / "b.json"
    assert main([*_command(file), "--keep-points", "0.5", "--out", str(out)]) == 0
    written = json.loads(out.read_text())["annotations"]
    assert [{key: entry[key] for key in about[0]} for entry in written[:2]] == about
    assert written[2]["segmentation"] == []


def test_the_whole_labels_are_not_overwritten(
    saved: Callable[[AnnotationSet], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(stills_with([12]))
    whole = file.read_bytes()
    (file.parent / "link.json").symlink_to(file)
    for out in (file, file.parent / "link.json"):
        assert main([*_command(file), "--keep-points", "0.5", "--out", str(out)]) == 2
        assert "is an input file, " in capsys.readouterr().err
    assert file.read_bytes() == whole


def test_what_leaves_nothing_out_writes_nothing(
    saved: Callable[[AnnotationSet], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(stills_with([12]))
    for rest in (["--parts", "kept"], ["--masks", "dropped"], ["--seed", "3"]):
        assert main([*_command(file), *rest, "--out", str(file.parent / "b.json")]) == 2
        assert "nothing to leave out" in capsys.readouterr().err


def test_a_budget_that_leaves_nothing_is_not_written(
    saved: Callable[[AnnotationSet], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(stills_with([12, 12]))
    nothing = ["--keep-images", "0", "--keypoints", "dropped"]
    assert main([*_command(file), *nothing]) == 0  # it may be counted
    assert main([*_command(file), *nothing, "--out", str(file.parent / "b.json")]) == 2
    assert "the budget leaves nobody any label" in capsys.readouterr().err
    assert not (file.parent / "b.json").exists()


def _command(file: Path) -> list[str]:
    return ["budget", "--annotations", str(file), "--images", str(file.parent)]
