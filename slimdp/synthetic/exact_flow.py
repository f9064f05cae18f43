"""The true optical flow between two rendered frames, and where it is hidden."""

from __future__ import annotations

import numpy as np

from slimdp.surface import BodySurface
from slimdp.synthetic.render import RenderedFrame

#: A point is hidden in the other frame where something lies this much nearer to the camera (metres).
DEPTH_TOLERANCE = 0.02


def exact_flow(
    frame_0: RenderedFrame, frame_1: RenderedFrame, surface: BodySurface
) -> tuple[np.ndarray, np.ndarray]:
    """The displacement of every pixel of frame 0, and whether what it shows is seen in frame 1.

    Args:
        frame_0, frame_1: two frames of one clip.
        surface: the topology that both frames' people share.

    Returns:
        flow_0to1 (2, H, W) float32 px and visible (H, W) bool; a person who is hidden, or has left the frame,
        still has a flow, which means nothing where a point gets behind the camera.
    """
    height, width = frame_0.camera.height, frame_0.camera.width
    y, x = np.mgrid[:height, :width]
    start = np.column_stack([x.ravel(), y.ravel()]).astype(np.float64)
    end = start + frame_1.pan - frame_0.pan
    depth = np.full(len(start), np.inf)
    hits = frame_0.hits
    for index, person_1 in enumerate(frame_1.people):
        mine = hits.person == index
        corners = person_1.skin[surface.faces[hits.face[mine]]]
        end[mine], depth[mine] = frame_1.camera.project(
            np.einsum("nk,nkc->nc", hits.barycentric[mine], corners)
        )
    column, row = np.rint(end).astype(np.int64).T
    # What is behind the camera projects too, upside down.
    inside = (depth > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    visible = inside.copy()
    there = row[inside] * width + column[inside]
    on_body = hits.person[inside] >= 0
    nearer = frame_1.hits.depth[there] < depth[inside] - DEPTH_TOLERANCE
    same = np.where(
        on_body, frame_1.hits.person[there] == hits.person[inside], frame_1.hits.person[there] < 0
    )
    visible[inside] = same & ~nearer
    flow = (end - start).T.reshape(2, height, width).astype(np.float32)
    return flow, visible.reshape(height, width)
