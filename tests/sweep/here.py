"""Sweeps in the process of a test, and what they left."""

from __future__ import annotations

import json
from pathlib import Path

from slimdp.sweep import Study
from slimdp.sweep.prepare import prepare
from slimdp.sweep.work import carry_out


def results_of(out: Path) -> list[dict]:
    return json.loads((out / "results.json").read_text())


def scores_of(out: Path) -> list[tuple]:
    return [(row["row"], row["seed"], row["scores"], row["full"]) for row in results_of(out)]


def carry_out_here(
    study: Study, out: Path, rows: list[str] | None = None, seeds: list[int] | None = None
) -> None:
    """What a sweep does, run after run in this process."""
    for run in (prepared := prepare(study, out, rows, seeds, "cpu")).todo:
        carry_out(prepared.task(run))
    prepared = prepare(study, out, rows, seeds, "cpu")
    prepared.save(prepared.known)
