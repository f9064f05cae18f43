"""Quality control of annotators: a test with a known answer, and how far several of them are apart."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations
from typing import TYPE_CHECKING, Any

from flow_cache.runtime.command_line import add_input, add_output
from flow_cache.runtime.words import counted, tell_apart
from slimdp.commands.arguments import NOT_NEGATIVE, add_annotations, add_surface, is_named_in, whole

if TYPE_CHECKING:
    from slimdp.data import AnnotationSet
    from slimdp.evaluation.points import PointErrors
    from slimdp.evaluation.several_annotators import ErrorRow, SharedPoints
    from slimdp.surface import Surface


def add_commands(commands: argparse._SubParsersAction) -> None:
    """exam, merge."""
    _add_exam(commands)
    _add_merge(commands)


def _add_exam(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "exam",
        help="take the points out of labels whose truth is known, for annotators to place them again",
        description="Write people of a rendered set without their points: annotators label the file, and "
        "slimdp annotators --truth says how far off they are (docs/evaluation.md).",
    )
    add_annotations(command, images_required=False)
    command.add_argument(
        "--people", type=whole(1), default=12, help="how many people, drawn by chance (default: 12)"
    )
    command.add_argument("--seed", type=whole(0), default=0, help="seed of who is drawn (default: 0)")
    add_output(command, "--out", required=True, help="the annotation file to write")
    command.set_defaults(run=_exam)


def _add_merge(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "merge",
        help="tell how far several annotators of the same people are apart, and merge their labels",
        description="Tell how far several annotators of the same people are apart, in cm on the body, and "
        "merge their labels (docs/evaluation.md).",
    )
    add_input(command, "files", nargs="+", metavar="LABELS", help="an annotation file by each annotator")
    add_input(
        command,
        "--images",
        reads=lambda file, options: any(is_named_in(file, labels) for labels in options.files),
        help="the folder that file names in LABELS start at (needed where LABELS lack the pictures' sizes)",
    )
    command.add_argument(
        "--tolerance-px",
        type=NOT_NEGATIVE,
        default=1.0,
        help="how far apart points of one place may be, px (default: 1)",
    )
    command.add_argument(
        "--apart-cm",
        type=NOT_NEGATIVE,
        help="merge no places whose annotators are farther apart than this, cm (default: merge all)",
    )
    add_surface(command)
    add_output(command, "--out", help="the annotation file to write: the merged labels")
    add_output(command, "--picture", help="the PNG to write: where on the body they are apart")
    add_output(command, "--scores", help="the JSON to write: the distances")
    command.set_defaults(run=_merge)


def _exam(options: argparse.Namespace) -> None:
    import numpy as np

    from slimdp.data import read_annotations, read_outlines, write_annotations

    found = read_annotations(options.annotations, options.images or "", check_images=False).people
    people = [person for person in found if person.has_uv.any() and not person.crowd]
    if not people:
        raise ValueError(f"{options.annotations}: none of {len(found)} people has points to be placed again")
    drawn = np.random.default_rng(options.seed).permutation(len(people))[: options.people]
    chosen = [people[index] for index in sorted(drawn)]
    bare = [person.with_points(np.zeros(len(person.points), dtype=bool)) for person in chosen]
    images = {person.image.id: person.image for person in bare}
    outlines = read_outlines(options.annotations, options.images or "")
    write_annotations(options.out, list(images.values()), bare, outlines)
    people_there = counted(len(bare), "person", "people")
    print(f"{people_there} in {counted(len(images), 'picture')}, without points: {options.out}")


def _merge(options: argparse.Namespace) -> None:
    from slimdp.data import read_annotations
    from slimdp.evaluation import write_scores
    from slimdp.evaluation.several_annotators import (
        disagreement,
        error_rows,
        require_same_pictures,
        share_points,
    )
    from slimdp.report.tables import error_table
    from slimdp.surface import load_surface

    surface = load_surface(options.surface)
    images, layout = options.images or "", surface.layout
    sets = [read_annotations(file, images, check_images=False, layout=layout) for file in options.files]
    require_same_pictures([each.images for each in sets], list(map(str, options.files)))
    shared = share_points([each.people for each in sets], options.tolerance_px)
    errors = disagreement(shared, surface)
    if not len(errors.full_m):
        if options.scores is not None or options.picture is not None or options.out is None:
            raise ValueError(f"{_nothing_to_compare(shared)} within {options.tolerance_px:g} px")
        alone = shared.places == len(shared.place)
        print(_nothing_to_compare(shared) + (": all labels are kept" if alone else ""))
        _write_merged(sets, shared, surface, options)
        return
    rows, pairs = error_rows(errors, surface.layout.part_names), _by_pair(shared, errors, options)
    by_part = f", {shared.places_by_part} of them by part alone" if shared.places_by_part else ""
    print(f"{shared.places} places{by_part}; distances between two annotators, cm on the body:")
    print(error_table([*pairs, *rows]))
    if options.scores is not None:
        told: dict[str, Any] = {"places": shared.places, "pairs": {row.name: asdict(row) for row in pairs}}
        write_scores(options.scores, told | {"parts": {row.name: asdict(row) for row in rows}})
        print(options.scores)
    if options.out is not None:
        _write_merged(sets, shared, surface, options)
    if options.picture is not None:
        _draw(shared, errors, surface, options)


def _nothing_to_compare(shared: SharedPoints) -> str:
    """Why there are no distances."""
    labelled = "gave u and v of" if shared.places_by_part else "labelled"
    return f"no two annotators {labelled} the same place"


def _write_merged(
    sets: Sequence[AnnotationSet], shared: SharedPoints, surface: Surface, options: argparse.Namespace
) -> None:
    from slimdp.data import read_outlines, write_annotations
    from slimdp.evaluation.several_annotators import merged_images, merged_outlines, merged_people

    apart_m = float("inf") if options.apart_cm is None else options.apart_cm / 100
    people = merged_people(shared, surface, apart_m)
    images = merged_images([each.images for each in sets])
    outlines = merged_outlines([read_outlines(file, options.images or "") for file in options.files])
    write_annotations(options.out, images, people, outlines)
    kept = sum(len(person.points) for person in people)
    print(f"{kept} places of {counted(len(people), 'person', 'people')}: {options.out}")


def _by_pair(shared: SharedPoints, errors: PointErrors, options: argparse.Namespace) -> list[ErrorRow]:
    """How far every two annotators are apart, named by what differs in their files' paths."""
    from slimdp.evaluation.points import PointErrors
    from slimdp.evaluation.several_annotators import error_rows, pairs_of

    rows, names = [], tell_apart(options.files)
    for a, b in combinations(range(len(names)), 2):
        mine = pairs_of(shared, a, b)
        if mine.any():
            between = PointErrors(
                errors.full_m[mine], errors.localization_m[mine], errors.part[mine], errors.person[mine]
            )
            name = f"{names[a]}, {names[b]}"
            rows.append(error_rows(between, [name])[0].named(name))
    return rows


def _draw(shared: SharedPoints, errors: PointErrors, surface: Surface, options: argparse.Namespace) -> None:
    from slimdp.evaluation import mean_error_map
    from slimdp.evaluation.several_annotators import places_of_pairs
    from slimdp.report import error_image, save_png
    from slimdp.settings_file import ConfigError
    from slimdp.surface import BodySurface

    if not isinstance(surface, BodySurface):
        raise ConfigError("--picture needs a surface with a mesh: DensePose's files have no places in space")
    part, uv = places_of_pairs(shared)
    save_png(options.picture, error_image(surface, mean_error_map(surface, part, uv, errors.full_m)))
    print(options.picture)
