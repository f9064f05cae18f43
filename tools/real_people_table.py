"""How weights do on real people, beside rendered ones: the tables of docs/real_people.md.

    python tools/real_people_table.py --samples ../shared/data --rendered runs/people

Predicts everyone of the folders real_people, coco, posetrack18 and densepose of --samples, and of the
validation stills of --rendered, and scores what each set has: keypoints, DensePose's points (its u and v are
of another body: they come to the open one by `slimdp.surface.densepose.transfer`, some centimetres off),
masks. The result of DensePose itself on COCO's image 785 is taken as labels at every --grid pixels.
--hidden names the keypoints of real_people that something else hides, which its file does not tell: a row
more leaves these out, as they are of rendered people and of COCO's. Predictions stay in --work. Prints
Markdown, and one JSON line last.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from measuring import make_parser, tell
from under_bars import share_under_bars

from flow_cache.runtime.atomic import write_json
from flow_cache.runtime.json_file import read_json
from slimdp.data import read_annotations, write_annotations
from slimdp.data.keypoints import HIDDEN
from slimdp.evaluation import KeypointErrors, evaluate_scores, ratio_to, read_results
from slimdp.evaluation.scorer import evaluate_keypoints, write_scores
from slimdp.inference import describe_origin, predict_to_file
from slimdp.inference.error_bars import load_error_bars
from slimdp.inference.weights import find_weights
from slimdp.structures import PersonAnnotation
from slimdp.surface import load_charts, load_surface, load_symmetry
from slimdp.surface.densepose.surface import DensePoseCharts
from slimdp.surface.densepose.transfer import ChartTransfer, chart_transfer
from slimdp.training import load_model


@dataclass(frozen=True)
class People:
    """A file of people, and what of them is scored."""

    name: str
    annotations: Path
    images: Path
    keypoints: bool = True
    scores: tuple[str, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, predict, score, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--samples", type=Path, required=True, help="the folder of real samples")
    parser.add_argument("--rendered", type=Path, required=True, help="a folder of slimdp synthesize")
    parser.add_argument("--weights", default="default", help="stage_NAME.pt of a run (default: the shipped)")
    parser.add_argument("--work", type=Path, default=Path("runs/real_people"), help="for predictions")
    parser.add_argument("--flip-test", action="store_true", help="look at each crop and its mirror image")
    parser.add_argument("--hidden", type=Path, help="experiments/real_people/hidden.json")
    parser.add_argument("--grid", type=int, default=6, metavar="PX", help="of DensePose's result (default 6)")
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    weights = find_weights(options.weights)
    surface = load_surface("open")
    sets = sets_of(options.samples, options.rendered, options.work, options.grid)
    if options.hidden:
        seen = options.work / "real_people_seen.json"
        real = next(people for people in sets if people.name == "real_people")
        mark_hidden(real.annotations, read_json(options.hidden)["hidden"], seen)
        sets.insert(sets.index(real) + 1, People("real_people_seen", seen, real.images))
    errors: dict[str, KeypointErrors] = {}
    rows: dict[str, dict[str, Any]] = {}
    for people in sets:
        predictions = predicted(weights, people, options.work / f"{people.name}.h5", options.flip_test)
        rows[people.name] = dict(
            evaluate_scores(predictions, people.annotations, surface, people.scores) if people.scores else {}
        )
        if people.keypoints:
            errors[people.name] = evaluate_keypoints(predictions, people.annotations, surface)
            rows[people.name]["under_bars"] = share_under_bars(errors[people.name], predictions)
    rendered = errors["rendered"].as_json()
    for name, found in errors.items():
        rows[name]["keypoints"] = found.as_json() | {"ratio": ratio_to(found.as_json(), rendered)}
    write_scores(options.work / "measures.json", rows)
    for table in (sets_table(rows), keypoint_table(rows), person_table(errors["real_people"], rendered)):
        print("\n".join(table) + "\n")
    tell({name: told_of(row) for name, row in rows.items()})
    return 0


def sets_of(samples: Path, rendered: Path, work: Path, grid: int) -> list[People]:
    """The sets that there are."""
    dense, overlap = ("parts.fine", "parts.coarse"), ("overlap.iou",)
    points = (*dense, "points.localization.10cm", "points.localization.20cm")
    result = work / "results_785.json"
    write_result_as_labels(samples / "densepose" / "results_785.json", samples / "coco", result, grid)
    coco, posetrack, densepose = samples / "coco", samples / "posetrack18", samples / "densepose"
    person = work / "one_person.json"
    transfer = densepose_transfer(densepose)
    write_on_open_body(result, coco, transfer, work / "results_785_open.json")
    write_on_open_body(densepose / "one_person.json", densepose, transfer, person)
    track = posetrack / "annotations" / "test_posetrack18_val.json"
    return [
        People("rendered", rendered / "stills_val.json", rendered, scores=points + overlap),
        People("real_people", samples / "real_people" / "people.json", samples / "real_people"),
        People("coco", coco / "keypoints.json", coco, scores=overlap),
        People("posetrack18", track, posetrack),
        People("one_person", densepose / "one_person.json", densepose, False, dense),
        People("one_person_open", person, densepose, False, points),
        People("results_785", result, coco, False, dense + overlap),
        People("results_785_open", work / "results_785_open.json", coco, False, points),
    ]


def mark_hidden(annotations: Path, hidden: dict[str, list[str]], out: Path) -> None:
    """Write a file of people with some keypoints, by the annotation's id, marked as hidden.

    Raises SystemExit for somebody, or a keypoint of somebody's, who is not labelled there.
    """
    file = read_json(annotations)
    names = {kind["id"]: kind["keypoints"] for kind in file["categories"]}
    of_id = {str(person["id"]): person for person in file["annotations"]}
    for identity, some in hidden.items():
        person = of_id.get(identity, {"keypoints": [], "category_id": None})
        rows = {name: 3 * row for row, name in enumerate(names.get(person["category_id"], []))}
        for name in some:
            if name not in rows or not person["keypoints"][rows[name] + 2]:
                raise SystemExit(f"{annotations}: {name} of annotation {identity} is not labelled there")
            person["keypoints"][rows[name] + 2] = HIDDEN
    write_json(out, file)


def write_result_as_labels(results: Path, images: Path, out: Path, grid: int) -> None:
    """Write what DensePose says of people as labels at every `grid` px, with its foreground as their mask."""
    known = read_annotations(images / "keypoints.json", images).images
    by_id = {image.id: image for image in known}
    people = []
    for number, detection in enumerate(read_results(results, by_id), start=1):
        image = by_id[detection.image_id]
        x0, y0 = detection.box[:2].astype(int)
        part = detection.iuv[0]
        mask = np.zeros((image.height, image.width), dtype=bool)
        mask[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part > 0
        first = max(grid // 2, 1)  # not on the rim of the box
        rows, columns = (first + grid * each for each in np.nonzero(part[first::grid, first::grid]))
        count = len(rows)
        people.append(
            PersonAnnotation(
                number, image, detection.box, np.stack([columns + x0, rows + y0], axis=1).astype(np.float64),
                part[rows, columns].astype(np.int64),
                (detection.iuv[1:, rows, columns].T / 255).astype(np.float32),
                np.zeros(count, np.int64), np.zeros(count, np.int64), mask=mask,
            )
        )  # fmt: skip
    write_annotations(out, known, people)


def densepose_transfer(folder: Path) -> ChartTransfer:
    """The way from DensePose's charts in a folder to the open body's."""
    charts = load_charts(folder)
    assert isinstance(charts, DensePoseCharts)
    return chart_transfer(charts, load_surface("open"))


def write_on_open_body(labels: Path, images: Path, transfer: ChartTransfer, out: Path) -> None:
    """Write the people of a file with their points in the charts of the open body."""
    known = read_annotations(labels, images)
    moved = []
    for person in known.people:
        part, uv = transfer.to_surface(person.part, person.uv.astype(np.float64))
        moved.append(replace(person, part=part, uv=uv.astype(np.float32)))
    write_annotations(out, known.images, moved)


def predicted(weights: Path, people: People, out: Path, flip_test: bool) -> Path:
    """Everyone of a set, predicted by the weights."""
    model, config = load_model(weights)
    found = read_annotations(people.annotations, people.images).people
    origin = describe_origin(weights, people.annotations)
    mirrored = load_symmetry("open") if flip_test else None
    bars = load_error_bars(weights)
    return predict_to_file(model, found, config.crop, out, origin, flip_symmetry=mirrored, error_bars=bars)


def told_of(row: dict[str, Any]) -> dict[str, float]:
    """The figures of a set to look at first."""
    told = {name: value for name, value in row.items() if name != "keypoints" and value is not None}
    if "keypoints" in row:
        told |= {name: row["keypoints"][name] for name in ("20cm", "swapped", "count")}
        told["ratio"] = row["keypoints"]["ratio"]["20cm"]
    return {name: round(value, 3) for name, value in told.items()}


def sets_table(rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Every set in a line."""
    names = ("keypoints", "10 cm", "20 cm", "30 cm", "swapped", "ratio at 20 cm", "under the bar")
    yield f"| set | {' | '.join(names)} | right part | coarse | IoU | points, 10 cm | 20 cm |"
    yield "|---|" + "---:|" * 12
    for name, row in rows.items():
        of = row.get("keypoints", {})
        ratio = of.get("ratio", {}).get("20cm")
        shown = [str(of.get("count", "")), *(_told(of.get(n)) for n in ("10cm", "20cm", "30cm", "swapped"))]
        shown.append("" if ratio is None else f"{ratio:.2f}")
        others = ["under_bars", "parts.fine", "parts.coarse", "overlap.iou"]
        others += [f"points.localization.{cm}cm" for cm in (10, 20)]
        shown += [_told(row.get(score)) for score in others]
        yield f"| {name} | {' | '.join(shown)} |"


