"""How far what a teacher says lies from the rendered truth, near annotators' points and elsewhere.

    python tools/teacher_error.py runs/student/taught/stills_0 --annotations runs/small/stills_train.json \\
        --images runs/small --out docs/images/teacher.png --json experiments/densepose/teacher.json

The folder is what a stage with a `teacher` keeps (docs/training.md), the set one that `slimdp synthesize`
made, with the truth at every pixel. A target is near an annotated point if the person has one within --near
px of the picture. Targets whose pixel shows somebody else, or nobody, have no error; their share is told.
The picture has a row for each of --drawn people: what the teacher sees, its targets and the truth as u over
parts, and the error of each target, which is from black at 0 to yellow at 20 cm. Prints a table, and one
JSON line last.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from measuring import make_parser, tell
from scipy.spatial import cKDTree

from flow_cache.images import read_image
from flow_cache.runtime.atomic import write_json
from flow_cache.runtime.progress import tracked
from slimdp.data import crop_image, read_annotations
from slimdp.data.outline import hide_background
from slimdp.evaluation.predictions import PredictionFile
from slimdp.geometry import apply_affine
from slimdp.inference.teacher import taught_points
from slimdp.report.drawing import GREY, PART_COLOURS, colour_of_unit, contact_sheet, evenly_spread, save_png
from slimdp.report.tables import format_table
from slimdp.structures import DensePoseInstance, PersonAnnotation
from slimdp.surface import Surface, load_surface
from slimdp.synthetic.truth import read_truth

WITHIN_CM = (5.0, 10.0)
#: Of a cell of the picture, px, and the error of its brightest colour, cm.
_CELL, _BRIGHTEST_CM = 224, 20.0
TITLES = ("seen", "targets", "truth", "error, 0 to 20 cm")


@dataclass(frozen=True)
class Targets:
    """The targets of a person."""

    error_cm: np.ndarray  # (N,) NaN where the pixel does not show the person
    near: np.ndarray  # (N,) bool: an annotated point is near
    covered: float  # the share of the person's pixels that have a target


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, compare, draw, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("taught", type=Path, help="the folder of what the teacher said")
    parser.add_argument("--annotations", type=Path, required=True, help="whom it was asked about")
    parser.add_argument("--images", type=Path, required=True, help="the folder of the rendered set")
    parser.add_argument("--near", type=float, default=2.0, help="px of the picture (default 2)")
    parser.add_argument("--step", type=int, default=1, help="px of the crop between targets (default 1: all)")
    parser.add_argument("--people", type=int, default=200, help="at most, evenly spread (default 200)")
    parser.add_argument("--drawn", type=int, default=5, help="people in the picture (default 5)")
    parser.add_argument("--out", type=Path, help="the PNG to draw")
    parser.add_argument("--json", type=Path, help="the file for the numbers")
    options = parser.parse_args(arguments)
    files = [PredictionFile(path) for path in sorted(options.taught.glob("people_*.h5"))]
    by_key = {key: file for file in files for key in file.keys()}  # noqa: SIM118
    found = read_annotations(options.annotations, options.images, read_masks=True).people
    people = [person for person in found if (person.image.id, person.id) in by_key]
    if not people:
        raise SystemExit(f"{options.taught} says nothing of the people of {options.annotations}")
    people = evenly_spread(people, options.people)
    surface, compared = load_surface("open"), []
    for person in tracked(people, "compare", "people", len(people)):
        said = by_key[person.image.id, person.id].read(person.image.id, person.id)
        iuv = read_truth(options.images, person.image)
        compared.append(compare(said, person, iuv, surface, options.near, options.step))
    told = {"people": len(people), "near_px": options.near, **summarise(compared)}
    print(table(told))
    if options.out is not None:
        drawn = evenly_spread(people, options.drawn)
        said_of = [by_key[person.image.id, person.id].read(person.image.id, person.id) for person in drawn]
        rows = [cells(*each, options.images, surface) for each in zip(said_of, drawn)]
        save_png(options.out, contact_sheet(rows, TITLES))
        print(options.out)
    if options.json is not None:
        write_json(options.json, told)
        print(options.json)
    tell(told)
    return 0


def compare(
    said: DensePoseInstance, person: PersonAnnotation, iuv: np.ndarray, surface: Surface, near_px: float,
    step: int = 1,
) -> Targets:  # fmt: skip
    """What a teacher says of a person beside the truth (H, W, 3) of the picture.

    `near_px` is in the picture; `step` from target to target, px of the crop. The person has a `mask`.
    """
    assert person.mask is not None
    targets = taught_points(said, step)
    column, row = np.floor(targets.points + 0.5).astype(int).T
    height, width = person.mask.shape
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    true = np.zeros((len(row), 3))
    true[inside] = iuv[row[inside], column[inside]]
    true[inside, 0] *= person.mask[row[inside], column[inside]]
    shown = true[:, 0] > 0
    error_cm = np.full(len(row), np.nan)
    error_cm[shown] = 100 * surface.distance_between(
        targets.part[shown], targets.uv[shown], true[shown, 0].astype(np.int64), true[shown, 1:] / 255
    )
    near = np.zeros(len(row), dtype=bool)
    if len(person.points):
        near = cKDTree(person.points).query(targets.points)[0] <= near_px
    return Targets(error_cm, near, covered_share(said, person.mask))


def covered_share(said: DensePoseInstance, mask: np.ndarray) -> float:
    """The share of a person's pixels, mask (H, W) bool, whose nearest pixel of the crop has a target."""
    places = apply_affine(said.crop_from_image, np.argwhere(mask)[:, ::-1].astype(np.float64))
    column, row = np.floor(places + 0.5).astype(int).T
    size = len(said.part)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    found = said.foreground[row.clip(0, size - 1), column.clip(0, size - 1)] & inside
    return float(found.mean())


