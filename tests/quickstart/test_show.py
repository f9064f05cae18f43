"""What is drawn of a quickstart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from slimdp.config import load_config
from slimdp.data import read_annotations, write_annotations
from slimdp.motion import PropagationSummary, StepCount
from slimdp.quickstart.show import PROPAGATED, Shown, labels_sheet
from slimdp.structures import ImageRecord, PersonAnnotation

SIDE, GAP, TITLE = 40, 4, 20
EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


def test_labels_are_drawn_where_they_came_and_nothing_beyond_the_video(tmp_path: Path) -> None:
    """The first of three frames is labelled; its labels came to the last, and nothing is before it."""
    files = [tmp_path / "data" / "clip" / f"{number:06d}.jpg" for number in range(3)]
    files[0].parent.mkdir(parents=True)
    for file in files:
        cv2.imwrite(str(file), np.full((SIDE, SIDE, 3), 90, np.uint8))
    image = ImageRecord(1, files[0], "clip/000000.jpg", SIDE, SIDE, "clip", 0)
    zeros = np.zeros(1, dtype=np.int64)
    person = PersonAnnotation(
        1, image, np.array([0.0, 0, SIDE, SIDE]), np.array([[20.0, 20]]), zeros + 2,
        np.zeros((1, 2), np.float32), source=zeros, step=zeros, track=1,
    )  # fmt: skip
    last = replace(image, id=3, file=files[2], file_name="clip/000002.jpg", frame=2)
    write_annotations(tmp_path / PROPAGATED, [image, last], [person, replace(person, id=2, image=last)])
    summary = PropagationSummary(1, 1, 1, ((-2, StepCount()), (2, StepCount())))
    config = load_config(EXPERIMENTS / "quickstart.yaml")
    everybody = read_annotations(tmp_path / PROPAGATED, tmp_path / "data").people
    run = Shown(tmp_path, config, summary, {}, everybody, everybody[1:])
    sheet = labels_sheet(run)
    assert sheet.shape == (TITLE + SIDE + 3 * GAP, 3 * SIDE + 4 * GAP, 3)
    before, labelled, after = (
        sheet[-GAP - SIDE : -GAP, left : left + SIDE] for left in range(GAP, 3 * (SIDE + GAP), SIDE + GAP)
    )
    assert (before == 255).all()
    for cell in (labelled, after):
        assert abs(int(cell[2, 2, 0]) - 90) < 3
        assert cell[20, 20].std() > 10  # the colour of a part, on grey
