"""No content of an annotation file reaches pycocotools unchecked: it answers, or AnnotationError says why.

A fault would end the process, so the attacks run in one of their own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from slimdp.data.rle import check_polygons, decode_polygons, decode_rle_union, encode_rle, label_runs

ATTACKS = """
import sys
from pathlib import Path
import numpy as np
from flow_cache.coco import AnnotationError, Record
from slimdp.data.person_entry import PersonEntry
from slimdp.data.rle import encode_rle
from slimdp.structures import ImageRecord

rng = np.random.default_rng(int(sys.argv[1]))
image = ImageRecord(1, Path("a.jpg"), "a.jpg", 31, 23)
ODD = [0, -1, 1, 2, 3.5, 1e9, -1e9, 1e8, 1e308, float("nan"), float("inf"), 2**31, 2**32, 2**63, 10**400,
       None, True, "1", "", [], {}, [[]], "~", "P" * 9, "oooooooo0", "\\x00", "\\ud800"]

def odd():
    return ODD[rng.integers(len(ODD))]

def text():
    good = encode_rle(rng.random((256, 256)) < 0.5)["counts"]
    place = int(rng.integers(len(good)))
    letters = "".join(chr(c) for c in rng.integers(40, 120, rng.integers(0, 9)))
    return [good[:place], good[:place] + letters + good[place:], letters, good * 2, "0" * 65537 + "PPPP2"][
        rng.integers(5)]

def counts():
    runs = rng.integers(0, 3, rng.integers(0, 9)).tolist()
    size = int(rng.integers(4))
    runs = [runs, [0] * 65537 + [65536], [0] * 70000, [1] * 65536][size]
    if rng.random() < 0.5 and runs:
        runs[int(rng.integers(len(runs)))] = odd()
    return runs

def mask(height, width):
    found = {"size": [height, width], "counts": counts() if rng.random() < 0.5 else text()}
    if rng.random() < 0.3:
        found["size"] = [[odd(), odd()], odd(), [height, odd()], [2**31, 2**31]][rng.integers(4)]
    if rng.random() < 0.1:
        found["counts"] = odd()
    return found

def polygons():
    corners = int(rng.integers(0, 9))
    far = [50, 1e3, 1e6, 1e7, 1e9, 1e30][rng.integers(6)]
    found = [(rng.standard_normal(corners) * far).tolist() for _ in range(rng.integers(0, 4))]
    if found and found[0] and rng.random() < 0.4:
        found[0][int(rng.integers(len(found[0])))] = odd()
    return found

answers = refusals = 0
for _ in range(int(sys.argv[2])):
    content = {"id": 1, "image_id": 1, "bbox": [1, 2, 9, 9]}
    outline = [polygons, lambda: mask(23, 31), odd][rng.integers(3)]()
    masks = [mask(256, 256), [mask(256, 256) for _ in range(rng.integers(1, 4))], odd()][rng.integers(3)]
    content |= {"segmentation": outline, "dp_masks": masks}
    if rng.random() < 0.3:
        content["dp_ignore"] = mask(256, 256)
    record = Record(Path("a.json"), "annotation 1", content)
    entry = PersonEntry(record, image)
    for read in (lambda: entry.person(draw_mask=True), entry.outline.draw, entry.outline.check,
                 lambda: entry.body):
        try:
            read()
            answers += 1
        except AnnotationError as error:
            assert str(error).startswith("a.json: annotation 1: "), error
            refusals += 1
print(answers, refusals)
"""


@pytest.mark.parametrize("seed", [0])
def test_attacks_end_in_answers_or_errors(seed: int) -> None:
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, "-c", ATTACKS, str(seed), "150"],
        capture_output=True, text=True, cwd=root, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    answers, refusals = map(int, run.stdout.split())
    assert min(answers, refusals) > 20


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        ([0, 0, 1e9, 0, 1e9, 1e9], r"a corner at 1e\+09 px, but at most 1,000,000 px"),
        ([0, 0, 1e8, 0, 5, 5], r"a corner at 1e\+08 px"),
        ([0, 0, float("nan"), 0, 5, 5], "a corner at nan px"),
        ([0, 0, 5, 0, 5], "5 numbers: an x without a y"),
        ([0, 0, 1e6, 1e6] * 5, r"an outline 10,000,000 px long, but at most 4,194,304 px"),
    ],
)
def test_polygons_that_are_not_drawn(polygon: list[float], message: str) -> None:
    for draw in (check_polygons, decode_polygons):
        with pytest.raises(ValueError, match=message):
            draw([polygon], 80, 120)


def test_polygons_that_reach_past_the_picture_are_cut_off() -> None:
    """A corner far out counts: the side on the way there is where it is."""
    triangle = [[-2000.0, 4.0, 3000.0, 4.0, 3000.0, 20000.0]]
    y, x = np.mgrid[0:12, 0:16]
    wanted = (y >= 4) & (y - 4 <= (x + 2000) * (19996 / 5000))
    np.testing.assert_array_equal(decode_polygons(triangle, 12, 16), wanted)


def test_many_runs_are_more_than_pixels() -> None:
    for counts in ([0] * 65537 + [65536], "0" * 65536 + encode_rle(np.ones((256, 256), bool))["counts"]):
        with pytest.raises(ValueError, match="runs, more than its 256 x 256 pixels"):
            decode_rle_union([{"size": [256, 256], "counts": counts}] * 2, 256, 256)
    # As many as pixels are sound, and so is one more where the first is empty.
    dots = {"size": [4, 4], "counts": [0] + [1] * 16}
    assert decode_rle_union([dots, dots], 4, 4).sum() == 8


def test_label_runs_are_what_painting_gives() -> None:
    rng = np.random.default_rng(0)
    for count in (0, 1, 2, 14):
        masks = [rng.random((9, 7)) < rng.choice([0.0, 0.1, 0.6, 1.0]) for _ in range(count)]
        labels = sorted(rng.choice(np.arange(1, 256), count, replace=False).tolist())
        painted = np.zeros((9, 7), dtype=np.uint8)
        for mask, label in zip(masks, labels):
            painted[mask] = label
        runs = label_runs([encode_rle(mask) for mask in masks], labels, 9, 7)
        drawn = runs.draw()
        np.testing.assert_array_equal(drawn, painted)
        assert drawn.flags.c_contiguous
        assert len(runs.start) == 1 + np.count_nonzero(np.diff(painted.T.ravel()))
