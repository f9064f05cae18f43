"""A few people by the labels and by each row, and one's colours on the body (Slim DensePose, figure 6)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flow_cache.images import encode_image, read_image
from flow_cache.runtime.progress import tracked
from slimdp.config import ConfigError
from slimdp.data import read_annotations
from slimdp.evaluation import paste_prediction, point_errors
from slimdp.evaluation.annotators import read_true_map
from slimdp.inference import predict_people
from slimdp.report.body import TEXTURE_SIGMA_M, texture_colours, texture_image, view_body, viewpoints
from slimdp.report.drawing import PART_COLOURS, contact_sheet, evenly_spread, part_key, text_strip, unit_key
from slimdp.report.panels import FOUND_TITLES, TRUE_TITLES, PersonView, body_pixels, error_legend
from slimdp.structures import DensePoseInstance, ImageRecord, PersonAnnotation
from slimdp.studies.page.elements import PageImage, photograph
from slimdp.studies.swept import SweptStudy
from slimdp.surface import BodySurface, Surface, load_surface
from slimdp.training import load_model
from slimdp.training.checkpoint import CheckpointError
from slimdp.training.distributed import choose_device, to_device

#: Rows with pictures, unless they are named, and how many of these are baselines at most.
MOST_ROWS, MOST_BASELINES = 5, 3
_NAMES_PX, _TEXTURE_PX = 170, 330
#: Annotated points are some centimetres apart.
_POINTS_SIGMA_M = 0.025
#: The first column is the plain picture of the labels, and the points' errors of a row.
_SHEET_TITLES = ("", "image, or error", *FOUND_TITLES[1:])
_Key = tuple[int, int]
#: Part (H, W) uint8, 0 where it is not the person, and uv (2, H, W).
_Maps = tuple[np.ndarray, np.ndarray]
#: Row -> image id and annotation id -> prediction.
Predictions = Mapping[str, Mapping[_Key, DensePoseInstance]]


class PanelLine(NamedTuple):
    """A person by the labels, or as a row sees them."""

    title: str
    note: str
    images: tuple[PageImage, ...]


class PersonPanel(NamedTuple):
    """A person, the labels first, then the rows."""

    name: str  # of its file
    title: str
    lines: tuple[PanelLine, ...]
    png: bytes  # all pictures in one


class PeopleImages(NamedTuple):
    """What the rows' weights give."""

    panels: tuple[PersonPanel, ...] = ()
    textures: tuple[PageImage, ...] = ()
    texture_note: str = ""
    weights: str = ""  # whose they are
    part_key: tuple[tuple[str, tuple[int, ...]], ...] = ()  # number and name of each part, and its colour
    left_out: str = ""  # whose are not there
    missing: str = ""  # why there is nothing


def people_images(
    swept: SweptStudy, count: int, names: Sequence[str] | None = None, device: str = "auto"
) -> PeopleImages:
    """Predict at most `count` people of the evaluation set with the final weights of some rows, and draw
    them. Of the rows of some names, or else as `choose_rows` says, the lowest seed whose weights are there is
    taken.

    Raises:
        ConfigError: no people wanted.
        CheckpointError: damaged weights.
    """
    there = _checkpoints(swept)
    checkpoints = {row: there[row] for row in choose_rows(swept, names, there)}
    wanted_rows = {result.row for result in swept.results} if names is None else set(names)
    left_out = [row for row in swept.study.names if row in wanted_rows and row not in there]
    evaluated = next(iter(swept.study.evaluate.values()))
    images, labels = Path(evaluated.images), Path(evaluated.annotations)
    if not checkpoints:
        absent = "None of the rows has weights here: results alone were given, or the runs were moved."
        return PeopleImages(missing=absent)
    if not labels.is_file():
        absent = f"{labels} is not there: paths are relative to the folder that the command is run in."
        return PeopleImages(missing=absent)
    everyone = read_annotations(labels, images, check_images=False).people
    people = [person.with_uv_points() for person in everyone if person.has_uv.any()]
    chosen, frames = choose_people(people, count), most_seen(people)
    wanted = list({_key(person): person for person in (*chosen, *frames)}.values())
    scales = {run.row: run.scales for run in swept.runs.values() if run.row is not None}
    found, surface = _predict(checkpoints, scales, wanted, device)
    panels = [_panel(swept, number, person, found, surface) for number, person in enumerate(chosen, 1)]
    textures: list[PageImage] = []
    if isinstance(surface, BodySurface):
        of_rows = {row: [each[_key(person)] for person in frames] for row, each in found.items()}
        textures = texture_images(swept, surface, frames, of_rows, images)
    more = len(frames) - 1
    note = frames[0].image.file_name + (f" and {more} more frame{'s' * (more > 1)}" if more else "")
    seeds = dict.fromkeys(path.parent.name.replace("seed_", "seed ") for path in checkpoints.values())
    labelled = ", ".join(swept.study.labels[row] for row in left_out)
    without = f"No weights are here of {labelled}." if left_out else ""
    key = tuple(
        (f"{part} {name}".strip(), tuple(PART_COLOURS[part].tolist()))
        for part, name in enumerate(_part_names(surface))
        if part
    )
    return PeopleImages(tuple(panels), tuple(textures), note, ", ".join(seeds), key, without)


