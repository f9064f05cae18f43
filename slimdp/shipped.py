"""The settings and the documentation that come with slimdp: beside it in a clone, inside of it in a wheel."""

from __future__ import annotations

from pathlib import Path

from flow_cache.runtime.words import did_you_mean

_PACKAGE = Path(__file__).resolve().parent
#: What setup.py copies into the package.
FOLDERS = ("experiments", "docs")


def shipped_folder(name: str) -> Path:
    """The place of one of `FOLDERS`."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def shipped_path(path: str | Path) -> Path:
    """A file as a user names it: his own, else the one under experiments/ that comes with slimdp.

    Whatever lies there comes first. Where nothing does, `experiments/small.yaml` is the one that comes with
    slimdp, so that the commands of the documentation run in any folder.
    """
    path = Path(path)
    if path.exists() or path.parts[:1] != ("experiments",):
        return path
    ours = shipped_folder("experiments").parent / path
    return ours if ours.exists() else path


def shipped_like(path: str | Path) -> str:
    """The end of the error about settings that are not there: "; did you mean experiments/small.yaml?"."""
    folder = shipped_folder("experiments")
    names = [str(file.relative_to(folder.parent)) for file in sorted(folder.rglob("*.yaml"))]
    return did_you_mean(str(path), names)
