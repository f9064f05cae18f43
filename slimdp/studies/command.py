"""The command line of a study's sweep, for those who are told what is missing."""

from __future__ import annotations

import os
from pathlib import Path

from slimdp.studies.study import SHARED, Study


def sweep_words(study: Study, out: Path | None) -> list[str]:
    """The words of the command that sweeps a study as it was read, without a choice of rows and seeds.

    Args:
        study: the study.
        out: its sweep's folder; None: not known.
    """
    words = ["slimdp", "sweep", str(study.file)]
    for override in study.overrides:
        words += ["--set", override]
    words += study.own.words()
    if out is not None:
        words += ["--out", str(out)]
        if study.shared != SHARED:
            words += ["--shared", os.path.normpath(out / study.shared)]
    return words
