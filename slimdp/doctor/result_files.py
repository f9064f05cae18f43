"""Checks of what training and prediction left in a folder: every byte has its checksum."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from flow_cache.runtime.hdf5_content import Hdf5ContentError, open_hdf5, text
from flow_cache.runtime.zip_check import DamagedZipError, check_zip
from slimdp.doctor.findings import Findings


def is_predictions(path: Path) -> bool:
    """Whether an HDF5 file that is no flow store says that it holds predictions."""
    try:
        with open_hdf5(path) as file:
            return text(file["/"], "format").startswith("slimdp predictions")
    except (OSError, RuntimeError, KeyError, Hdf5ContentError):
        return False


def check_checkpoints(files: Iterable[Path], folder: Path, findings: Findings) -> None:
    """Read checkpoints (.pt) whole; nothing in them is run."""
    for path in files:
        name = path.relative_to(folder).as_posix()
        try:
            check_zip(path)
        except (DamagedZipError, OSError) as error:
            findings.add("checkpoint-damaged", name, "", str(error))


def check_predictions(files: Iterable[Path], folder: Path, findings: Findings, quick: bool) -> None:
    """Open files of predictions and read everyone in them; with `quick` the first one alone."""
    from slimdp.evaluation import PredictionFile  # which takes a while to import

    for path in files:
        name = path.relative_to(folder).as_posix()
        try:
            with PredictionFile(path) as predictions:
                for _ in predictions:
                    if quick:
                        break
        except (ValueError, OSError) as error:
            findings.add("predictions-damaged", name, "", str(error))
