"""A category of one's own: a surface from a mesh."""

from __future__ import annotations

import argparse

from flow_cache.runtime.command_line import add_input, add_output
from slimdp.commands.arguments import POSITIVE, whole


def add_commands(commands: argparse._SubParsersAction) -> None:
    """chart."""
    command = commands.add_parser(
        "chart",
        help="make a surface of a mesh of yours: parts, charts, left and right, keypoints",
        description="Make a surface of a mesh (OBJ, PLY, STL, OFF): a folder for --surface "
        "(docs/surfaces.md). The command tells what it changes in the mesh; charts.png in the folder shows "
        "the parts.",
    )
    add_input(command, "mesh", metavar="MESH", help="one closed surface of one category, in its rest pose")
    add_output(command, "--out", role="folder", required=True, help="the folder to make")
    command.add_argument("--category", help="the name of what it is (default: the name of --out)")
    command.add_argument(
        "--parts",
        default="auto",
        metavar="HOW",
        help="where parts come from: groups or materials of an OBJ file, cut (into disks around far-apart "
        "places), or a file with a label for each face (default: groups, else materials, else cut)",
    )
    command.add_argument(
        "--regions", type=whole(1), default=14, help="about how many parts to cut it into (default: 14)"
    )
    add_input(
        command, "--keypoints", help="keypoints as JSON or YAML: a vertex (from 0) or [x, y, z] for each name"
    )
    command.add_argument(
        "--scale", type=POSITIVE, default=1.0, help="metres that a unit of the file is long (default: 1)"
    )
    command.add_argument(
        "--up",
        default="y+",
        metavar="AXIS",
        help="the axis that points up: y+, y-, x+, x-, z+ or z- (default: y+)",
    )
    command.add_argument(
        "--front", metavar="AXIS", help="the axis that it looks along (default: as left and right tell)"
    )
    command.add_argument(
        "--symmetry",
        choices=["auto", "none", "require"],
        default="auto",
        help="left and right: auto where there is a mirror plane, none, or require, an error without one "
        "(default: auto)",
    )
    command.add_argument(
        "--holes",
        choices=["refuse", "fill", "keep"],
        default="refuse",
        help="what becomes of holes in a mesh: refuse, an error, fill or keep (default: refuse)",
    )
    command.add_argument("--keep-largest", action="store_true", help="take the largest of several pieces")
    command.add_argument(
        "--faces",
        type=whole(1),
        help="reduce it to so many triangles (default: all; needs: pip install 'slimdp[chart]')",
    )
    command.set_defaults(run=_chart)


def _chart(options: argparse.Namespace) -> None:
    from slimdp.report import distortion_table
    from slimdp.report.surface_folder import CHARTS_PICTURE, make_surface
    from slimdp.surface.charting.chart import ChartOptions
    from slimdp.surface.distortion import chart_distortion

    names = ("parts", "regions", "scale", "up", "front", "symmetry", "holes", "keep_largest", "faces")
    category = options.category or options.out.resolve().name
    chosen = ChartOptions(category, **{name: getattr(options, name) for name in names})
    surface, notes = make_surface(options.mesh, chosen, options.keypoints, options.out)
    print("\n".join(notes))
    print(distortion_table(chart_distortion(surface), surface.layout.part_names))
    print(options.out / CHARTS_PICTURE)
    print(options.out)