def keypoint_table(rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Every keypoint of the real people in a line, beside rendered ones."""
    yield "| keypoint | count | 10 cm | 20 cm | 30 cm | swapped | rendered, 20 cm | ratio |"
    yield "|---|" + "---:|" * 7
    real, rendered = (rows[name]["keypoints"] for name in ("real_people", "rendered"))
    for name, found in real["by_keypoint"].items():
        theirs = rendered["by_keypoint"].get(name, {}).get("20cm")
        shown = [_told(found[n]) for n in ("10cm", "20cm", "30cm", "swapped")]
        ratio = f"{found['20cm'] / theirs:.2f}" if theirs else ""
        yield f"| {name} | {found['count']} | {' | '.join(shown)} | {_told(theirs)} | {ratio} |"


def person_table(errors: KeypointErrors, rendered: dict[str, Any]) -> Iterator[str]:
    """Every real person in a line, beside what rendered people reach at the same keypoints."""
    yield "| person | keypoints | 20 cm | swapped | rendered, the same keypoints | ratio |"
    yield "|---|" + "---:|" * 5
    rates = {name: of["20cm"] for name, of in rendered["by_keypoint"].items()}
    for place, person in enumerate(errors.people):
        chosen = errors.person == place
        if not chosen.any():
            continue
        own = errors.summary(chosen)
        theirs = float(np.mean([rates.get(name, np.nan) for name in errors.name[chosen].tolist()]))
        name = f"{Path(person.image.file_name).stem[:18]} {person.id}"
        share = own["20cm"]
        assert share is not None
        shown = [_told(share), _told(own["swapped"]), _told(theirs), f"{share / theirs:.2f}"]
        yield f"| {name} | {own['count']} | {' | '.join(shown)} |"


def _told(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    sys.exit(main())
