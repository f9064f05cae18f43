"""Write the page, and the folder of figures and tables beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np

from flow_cache.runtime.atomic import write_bytes, write_text
from flow_cache.runtime.progress import tracked
from flow_cache.runtime.words import listed, one_file_name
from slimdp.config import ConfigError
from slimdp.config.base import Count, Many, Settings
from slimdp.report.drawing import colour_of_unit
from slimdp.report.panels import ERROR_COLOURS, ERROR_NAMES
from slimdp.studies.page.curves import rows_image, study_figures, training_images
from slimdp.studies.page.person_panels import PeopleImages, people_images
from slimdp.studies.page.rcp import rcp_image
from slimdp.studies.page.tables import (
    cost_csv,
    cost_table,
    gain_table,
    score_table,
    scores_csv,
    settings_table,
)
from slimdp.studies.results import describe_origin, whole_time
from slimdp.studies.swept import SweptStudy, changed_runs, progress_of

#: Charts of training are folded away where they are more.
_MOST_OPEN = 9
#: Enough of the colours of u and v that a browser mixes the rest.
_UNITS = 9


class ReportSettings(Settings):
    """What goes into a page."""

    people: Count = 4  # drawn for each study; 0: none
    rows: Many[str] | None = None  # that draw them, in the studies that have them; else some of all
    device: str = "auto"


class ReportSummary(NamedTuple):
    """What was written."""

    page: Path
    files: tuple[Path, ...]  # in the folder beside it
    notes: tuple[str, ...]  # on what is missing, for people


def write_report(
    studies: Sequence[SweptStudy],
    out: Path,
    figures: Path | None = None,
    settings: ReportSettings | None = None,
) -> ReportSummary:
    """Write a page that needs nothing but itself, and if asked for its figures as PNG and tables as CSV.

    Args:
        out: the HTML file, replaced where it is there.
        figures: a folder, made where it is missing; files of other names in it stay.

    Raises:
        ConfigError: a row to draw that no study has, a damaged file of a run, or an `out` that is a folder.
        CheckpointError: damaged weights.
        AnnotationError, ImageError: the evaluation set cannot be read.
    """
    settings = settings or ReportSettings()
    _require_rows(studies, settings.rows or ())
    _require_places(out, figures)
    parts = [_Study(swept, settings) for swept in tracked(studies, "report", "studies")]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("slimdp.studies.page", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("page.html.jinja").render(
        title=parts[0].title if len(parts) == 1 else f"{len(parts)} studies",
        studies=parts,
        error_colours=[(name, colour) for name, (_, colour) in zip(ERROR_NAMES, ERROR_COLOURS)],
        unit_colours=colour_of_unit(np.linspace(0, 1, _UNITS)).tolist(),
    )
    write_text(out, text)
    files = []
    if figures is not None:
        for name, content in _files(parts):
            files.append(figures / one_file_name(name))
            write_bytes(files[-1], content)
    return ReportSummary(out, tuple(files), tuple(note for part in parts for note in _notes(part)))


def _require_places(out: Path, figures: Path | None) -> None:
    """Before minutes are spent on what then cannot be written."""
    if out.is_dir():
        raise ConfigError(f"{out} is a folder, but the name of an HTML file is wanted: {out / 'report.html'}")
    if figures is not None and figures.exists() and not figures.is_dir():
        raise ConfigError(f"{figures} is a file, but a folder for the figures is wanted")


def _require_rows(studies: Sequence[SweptStudy], names: Sequence[str]) -> None:
    there = list(dict.fromkeys(name for swept in studies for name in swept.study.names))
    for name in names:
        if name not in there:
            files = ", ".join(str(swept.study.file) for swept in studies)
            raise ConfigError(f"no row {name!r} in {files}; there are: {listed(there, name)}")


class _Study:
    """A study's part of the page."""

    def __init__(self, swept: SweptStudy, settings: ReportSettings) -> None:
        study, results = swept.study, swept.results
        self.key, self.title, self.file = swept.key, study.title, str(study.file)
        self.id = "_".join(swept.key.split())  # of its part of the page: without what separates names there
        one = len(swept.baselines) == 1
        self.baseline = study.told_apart[swept.baselines[0]] if one else "its group's baseline"
        self.training = training_images(swept)
        self.training_open = len(self.training) <= _MOST_OPEN
        self.figures, self.left_out = study_figures(swept) if results else ([], [])
        if (rcp := rcp_image(swept)) is not None:
            self.figures = [rcp, *self.figures]
        self.people: PeopleImages | None = None
        if results and settings.people > 0:
            named = tuple(name for name in settings.rows or () if name in study.names)
            self.people = people_images(swept, settings.people, named or None, settings.device)
        self.progress = progress_of(swept)
        self.changed = changed_runs(swept)
        # Of each set of people: scores, all rows' plot where there are scores, gains where rows are compared.
        rows = {on: swept.rows(on=on) for on in study.evaluate}
        self.sets = [
            (score_table(swept, on), rows_image(swept, on) if rows[on] else None, gain_table(swept, on))
            for on in study.evaluate
        ]
        # Where a pixel that the network calls background is wrong, if that gives other scores.
        full = {each.full_score for each in study.columns.values() if each.full_score != each.score}
        there = [on for on in study.evaluate if any(full & result.on(on).keys() for result in results)]
        # Folded away.
        self.more_tables = [*(score_table(swept, on, full=True) for on in there), settings_table(swept)]
        self.cost = cost_table(swept) if results else None
        took = f"{len(results)} runs, {whole_time(results)} in all"
        self.cost_words = f"{took}, on {describe_origin(results)}."
        self.csv = {f"scores{'_' * bool(on)}{on}": scores_csv(swept, of) for on, of in rows.items() if of}
        if results:
            self.csv["cost"] = cost_csv(swept)


def _files(parts: Sequence[_Study]) -> list[tuple[str, bytes]]:
    """Names and contents of the folder's files."""
    files = []
    for part in parts:
        files += [(f"{part.key}_{name}.csv", content) for name, content in part.csv.items()]
        rows = [image for _, image, _ in part.sets if image is not None]
        images = [*rows, *part.figures, *part.training]
        if part.people is not None:
            images += part.people.textures
            files += [(f"{panel.name}.png", panel.png) for panel in part.people.panels]
        for image in images:
            files += [(image.name + ending, content) for ending, content in image.files.items()]
    return files


def _notes(part: _Study) -> list[str]:
    notes = [f"{part.key}: {part.progress.done} of {part.progress.wanted} rows and seeds are done"]
    notes += [f"  missing: {missing.command}" for missing in part.progress.missing]
    notes += [
        f"  made with other settings than {part.file} has now (key: there, now): {changed.text}"
        for changed in part.changed
    ]
    notes += [f"  not drawn: {reason}" for reason in part.left_out]
    if part.people and part.people.missing:
        notes.append(f"  no people are drawn. {part.people.missing}")
    if part.people and part.people.left_out:
        notes.append(f"  rows without people. {part.people.left_out}")
    return notes
