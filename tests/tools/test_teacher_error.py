"""How far a teacher's targets lie from the truth, on a person whose truth is known by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_cache.images import save_png
from slimdp.data import write_annotations
from slimdp.evaluation.predictions import PredictionWriter
from slimdp.structures import DensePoseInstance, ImageRecord, PersonAnnotation
from slimdp.surface import load_surface
from tools.teacher_error import compare, main, summarise

SIZE = 8


def said_of(part: np.ndarray, uv: np.ndarray, foreground: np.ndarray) -> DensePoseInstance:
    """A crop that is the picture."""
    box = np.array([0.0, 0, SIZE, SIZE])
    return DensePoseInstance(7, 1, box, 1.0, np.eye(2, 3), part, uv.astype(np.float16), foreground)


@pytest.fixture
def person(tmp_path: Path) -> PersonAnnotation:
    """Fills the right half, with one point; all of it is part 2 with u 0.2, v 0.4."""
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[:, 4:] = True
    image = ImageRecord(1, tmp_path / "images" / "a.png", "images/a.png", SIZE, SIZE)
    save_png(image.file, np.full((SIZE, SIZE, 3), 90, np.uint8))
    save_png(tmp_path / "iuv" / "a.png", truth(mask))
    one = np.ones(1, np.int64)
    return PersonAnnotation(
        7, image, np.array([0.0, 0, SIZE, SIZE]), np.array([[5.0, 2]]), 2 * one,
        np.array([[0.2, 0.4]], np.float32), 0 * one, 0 * one, mask=mask,
    )  # fmt: skip


def truth(mask: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None], np.array([2, 51, 102], np.uint8), 0).astype(np.uint8)


def test_errors_by_hand(person: PersonAnnotation) -> None:
    """Right in one row, off by some of v in the others, beside the person in a column."""
    surface = load_surface("open")
    uv = np.broadcast_to(np.array([51, 102])[:, None, None] / 255, (2, SIZE, SIZE)).copy()
    uv[1, 1:] = 0.5
    shown = np.zeros((SIZE, SIZE), dtype=bool)
    shown[:6, 3:] = True
    said = said_of(np.full((SIZE, SIZE), 2, np.uint8), uv, shown)
    assert person.mask is not None
    found = compare(said, person, truth(person.mask), surface, 1.0)
    off_cm = 100 * surface.distance_between(
        np.array([2, 2]), np.array([[0.2, 0.5], [0.2, 0.4]]), np.array([2, 2]), np.array([[0.2, 0.4]] * 2)
    )
    error = found.error_cm.reshape(6, 5)  # rows of the crop, columns 3 to 7
    assert np.isnan(error[:, 0]).all()
    assert error[0, 1:] == pytest.approx(off_cm[1], abs=0.1)
    assert error[1:, 1:] == pytest.approx(np.full((5, 4), off_cm[0]), rel=0.02)
    near = {(row, 3 + column) for row, column in np.argwhere(found.near.reshape(6, 5))}
    assert near == {(2, 5), (1, 5), (3, 5), (2, 4), (2, 6)}
    assert found.covered == 0.75
    told = summarise([found])
    assert told["covered_percent"] == 75
    assert told["beside_percent"] == 20
    counts = [told[name]["targets"] for name in ("near points", "elsewhere", "all")]  # type: ignore[index]
    assert counts == [5, 19, 24]
    nobody = compare(replace(said, foreground=~np.ones_like(shown)), person, truth(person.mask), surface, 1.0)
    assert summarise([nobody])["all"] == {"targets": 0}
    bare = replace(person, points=np.zeros((0, 2)))
    assert not compare(said, bare, truth(person.mask), surface, 1.0).near.any()


def test_the_program_draws_and_writes(person: PersonAnnotation, tmp_path: Path) -> None:
    uv = np.broadcast_to(np.array([51, 102])[:, None, None] / 255, (2, SIZE, SIZE))
    said = said_of(np.full((SIZE, SIZE), 2, np.uint8), uv, np.ones((SIZE, SIZE), dtype=bool))
    (tmp_path / "taught").mkdir()
    with PredictionWriter(tmp_path / "taught" / "people_000000.h5", SIZE) as writer:
        writer.write(said)
    write_annotations(tmp_path / "people.json", [person.image], [person])
    words = [
        str(tmp_path / "taught"),
        "--annotations",
        str(tmp_path / "people.json"),
        "--images",
        str(tmp_path),
    ]
    out = ["--out", str(tmp_path / "sheet.png"), "--json", str(tmp_path / "told.json")]
    assert main([*words, *out]) == 0
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["all"]["within_5cm"] == 100
    assert told["all"]["targets"] == 32
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] > 4 * 200
    (tmp_path / "taught" / "people_000000.h5").unlink()
    with pytest.raises(SystemExit, match="says nothing of the people"):
        main(words)
