"""What a person has who has no labels, for `PersonAnnotation`."""

from __future__ import annotations

from typing import Any

import numpy as np

NO_LABELS: dict[str, Any] = {
    "points": np.zeros((0, 2)),
    "part": np.zeros(0, dtype=np.int64),
    "uv": np.zeros((0, 2), dtype=np.float32),
    "source": np.zeros(0, dtype=np.int64),
    "step": np.zeros(0, dtype=np.int64),
    "coarse": None,
}
