"""From annotation files and results to scores: random files against a slow reference, and rules by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slimdp.data.rle import encode_rle
from slimdp.evaluation import KAPPAS, Detection, EvaluationSet, Scorer, kappa_by_part, read_truths
from slimdp.evaluation.average_precision import AveragePrecision
from slimdp.evaluation.similarity import ImageSimilarities
from slimdp.surface import PEOPLE
from slimdp.surface.body import BodySurface
from tests.evaluation.slow_average_precision import slow_scores
from tests.evaluation.slow_similarity import KAPPA_M, slow_images

WIDTH, HEIGHT = 40, 30
#: 3 x 3 px of the 4 x 4 box at (10, 5) are the person.
BOX = [10.0, 5.0, 4.0, 4.0]


def person(id: int = 1, image_id: int = 1, box: list[float] = BOX, **fields: Any) -> dict[str, Any]:
    entry = {"id": id, "image_id": image_id, "category_id": 1, "bbox": box, "area": 2000.0, "iscrowd": 0}
    return entry | {"segmentation": []} | fields


def points(*places: tuple[float, float], part: int = 1, u: float = 0.0, v: float = 0.0) -> dict[str, Any]:
    """Points at offsets in px from the corner of BOX."""
    return {
        "dp_x": [x * 255 / BOX[2] for x, _ in places],
        "dp_y": [y * 255 / BOX[3] for _, y in places],
        "dp_I": [part] * len(places),
        "dp_U": [u] * len(places),
        "dp_V": [v] * len(places),
    }


def file_of(people: list[dict], images: list[dict] | None = None) -> dict[str, Any]:
    if images is None:
        ids = sorted({entry["image_id"] for entry in people} | {1})
        images = [{"id": i, "file_name": f"{i}.jpg", "width": WIDTH, "height": HEIGHT} for i in ids]
    return {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}


def write(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content))
    return path


def detection(
    part: np.ndarray | None = None, box: list[float] = BOX, u: int = 0, v: int = 0, **fields: Any
) -> Detection:
    if part is None:
        part = np.ones((int(box[3]), int(box[2])))
    iuv = np.stack([part, np.full_like(part, u), np.full_like(part, v)]).astype(np.uint8)
    return Detection(**({"image_id": 1, "box": np.array(box), "score": 0.5, "iuv": iuv} | fields))


def compare(
    detections: list[Detection], truths: EvaluationSet, surface: BodySurface, kappa: str = "paper"
) -> AveragePrecision:
    """Average precision that has taken in detections."""
    scorer = Scorer(["gps.AP"], truths, surface, kappa)
    scorer.take(detections)
    return scorer.metric(AveragePrecision)


def pairs_of(
    folder: Path, people: list[dict], detections: list[Detection], surface: BodySurface, kappa: str = "paper"
) -> ImageSimilarities:
    truths = read_truths(write(folder / "truth.json", file_of(people)))
    return compare(detections, truths, surface, kappa).similarities()[0]


def test_gps_by_hand(tmp_path: Path, flat_surface: BodySurface) -> None:
    # Right; 0.25 m off (v 0.5 instead of 0); on another part, 1 m off; background.
    part = np.ones((4, 4))
    part[1, 2], part[2, 0] = 2, 0
    found = detection(part)
    found.iuv[2, 1, 1] = 128
    places = [(0.5, 0.5), (1.5, 1.5), (2.5, 1.5), (0.5, 2.5)]
    for kappa, kappa_m in (("paper", 0.255), ("per-part", 0.351)):
        gps = pairs_of(tmp_path, [person(**points(*places))], [found], flat_surface, kappa).gps
        expected = (1 + np.exp(-(0.25**2) / (2 * kappa_m**2)) + np.exp(-1 / (2 * kappa_m**2)) + 0) / 4
        assert gps == pytest.approx(expected)


def test_kappa_by_name() -> None:
    # Half a point at 30 cm, as the paper says.
    assert np.exp(-(0.30**2) / (2 * kappa_by_part("paper", PEOPLE)[1:] ** 2)) == pytest.approx(
        np.full(24, 0.5), abs=1e-3
    )
    for name in KAPPAS:
        assert kappa_by_part(name, PEOPLE)[1:].tolist() == [KAPPA_M[name](part) for part in range(1, 25)]


@pytest.mark.parametrize(
    ("offset", "hits"),
    [(0.0, True), (3.999, True), (4.001, False), (-0.999, True), (-1.001, False)],
)
def test_places_are_cut_toward_zero(
    tmp_path: Path, flat_surface: BodySurface, offset: float, hits: bool
) -> None:
    # A place less than 1 px before the map reads its first column, one past its end is background.
    truth = person(box=[8.0, 3.0, 8.0, 8.0], dp_x=[(offset + 2) * 255 / 8], dp_y=[3 * 255 / 8], dp_I=[1])
    truth |= {"dp_U": [0.0], "dp_V": [0.0]}
    gps = pairs_of(tmp_path, [truth], [detection()], flat_surface).gps
    assert gps.tolist() == [[float(hits)]]


def test_points_use_the_evaluators_255(tmp_path: Path, flat_surface: BodySurface) -> None:
    # dp_x = 255 is one whole box from its corner, which is past its end; 256 would not be reached.
    part = np.zeros((4, 5))
    part[:, 4] = 1
    found = detection(part, [10.0, 5.0, 5.0, 4.0])
    truth = person(dp_x=[255.0, 254.9], dp_y=[0.0, 0.0], dp_I=[1, 1], dp_U=[0, 0], dp_V=[0, 0])
    assert pairs_of(tmp_path, [truth], [found], flat_surface).gps == pytest.approx(0.5)


def test_no_dense_pose_ignores_and_no_points_do_not(tmp_path: Path, flat_surface: BodySurface) -> None:
    people = [
        person(1, **points((1, 1))),
        person(2),
        person(3, iscrowd=1),
        person(4, **points()),
        person(5, iscrowd=1, **points((1, 1))),
    ]
    pairs = pairs_of(tmp_path, people, [detection()], flat_surface)
    assert pairs.ignored.tolist() == [False, True, True, False, False]
    assert pairs.crowd.tolist() == [False, False, True, False, True]
    assert pairs.gps.tolist() == [[1, 0, 0, 0, 1]]


def test_masks_by_hand(tmp_path: Path, flat_surface: BodySurface) -> None:
    left = np.zeros((256, 256), dtype=bool)
    left[:, :128] = True
    top = np.zeros((256, 256), dtype=bool)
    top[:128] = True
    outline = np.zeros((HEIGHT, WIDTH), dtype=bool)
    outline[5:9, 10:12] = True
    people = [
        person(1, dp_masks=[encode_rle(left)]),  # the left half of the box: 8 px
        person(2, dp_masks=[[], encode_rle(left), encode_rle(top), []]),  # three quarters: 12 px
        person(3, dp_masks=encode_rle(top)),  # one mask alone
        person(4, segmentation=encode_rle(outline)),
        person(5, segmentation=[[10, 5, 14, 5, 14, 7, 10, 7], [1, 2, 3, 4]]),
        person(6, segmentation=[]),
        person(7, dp_masks=[], segmentation=encode_rle(outline)),  # dp_masks come first
        person(8, dp_masks=[encode_rle(left)], iscrowd=1),  # a crowd: the share of the detection
    ]
    part = np.zeros((4, 4))
    part[:2, :3] = 5  # 6 px, of them 4 to the left
    iou = pairs_of(tmp_path, people, [detection(part), detection(np.zeros((4, 4)))], flat_surface).iou
    assert iou[0] == pytest.approx([4 / 10, 6 / 12, 6 / 8, 4 / 10, 6 / 8, 0, 0, 4 / 6])
    assert iou[1].tolist() == [0] * 8


def test_masks_are_put_at_whole_pixels_and_cut_off_at_the_image(
    tmp_path: Path, flat_surface: BodySurface
) -> None:
    full = encode_rle(np.ones((256, 256), dtype=bool))
    box = [38.7, 27.6, 4.0, 4.0]  # 2 x 3 px of it are in the image of 40 x 30
    pairs = pairs_of(
        tmp_path,
        [person(box=box, dp_masks=[full]), person(2, box=[-1.5, -0.5, 4.0, 4.0], dp_masks=[full])],
        [detection(box=box), detection(box=[-1.0, 0.0, 4.0, 4.0])],
        flat_surface,
    )
    # The second truth lies at -1, 0 (cut toward zero), and ends at 2.5, 3.5: 2 x 3 px of 3 x 4.
    assert pairs.iou == pytest.approx(np.array([[1.0, 0.0], [0.0, 6 / 12]]))


def test_the_last_row_and_column_are_lost_where_the_public_evaluators_rounding_says_so(
    tmp_path: Path, flat_surface: BodySurface
) -> None:
    # 11 * (255 / 11) is above 255 in 64 bits, 12 * (255 / 12) is not.
    full = encode_rle(np.ones((256, 256), dtype=bool))
    people = [
        person(index, box=[5.0, 5.0, *size], dp_masks=[full])
        for index, size in enumerate([(12.0, 13.0), (13.0, 12.0), (12.0, 12.0), (13.0, 13.0)])
    ]
    truths = read_truths(write(tmp_path / "truth.json", file_of(people)))
    assert [truth.mask.count for truth in truths.instances] == [11 * 13, 13 * 11, 11 * 11, 13 * 13]


def test_points_past_the_whole_pixels_of_a_box_are_background(
    tmp_path: Path, flat_surface: BodySurface
) -> None:
    # A map of 4 columns in a box of 3.6 px: the public evaluator reads 3.
    found = detection(np.ones((4, 4)), [10.0, 5.0, 3.6, 4.0])
    truth = person(**points((2.9, 1.0), (3.1, 1.0)))
    assert pairs_of(tmp_path, [truth], [found], flat_surface).gps == pytest.approx(0.5)


def test_regions_to_be_ignored(tmp_path: Path, flat_surface: BodySurface) -> None:
    # The region covers columns 0 to 19 of the image.
    region = {"ignore_regions_x": [[0, 20, 20, 0]], "ignore_regions_y": [[0, 0, HEIGHT, HEIGHT]]}
    images = [{"id": 1, "file_name": "1.jpg", "width": WIDTH, "height": HEIGHT, **region}]
    people = [
        person(1, box=[13.0, 5.0, 10.0, 4.0], **points((1, 1))),  # 7 of 10 columns are covered: dropped
        person(2, box=[14.0, 5.0, 10.0, 4.0], **points((1, 1))),  # 6 of 10: kept
    ]
    truths = read_truths(write(tmp_path / "truth.json", file_of(people, images)))
    assert [truth.id for truth in truths.instances] == [2]
    half = np.zeros((4, 10))
    half[:, :2] = 1
    detections = [
        detection(box=[11.0, 5.0, 10.0, 4.0], score=0.9),  # 9 of 10 columns: dropped
        detection(box=[12.0, 5.0, 10.0, 4.0], score=0.8),  # 8 of 10: kept
        detection(half, [16.0, 5.0, 10.0, 4.0], score=0.7),  # all of its mask: dropped
        detection(np.zeros((4, 4)), score=0.6),  # an empty mask: kept
    ]
    (pairs,) = compare(detections, truths, flat_surface).similarities()
    assert pairs.score.tolist() == [0.8, 0.6]


def test_what_reaches_out_of_the_picture_is_not_dropped(tmp_path: Path, flat_surface: BodySurface) -> None:
    whole = {"ignore_regions_x": [[0, WIDTH, WIDTH, 0]], "ignore_regions_y": [[0, 0, HEIGHT, HEIGHT]]}
    images = [{"id": 1, "file_name": "1.jpg", "width": WIDTH, "height": HEIGHT, **whole}]
    boxes = [[0.0, 5.0, 4.0, 4.0], [-1.0, 5.0, 4.0, 4.0], [-0.9, 5.0, 4.0, 4.0], [38.0, 5.0, 4.0, 4.0]]
    people = [person(index, box=box, **points((1, 1))) for index, box in enumerate(boxes)]
    truths = read_truths(write(tmp_path / "truth.json", file_of(people, images)))
    # At -1 the slice is empty; -0.9 is cut to 0; of the last box only half lies in the picture.
    assert [truth.id for truth in truths.instances] == [1, 3]
    found = [detection(box=box, score=0.9 - index / 10) for index, box in enumerate(boxes)]
    (pairs,) = compare(found, truths, flat_surface).similarities()
    assert pairs.score.tolist() == [0.9 - 1 / 10, 0.9 - 3 / 10]


def test_the_twenty_best_count_and_earlier_ones_of_equal_score(
    tmp_path: Path, flat_surface: BodySurface
) -> None:
    people = [person(**points((1, 1)))]
    background = detection(np.zeros((4, 4)), score=0.5)
    before = pairs_of(tmp_path, people, [background] * 19 + [detection()] * 3, flat_surface)
    assert before.gps.shape == (20, 1)
    assert before.gps[:, 0].tolist() == [0] * 19 + [1]
    better = pairs_of(tmp_path, people, [background] * 25 + [detection(score=0.6)], flat_surface)
    assert better.gps[:, 0].tolist() == [1] + [0] * 19


def test_an_image_is_scored_without_pictures_and_nothing_to_score_raises(
    tmp_path: Path, flat_surface: BodySurface
) -> None:
    truths = read_truths(write(tmp_path / "truth.json", file_of([person()])))
    with pytest.raises(ValueError, match=r"truth.json: none of 1 people has dense pose \(dp_x\)"):
        compare([detection()], truths, flat_surface).compute()


def test_area_is_the_files_or_that_of_the_box(tmp_path: Path, flat_surface: BodySurface) -> None:
    without = person(2)
    del without["area"]
    truths = read_truths(write(tmp_path / "truth.json", file_of([person(1), without])))
    assert [truth.area for truth in truths.instances] == [2000, 16]


def random_files(rng: np.random.Generator) -> tuple[dict[str, Any], dict[int, Any], list[dict[str, Any]]]:
    """A small annotation file, its masks decoded, and results that are often about right."""
    images, people, results = [], [], []
    masks: dict[int, Any] = {}
    for image_id in rng.permutation(int(rng.integers(1, 4))).tolist():
        image = {"id": image_id, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}
        if rng.random() < 0.3:
            x, y = int(rng.integers(0, 15)), int(rng.integers(0, 10))
            right, low = x + int(rng.integers(5, 20)), y + int(rng.integers(5, 20))
            image |= {"ignore_regions_x": [[x, right, right, x]], "ignore_regions_y": [[y, y, low, low]]}
        images.append(image)
        boxes = [random_box(rng) for _ in range(int(rng.choice([0, 1, 2, 4])))]
        for box in boxes:
            entry = random_person(rng, len(people) + 1, image_id, box)
            if rng.random() < 0.7:
                planes = [random_plane(rng) for _ in range(int(rng.integers(0, 3)))]
                masks[entry["id"]] = [plane.tolist() for plane in planes]
                entry["dp_masks"] = [encode_rle(plane) if plane.any() else [] for plane in planes]
            people.append(entry)
        for _ in range(int(rng.choice([0, 1, 3, 24]))):
            box = list(boxes[rng.integers(len(boxes))]) if boxes and rng.random() < 0.8 else random_box(rng)
            if rng.random() < 0.6:
                box = [float(value) for value in np.round(np.array(box) + rng.normal(0, 1, 4), 1)]
            box[2:] = [max(side, 1.0) for side in box[2:]]
            shape = int(box[3]), int(box[2])
            part = rng.integers(1, 3, shape) * (rng.random(shape) < rng.choice([0, 0.8, 1]))
            results.append(
                {
                    "image_id": image_id,
                    "bbox": box,
                    "score": float(rng.choice([0.2, 0.5, 0.9]))
                    if rng.random() < 0.5
                    else float(rng.random()),
                    "iuv": np.concatenate([part[None], rng.choice([0, 100, 255], (2, *shape))]),
                }
            )
    return file_of(people, images), masks, results


def random_box(rng: np.random.Generator) -> list[float]:
    box = [rng.uniform(-2, 30), rng.uniform(-2, 20), rng.uniform(1, 14), rng.uniform(1, 12)]
    return [float(round(value, int(rng.integers(0, 2)))) for value in box]


def random_plane(rng: np.random.Generator) -> np.ndarray:
    plane = np.zeros((256, 256), dtype=bool)
    rows, columns = np.sort(rng.integers(0, 257, (2, 2)), axis=1)
    plane[rows[0] : rows[1], columns[0] : columns[1]] = True
    return plane


def random_person(rng: np.random.Generator, id: int, image_id: int, box: list[float]) -> dict[str, Any]:
    entry = person(id, image_id, box, area=float(rng.choice([100, 1024, 5000, 9216, 20000])))
    entry["iscrowd"] = int(rng.random() < 0.15)
    if rng.random() < 0.75:
        count = int(rng.choice([0, 1, 6]))
        entry |= {name: rng.uniform(0, 255, count).tolist() for name in ("dp_x", "dp_y")}
        entry |= {"dp_I": rng.choice([1, 1, 2, 3, 24], count).tolist()}
        entry |= {name: rng.choice([0.01, 0.4, 0.97], count).tolist() for name in ("dp_U", "dp_V")}
    if rng.random() < 0.5:
        corner = rng.integers(0, 20, 2)
        x0, y0, x1, y1 = (int(value) for value in [*corner, *(corner + rng.integers(1, 10, 2))])
        outline = np.zeros((HEIGHT, WIDTH), dtype=bool)
        outline[y0:y1, x0:x1] = True
        entry |= {"segmentation": encode_rle(outline), "outline": [x0, y0, x1, y1]}
    return entry


def compare_with_reference(seed: int, folder: Path, surface: BodySurface) -> int:
    """Score random files both ways; returns how many images they had."""
    rng = np.random.default_rng(seed)
    content, masks, results = random_files(rng)
    kappa = str(rng.choice(["paper", "per-part"]))
    detections = [
        Detection(r["image_id"], np.array(r["bbox"]), r["score"], r["iuv"].astype(np.uint8)) for r in results
    ]
    truths = read_truths(write(folder / "truth.json", content))
    precision = compare(detections, truths, surface, kappa)
    images = precision.similarities()
    slow = slow_images(content, masks, results, kappa)
    for fast_image, slow_image in zip(images, slow, strict=True):
        best = sorted(slow_image.detections, key=lambda d: -d.score)[:20]
        for name in ("gps", "iou", "box_iou"):
            wanted = np.array([getattr(d, name) for d in best]).reshape(len(best), len(slow_image.truths))
            np.testing.assert_allclose(getattr(fast_image, name), wanted, atol=1e-9, err_msg=f"{seed} {name}")
    if any(truth.points is not None for truth in truths.instances):
        scores = precision.by_similarity()
        for name, wanted_scores in slow_scores(slow).items():
            for score, value in wanted_scores.items():
                assert scores[name][score] == (None if value is None else pytest.approx(value, abs=1e-9)), (
                    seed
                )
    return len(images)


def test_random_files_agree_with_the_slow_reference(tmp_path: Path, flat_surface: BodySurface) -> None:
    assert sum(compare_with_reference(seed, tmp_path, flat_surface) for seed in range(25)) > 40


@pytest.mark.slow
def test_many_random_files_agree_with_the_slow_reference(tmp_path: Path, flat_surface: BodySurface) -> None:
    for seed in range(25, 600):
        compare_with_reference(seed, tmp_path, flat_surface)


def test_points_without_uv_are_no_truth(tmp_path: Path, flat_surface: BodySurface) -> None:
    some, none = person(1, **points((1, 1), (2, 2), (3, 3))), person(2, **points((1, 1)))
    whole = person(1, **points((1, 1), (3, 3)))
    some["dp_U"][1] = some["dp_V"][1] = none["dp_U"][0] = none["dp_V"][0] = None
    truths = read_truths(write(tmp_path / "truth.json", file_of([some, none]))).instances
    (wanted,) = read_truths(write(tmp_path / "whole.json", file_of([whole]))).instances
    assert truths[1].points is None
    assert truths[0].points is not None
    assert wanted.points is not None
    for name in ("places", "part", "uv"):
        np.testing.assert_array_equal(getattr(truths[0].points, name), getattr(wanted.points, name))