def _checkpoints(swept: SweptStudy) -> dict[str, Path]:
    """The weights that were scored, of each row that has them, of the lowest of its seeds that do: beside the
    row's result, else (of an older sweep) where the stage was trained."""
    found: dict[str, Path] = {}
    for result in sorted(swept.results, key=lambda result: result.seed):
        out = swept.folder_of(result.row, result.seed)
        if out is not None and result.row not in found:
            run = swept.runs[result.row, result.seed]
            trained = run.checkpoint(out)
            files = [file for file in (run.folder_in(out) / trained.name, trained) if file.is_file()]
            if files:
                found[result.row] = files[0]
    return found


def _predict(
    checkpoints: Mapping[str, Path], scales: Mapping[str, Sequence[float]],
    people: Sequence[PersonAnnotation], device: str,
) -> tuple[dict[str, dict[_Key, DensePoseInstance]], Surface]:  # fmt: skip
    """Everyone by every row, at its scales, and the surface of the last one, as all of a study have it."""
    found = {}
    surface = ""
    for row, file in tracked(checkpoints.items(), "predict people", "rows"):
        try:
            model, config = load_model(file)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; --no-panels draws nobody and needs no weights") from error
        surface = config.surface
        placed = to_device(model, choose_device(device))
        predictions = predict_people(placed, people, config.crop, scales=scales[row])
        found[row] = {(each.image_id, each.annotation_id): each for each in predictions}
    return found, load_surface(surface)


def _panel(
    swept: SweptStudy, number: int, person: PersonAnnotation, found: Predictions, surface: Surface
) -> PersonPanel:
    view = PersonView(person)
    name = f"{swept.key}_person{number}"
    points = f"{len(person.points)} points"
    drawn = [("", "labels", points, points, TRUE_TITLES, view.true_images())]  # no row is called ""
    for row, predictions in found.items():
        prediction = predictions[_key(person)]
        errors_m = point_errors([prediction], [person], surface).localization_m
        share, images = f"{100 * np.mean(errors_m <= 0.1):.0f} %", view.found_images(prediction, errors_m)
        words = f"{share} of the points within 10 cm", f"{share} within 10 cm"
        drawn.append((row, swept.study.told_apart[row], *words, FOUND_TITLES, images))
    lines, cells = [], []
    for row, title, note, short, columns, images in drawn:
        photographs = tuple(
            photograph(f"{name}_{row}_{column}", column, f"{column}, {title}: {_where(person)}", image)
            for column, image in zip(columns, images)
        )
        lines.append(PanelLine(title, note, photographs))
        strips = [text_strip(title, _NAMES_PX, 22), text_strip(short, _NAMES_PX, 20)]
        cells.append([np.concatenate(strips), *images])
    sheet = contact_sheet(cells, _SHEET_TITLES)
    width, names = sheet.shape[1], _part_names(surface)
    keys = [error_legend(width), unit_key(width), part_key(width, names)]
    return PersonPanel(name, _where(person), tuple(lines), encode_image(np.concatenate([sheet, *keys])))


def _part_names(surface: Surface) -> tuple[str, ...]:
    """Of the labels 0..P, empty where the surface's own numbers may mean others."""
    names = surface.layout.part_names
    return names if isinstance(surface, BodySurface) else ("",) * len(names)


def _where(person: PersonAnnotation) -> str:
    return f"{person.image.file_name}, annotation {person.id}"


def _key(person: PersonAnnotation) -> _Key:
    return person.image.id, person.id


def choose_rows(swept: SweptStudy, names: Sequence[str] | None, drawable: Collection[str]) -> tuple[str, ...]:
    """Rows to draw, of those that have results and can be drawn, in the order of the table.

    They are those named, or else the baselines and, of the rest by score, the first, the last and some evenly
    between.
    """
    main = swept.study.main_column
    known = [row for row in swept.rows() if main in row.scores and row.name in drawable]
    there = [row.name for row in sorted(known, key=lambda row: row.scores[main].mean, reverse=True)]
    if names is not None:
        chosen = set(names)
    else:
        baselines = [name for name in swept.baselines if name in there][:MOST_BASELINES]
        others = [name for name in there if name not in swept.baselines]
        chosen = {*baselines, *evenly_spread(others, min(MOST_ROWS - len(baselines), len(others)))}
    return tuple(name for name in swept.study.names if name in chosen and name in there)


def choose_people(people: Sequence[PersonAnnotation], count: int) -> list[PersonAnnotation]:
    """At most `count` people with points, evenly spread over the larger half of them, in their order."""
    if count < 1:
        raise ConfigError(f"{count} people to draw, but 1 or more are wanted")
    labelled = [person for person in people if len(person.points)]
    least = np.median([_area(person) for person in labelled]) if labelled else 0
    large = [person for person in labelled if _area(person) >= least]
    return evenly_spread(large, count)


