"""The files of DensePose's surface: their names, what they are for, where their authors serve them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_ADDRESS = "https://dl.fbaipublicfiles.com/densepose"
UV_DATA, EVAL_DATA = f"{_ADDRESS}/densepose_uv_data.tar.gz", f"{_ADDRESS}/densepose_eval_data.tar.gz"
#: The archives unpack into folders of their own: files are looked for this far down.
DEPTH = 3


@dataclass(frozen=True)
class SurfaceFile:
    """A published file of the body's surface."""

    name: str  # that its authors gave it
    archive: str  # where they serve it
    needed_for: str
    #: Other names that it may have here; those are taken before the first.
    others: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All its names; the first of several in a folder counts."""
        return (*self.others, self.name)


CHARTS = SurfaceFile("UV_Processed.mat", UV_DATA, "charts")
SYMMETRY = SurfaceFile("UV_symmetry_transforms.mat", UV_DATA, "flips")
SUBDIVIDED = SurfaceFile("SMPL_subdiv.mat", EVAL_DATA, "evaluation")
TRANSFORM = SurfaceFile("SMPL_SUBDIV_TRANSFORM.mat", EVAL_DATA, "evaluation")
#: Its other forms, which can be mapped into memory as they are, come first.
_MAPPED = ("Pdist_matrix.npy", "Pdist_matrix.h5", "Pdist_matrix.mat")
DISTANCES = SurfaceFile("Pdist_matrix.pkl", EVAL_DATA, "evaluation", _MAPPED)
SURFACE_FILES = (CHARTS, SYMMETRY, SUBDIVIDED, TRANSFORM, DISTANCES)


def find_files(folder: str | Path, *wanted: SurfaceFile) -> list[Path]:
    """Where the wanted files lie in a folder, or up to three folders down, the nearest first.

    Raises ValueError where some are not there (it says which, what for, and where they can be had), or a file
    lies in two places equally far down.
    """
    places = _places({name for file in wanted for name in file.names}, Path(folder))
    found, absent = [], []
    for file in wanted:
        name = next((name for name in file.names if name in places), None)
        if name is None:
            absent.append(f"  {file.name} (for {file.needed_for}), from {file.archive}")
        elif len(places[name]) > 1:
            raise ValueError(f"{' and '.join(map(str, places[name]))}: which is meant? name its folder")
        else:
            found.append(places[name][0])
    if absent:
        advice = "fetch the archives from DensePose's authors (CC BY-NC) and unpack them there"
        raise ValueError("\n".join([f"{Path(folder)} lacks:", *absent, advice]))
    return found


def what_is_there(folder: str | Path) -> str:
    """What the surface files of a folder can be used for, and which are missing, a line each."""
    lines = []
    for file in SURFACE_FILES:
        try:
            lines.append(f"{file.needed_for}: {find_files(folder, file)[0]}")
        except ValueError:
            lines.append(f"{file.needed_for}: no {file.name}; from {file.archive}")
    return "\n".join(lines)


def _places(names: set[str], folder: Path) -> dict[str, list[Path]]:
    """The paths of each name that occurs, those least far down."""
    found: dict[str, list[Path]] = {}
    for depth in range(DEPTH + 1):
        for name in names - set(found):
            here = sorted(path for path in folder.glob("*/" * depth + name) if not path.is_dir())
            found |= {name: here} if here else {}
    return found
