from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tools import overlapping_people
from tools.overlapping_people import overlap_of


def person(identity: int, image: int, box: list[float], crowd: int = 0) -> dict[str, object]:
    return {"id": identity, "image_id": image, "bbox": box, "iscrowd": crowd}


CONTENT = {
    "info": {"about": "three pictures"},
    "images": [{"id": 1}, {"id": 2}, {"id": 3}],
    "annotations": [
        person(1, 1, [0, 0, 10, 30]), person(2, 1, [2, 0, 10, 30]), person(3, 1, [90, 0, 5, 5]),  # 8 of 10
        person(4, 2, [0, 0, 10, 30]), person(5, 2, [8, 0, 10, 30]),  # 2 of 10
        person(6, 3, [0, 0, 10, 30]), person(7, 3, [0, 0, 10, 30], crowd=1),
    ],
}  # fmt: skip


def test_the_overlap_of_two_boxes_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 30], [2, 0, 10, 30], [90, 0, 5, 5]], dtype=float)
    assert overlap_of(boxes) == pytest.approx(8 / 10)
    assert overlap_of(np.array([[0, 0, 10, 10], [0, 0, 5, 10]])) == 1  # of the smaller one
    assert overlap_of(boxes[:1]) == overlap_of(boxes[:0]) == 0


def test_pictures_with_overlapping_people_stay_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "all.json", tmp_path / "pairs.json"
    source.write_text(json.dumps(CONTENT))
    monkeypatch.setattr("sys.argv", ["overlapping_people", str(source), "--out", str(out)])
    assert overlapping_people.main() == 0
    found = json.loads(out.read_text())
    assert found["images"] == [{"id": 1}]
    assert [each["id"] for each in found["annotations"]] == [1, 2, 3]
    assert found["info"] == CONTENT["info"]
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told == {"overlap": 0.5, "images": 1, "annotations": 3, "of_images": 3}


def test_a_file_without_such_people_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "all.json", tmp_path / "pairs.json"
    source.write_text(json.dumps(CONTENT))
    words = ["overlapping_people", str(source), "--out", str(out), "--overlap", "0.9"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit):
        overlapping_people.main()
    assert "no two people overlap by 0.9" in capsys.readouterr().err
    assert not out.exists()
