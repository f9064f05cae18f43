"""Write the page, and the folder of figures and tables beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np

from flow_cache.runtime.atomic import atomic_write, write_bytes
from flow_cache.runtime.progress import tracked
from flow_cache.runtime.words import listed, one_file_name
from slimdp.config import ConfigError
from slimdp.config.base import Count, Many, Settings
from slimdp.report.drawing import colour_of_unit
from slimdp.report.panels import ERROR_COLOURS, ERROR_NAMES
from slimdp.studies.page.curves import rows_image, study_figures, training_images
from slimdp.studies.page.elements import PageImage
from slimdp.studies.page.person_panels import PeopleImages, people_images
from slimdp.studies.page.tables import (
    PageTable,
    cost_csv,
    cost_table,
    gain_table,
    score_table,
    scores_csv,
    settings_table,
)
from slimdp.studies.results import describe_origin, whole_time
from slimdp.studies.swept import ChangedRuns, Progress, SweptStudy, changed_runs, progress_of

#: Charts of training are folded away where they are more.
_MOST_OPEN = 9
_ERROR_KEY = [(name, colour) for name, (_, colour) in zip(ERROR_NAMES, ERROR_COLOURS)]
#: Enough of the colours of u and v that a browser mixes the rest.
_UNITS = 9


class ReportSettings(Settings):
    """What goes into a page."""

    people: Count = 4  # drawn for each study; 0: none
    rows: Many[str] | None = None  # that draw them, in the studies that have them; else some of all
    device: str = "auto"


@dataclass(frozen=True)
class ReportSummary:
    """What was written."""

    page: Path
    files: tuple[Path, ...]  # in the folder beside it
    notes: tuple[str, ...]  # on what is missing, for people


@dataclass(frozen=True)
class _Set:
    """The scores on a set of people."""

    scores: PageTable
    rows: PageImage | None  # None: there are none yet
    gains: PageTable | None


@dataclass(frozen=True)
class _Study:
    """A study's part of the page."""

    key: str
    id: str  # of its part of the page: the key without what separates names there
    title: str
    baseline: str  # in words
    file: str
    progress: Progress
    changed: tuple[ChangedRuns, ...]  # results that were made with other settings
    sets: tuple[_Set, ...]
    more_tables: tuple[PageTable, ...]  # folded away
    figures: tuple[PageImage, ...]
    left_out: tuple[str, ...]  # figures that cannot be drawn, and why
    training: tuple[PageImage, ...]
    training_open: bool
    people: PeopleImages | None
    cost: PageTable | None
    cost_words: str
    csv: tuple[tuple[str, bytes], ...]  # name and contents


def write_report(
    studies: Sequence[SweptStudy],
    out: Path,
    figures: Path | None = None,
    settings: ReportSettings | None = None,
) -> ReportSummary:
    """Write a page that needs nothing but itself, and if asked for its figures as PNG and tables as CSV.

    Args:
        studies: one or more.
        out: the HTML file, replaced where it is there.
        figures: a folder, made where it is missing; files of other names in it stay.
        settings: what is drawn.

    Raises:
        ConfigError: a row to draw that no study has, a damaged file of a run, or an `out` that is a folder.
        CheckpointError: damaged weights.
        AnnotationError, ImageError: the evaluation set cannot be read.
    """
    settings = settings or ReportSettings()
    _require_rows(studies, settings.rows or ())
    _require_places(out, figures)
    parts = [_study(swept, settings) for swept in tracked(studies, "report", "studies")]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("slimdp.studies.page", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    title = parts[0].title if len(parts) == 1 else f"{len(parts)} studies"
    with atomic_write(out) as temporary:
        text = environment.get_template("page.html.jinja").render(
            title=title,
            studies=parts,
            error_colours=_ERROR_KEY,
            unit_colours=colour_of_unit(np.linspace(0, 1, _UNITS)).tolist(),
        )
        temporary.write_text(text, encoding="utf-8")
    files: list[Path] = []
    for name, content in _files(parts) if figures is not None else ():
        assert figures is not None
        write_bytes(figures / one_file_name(name), content)
        files.append(figures / name)
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


def _study(swept: SweptStudy, settings: ReportSettings) -> _Study:
    results, training = swept.results, tuple(training_images(swept))
    done = bool(results)
    figures, left_out = study_figures(swept) if done else ([], [])
    people = None
    if done and settings.people > 0:
        named = tuple(name for name in settings.rows or () if name in swept.study.names)
        people = people_images(swept, settings.people, named or None, settings.device)
    return _Study(
        key=swept.key,
        id="_".join(swept.key.split()),
        title=swept.study.title,
        baseline=swept.study.titles[swept.baselines[0]]
        if len(swept.baselines) == 1
        else "its group's baseline",
        file=str(swept.study.file),
        progress=progress_of(swept),
        changed=tuple(changed_runs(swept)),
        sets=tuple(
            _Set(
                score_table(swept, on),
                rows_image(swept, on) if swept.rows(on=on) else None,
                gain_table(swept, on),
            )
            for on in swept.study.evaluate
        ),
        more_tables=(
            *(
                score_table(swept, on, full=True)
                for on in swept.study.evaluate
                if done and _has_full(swept, on)
            ),
            settings_table(swept),
        ),
        figures=tuple(figures),
        left_out=tuple(left_out),
        training=training,
        training_open=len(training) <= _MOST_OPEN,
        people=people,
        cost=cost_table(swept) if done else None,
        cost_words=f"{len(results)} runs, {whole_time(results)} in all, on {describe_origin(results)}.",
        csv=(*_score_files(swept), ("cost", cost_csv(swept))) if done else (),
    )


def _has_full(swept: SweptStudy, on: str) -> bool:
    """Whether there are other scores where a pixel that the network calls background is wrong."""
    columns = [column for column in swept.study.columns.values() if column.full_score != column.score]
    return any(column.full_score in result.on(on) for column in columns for result in swept.results)


def _score_files(swept: SweptStudy) -> list[tuple[str, bytes]]:
    tables = [(on, swept.rows(on=on)) for on in swept.study.evaluate]
    return [(f"scores{'_' * bool(on)}{on}", scores_csv(swept, rows)) for on, rows in tables if rows]


def _files(parts: Sequence[_Study]) -> list[tuple[str, bytes]]:
    """Names and contents of the folder's files."""
    files = []
    for part in parts:
        files += [(f"{part.key}_{name}.csv", content) for name, content in part.csv]
        rows = [each.rows for each in part.sets if each.rows is not None]
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
    if part.people is not None and part.people.missing:
        notes.append(f"  no people are drawn. {part.people.missing}")
    if part.people is not None and part.people.left_out:
        notes.append(f"  rows without people. {part.people.left_out}")
    return notes
