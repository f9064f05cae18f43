from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from slimdp.doctor import examine
from slimdp.evaluation import PredictionWriter
from slimdp.structures import DensePoseInstance


def test_a_flipped_bit_in_what_a_run_left_is_found(tmp_path: Path) -> None:
    checkpoint, predictions = tmp_path / "stage_a.pt", tmp_path / "predictions.h5"
    with zipfile.ZipFile(checkpoint, "w") as file:
        file.writestr("a/data/0", bytes(range(200)))
    size = 16
    with PredictionWriter(predictions, size) as writer:
        writer.write(
            DensePoseInstance(
                image_id=1,
                annotation_id=2,
                box=np.array([0.0, 0, 10, 20]),
                score=1.0,
                crop_from_image=np.eye(2, 3),
                part=np.ones((size, size), np.uint8),
                uv=np.zeros((2, size, size), np.float16),
                foreground=np.ones((size, size), bool),
            )
        )
    assert not {finding.code for finding in examine(tmp_path).findings} & CODES
    for file, mark in ((checkpoint, bytes(range(100))), (predictions, np.array([10.0, 20]).tobytes())):
        content = bytearray(file.read_bytes())
        content[content.index(mark)] ^= 1
        file.write_bytes(content)
    assert {finding.code for finding in examine(tmp_path).findings} >= CODES


CODES = {"checkpoint-damaged", "predictions-damaged"}
