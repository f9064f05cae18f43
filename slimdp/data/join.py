"""Joining annotation files that `write_annotations` made, one after the other: the whole may be too large."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from flow_cache.runtime.atomic import atomic_write
from flow_cache.runtime.json_file import read_json
from slimdp.data.validate import AnnotationError
from slimdp.data.write import write_annotations


def join_annotation_files(path: str | os.PathLike[str], parts: Sequence[Path]) -> None:
    """Write one annotation file with the images and people of several, in their order, ids as they are.

    Args:
        path: the file to write; it appears whole or not at all.
        parts: files of `write_annotations` whose people have the same keypoints.

    Raises:
        AnnotationError: people with other keypoints than those before.
    """
    path = Path(path)
    if not parts:
        write_annotations(path, [], [])
        return
    first, categories = _load(parts[0]), _categories(parts)
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(f'{{"info": {json.dumps(first["info"])}')
        for field in ("images", "annotations"):
            file.write(f', "{field}": ')
            _write_list(file, (item for part in parts for item in _load(part)[field]))
        file.write(f', "categories": {json.dumps(categories or first["categories"])}}}')


def _categories(parts: Sequence[Path]) -> list[Any]:
    """The categories that all parts with people share."""
    shared: list[Any] = []
    for part in parts:
        content = _load(part)
        if not content["annotations"]:
            continue  # a part without people knows no keypoints
        if shared and content["categories"] != shared:
            raise AnnotationError(
                f"{part}: categories {content['categories']}, but people before have {shared}; files with "
                "different keypoints cannot be joined"
            )
        shared = content["categories"]
    return shared


def _write_list(file: TextIO, items: Iterable[Any]) -> None:
    separator = "["
    for item in items:
        file.write(separator + json.dumps(item, allow_nan=False))
        separator = ", "
    file.write("[]" if separator == "[" else "]")


def _load(part: Path) -> Any:
    return read_json(part, "annotation file", AnnotationError)
