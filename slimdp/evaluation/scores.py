"""scores.json: the numbers of an evaluation, in percent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flow_cache.runtime.atomic import write_text


def write_scores(path: str | Path, scores: Mapping[str, Any]) -> None:
    """Write scores as JSON, whole or not at all; raises ValueError for a number that is not finite."""
    try:
        text = json.dumps(scores, indent=2, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"{path} is not written, for a score is not finite: {scores}") from error
    write_text(path, text + "\n")
