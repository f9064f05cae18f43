"""Surfaces by name: the open body, or a folder with DensePose's files or a mesh, and what each can do."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal, overload

from slimdp.surface.body import BodySurface
from slimdp.surface.densepose import (
    DensePoseCharts,
    DensePoseSurface,
    load_densepose_charts,
    load_densepose_surface,
)
from slimdp.surface.densepose.files import CHARTS, SYMMETRY, find_files
from slimdp.surface.layout import PartLayout
from slimdp.surface.mesh_folder import LAYOUT_FILE, load_mesh_folder, read_layout
from slimdp.surface.open_body import open_body
from slimdp.surface.people import PEOPLE
from slimdp.surface.symmetry import UvSymmetry, load_uv_symmetry

#: The name of the open body.
OPEN = "open"


@overload
def load_surface(name: Literal["open"]) -> BodySurface: ...
@overload
def load_surface(name: str | Path) -> BodySurface | DensePoseSurface: ...


def load_surface(name: str | Path) -> BodySurface | DensePoseSurface:
    """The surface that labels and predictions speak of, to measure distances on; the same object each time.

    Args:
        name: "open", or a folder with DensePose's SMPL_subdiv.mat, SMPL_SUBDIV_TRANSFORM.mat and
            Pdist_matrix, or with a mesh (docs/surfaces.md).

    Raises:
        ValueError: neither, files that are missing (the error says which and where they can be had), damaged
            or do not fit one another.
    """
    if str(name) == OPEN:
        return _open_body()
    folder = _folder(name)
    return _mesh(folder) if is_mesh_folder(folder) else _densepose_surface(folder)


def surface_layout(name: str | Path) -> PartLayout:
    """The parts of a surface, without loading it: people's, unless it is a folder with a mesh.

    Raises:
        ValueError: the layout of the folder is damaged.
    """
    return read_layout(Path(name)) if is_mesh_folder(name) else PEOPLE


def is_mesh_folder(name: str | Path) -> bool:
    """Whether a surface is a user's mesh (`slimdp.surface.mesh_folder`)."""
    return str(name) != OPEN and (Path(name) / LAYOUT_FILE).is_file()


def load_charts(name: str | Path) -> BodySurface | DensePoseCharts:
    """What goes from (part, u, v) to the mesh and back; a folder needs UV_Processed.mat, else as above."""
    if str(name) == OPEN or is_mesh_folder(name):
        surface = load_surface(name)
        assert isinstance(surface, BodySurface)
        return surface
    return load_densepose_charts(*find_files(_folder(name), CHARTS))


def load_symmetry(name: str | Path) -> UvSymmetry:
    """Left and right of a surface; a folder needs UV_symmetry_transforms.mat, else as above."""
    if str(name) == OPEN or is_mesh_folder(name):
        return UvSymmetry(surface_layout(name).require_symmetric())
    return load_uv_symmetry(*find_files(_folder(name), SYMMETRY))


def check_surface_name(name: str | Path) -> None:
    """Whether there is such a surface: "open", or a folder; ValueError with the choices if not."""
    if str(name) != OPEN and not Path(name).is_dir():
        raise ValueError(
            f"no surface {str(name)!r} in {Path.cwd()}; choose one of: {OPEN}, or a folder with DensePose's "
            "surface files or with a mesh"
        )


def _folder(name: str | Path) -> Path:
    check_surface_name(name)
    return Path(name).resolve()


@cache
def _open_body() -> BodySurface:
    return open_body()


@cache
def _mesh(folder: Path) -> BodySurface:
    return load_mesh_folder(folder)


@cache
def _densepose_surface(folder: Path) -> DensePoseSurface:
    return load_densepose_surface(folder)
