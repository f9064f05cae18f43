"""The study that a sweep's folder was made with, kept there so that the folder tells of itself."""

from __future__ import annotations

import json
import os
import typing
from dataclasses import fields
from pathlib import Path
from typing import Any

from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.json_file import read_json
from slimdp.config import ConfigError
from slimdp.settings_file import from_plain, to_plain
from slimdp.studies.study import Study, StudyRow

#: No row can be called like this: beside the folders of the rows lies a file for each study.
_PREFIX = "_study_"


def study_key(file: Path) -> str:
    """How a study is called in names of files: by its folder, or by itself where it is no study.yaml."""
    return Path(os.path.abspath(file)).parent.name if file.stem == "study" else file.stem


def keep_study(study: Study, out: Path) -> None:
    """Write a study, its rows with all their settings, into the folder of its sweep, unless it is there."""
    values = {each.name: to_plain(getattr(study, each.name)) for each in fields(Study)}
    values |= {"file": str(study.file), "rows": {row.name: [row.values, row.where] for row in study.rows}}
    text = json.dumps(values, indent=1) + "\n"
    file = out / f"{_PREFIX}{study_key(study.file)}.json"
    if file.is_file() and file.read_bytes() == text.encode():
        return
    write_text(file, text)


def kept_studies(out: Path) -> list[Study]:
    """The studies that were swept into a folder, by name; raises ConfigError where one is damaged."""
    return [_read(file) for file in sorted(out.glob(f"{_PREFIX}*.json"))]


def _read(file: Path) -> Study:
    try:
        values: dict[str, Any] = read_json(file)
        rows = tuple(StudyRow(name, *row) for name, row in values.pop("rows").items())
        path = Path(values.pop("file"))
        hints = typing.get_type_hints(Study)
        known = {name: from_plain(hints[name], value, name) for name, value in values.items()}
        return Study(file=path, rows=rows, **known)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{file} is damaged: {error}; remove it, and give the study itself: --study"
        ) from error
