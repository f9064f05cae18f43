"""What files are known by: their content."""

from __future__ import annotations

import hashlib
from pathlib import Path


def file_sha256(path: str | Path) -> bytes:
    """SHA-256 of a file's content; raises OSError where it cannot be read."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()
