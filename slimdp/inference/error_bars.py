"""How far off a prediction may be: at each pixel the distance along the body that most errors stay under.

The parts' probabilities P(q) say how far off the place is expected to be, in centimetres: the sum over the
parts q of P(q) times the distance between the middle of the likeliest part and that of q. So a doubt between
left and right weighs more than one between a foot and the leg above it. A table that was fitted on people
with exact labels (`slimdp.inference.calibration`) turns that into the bar.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.checksums import file_sha256
from flow_cache.runtime.json_file import read_json
from slimdp.inference.weights import FOLDER, SHIPPED, shipped_file
from slimdp.maps import upsample_map
from slimdp.settings_file import ConfigError
from slimdp.structures import DensePoseMaps

FORMAT = "slimdp error bars 1"
SUFFIX = ".error.json"
_ARRAYS = ("between_cm", "expected_cm", "bar_cm")
#: Share of the errors that lie under their bar.
LEVEL = 0.9


@dataclass(frozen=True)
class ErrorBars:
    """Bars of one network's predictions: K knots from the expected error to the bar, linear between them."""

    weights_sha256: str  # of the checkpoint whose predictions they are of
    level: float
    between_cm: np.ndarray  # (P, P) float64, along the body, between the middles of parts 1..P
    expected_cm: np.ndarray  # (K,) float64, increasing
    bar_cm: np.ndarray  # (K,) float64, never decreasing
    fitted: Mapping[str, Any]  # on what, and what share of it lies under the bars

    def of(self, prediction: DensePoseMaps, part: Tensor, stride: int) -> np.ndarray:
        """The bars, (B, S, S) float32 cm, of B crops whose likeliest parts (B, S, S) are 1..P."""
        return self.from_expected(expected_cm(prediction, part, stride, self.between_cm))

    def from_expected(self, expected_cm: np.ndarray) -> np.ndarray:
        """The bars for such expected errors, float32 cm; beyond the knots the last one's."""
        return np.interp(expected_cm, self.expected_cm, self.bar_cm).astype(np.float32)

    def digest(self) -> str:
        """SHA-256 of what decides the bars."""
        arrays = (np.asarray(getattr(self, name), dtype="<f8") for name in _ARRAYS)
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

    def save(self, checkpoint: Path) -> Path:
        """Write them beside the checkpoint; returns the file."""
        arrays = {name: np.round(getattr(self, name), 3).tolist() for name in _ARRAYS}
        values = asdict(self) | arrays
        path = bars_file(checkpoint)
        write_text(path, json.dumps({"format": FORMAT} | values) + "\n")
        return path


def expected_cm(prediction: DensePoseMaps, part: Tensor, stride: int, between_cm: np.ndarray) -> np.ndarray:
    """How far off the likeliest part (B, S, S) 1..P is expected to be by the maps' parts: (B, S, S) cm."""
    chosen = part.long()[:, None] - 1
    of_each = expected_of_parts(prediction, between_cm)
    return upsample_map(of_each, stride).gather(1, chosen).squeeze(1).cpu().numpy()


def expected_of_parts(prediction: DensePoseMaps, between_cm: np.ndarray) -> Tensor:
    """How far off each part 1..P would be as the answer, by the maps' parts: (B, P, h, w) cm."""
    probability = prediction.fine_segm[:, 1:].float().softmax(dim=1)
    distance = torch.as_tensor(between_cm, dtype=torch.float32, device=probability.device)
    return torch.einsum("pq,bqhw->bphw", distance, probability)


def bars_file(checkpoint: Path) -> Path:
    """Where the bars of a checkpoint lie."""
    return checkpoint.with_name(checkpoint.stem + SUFFIX)


def load_error_bars(checkpoint: Path) -> ErrorBars | None:
    """The bars beside a checkpoint; None where there are none.

    Raises ConfigError for a file that is damaged, of other weights, or not the one that came with slimdp.
    """
    path = bars_file(checkpoint)
    if path.name in SHIPPED and checkpoint.resolve().parent == FOLDER:
        path = shipped_file(path.name)
    if not path.is_file():
        return None
    values = read_json(path, "file of error bars", ConfigError)
    bars = _parsed(path, values)
    found = file_sha256(checkpoint).hex()
    if bars.weights_sha256 != found:
        whose = f"{bars.weights_sha256[:12]}, and {checkpoint.name} has {found[:12]}"
        raise ConfigError(
            f"{path} is of other weights (SHA-256 {whose}); run slimdp calibrate again, or remove it"
        )
    return bars


def _parsed(path: Path, values: Any) -> ErrorBars:
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ConfigError(f"{path}: no file of format {FORMAT!r}; run slimdp calibrate to make one")
    try:
        arrays = {name: np.asarray(values[name], dtype=np.float64) for name in _ARRAYS}
        bars = ErrorBars(
            str(values["weights_sha256"]), float(values["level"]), **arrays, fitted=values["fitted"]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} is damaged: {error}; run slimdp calibrate again") from error
    between, x, y = bars.between_cm, bars.expected_cm, bars.bar_cm
    sound = between.ndim == 2 and between.shape[0] == between.shape[1] and x.ndim == 1 and x.shape == y.shape
    sound = sound and len(x) > 0 and all(np.isfinite(a).all() and (a >= 0).all() for a in arrays.values())
    if not (sound and (np.diff(x) > 0).all() and (np.diff(y) >= 0).all() and 0 < bars.level < 1):
        raise ConfigError(f"{path} is damaged: its table is none; run slimdp calibrate again")
    return bars
