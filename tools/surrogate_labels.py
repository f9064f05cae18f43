"""Labels of a rendered set's people as surrogates of annotators would give them (DensePose, figure 10).

    python tools/surrogate_labels.py runs/plain/stills_train.json --images runs/plain \\
        --out runs/plain/stills_exact.json
    python tools/surrogate_labels.py runs/plain/stills_train.json --images runs/plain \\
        --feet-cm 10 --hands-cm 6 --out runs/plain/stills_fitted.json

Without a shift the points are the truth at every --step-th pixel, both ways. With one they are those of a
body that was fitted to the picture and whose limbs are too short by so many cm, and off by a random half of
that (`slimdp/synthetic/surrogates.py`). The outlines and coarse parts are the fit's own. Prints how far the
labels lie from the truth, and one JSON line last.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from measuring import make_parser, tell

from flow_cache.runtime.progress import tracked
from slimdp.data import read_annotations, write_annotations
from slimdp.report.tables import format_table
from slimdp.structures import PersonAnnotation
from slimdp.surface import PEOPLE, BodySurface, load_surface
from slimdp.synthetic.surrogates import Misfit, surrogate_labels
from slimdp.synthetic.truth import read_truth


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, label, write, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("annotations", type=Path, help="people of a rendered set")
    parser.add_argument("--images", type=Path, required=True, help="the folder of the set")
    parser.add_argument(
        "--pictures", type=int, nargs=2, metavar=("FIRST", "END"), help="by their place (default: all)"
    )
    parser.add_argument("--step", type=int, default=4, help="px from point to point (default 4)")
    parser.add_argument("--feet-cm", type=float, default=0.0, help="of the shift of the feet (default 0)")
    parser.add_argument("--hands-cm", type=float, default=0.0, help="of the hands (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="of the random part of the shifts (default 0)")
    parser.add_argument("--out", type=Path, required=True, help="the annotation file to write")
    options = parser.parse_args(arguments)
    if options.step < 1:
        raise SystemExit(f"--step {options.step}, but 1 px or more is wanted")
    misfit = Misfit(options.feet_cm, options.hands_cm)
    surface, rng = load_surface("open"), np.random.default_rng(options.seed)
    assert isinstance(surface, BodySurface)
    found = read_annotations(options.annotations, options.images, read_masks=True)
    images = found.images[slice(*options.pictures)] if options.pictures else found.images
    chosen_images = {image.id for image in images}
    people = [person for person in found.people if person.image.id in chosen_images]
    labelled, errors = [], []
    for person in tracked(people, "label", "people", len(people)):
        iuv = read_truth(options.images, person.image)
        fit = misfit if any(vars(misfit).values()) else None
        labelled.append(surrogate_labels(person, iuv, surface, options.step, fit, rng))
        errors.append(label_errors(labelled[-1], iuv, person, surface))
    write_annotations(options.out, images, labelled)
    told = {name: summary(errors, chosen) for name, chosen in GROUPS.items()}
    head = ["", "points", "beside the person, %", "median, cm", "90 %, cm"]
    print(format_table(head, [[name, *map(str, each.values())] for name, each in told.items()]))
    print(options.out)
    tell({"people": len(labelled), **told})
    return 0


#: Name -> the coarse parts of the labels.
GROUPS = {
    "feet": [part for part in PEOPLE.coarse_parts if part.endswith("foot")],
    "hands": [part for part in PEOPLE.coarse_parts if part.endswith("hand")],
    "others": [part for part in PEOPLE.coarse_parts if not part.endswith(("foot", "hand"))],
}


def label_errors(
    labelled: PersonAnnotation, iuv: np.ndarray, person: PersonAnnotation, surface: BodySurface
) -> np.ndarray:
    """(N, 2): coarse part and distance from the truth, cm, of a person's points; NaN beside the person."""
    column, row = labelled.points.astype(int).T
    assert person.mask is not None
    on_person = person.mask[row, column]
    true = iuv[row, column][on_person]
    distance = np.full(len(row), np.nan)
    distance[on_person] = 100 * surface.distance_between(
        labelled.part[on_person], labelled.uv[on_person], true[:, 0].astype(np.int64), true[:, 1:] / 255
    )
    return np.column_stack([PEOPLE.coarse_of_part[labelled.part], distance])


def summary(errors: Sequence[np.ndarray], parts: Sequence[str]) -> dict[str, float]:
    """Of the points of some coarse parts: how many, how many beside the person, how far off the others."""
    coarse, distance = np.concatenate([np.zeros((0, 2)), *errors]).T
    mine = distance[np.isin(coarse, [1 + PEOPLE.coarse_parts.index(part) for part in parts])]
    known = mine[~np.isnan(mine)]
    median, most = np.quantile(known, [0.5, 0.9]) if len(known) else (np.nan, np.nan)
    return {
        "points": len(mine),
        "beside_percent": round(100 * float(np.isnan(mine).mean()), 1) if len(mine) else 0.0,
        "median_cm": round(float(median), 1), "p90_cm": round(float(most), 1),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
