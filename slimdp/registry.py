"""What may be chosen by name, here and from outside of the package.

Each registry is a plain dict beside what it lists. Settings are read below the rooms that hold the dicts, so
this file names their places instead of importing them. From outside, a class comes in by one of two ways:

- an entry point of an installed package, in the group of the registry: `slimdp.models`;
- `imports: [my_package.my_file]` at the top of a settings file: a module that puts itself into the dict,
  `MODELS["mine"] = MySettings`. It lies where Python finds it, or in the working directory.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from flow_cache.runtime.words import listed
from slimdp.settings_file import ConfigError

#: Group of entry points -> module and name of the dict.
REGISTRIES = {
    "slimdp.models": ("slimdp.models", "MODELS"),
    "slimdp.backbones": ("slimdp.models.backbones", "BACKBONES"),
    "slimdp.losses": ("slimdp.losses", "LOSSES"),
    "slimdp.metrics": ("slimdp.evaluation", "METRICS"),
    "slimdp.pairs": ("slimdp.motion", "PAIR_SOURCES"),
    "slimdp.detectors": ("slimdp.inference.detectors", "DETECTORS"),
    "slimdp.trackers": ("slimdp.inference.tracking", "TRACKERS"),
    "slimdp.smoothers": ("slimdp.inference.smoothing", "SMOOTHERS"),
    "slimdp.writers": ("slimdp.inference.writers", "WRITERS"),
}


def lookup(group: str, name: str, key: str, besides: Sequence[str] = ()) -> Any:
    """What the registry of a group has under a name.

    Args:
        group: a key of `REGISTRIES`.
        key: of the settings, or an option such as --write, for the error.
        besides: what else the key takes, for the error.

    Raises:
        ConfigError: there is no such name, or an installed package offers it and cannot be loaded.
    """
    registry = registered(group)
    if name in registry:  # a look at all that is installed takes milliseconds
        return registry[name]
    offered = {entry.name: entry for entry in entry_points(group=group)}
    if name not in offered:
        choices = listed(dict.fromkeys([*besides, *registry, *offered]), name)
        own = "--imports its_module" if key.startswith("--") else "imports: [its_module]"
        raise ConfigError(f"{key} = {name!r}, but it must be one of {choices}. One of your own: {own}")
    try:
        registry[name] = offered[name].load()
    except Exception as error:  # of somebody else's module
        raise ConfigError(f"{key} = {name!r}: {offered[name].value} cannot be loaded: {error}") from error
    return registry[name]


def registered(group: str) -> dict[str, Any]:
    """The dict of a group itself."""
    module, name = REGISTRIES[group]
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def require_imported(names: Sequence[str], key: str = "imports") -> None:
    """Refuse modules that a file of results asks for; raises ConfigError naming the first not yet imported.

    A checkpoint is data that people hand on: reading one must not run a module that it chose, which could be
    a file beside it.
    """
    for position, name in enumerate(names):
        if name not in sys.modules:
            raise ConfigError(
                f"{key}.{position} = {name!r}: it needs this module, which is not run only because a "
                f"file asks for it. Where you trust it: --imports {name} of predict, video, fit, "
                "report and evaluate, or its settings file, which imports it"
            )


def import_modules(names: Sequence[str], key: str = "imports") -> None:
    """Import the modules that settings name, each once; raises ConfigError where one cannot be imported."""
    here = str(Path.cwd())
    if names and not {here, ""} & set(sys.path):
        sys.path.append(here)  # at the end: it must not hide what is installed
    for position, name in enumerate(names):
        try:
            importlib.import_module(name)
        except Exception as error:  # of somebody else's module
            raise ConfigError(
                f"{key}.{position} = {name!r} cannot be imported: {type(error).__name__}: {error}; give the "
                f"name of a module that is installed or lies in {here}"
            ) from error
