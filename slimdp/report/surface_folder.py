"""The folder of a surface that is made of a mesh, with a picture of it."""

from __future__ import annotations

from pathlib import Path

from flow_cache.runtime.atomic import atomic_folder
from slimdp.report.body import surface_image
from slimdp.report.drawing import save_png
from slimdp.surface.body import BodySurface
from slimdp.surface.charting.chart import ChartOptions, chart_mesh
from slimdp.surface.load import load_mesh_folder, write_mesh_folder

#: The picture to check a surface by.
CHARTS_PICTURE = "charts.png"
_HEIGHT_PX = 700
#: What was done to the mesh, in words.
NOTES_FILE = "notes.txt"


def make_surface(
    mesh: Path, options: ChartOptions, keypoints: Path | None, folder: Path
) -> tuple[BodySurface, tuple[str, ...]]:
    """Chart a mesh and write the folder of its surface, whole or not at all; what was done to it, in words.

    Distances along it are found, too, and kept in the cache. Raises ValueError as `chart_mesh`, OSError where
    the folder is there already or cannot be written.
    """
    with atomic_folder(folder) as temporary:
        charted = chart_mesh(mesh, options, keypoints)
        arrays = {
            "vertices": charted.vertices, "faces": charted.faces, "face_part": charted.face_part,
            "face_uv": charted.face_uv,
        }  # fmt: skip
        write_mesh_folder(temporary, charted.layout, arrays, charted.keypoints)
        notes = charted.notes
        (temporary / NOTES_FILE).write_text("".join(f"{note}\n" for note in notes), encoding="utf-8")
        surface = load_mesh_folder(temporary)
        save_png(temporary / CHARTS_PICTURE, surface_image(surface, _HEIGHT_PX))
    return surface, notes
