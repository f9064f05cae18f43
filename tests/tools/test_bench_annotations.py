from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from slimdp.data import read_annotations
from slimdp.data.rle import decode_rle
from tools.bench_annotations import _content


def test_a_person_as_large_as_an_annotators_takes_little_memory_and_keeps_every_label(tmp_path: Path) -> None:
    content = _content(4, np.random.default_rng(0))
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    people = read_annotations(path, tmp_path, check_images=False).people
    for person, entry in zip(people, content["annotations"], strict=True):
        assert len(person.points) == 125
        painted = np.zeros((256, 256), dtype=np.uint8)
        for label, mask in enumerate(entry["dp_masks"], start=1):
            painted[decode_rle(mask, 256, 256)] = label
        np.testing.assert_array_equal(person.coarse, painted)
        runs = person.__dict__["coarse"]
        assert runs.start.nbytes + runs.label.nbytes < 12_000
