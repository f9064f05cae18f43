"""How far off the transfer from DensePose's charts to the open body is, at places that both bodies have.

    python tools/transfer_error.py --surface densepose/

Landmarks are vertices of SMPL whose numbers are known, and places of the open body that are found on its
mesh: the nose, eyes, ears, the tips of the middle fingers and big toes, the heels. None of them helped to
make the transfer, which knows rims of parts alone. Prints a line for each, and one JSON line last.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measuring import make_parser, tell

from slimdp.surface import load_charts, load_surface
from slimdp.surface.densepose.surface import DensePoseCharts
from slimdp.surface.densepose.transfer import ChartTransfer, chart_transfer

#: SMPL's vertex, and the open body's keypoint of that name.
_OF_FACE = {"nose": 332, "right_eye": 6260, "left_eye": 2800, "right_ear": 4071, "left_ear": 583}
#: SMPL's vertex, the part, and of what the open body's vertex has most, by its place in space.
_TIPS: dict[str, tuple[int, int, Callable[[np.ndarray], np.ndarray]]] = {
    "left middle finger": (2445, 4, lambda v: v[:, 0] - v[:, 1]),
    "right middle finger": (5905, 3, lambda v: -v[:, 0] - v[:, 1]),
    "left big toe": (3216, 5, lambda v: v[:, 2] - 0.3 * np.abs(v[:, 0])),
    "right big toe": (6617, 6, lambda v: v[:, 2] - 0.3 * np.abs(v[:, 0])),
    "left heel": (3387, 5, lambda v: -v[:, 2]),
    "right heel": (6787, 6, lambda v: -v[:, 2]),
}


def main() -> int:
    """Parse, measure, print; returns the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--surface", type=Path, required=True, help="a folder with UV_Processed.mat")
    options = parser.parse_args()
    charts, body = load_charts(options.surface), load_surface("open")
    assert isinstance(charts, DensePoseCharts)
    errors = landmark_errors_cm(chart_transfer(charts, body))
    for name, error in errors.items():
        print(f"{name:20} {error:5.1f} cm")
    tell({"mean_cm": round(float(np.mean(list(errors.values()))), 1), "landmarks": len(errors)})
    return 0


def landmark_errors_cm(transfer: ChartTransfer) -> dict[str, float]:
    """The distance along the open body from where each landmark lands to where it is, cm."""
    body = transfer.surface
    wanted = {name.replace("_", " "): (smpl, body.keypoints[name]) for name, smpl in _OF_FACE.items()}
    for name, (smpl, part, most) in _TIPS.items():
        vertices = np.unique(body.faces[body.face_part == part])
        wanted[name] = smpl, int(vertices[most(body.vertices[vertices]).argmax()])
    part, uv = zip(*(_place_of(transfer.charts, smpl) for smpl, _ in wanted.values()))
    landed = transfer.to_surface(np.array(part), np.array(uv))
    vertices = np.array([vertex for _, vertex in wanted.values()])
    error_m = body.vertex_distance(body.nearest_vertex(*landed), vertices)
    return dict(zip(wanted, (100 * error_m).tolist()))


def _place_of(charts: DensePoseCharts, smpl_vertex: int) -> tuple[int, np.ndarray]:
    """The part and (u, v) of a vertex of SMPL: of the first of its charts."""
    vertex = int(np.flatnonzero(charts.smpl_vertex == smpl_vertex)[0])
    face = int(np.argwhere(charts.faces == vertex)[0][0])
    return int(charts.face_part[face]), charts.vertex_uv[vertex]


if __name__ == "__main__":
    sys.exit(main())
