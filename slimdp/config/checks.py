"""What settings check of themselves."""

from __future__ import annotations

from collections.abc import Sequence

from flow_cache.runtime.nearest import listed
from slimdp.settings_file import ConfigError


def require(ok: bool, key: str, value: object, wanted: str) -> None:
    if not ok:
        raise ConfigError(f"{key} = {value!r}, but it must be {wanted}")


def require_one_of(choices: Sequence[str], key: str, value: str) -> None:
    require(value in choices, key, value, f"one of {listed(choices, value)}")
