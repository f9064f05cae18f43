"""Checks of pictures that no annotation file names."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from flow_cache.images import UPRIGHT
from slimdp.data import ImageError, check_image
from slimdp.doctor.findings import Findings
from slimdp.doctor.pictures import QUICK_SAMPLE, code_of


def check_loose_pictures(
    pictures: Sequence[Path], known: Collection[str], folder: Path, findings: Findings, quick: bool
) -> None:
    """Read the headers of pictures that nothing has opened yet, such as frames of videos without labels.

    Args:
        pictures: all that lie in the folder.
        known: normal paths of those that were opened.
        folder: what findings name them relative to.
        findings: where faults go.
        quick: only `QUICK_SAMPLE` of them, evenly spread.
    """
    loose = [path for path in pictures if os.path.normpath(path) not in known]
    step = -(-len(loose) // QUICK_SAMPLE) if quick and loose else 1
    for path in loose[::step]:
        # Findings of a folder are shown together.
        where, name = str(path.parent.relative_to(folder)), path.name
        try:
            header = check_image(path)
        except ImageError as error:
            findings.add(code_of(error), where, name, str(error))
            continue
        if header.orientation != UPRIGHT:
            findings.add("picture-orientation", where, name, f"orientation tag {header.orientation}")
