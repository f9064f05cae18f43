"""How long average precision takes, and how much memory, on a case of the size of DensePose-COCO's minival.

    python tools/bench_evaluation.py --folder /somewhere/with/2/GB

Makes up 2,243 people with 100 points each in 1,508 images, about 3,400 results (base64 PNG, in boxes of the
sizes of people in COCO's pictures), and surface files with 27,554 vertices and all 379,597,681 distances
between them. A process of its own then starts (imports, surface) and scores the files; `seconds` are those
from files to scores: reading, decoding, looking up, matching. `cpu_s` is what all its threads computed in
that time. Peak memory is that of this process, imports and mapped pages included. The scores themselves mean
nothing. --quick takes a twentieth of the people and a small table. Prints one JSON line last.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import scipy.io
from measuring import make_parser, peak_mb, tell, told_by

from slimdp.data.rle import encode_rle
from slimdp.evaluation import Detection, evaluate_files, write_results
from slimdp.surface import PEOPLE, load_surface

IMAGE_PX = (640, 480)  # width, height
POINTS = 100
#: (people, images, results, vertices)
FULL, QUICK = (2243, 1508, 3400, 27554), (112, 75, 170, 3000)


def main() -> int:
    """Parse, make the case, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="a small case, in seconds")
    parser.add_argument("--folder", type=Path, default=None, help="where to write 1.6 GB for a while")
    parser.add_argument("--repeat", type=int, default=3, help="times, the fastest of which is told")
    parser.add_argument("--child", type=Path, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        tell(_measure(options.child))
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        case = make_case(Path(folder), *(QUICK if options.quick else FULL), np.random.default_rng(0))
        command = [sys.executable, __file__, "--child", folder]
        runs = [_run(command) for _ in range(options.repeat)]
    for run in runs:
        print(run)
    fastest = min(runs, key=lambda run: run["seconds"])
    tell(case | fastest | {"peak_mb": max(run["peak_mb"] for run in runs)})
    return 0


def _run(command: list[str]) -> dict[str, float]:
    """What the measuring process tells, and how long it took to get ready and to end."""
    started = time.perf_counter()
    told = told_by(command)
    return {"start_up_s": round(time.perf_counter() - started - told["seconds"], 2), **told}


def make_case(
    folder: Path, people: int, images: int, results: int, vertices: int, rng: np.random.Generator
) -> dict[str, float]:
    """Write surface files, annotations.json and results.json; returns their sizes."""
    _write_surface(folder, vertices, rng)
    image_of = np.sort(np.concatenate([np.arange(images), rng.integers(images, size=people - images)]))
    boxes = [_box(rng) for _ in range(people)]
    annotations = [
        _annotation(index, int(image), box, rng) for index, (image, box) in enumerate(zip(image_of, boxes))
    ]
    listed = [
        {"id": index, "file_name": f"{index}.jpg", "width": IMAGE_PX[0], "height": IMAGE_PX[1]}
        for index in range(images)
    ]
    categories = [{"id": 1, "name": "person"}]
    content = {"images": listed, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(content))
    whom = np.sort(np.concatenate([np.arange(people), rng.integers(people, size=results - people)]))
    detections = (_detection(int(image_of[index]), boxes[index], rng) for index in whom)
    write_results(folder / "results.json", detections)
    megabytes = (folder / "results.json").stat().st_size / 1e6
    return {"people": people, "results": results, "vertices": vertices, "results_mb": round(megabytes, 1)}


def _box(rng: np.random.Generator) -> np.ndarray:
    """A box (4,) xywh in the image; half of all are taller than 180 px."""
    height = float(np.clip(180 * np.exp(0.6 * rng.normal()), 30, IMAGE_PX[1] - 2))
    width = float(np.clip(height * 0.45 * np.exp(0.35 * rng.normal()), 15, IMAGE_PX[0] - 2))
    corner = rng.uniform(0, 1, 2) * (np.array(IMAGE_PX) - [width, height] - 1)
    return np.round([*corner, width, height], 2)


def _body(width: int, height: int) -> np.ndarray:
    """A map (3, H, W) with 24 patches in an upright ellipse, u and v running across each."""
    y, x = np.mgrid[0:height, 0:width]
    across, down = (x + 0.5) / width, (y + 0.5) / height
    column, row = (across * 4).astype(int), (down * 6).astype(int)
    person = ((across - 0.5) / 0.42) ** 2 + ((down - 0.5) / 0.48) ** 2 < 1
    return (np.stack([1 + 4 * row + column, 255 * (across * 4 % 1), 255 * (down * 6 % 1)]) * person).astype(
        np.uint8
    )


def _annotation(index: int, image: int, box: np.ndarray, rng: np.random.Generator) -> dict:
    """A person with points and coarse masks as DensePose-COCO has them."""
    frame = _body(256, 256)
    row, column = (where[rng.integers(len(where), size=POINTS)] for where in np.nonzero(frame[0]))
    inside = frame[0, row, column] > 0
    row, column = np.where(inside, row, 128), np.where(inside, column, 128)
    part, u, v = frame[:, row, column].astype(int)
    return {
        "id": index + 1,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": box.tolist(),
        "area": float(0.6 * box[2] * box[3]),
        "dp_x": (column + rng.uniform(0, 0.5, POINTS)).round(4).tolist(),
        "dp_y": (row + rng.uniform(0, 0.5, POINTS)).round(4).tolist(),
        "dp_I": part.tolist(),
        "dp_U": (u / 255).tolist(),
        "dp_V": (v / 255).tolist(),
        "dp_masks": [encode_rle((frame[0] + 1) // 2 == label) for label in range(1, 13)] + [[], []],
    }


def _detection(image: int, box: np.ndarray, rng: np.random.Generator) -> Detection:
    """A person found about where one is, with maps as noisy as a network's along the seams of its parts."""
    moved = box + rng.normal(0, 0.03, 4) * box[[2, 3, 2, 3]]
    width, height = np.maximum(moved[2:], 8).astype(int).tolist()
    shift = cv2.resize(rng.normal(0, 1.5, (height // 8 + 2, width // 8 + 2, 2)), (width, height))
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    column = np.clip(x + shift[..., 0], 0, width - 1).astype(int)
    row = np.clip(y + shift[..., 1], 0, height - 1).astype(int)
    corner = [float(value) for value in moved[:2].round(2)]
    iuv = np.ascontiguousarray(_body(width, height)[:, row, column])
    return Detection(image, np.array([*corner, width, height]), float(rng.uniform(0.05, 1)), iuv)


def _write_surface(folder: Path, vertices: int, rng: np.random.Generator) -> None:
    """The files that the evaluation needs; a distance grows with that of the vertices in their list."""
    part = 1 + np.arange(vertices) * len(PEOPLE.parts) // vertices
    uv = rng.random((vertices, 2))
    scipy.io.savemat(
        folder / "SMPL_subdiv.mat", {"U_subdiv": uv[:, 0], "V_subdiv": uv[:, 1], "Part_ID_subdiv": part}
    )
    scipy.io.savemat(folder / "SMPL_SUBDIV_TRANSFORM.mat", {"index": 1 + np.arange(vertices)})
    count = vertices * (vertices - 1) // 2
    table = np.lib.format.open_memmap(folder / "Pdist_matrix.npy", "w+", np.float32, (count,))
    apart_m = (2.0 / vertices * np.arange(vertices, 0, -1)).astype(np.float32)
    for a in range(1, vertices):
        table[a * (a - 1) // 2 : a * (a + 1) // 2] = apart_m[vertices - a :]
    table.flush()


def _measure(folder: Path) -> dict[str, float]:
    """Seconds of scoring, and the peak of memory, MB."""
    surface = load_surface(folder)
    ready, computed, start_mb = time.perf_counter(), time.process_time(), peak_mb()
    evaluation = evaluate_files(folder / "results.json", folder / "annotations.json", surface)
    return {
        "seconds": round(time.perf_counter() - ready, 2),
        "cpu_s": round(time.process_time() - computed, 2),
        "start_up_mb": round(start_mb),
        "peak_mb": round(peak_mb()),
        "gps_ap": round(evaluation.instances["gps"]["AP"] or 0, 2),
    }


if __name__ == "__main__":
    sys.exit(main())
