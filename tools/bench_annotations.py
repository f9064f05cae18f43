"""What reading an annotation file costs a person, beside pycocotools, which decodes no masks.

    python tools/bench_annotations.py --people 2000

Writes a file of made-up people as annotators leave them: 125 points, 14 coarse masks, 17 keypoints, an
outline. Prints CPU time and memory a person and, as its last line, all figures as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from measuring import cpu_seconds, tell
from pycocotools.coco import COCO

from slimdp.data import read_annotations
from slimdp.data.rle import encode_rle
from slimdp.evaluation import read_truths
from slimdp.surface import PEOPLE

POINTS, KEYPOINTS, SIDE = 125, 17, 512


def main() -> None:
    """Write the file, read it with both, and print what that took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=2000, help="how many (default 2000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.json"
        path.write_text(json.dumps(_content(options.people, np.random.default_rng(0))), encoding="utf-8")
        figures = _figures(path, options.people)
    for name, value in figures.items():
        print(f"{name:36} {value:10.3f}")
    tell(figures)


def _figures(path: Path, people: int) -> dict[str, float]:
    reads: dict[str, Callable[[], Any]] = {
        "json": lambda: json.loads(path.read_bytes()),
        "pycocotools": lambda: _coco(path),
        "read_annotations": lambda: read_annotations(path, path.parent, check_images=False),
        "read_truths": lambda: [person.mask for person in read_truths(path, people=False).instances],
    }
    figures: dict[str, float] = {"people": people, "file MB": path.stat().st_size / 1e6}
    for name, read in reads.items():
        figures[f"{name}, ms CPU a person"] = 1e3 * cpu_seconds(read) / people
    for name in ("pycocotools", "read_annotations"):
        tracemalloc.start()
        kept = reads[name]()
        figures[f"{name}, kB a person"] = tracemalloc.get_traced_memory()[0] / 1e3 / people
        tracemalloc.stop()
        if name == "read_annotations":
            begin = time.process_time()
            for person in kept.people:
                assert person.coarse.shape == (256, 256)
            figures["drawing a coarse mask, ms CPU"] = 1e3 * (time.process_time() - begin) / people
        del kept
    ratio = figures["read_annotations, ms CPU a person"] / figures["pycocotools, ms CPU a person"]
    return {**figures, "read_annotations / pycocotools": ratio}


def _coco(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def _content(people: int, rng: np.random.Generator) -> dict[str, Any]:
    images = -(-people // 2)
    shapes = [_masks(rng) for _ in range(16)]
    return {
        "images": [
            {"id": place, "file_name": f"{place:012d}.jpg", "width": SIDE, "height": SIDE}
            for place in range(images)
        ],
        "annotations": [_person(place, shapes[place % len(shapes)], rng) for place in range(people)],
        "categories": [
            {"id": 1, "name": "person", "keypoints": [f"keypoint_{place}" for place in range(KEYPOINTS)]}
        ],
    }


def _person(place: int, masks: list[Any], rng: np.random.Generator) -> dict[str, Any]:
    box = [*rng.uniform(0, SIDE / 2, 2).round(2).tolist(), *rng.uniform(60, SIDE / 2, 2).round(2).tolist()]
    keypoints = np.column_stack([rng.integers(0, SIDE, (KEYPOINTS, 2)), rng.integers(0, 3, KEYPOINTS)])
    uv = rng.random((2, POINTS)).tolist()
    return {
        "id": place, "image_id": place // 2, "category_id": 1, "bbox": box, "area": box[2] * box[3] / 2,
        "iscrowd": 0, "num_keypoints": int((keypoints[:, 2] > 0).sum()),
        "keypoints": keypoints.ravel().tolist(),
        "segmentation": [rng.uniform(0, SIDE, 60).round(2).tolist()], "dp_masks": masks,
        "dp_x": rng.uniform(0, 255, POINTS).tolist(), "dp_y": rng.uniform(0, 255, POINTS).tolist(),
        "dp_I": rng.integers(1, 25, POINTS).astype(float).tolist(), "dp_U": uv[0], "dp_V": uv[1],
    }  # fmt: skip


def _masks(rng: np.random.Generator) -> list[Any]:
    """14 masks with ragged edges that cover the box as parts of a body do: 150 to 400 runs each."""
    masks = []
    for _ in range(len(PEOPLE.coarse_parts)):
        drawn = np.zeros((256, 256), dtype=np.uint8)
        centre, axes = rng.integers(40, 216, 2).tolist(), rng.integers(20, 90, 2).tolist()
        cv2.ellipse(drawn, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        noise = cv2.GaussianBlur(rng.standard_normal((256, 256)), (0, 0), 3)
        masks.append(encode_rle((drawn > 0) & (noise > -0.12)))
    return masks


if __name__ == "__main__":
    logging.basicConfig()
    main()
