"""The text of small BVH files, for tests."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

#: Joint -> (parent, offset in cm); a T-pose facing +z. Every joint's channels are Z, X, Y rotations.
SKELETON = {
    "Hips": ("", (0, 100, 0)),
    "Spine": ("Hips", (0, 15, 0)),
    "Spine2": ("Spine", (0, 20, 0)),
    "Neck": ("Spine2", (0, 20, 0)),
    "Head": ("Neck", (0, 10, 0)),
    "LeftArm": ("Spine2", (18, 15, 0)),
    "LeftForeArm": ("LeftArm", (28, 0, 0)),
    "LeftHand": ("LeftForeArm", (25, 0, 0)),
    "RightArm": ("Spine2", (-18, 15, 0)),
    "RightForeArm": ("RightArm", (-28, 0, 0)),
    "RightHand": ("RightForeArm", (-25, 0, 0)),
    "LeftUpLeg": ("Hips", (10, 0, 0)),
    "LeftLeg": ("LeftUpLeg", (0, -45, 0)),
    "LeftFoot": ("LeftLeg", (0, -45, 0)),
    "LeftToeBase": ("LeftFoot", (0, -8, 14)),
    "RightUpLeg": ("Hips", (-10, 0, 0)),
    "RightLeg": ("RightUpLeg", (0, -45, 0)),
    "RightFoot": ("RightLeg", (0, -45, 0)),
    "RightToeBase": ("RightFoot", (0, -8, 14)),
}
Angles = dict[str, tuple[float, float, float]]  # joint -> z, x, y degrees


def bvh_text(
    frames: list[Angles],
    places: list[tuple[float, float, float]] | None = None,
    scale: float = 1.0,
    rename: dict[str, str] | None = None,
    turned: Rotation | None = None,
) -> str:
    """The text of a file; `turned` turns the axes of the world and of all offsets."""
    lines = ["HIERARCHY"]
    rename, turned = rename or {}, turned or Rotation.identity()

    def write(name: str, depth: int) -> None:
        pad = "  " * depth
        offset = scale * turned.apply(np.array(SKELETON[name][1], dtype=float))
        lines.append(f"{pad}{'JOINT' if depth else 'ROOT'} {rename.get(name, name)}")
        lines.append(pad + "{")
        lines.append(f"{pad}  OFFSET " + " ".join(f"{value:.6f}" for value in offset))
        position = "6 Xposition Yposition Zposition" if not depth else "3"
        lines.append(f"{pad}  CHANNELS {position} Zrotation Xrotation Yrotation")
        children = [child for child, (parent, _) in SKELETON.items() if parent == name]
        for child in children:
            write(child, depth + 1)
        if not children:
            lines.extend([f"{pad}  End Site", pad + "  {", f"{pad}    OFFSET 0 0 0", pad + "  }"])
        lines.append(pad + "}")

    write("Hips", 0)
    order: list[str] = []

    def visit(name: str) -> None:
        order.append(name)
        for child, (parent, _) in SKELETON.items():
            if parent == name:
                visit(child)

    visit("Hips")
    lines += ["MOTION", f"Frames: {len(frames)}", "Frame Time: 0.1"]
    for number, angles in enumerate(frames):
        place = scale * turned.apply(np.array((places or [(0, 100, 0)] * len(frames))[number], dtype=float))
        row = place.tolist()
        for name in order:
            turn = Rotation.from_euler("ZXY", angles.get(name, (0, 0, 0)), degrees=True)
            row += (turned * turn * turned.inv()).as_euler("ZXY", degrees=True).tolist()
        lines.append(" ".join(f"{value:.6f}" for value in row))
    return "\n".join(lines) + "\n"
