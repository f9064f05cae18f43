"""A mesh that tests can reckon with."""

from __future__ import annotations

import numpy as np


def sheet(columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """A flat sheet of unit squares with parallel diagonals; vertex (x, y) is y (columns + 1) + x."""
    y, x = np.mgrid[: rows + 1, : columns + 1]
    vertices = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)]).astype(float)
    corner = (np.arange(columns) + (columns + 1) * np.arange(rows)[:, None]).ravel()
    lower = np.column_stack([corner, corner + 1, corner + columns + 2])
    upper = np.column_stack([corner, corner + columns + 2, corner + columns + 1])
    return vertices, np.concatenate([lower, upper])
