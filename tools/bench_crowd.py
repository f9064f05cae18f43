"""How the cost of average precision grows with the people of one picture, against comparing all pairs.

    python tools/bench_crowd.py [--people 60 240 960]

Makes up one picture of 640 x 480 px with so many people of 100 points each and as many detections, in
random order of their scores and, as the worst order, from the least score to the best. `cpu_s` is what
average precision computes before it matches, `all_pairs_cpu_s` what the plain way does in the same run:
every detection's map is read at every point of every person, and every two masks are laid over each other.
Both give the same bits. `mb` is the most that arrays held at once while comparing. Prints one JSON line last.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.spatial.distance
from measuring import make_parser, tell

from slimdp.evaluation import AveragePrecision, Detection, EvaluationSet, GroundTruth, Scorer, kappa_by_part
from slimdp.evaluation.ground_truth import DensePoints, place_in_image
from slimdp.evaluation.similarity import MOST_DETECTIONS, ImageSimilarities, sample_iuv
from slimdp.structures import ImageRecord
from slimdp.surface import PEOPLE
from slimdp.surface.body import BodySurface
from slimdp.surface.layout import Surface

IMAGE = ImageRecord(1, Path("crowd.jpg"), "crowd.jpg", 640, 480)
POINTS = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[60, 240, 960])
    people_of = parser.parse_args(arguments).people
    surface = made_up_surface()
    rows = [measure(people, order, surface) for people in people_of for order in ("random", "rising")]
    for row in rows:
        print(row)
    tell({"benchmark": "crowd", "rows": rows})
    return 0


def measure(people: int, order: str, surface: Surface) -> dict[str, Any]:
    """Both ways of comparing one crowd; raises AssertionError where they differ."""
    truths, detections = make_crowd(people, np.random.default_rng(0))
    if order == "rising":
        detections.sort(key=lambda detection: detection.score)
    kappa_m = kappa_by_part("per-part", PEOPLE)
    compared, cpu_s = _timed(lambda: compare(detections, truths, surface))
    (gps, iou), plain_s = _timed(lambda: all_pairs(detections, truths, surface, kappa_m))
    assert (compared.gps == gps).all()
    assert (compared.iou == iou).all()
    tracemalloc.start()
    compare(detections, truths, surface)
    held_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return {
        "people": people,
        "order": order,
        "cpu_s": round(cpu_s, 3),
        "all_pairs_cpu_s": round(plain_s, 3),
        "times_as_fast": round(plain_s / cpu_s, 1),
        "mb": round(held_mb, 1),
    }


def compare(detections: Sequence[Detection], truths: EvaluationSet, surface: Surface) -> ImageSimilarities:
    """The similarities in one image, as average precision takes them."""
    scorer = Scorer(["gps.AP"], truths, surface)
    scorer.take(detections)
    return scorer.metric(AveragePrecision).similarities()[0]


def all_pairs(
    detections: Sequence[Detection], truths: EvaluationSet, surface: Surface, kappa_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """GPS and IoU (D, G) of the best detections of one image with its truths, every pair looked at."""
    everybody = truths.instances
    points = [truth.points for truth in everybody if truth.points is not None]
    places = np.concatenate([of_truth.places for of_truth in points])
    codes, iou = [], np.zeros((len(detections), len(everybody)))
    for row, detection in enumerate(detections):
        mask = place_in_image(detection.iuv[0] > 0, detection.box, truths.images[detection.image_id])
        codes.append(sample_iuv(detection, places))
        for column, truth in enumerate(everybody):
            shared = mask.shared(truth.mask)
            either = mask.count if truth.crowd else mask.count + truth.mask.count - shared
            iou[row, column] = shared / max(either, 1)
    best = np.argsort([-detection.score for detection in detections], kind="stable")[:MOST_DETECTIONS]
    said = np.array(codes)[best]
    part = np.concatenate([of_truth.part for of_truth in points])
    true = surface.nearest_vertex(part, np.concatenate([of_truth.uv for of_truth in points]))
    uv = np.stack([said.ravel() >> 8 & 255, said.ravel() & 255], axis=1) / 255
    found = surface.nearest_vertex(said.ravel() >> 16, uv)
    distance_m = surface.vertex_distance(np.tile(true, len(best)), found).reshape(said.shape)
    similarity = np.exp(-(distance_m**2) / (2 * kappa_m[part] ** 2))
    ends = np.cumsum([len(of_truth.part) for of_truth in points])
    gps = [[row[end - POINTS : end].mean() for end in ends] for row in similarity]
    return np.array(gps), iou[best]


def make_crowd(people: int, rng: np.random.Generator) -> tuple[EvaluationSet, list[Detection]]:
    """So many people in one image, each detected a little beside where he is."""
    truths = tuple(_truth(index, rng) for index in range(people))
    crowd = EvaluationSet("crowd.json", {IMAGE.id: IMAGE}, (), (), truths)
    return crowd, [_detection(truth, rng) for truth in truths]


def _truth(index: int, rng: np.random.Generator) -> GroundTruth:
    height = float(rng.uniform(30, 200))
    width = 0.45 * height
    box = np.array([rng.uniform(0, 640 - width), rng.uniform(0, 480 - height), width, height])
    points = DensePoints(
        places=box[:2] + rng.uniform(0.1, 0.9, (POINTS, 2)) * box[2:],
        part=rng.integers(1, len(PEOPLE.parts) + 1, POINTS),
        uv=rng.random((POINTS, 2)).astype(np.float32),
    )
    mask = place_in_image(_ellipse(int(width), int(height)), box, IMAGE)
    return GroundTruth(
        index + 1, IMAGE.id, box, 0.6 * width * height, bool(rng.random() < 0.05), points, lambda: mask
    )


def _detection(truth: GroundTruth, rng: np.random.Generator) -> Detection:
    moved = truth.box + np.array([*rng.normal(0, 3, 2), 0, 0])
    width, height = (int(side) for side in moved[2:])
    iuv = rng.integers(0, 256, (3, height, width)).astype(np.uint8)
    iuv[0] = (1 + iuv[0] % len(PEOPLE.parts)) * _ellipse(width, height)
    return Detection(IMAGE.id, moved, float(rng.random()), iuv)


def _ellipse(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return ((x + 0.5) / width - 0.5) ** 2 + ((y + 0.5) / height - 0.5) ** 2 < 0.25


def made_up_surface(side: int = 8) -> BodySurface:
    """24 squares in a row, `side` x `side` vertices each, with straight distances between all of them."""
    u, v = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side)))
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + side], 1),
            np.stack([corner + 1, corner + side + 1, corner + side], 1),
        ]
    )
    places = np.concatenate(
        [np.stack([0.6 * part + 0.5 * u, 0.5 * v, 0 * u], 1) for part in range(len(PEOPLE.parts))]
    )
    return BodySurface(
        name="made up",
        vertices=places,
        faces=np.concatenate([faces + part * side**2 for part in range(len(PEOPLE.parts))]),
        face_part=np.repeat(np.arange(1, len(PEOPLE.parts) + 1), len(faces)),
        face_uv=np.tile(np.stack([u, v], 1)[faces], (len(PEOPLE.parts), 1, 1)).astype(np.float32),
        distances=scipy.spatial.distance.pdist(places[::-1])[::-1],  # pairs a > b, the least first
        layout=PEOPLE,
    )


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


if __name__ == "__main__":
    sys.exit(main())