def summarise(people: Sequence[Targets]) -> dict[str, object]:
    """Errors of all people's targets: near annotated points, elsewhere, and all; percent and cm."""
    error = np.concatenate([each.error_cm for each in people])
    near = np.concatenate([each.near for each in people])
    beside = np.isnan(error).mean() if len(error) else 0.0
    groups = {"near points": near, "elsewhere": ~near, "all": np.ones_like(near)}
    return {
        "covered_percent": round(100 * float(np.mean([each.covered for each in people])), 1),
        "beside_percent": round(100 * float(beside), 1),
        **{name: errors_told(error[mine & ~np.isnan(error)]) for name, mine in groups.items()},
    }


def errors_told(error_cm: np.ndarray) -> dict[str, float]:
    """How many, and how far off; NaN of none."""
    if not len(error_cm):
        return {"targets": 0}
    median, most = np.quantile(error_cm, [0.5, 0.9])
    shares = {f"within_{cm:g}cm": round(100 * float((error_cm < cm).mean()), 1) for cm in WITHIN_CM}
    return {
        "targets": len(error_cm),
        "median_cm": round(float(median), 2),
        "p90_cm": round(float(most), 1),
        **shares,
    }


def table(told: Mapping[str, object]) -> str:
    """The numbers for people."""
    groups = {name: each for name, each in told.items() if isinstance(each, dict)}
    heads = list(dict.fromkeys(key for each in groups.values() for key in each))
    body = [[name, *(str(each.get(key, "")) for key in heads)] for name, each in groups.items()]
    shares = f"{told['covered_percent']} % of the people's pixels have a target"
    beside = f"{told['beside_percent']} % of the targets lie beside them"
    return f"{format_table(['', *heads], body)}\n{shares}; {beside}"


def cells(
    said: DensePoseInstance, person: PersonAnnotation, images: Path, surface: Surface
) -> list[np.ndarray]:
    """A row of the picture, (_CELL, _CELL, 3) uint8 RGB each, as TITLES."""
    size = len(said.part)
    seen = crop_image(read_image(person.image.file), said.crop_from_image, size)
    hide_background(seen, person, said.crop_from_image)
    assert person.mask is not None
    iuv = np.where(person.mask[..., None], read_truth(images, person.image), 0)
    true = cv2.warpAffine(iuv, said.crop_from_image, (size, size), flags=cv2.INTER_NEAREST)
    both = (true[..., 0] > 0) & said.foreground
    error = np.full((size, size), np.nan)
    error[both] = 100 * surface.distance_between(
        said.part[both].astype(np.int64), said.uv[:, both].T,
        true[both][:, 0].astype(np.int64), true[both][:, 1:] / 255,
    )  # fmt: skip
    colours = np.where(both[..., None], colour_of_unit(np.nan_to_num(error) / _BRIGHTEST_CM), GREY)
    pictures = (
        seen,
        _coloured(said.part, said.uv[0], said.foreground),
        _coloured(true[..., 0], true[..., 1] / 255, true[..., 0] > 0),
        colours.astype(np.uint8),
    )
    return [cv2.resize(each, (_CELL, _CELL), interpolation=cv2.INTER_NEAREST) for each in pictures]


def _coloured(part: np.ndarray, u: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Parts in their colours, darker where u is small; grey where nothing is shown."""
    light = (0.5 + 0.5 * u.astype(np.float32))[..., None]
    return np.where(shown[..., None], PART_COLOURS[part] * light, GREY).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(main())
