"""The same few people as the labels tell them and as each row sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow_cache.runtime.progress import tracked
from slimdp.data import read_annotations
from slimdp.evaluation import point_errors
from slimdp.inference import predict_people
from slimdp.report.drawing import PART_COLOURS, contact_sheet, part_key, text_strip, unit_key
from slimdp.report.panels import FOUND_TITLES, TRUE_TITLES, PersonView, error_legend
from slimdp.structures import DensePoseInstance, PersonAnnotation
from slimdp.studies.page.chosen import choose_people, choose_rows, most_seen
from slimdp.studies.page.page_parts import PagePicture, photograph, png_bytes
from slimdp.studies.page.sources import SweptStudy
from slimdp.studies.page.textures import texture_pictures
from slimdp.surface import BodySurface, Surface, load_surface
from slimdp.training import load_model
from slimdp.training.checkpoint import CheckpointError
from slimdp.training.distributed import choose_device, to_device

_NAMES_PX = 170
#: The first column is the plain picture of the labels, and the points' errors of a row.
_SHEET_TITLES = ("", "image, or error", *FOUND_TITLES[1:])
_Key = tuple[int, int]
Predictions = Mapping[
    str, Mapping[_Key, DensePoseInstance]
]  # row -> image id and annotation id -> prediction


@dataclass(frozen=True)
class PanelLine:
    """A person by the labels, or as a row sees them."""

    title: str
    note: str
    pictures: tuple[PagePicture, ...]


@dataclass(frozen=True)
class PersonPanel:
    """A person, the labels first, then the rows."""

    name: str  # of its file
    title: str
    lines: tuple[PanelLine, ...]
    png: bytes  # all pictures in one


@dataclass(frozen=True)
class PeoplePictures:
    """What the rows' weights give."""

    panels: tuple[PersonPanel, ...]
    textures: tuple[PagePicture, ...]
    texture_note: str
    weights: str  # whose they are
    part_key: tuple[tuple[str, tuple[int, ...]], ...] = ()  # number and name of each part, and its colour
    left_out: str = ""  # whose are not there
    missing: str = ""  # why there is nothing


def people_pictures(
    swept: SweptStudy, count: int, names: Sequence[str] | None = None, device: str = "auto"
) -> PeoplePictures:
    """Predict some people of the evaluation set with the final weights of some rows, and draw them.

    Args:
        swept: the study; each row's lowest seed whose weights are there is taken.
        count: people at most.
        names: of the rows; None: as `choose_rows` says.
        device: as for `train`.

    Raises:
        ConfigError: no people wanted.
        CheckpointError: damaged weights.
    """
    there = _checkpoints(swept)
    checkpoints = {row: there[row] for row in choose_rows(swept, names, there)}
    wanted_rows = {result.row for result in swept.results} if names is None else set(names)
    left_out = [row for row in swept.study.names if row in wanted_rows and row not in there]
    images = Path(swept.study.evaluate.images)
    labels = Path(swept.study.evaluate.annotations)
    absent = ""
    if not checkpoints:
        absent = "None of the rows has weights here: results alone were given, or the runs were moved."
    elif not labels.is_file():
        absent = f"{labels} is not there: paths are relative to the folder that the command is run in."
    if absent:
        return PeoplePictures((), (), "", "", missing=absent)
    everyone = read_annotations(labels, images, check_images=False).people
    people = [person.with_uv_points() for person in everyone if person.has_uv.any()]
    chosen, frames = choose_people(people, count), most_seen(people)
    wanted = list({_key(person): person for person in (*chosen, *frames)}.values())
    found, surface = _predict(checkpoints, wanted, device)
    panels = [_panel(swept.key, number, person, found, surface) for number, person in enumerate(chosen, 1)]
    textures: list[PagePicture] = []
    if isinstance(surface, BodySurface):
        of_rows = {row: [each[_key(person)] for person in frames] for row, each in found.items()}
        textures = texture_pictures(swept.key, surface, frames, of_rows, images)
    more = len(frames) - 1
    note = frames[0].image.file_name + (f" and {more} more frame{'s' * (more > 1)}" if more else "")
    seeds = ", ".join(
        dict.fromkeys(f"seed {path.parent.name.removeprefix('seed_')}" for path in checkpoints.values())
    )
    without = f"No weights are here of {', '.join(left_out)}." if left_out else ""
    return PeoplePictures(tuple(panels), tuple(textures), note, seeds, _part_key(surface), without)


