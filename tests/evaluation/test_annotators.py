from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from slimdp.__main__ import main
from slimdp.data import read_annotations
from slimdp.evaluation.annotators import (
    annotator_errors,
    annotators_in_percent,
    mean_error_map,
    pair_with_annotations,
    pair_with_maps,
    read_annotators,
    report_annotators,
)
from slimdp.structures import ImageRecord, PersonAnnotation
from slimdp.surface.body import BodySurface
from slimdp.surface.load import load_surface
from slimdp.synthetic.dataset import synthesize
from slimdp.synthetic.labels import as_annotators_would
from tests.small_sets import small_plan


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize(
        tmp_path_factory.mktemp("annotators") / "set",
        small_plan(stills=3, size=160),
        2,
        quiet=True,
    )


def spread(person: PersonAnnotation) -> PersonAnnotation:
    """Points farther apart than any tolerance."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(10), np.arange(6)), axis=-1).reshape(-1, 2) * 5.0
    return dataclasses.replace(person, points=grid + rng.uniform(-0.2, 0.2, grid.shape))


def moved(person: PersonAnnotation, by_cm: float) -> PersonAnnotation:
    """Every label some centimetres along v of the flat surface, whose parts are 50 cm wide."""
    step = by_cm / 50
    v = person.uv[:, 1]
    uv = np.column_stack([person.uv[:, 0], np.where(v < 0.5, v + step, v - step)]).astype(np.float32)
    return dataclasses.replace(person, uv=uv)


def test_errors_by_hand(flat_surface: BodySurface, perfect_pair: Any) -> None:
    truth = [spread(perfect_pair(k)[0]) for k in (1, 2)]
    annotated = [moved(truth[1], 7.0), moved(truth[0], 3.0)]  # in another order
    shuffled = np.random.default_rng(1).permutation(60)
    annotated[0] = dataclasses.replace(
        annotated[0],
        points=annotated[0].points[shuffled] + 0.3,
        part=annotated[0].part[shuffled],
        uv=annotated[0].uv[shuffled],
    )
    errors = annotator_errors(pair_with_annotations(annotated, truth), flat_surface)
    assert errors.full_m[errors.person == 0] == pytest.approx(0.07, abs=1e-5)
    assert errors.full_m[errors.person == 1] == pytest.approx(0.03, abs=1e-5)
    told = annotators_in_percent(report_annotators(errors, annotated))
    assert told["annotators"]["5cm"] == pytest.approx(50)
    assert told["annotators"]["10cm"] == told["annotators"]["20cm"] == 100
    assert told["annotators"]["auc10"] == pytest.approx((30 + 70) / 2, abs=1e-3)


def test_points_without_a_truth_are_told(flat_surface: BodySurface, perfect_pair: Any) -> None:
    truth = spread(perfect_pair()[0])
    away = dataclasses.replace(truth, points=truth.points + np.where(np.arange(60) < 7, 2.0, 0.0)[:, None])
    points = pair_with_annotations([away], [truth])
    assert (len(points.part), points.unmatched) == (53, 7)
    with pytest.raises(ValueError, match=r"no annotated point has a truth .*\(60 have none"):
        pair_with_annotations([dataclasses.replace(truth, points=truth.points + 2.0)], [truth])
    with pytest.raises(ValueError, match="the truth has no annotation 1 of image 1"):
        pair_with_annotations([truth], [dataclasses.replace(truth, id=2)])


def test_maps_of_a_rendered_set_are_the_truth(rendered: Path) -> None:
    surface = load_surface("open")
    assert isinstance(surface, BodySurface)
    people = read_annotations(rendered / "stills_train.json", rendered).people
    exact = annotator_errors(pair_with_maps(people, rendered), surface)
    assert len(exact.part) == sum(len(person.part) for person in people) > 100
    assert exact.full_m.max() < 0.01  # maps of 8 bits
    # By maps and by points, the same errors are found.
    wrong = as_annotators_would(people, surface, 1.0, np.random.default_rng(0))
    by_points = annotator_errors(pair_with_annotations(wrong, people), surface).full_m
    by_maps = annotator_errors(pair_with_maps(wrong, rendered), surface).full_m
    assert np.abs(by_points - by_maps).max() < 0.02
    assert 0.02 < by_points.mean() < 0.08
    for before, after in zip(people, wrong):
        assert np.array_equal(before.points, after.points)


def test_points_where_nobody_is_are_wrong(rendered: Path) -> None:
    people = read_annotations(rendered / "stills_train.json", rendered).people
    corner = np.argwhere(~truth_of(rendered, people[0]).any(axis=2))[0][::-1]
    away = dataclasses.replace(
        people[0], points=np.repeat(corner[None].astype(float), len(people[0].part), 0)
    )
    points = pair_with_maps([away], rendered)
    errors = annotator_errors(points, load_surface("open"))
    assert (points.true_part == 0).all()
    assert np.isinf(errors.full_m).all()
    assert np.array_equal(errors.part, people[0].part)


def truth_of(folder: Path, person: PersonAnnotation) -> np.ndarray:
    name = person.image.file_name.replace("images/", "iuv/", 1).replace(".jpg", ".png")
    return cv2.imread(str(folder / name))


def test_bad_maps(rendered: Path, tmp_path: Path) -> None:
    people = read_annotations(rendered / "stills_train.json", rendered).people
    with pytest.raises(ValueError, match="no map of images/stills"):
        pair_with_maps(people, tmp_path)
    path = tmp_path / people[0].image.file_name.replace("images/", "iuv/", 1).replace(".jpg", ".png")
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), np.zeros((9, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="8 x 9 px, parts to 0, but 160 x 160"):
        pair_with_maps(people, tmp_path)


def test_the_error_map_is_a_weighted_mean(flat_surface: BodySurface) -> None:
    rng = np.random.default_rng(0)
    part, uv = rng.integers(1, 3, 40), rng.random((40, 2)).astype(np.float32)
    errors_m = np.where(np.arange(40) < 4, np.inf, rng.random(40))
    found = mean_error_map(flat_surface, part, uv, errors_m, sigma_m=0.2)
    kept = np.isfinite(errors_m)
    face, weights = flat_surface.locate(part[kept], uv[kept])
    vertex = flat_surface.faces[face, weights.argmax(axis=1)]
    for v in range(len(flat_surface.vertices)):
        distance = np.array([flat_surface.vertex_distance(np.array(v), np.array(w)) for w in vertex])
        near = distance <= 0.6
        if not near.any():
            assert np.isnan(found[v])
            continue
        weight = np.exp(-(distance[near] ** 2) / (2 * 0.2**2))
        assert found[v] == pytest.approx((weight * errors_m[kept][near]).sum() / weight.sum())
    with pytest.raises(ValueError, match="no error that is finite"):
        mean_error_map(flat_surface, part, uv, np.full(40, np.inf))
    with pytest.raises(ValueError, match="sigma_m = 0"):
        mean_error_map(flat_surface, part, uv, errors_m, sigma_m=0)


def test_the_commands(rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    given = ["annotators", "--annotations", f"{rendered / 'stills_train.json'}"]
    out, png = tmp_path / "annotators.json", tmp_path / "body.png"
    assert main([*given, "--simulate", "1", "--out", f"{out}", "--picture", f"{png}"]) == 0
    scores = read_annotators(out)
    assert list(scores) == ["5cm", "10cm", "20cm", "auc10", "auc30"]
    assert 50 < scores["5cm"] < 80
    shown = cv2.imread(str(png))
    assert shown.shape[0] > 800
    assert main([*given, "--truth", f"{rendered}", "--thresholds", "1,2"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("Annotators")]
    assert [row[1] == "100.0" for row in rows] == [False, True]
    out.write_text(json.dumps({"points": 1}))
    with pytest.raises(ValueError, match="holds no scores of annotators"):
        read_annotators(out)


def test_a_part_with_all_points_where_nobody_is(
    rendered: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Two points that tell something: one in its place, one of another part in a corner without anybody."""
    content = json.loads((rendered / "stills_train.json").read_text())
    entry = next(each for each in content["annotations"] if len(set(each.get("dp_I", ()))) > 1)
    for name in ("dp_x", "dp_y", "dp_I", "dp_U", "dp_V"):
        entry[name] = [entry[name][0], entry[name][0], entry[name][0]]
    entry["dp_x"][1] = entry["dp_y"][1] = 0
    entry["dp_I"][1] = entry["dp_I"][0] % 24 + 1
    entry["dp_U"][2] = entry["dp_V"][2] = None
    fields = ("id", "image_id", "category_id", "bbox", "dp_x", "dp_y", "dp_I", "dp_U", "dp_V")
    labels, out = tmp_path / "labels.json", tmp_path / "out.json"
    labels.write_text(json.dumps(content | {"annotations": [{name: entry[name] for name in fields}]}))
    command = ["annotators", "--annotations", f"{labels}", "--truth", f"{rendered}", "--out", f"{out}"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "nan" not in printed
    assert "1 point of a part alone, not counted" in printed
    everything, _, nowhere = json.loads(out.read_text())["errors"].values()
    assert (everything["count"], everything["lost"]) == (2, 1)
    assert everything["median_cm"] < 2
    assert (nowhere["count"], nowhere["lost"]) == (1, 1)
    assert [nowhere[name] for name in ("median_cm", "mean_cm", "worst_cm")] == [None] * 3


def test_points_without_uv_are_not_measured(flat_surface: BodySurface, perfect_pair: Any) -> None:
    truth = spread(perfect_pair(1)[0])
    known = np.arange(60) % 2 == 0
    annotated = dataclasses.replace(
        moved(truth, 3.0), uv=np.where(known[:, None], moved(truth, 3.0).uv, np.nan)
    )
    for pair in ((annotated, truth), (truth, annotated)):
        points = pair_with_annotations([pair[0]], [pair[1]], tolerance_px=1)
        assert len(points.part) == 30
        assert annotator_errors(points, flat_surface).full_m == pytest.approx(0.03, abs=1e-5)


def test_simulated_annotators_move_what_has_uv() -> None:
    surface = load_surface("open")
    image = ImageRecord(1, Path("a.png"), "a.png", 80, 60)
    rng = np.random.default_rng(0)
    face = rng.integers(0, len(surface.faces), 40)
    part, uv = surface.chart(face, np.full((40, 3), 1 / 3))
    known = np.arange(40) % 2 == 0
    uv = np.where(known[:, None], uv, np.nan).astype(np.float32)
    zeros = np.zeros(40, dtype=np.int64)
    exact = PersonAnnotation(
        1,
        image,
        np.array([0.0, 0, 80, 60]),
        rng.uniform(0, 60, (40, 2)),
        part.astype(np.int64),
        uv,
        zeros,
        zeros,
    )
    (answer,) = as_annotators_would([exact], surface, 1.0, np.random.default_rng(1))
    np.testing.assert_array_equal(answer.has_uv, known)
    np.testing.assert_array_equal(answer.part[~known], exact.part[~known])
    assert (answer.uv[known] != exact.uv[known]).any(axis=1).mean() > 0.9
    (alone,) = as_annotators_would([exact.with_uv_points()], surface, 1.0, np.random.default_rng(1))
    np.testing.assert_array_equal(answer.uv[known], alone.uv)
