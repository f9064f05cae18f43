"""Which vertex of the surface stands for a predicted or annotated (part, u, v)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

#: The vertex of what lies on no part.
NO_VERTEX = -1


@dataclass(frozen=True)
class NearestVertex:
    """Vertices at their places in the charts; one that lies at several places is listed with each."""

    part: np.ndarray  # (K,) 1..P
    uv: np.ndarray  # (K, 2)
    vertex: np.ndarray  # (K,) int64

    def find(self, part: np.ndarray, uv: np.ndarray) -> np.ndarray:
        """The vertex (N,) int64 nearest in (u, v) among those of the same part.

        Of places equally near, the one listed first counts, as where the first smallest of all distances is
        taken. Part 0 has no vertex: -1.

        Args:
            part: (N,) 0..P.
            uv: (N, 2); not used where the part is 0.

        Raises:
            ValueError: a part outside 0..P or without vertices, or coordinates that are not finite.
        """
        part, uv = np.asarray(part), np.asarray(uv, dtype=np.float64).reshape(-1, 2)
        if part.shape != (len(uv),):
            raise ValueError(f"{part.shape} parts for {len(uv)} (u, v): one each is wanted")
        if part.size and (part.min() < 0 or part.max() > self.part.max()):
            wanted = f"0..{self.part.max()} is wanted"
            raise ValueError(f"parts run from {part.min()} to {part.max()}, but {wanted}")
        bad = (part > 0) & ~np.isfinite(uv).all(axis=1)
        if bad.any():
            raise ValueError(f"{bad.sum()} of {len(uv)} (u, v) on the body are not finite")
        found = np.full(len(uv), NO_VERTEX, dtype=np.int64)
        for label in np.unique(part[part > 0]).tolist():
            mine = np.flatnonzero(part == label)
            found[mine] = self._of_part(label, uv[mine])
        return found

    def _of_part(self, part: int, uv: np.ndarray) -> np.ndarray:
        if part not in self._trees:
            raise ValueError(f"this surface has no vertex on part {part}")
        tree, vertex = self._trees[part]
        distance, place = tree.query(uv, k=[1, 2])  # with one place only, the second is infinitely far
        nearest = place[:, 0]
        tied = np.flatnonzero(distance[:, 0] == distance[:, 1])
        for row in tied:  # few: the tree takes any of those
            nearest[row] = ((tree.data - uv[row]) ** 2).sum(axis=1).argmin()
        return vertex[nearest]

    @cached_property
    def _trees(self) -> dict[int, tuple[cKDTree, np.ndarray]]:
        """For each part its distinct places and the vertex that is listed first at each."""
        trees = {}
        for label in np.unique(self.part).tolist():
            mine = np.flatnonzero(self.part == label)
            first = np.sort(np.unique(self.uv[mine], axis=0, return_index=True)[1])
            kept = mine[first]
            trees[label] = cKDTree(self.uv[kept].astype(np.float64)), self.vertex[kept]
        return trees