def _checkpoints(swept: SweptStudy) -> dict[str, Path]:
    """The weights that were scored, of each row that has them, of the lowest of its seeds that do: beside the
    row's result, else (of an older sweep) where the stage was trained."""
    found: dict[str, Path] = {}
    for result in sorted(swept.results, key=lambda result: result.seed):
        out = swept.folder_of(result.row, result.seed)
        if out is not None and result.row not in found:
            run = swept.runs[result.row, result.seed]
            trained = run.checkpoint(out)
            files = [file for file in (run.place(out) / trained.name, trained) if file.is_file()]
            if files:
                found[result.row] = files[0]
    return found


def _predict(
    checkpoints: Mapping[str, Path], people: Sequence[PersonAnnotation], device: str
) -> tuple[dict[str, dict[_Key, DensePoseInstance]], Surface]:
    """Everyone by every row, and the surface that the last row speaks of, as all rows of a study do."""
    found = {}
    surface = ""
    for row, file in tracked(checkpoints.items(), "predict people", "rows"):
        try:
            model, config = load_model(file)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; --no-panels draws nobody and needs no weights") from error
        surface = config.surface
        predictions = predict_people(to_device(model, choose_device(device)), people, config.crop)
        found[row] = {(each.image_id, each.annotation_id): each for each in predictions}
    return found, load_surface(surface)


def _panel(
    key: str, number: int, person: PersonAnnotation, found: Predictions, surface: Surface
) -> PersonPanel:
    view = PersonView(person)
    name = f"{key}_person{number}"
    points = f"{len(person.points)} points"
    drawn = [("labels", points, points, TRUE_TITLES, view.true_pictures())]
    for row, predictions in found.items():
        prediction = predictions[_key(person)]
        errors_m = point_errors([prediction], [person], surface).localization_m
        share = f"{100 * np.mean(errors_m <= 0.1):.0f} %"
        note = f"{share} of the points within 10 cm"
        drawn.append(
            (row, note, f"{share} within 10 cm", FOUND_TITLES, view.found_pictures(prediction, errors_m))
        )
    lines = [
        PanelLine(
            title,
            note,
            tuple(
                photograph(f"{name}_{title}_{word}", word, f"{word}, {title}: {_where(person)}", image)
                for word, image in zip(titles, images)
            ),
        )
        for title, note, _, titles, images in drawn
    ]
    named = [
        [np.concatenate([text_strip(title, _NAMES_PX, 22), text_strip(short, _NAMES_PX, 20)]), *images]
        for title, _, short, _, images in drawn
    ]
    sheet = contact_sheet(named, _SHEET_TITLES)
    width, names = sheet.shape[1], _part_names(surface)
    keys = [error_legend(width), unit_key(width), part_key(width, names)]
    return PersonPanel(name, _where(person), tuple(lines), png_bytes(np.concatenate([sheet, *keys])))


def _part_names(surface: Surface) -> tuple[str, ...]:
    """Of the labels 0..P, empty where the surface's own numbers may mean others."""
    names = surface.layout.part_names
    return names if isinstance(surface, BodySurface) else ("",) * len(names)


def _part_key(surface: Surface) -> tuple[tuple[str, tuple[int, ...]], ...]:
    named = list(enumerate(_part_names(surface)))[1:]
    return tuple((f"{part} {name}".strip(), tuple(PART_COLOURS[part].tolist())) for part, name in named)


def _where(person: PersonAnnotation) -> str:
    return f"{person.image.file_name}, annotation {person.id}"


def _key(person: PersonAnnotation) -> _Key:
    return person.image.id, person.id