def most_seen(people: Sequence[PersonAnnotation]) -> list[PersonAnnotation]:
    """All labelled frames of the person who covers the most pixels in them; of stills, one picture."""
    seen: dict[object, list[PersonAnnotation]] = {}
    for person in people:
        if len(person.points):
            tracked = person.image.video is not None and person.track is not None
            key = (person.image.video, person.track) if tracked else (person.image.id, person.id)
            seen.setdefault(key, []).append(person)
    return max(seen.values(), key=lambda frames: sum(map(_area, frames)), default=[])


def _area(person: PersonAnnotation) -> float:
    return float(person.box[2] * person.box[3])


def texture_images(
    swept: SweptStudy,
    surface: BodySurface,
    frames: Sequence[PersonAnnotation],
    found: Mapping[str, Sequence[DensePoseInstance]],
    images: Path,
) -> list[PageImage]:
    """Front and back of the body in the colours of a person's pictures.

    The person's pixels are those of the coarse masks or the outline, where the best of all parts counts as
    in the scores; without either, those that the network calls the person.

    Args:
        swept: for the names of files and rows.
        frames: the pictures of one person.
        found: row -> a prediction for each.
        images: the set's folder; where it is a rendered one, its maps are the truth, which comes first, else
            the points are.
    """
    views = [view_body(surface, side, _TEXTURE_PX) for side in viewpoints(surface)]
    pixels = [read_image(person.image.file) for person in frames]
    bodies = [body_pixels(person) for person in frames]
    # No row's name begins like that of the labels' file.
    colours = [("labels", "_labels", _true_colours(surface, frames, pixels, bodies, images))]
    for row, predictions in found.items():
        maps = [_found_maps(*each) for each in zip(predictions, (p.image for p in frames), bodies)]
        colours.append((swept.study.told_apart[row], row, texture_colours(surface, *_gather(maps, pixels))))
    textures = []
    for title, name, of_vertices in colours:
        drawn = texture_image(surface, views, of_vertices)
        known = skin_share(surface, np.isfinite(of_vertices[:, 0]))
        alt = f"Front and back of the body in the colours that {title} put there"
        caption = f"some pixel landed on {100 * known:.0f} % of the skin"
        texture = photograph(f"{swept.key}_texture_{name}", title, alt, drawn)
        textures.append(texture._replace(caption=caption, files={".png": encode_image(drawn)}))
    return textures


def skin_share(surface: BodySurface, chosen: np.ndarray) -> float:
    """The area of some vertices, (V,) bool, of all skin: to each belongs a third of the faces around it."""
    a, b, c = (surface.vertices[surface.faces[:, corner]] for corner in range(3))
    of_face = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    of_vertex = np.bincount(surface.faces.ravel(), np.repeat(of_face, 3), len(surface.vertices))
    return float(of_vertex[chosen].sum() / of_vertex.sum())


def _true_colours(
    surface: BodySurface,
    frames: Sequence[PersonAnnotation],
    pixels: Sequence[np.ndarray],
    bodies: Sequence[np.ndarray | None],
    images: Path,
) -> np.ndarray:
    """(V, 3): from the maps of a rendered set, else from the annotated points."""
    known = [body for body in bodies if body is not None]
    if (images / "iuv").is_dir() and len(known) == len(frames):
        maps = []
        for person, body in zip(frames, known):
            true_map = read_true_map(person.image, len(person.layout.parts), images)
            maps.append((np.where(body, true_map[..., 0], 0), true_map[..., 1:].transpose(2, 0, 1) / 255))
        return texture_colours(surface, *_gather(maps, pixels), TEXTURE_SIGMA_M)
    part = np.concatenate([person.part for person in frames])
    uv = np.concatenate([person.uv for person in frames])
    colours = []
    for person, image in zip(frames, pixels):
        limit = np.array(image.shape[1::-1]) - 1
        column, row = np.clip(np.floor(person.points + 0.5), 0, limit).astype(int).T
        colours.append(image[row, column])
    return texture_colours(surface, part, uv, np.concatenate(colours), _POINTS_SIGMA_M)


def _found_maps(prediction: DensePoseInstance, image: ImageRecord, body: np.ndarray | None) -> _Maps:
    """A prediction in its picture."""
    if body is None:
        return paste_prediction(prediction, image.width, image.height)
    everywhere = replace(prediction, foreground=np.ones_like(prediction.foreground))
    part, uv = paste_prediction(everywhere, image.width, image.height)
    return np.where(body, part, 0), uv


def _gather(maps: Sequence[_Maps], pixels: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Part (P,), uv (P, 2) and colours (P, 3) of the person's pixels in all pictures."""
    parts = np.concatenate([part[part > 0] for part, _ in maps]).astype(np.int64)
    uvs = np.concatenate([uv[:, part > 0].T for part, uv in maps])
    return parts, uvs, np.concatenate([image[part > 0] for image, (part, _) in zip(pixels, maps)])
