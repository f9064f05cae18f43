"""Finding the folder of pictures, and looking at them side by side."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from slimdp.doctor import Findings, media
from slimdp.doctor.media import check_images, find_folder
from slimdp.structures import ImageRecord


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((8, 12, 3), dtype=np.uint8))


def test_the_folder_that_holds_most_wins_and_the_first_of_equals(tmp_path: Path) -> None:
    a, b, c = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    put(a / "1.jpg")
    for name in ("1.jpg", "2.jpg"):
        put(b / name)
        put(c / name)
    assert find_folder(["1.jpg", "2.jpg"], [a, b, c]) == b
    assert find_folder(["1.jpg"], [a, b, c]) == a
    assert find_folder(["3.jpg"], [a, b, c]) is None
    assert find_folder([], [a]) is None


@pytest.mark.usefixtures("forked_workers")
def test_processes_find_the_same_in_the_same_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "_WORTH_A_PROCESS", 1)
    there = []
    for number in range(6):
        path = tmp_path / f"{number}.jpg"
        if number != 4:
            put(path)
        there.append(ImageRecord(number, path, path.name, 12, 9 if number % 2 else 8))
    found = []
    for processes in (1, 2):
        findings = Findings()
        assert check_images(there, tmp_path, findings.of("people.json"), False, processes, quiet=True) == 5
        found.append([(finding.code, finding.place) for finding in findings])
    assert found[0] == found[1]
    assert found[0] == [("picture-missing", "image 4"), *(("picture-size", f"image {n}") for n in (1, 3, 5))]


def test_a_quick_look_opens_a_spread_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "QUICK_SAMPLE", 3)
    for number in range(7):
        put(tmp_path / f"{number}.jpg")
    wrong = [ImageRecord(number, tmp_path, f"{number}.jpg", 1, 1) for number in range(7)]
    findings = Findings()
    assert check_images(wrong, tmp_path, findings.of("a.json"), True, 1, quiet=True) == 3
    assert [finding.place for finding in findings] == ["image 0", "image 3", "image 6"]
