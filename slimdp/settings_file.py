"""From a YAML file and overrides to frozen dataclasses, strictly, and back.

Every error names the file, the whole key (`stages.1.data.0.images`) and what it could have been. jsonargparse
was tried for this: within a tuple of dataclasses its errors leave out which item is meant and which keys
there are, it takes the text "2" for the number 2, and it has no overrides by list index.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union

from flow_cache.runtime.json_file import encoding_of
from flow_cache.runtime.nearest import listed
from slimdp.plain_yaml import ConfigError, dump_yaml, parse_yaml
from slimdp.shipped import shipped_like

__all__ = [
    "ConfigError",
    "apply_override",
    "differences",
    "dump_yaml",
    "from_plain",
    "merge",
    "parse_yaml",
    "read_mapping",
    "read_settings",
    "set_key",
    "to_plain",
]


T = TypeVar("T")

#: Key of a settings file that names another one, relative to itself, whose settings it changes.
BASE_KEY = "base"
KINDS = {int: "a whole number", float: "a number", str: "a text (in quotes)", bool: "true or false"}


def read_settings(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read a settings file on top of the one that its `base` names, if any; raises ConfigError."""
    path = Path(path)
    values = read_mapping(path)
    if path.resolve() in seen:
        raise ConfigError(f"{path}: its {BASE_KEY} leads back to itself")
    base = values.pop(BASE_KEY, None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise ConfigError(f"{path}: {BASE_KEY} = {_told(base)}, but the name of a file is wanted")
    below = read_settings(path.parent / base, (*seen, path.resolve()))
    try:
        return merge(below, values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def read_mapping(path: Path) -> dict[str, Any]:
    """What a YAML file holds itself; raises ConfigError where that is not `key: value` lines."""
    if path.is_dir():
        raise ConfigError(f"{path}: a folder, but a settings file is wanted")
    if not path.is_file():
        raise ConfigError(f"{path}: no such settings file{shipped_like(path)}")
    content = path.read_bytes()
    encoding = encoding_of(content[:4])
    try:
        values = parse_yaml(content.decode(encoding))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}: line {line}: not a text file in {encoding} (byte {error.start})"
        ) from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: wanted `key: value` lines at the top, but found {_told(values)}")
    return values


def merge(base: Mapping[str, Any], changes: Mapping[str, Any], key: str = "") -> dict[str, Any]:
    """Put changes over a base: mappings key by key, items of lists by their numbers, the rest as a whole.

    Args:
        base, changes: plain values; `{stages: {1: {steps: 100}}}` changes the second item of the list
            `stages`, and a list takes the place of the whole of it.
        key: where they stand, for the errors.

    Raises:
        ConfigError: a number that the list does not have, numbers where there is no list, or a list that is
            given keys.
    """
    merged = dict(base)
    for name, value in changes.items():
        merged[name] = _laid_over(merged.get(name), value, f"{key}.{name}" if key else str(name))
    return merged


def _laid_over(base: Any, change: Any, key: str) -> Any:
    if not isinstance(change, Mapping):
        return change
    numbered = [name for name in change if type(name) is int]
    if isinstance(base, list):
        items = list(base)
        for name, value in change.items():
            if name not in numbered:
                raise ConfigError(
                    f"{key} is a list, and {name!r} is no number of an item; change items by number, "
                    f"{key}: {{0: ...}}, or give the whole list"
                )
            if not 0 <= name < len(items):
                raise ConfigError(
                    f"{key} has items 0..{len(items) - 1}, not {name}; to add one, give the whole list"
                )
            items[name] = _laid_over(items[name], value, f"{key}.{name}")
        return items
    if numbered:
        raise ConfigError(f"{key} = {_told(base)} is no list: it has no item {numbered[0]} to change")
    return merge(base, change, key) if isinstance(base, Mapping) else change


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set one `key=value` in place, with dots into mappings and numbers into lists: `stages.0.steps=10`."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"{override!r}, but a setting and its value are wanted: key=value")
    try:
        value = parse_yaml(text)
    except ConfigError as error:
        raise ConfigError(f"override {_told(override)}: {error}") from None
    set_key(values, key, value, f"override {override!r}")


def set_key(values: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set a key with dots in place, as `apply_override` does; `where` it comes from opens the errors."""
    node: Any = values
    parts = key.split(".")
    for depth, part in enumerate(parts):
        here = ".".join(parts[:depth])
        index: Any = part
        if isinstance(node, list):
            if not part.isdecimal() or len(part) > 9 or int(part) >= len(node):
                raise ConfigError(f"{where}: {here} has items 0..{len(node) - 1}, not {part!r}")
            index = int(part)
        elif not isinstance(node, dict):
            raise ConfigError(f"{where}: {here} = {_told(node)} holds no {part!r}")
        if depth == len(parts) - 1:
            node[index] = value
        else:
            node = node[index] if isinstance(node, list) else node.setdefault(index, {})


def from_plain(kind: Any, value: Any, key: str = "") -> Any:
    """Make a value of a type from plain YAML values.

    Args:
        kind: a dataclass, int, float, str, bool, `tuple[X, ...]`, `Mapping[str, X]`, `X | None` of these, or
            Any.
        value: what YAML gave.
        key: where it stands, for the errors.

    Raises:
        ConfigError: an unknown or missing key, a wrong type, or a value that the dataclass refuses.
    """
    origin = typing.get_origin(kind)
    if kind is Any:
        return value
    if hasattr(kind, "model_fields"):
        return kind.parse(value, key)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass_from_plain(kind, value, key)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        (kind,) = (option for option in typing.get_args(kind) if option is not type(None))
        return from_plain(kind, value, key)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{key} = {_told(value)}, but a list is wanted")
        item = typing.get_args(kind)[0]
        return tuple(from_plain(item, each, f"{key}.{i}") for i, each in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key} = {_told(value)}, but `name: value` lines are wanted")
        item = typing.get_args(kind)[1]
        return {from_plain(str, n, key): from_plain(item, each, f"{key}.{n}") for n, each in value.items()}
    if kind is float and type(value) is int:
        return float(value)
    # Not isinstance: true and false are whole numbers to Python.
    if type(value) is not kind:
        raise ConfigError(f"{key} = {_told(value)}, but {KINDS[kind]} is wanted")
    if kind is float and not math.isfinite(value):
        raise ConfigError(f"{key} = {_told(value)}, but a finite number is wanted")
    return value


def _dataclass_from_plain(kind: type[T], value: Any, key: str) -> T:
    place = f"{key}." if key else ""
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    choices = ", ".join(fields)
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key or 'the settings'} = {_told(value)}, but keys are wanted: {choices}")
    unknown = [name for name in value if name not in fields]
    if unknown:
        raise ConfigError(f"unknown key {place}{unknown[0]}; there are: {listed(fields, unknown[0])}")
    for name, f in fields.items():
        required = f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        if required and name not in value:
            raise ConfigError(f"missing key {place}{name}")
    hints = typing.get_type_hints(kind)
    settings = {name: from_plain(hints[name], each, f"{place}{name}") for name, each in value.items()}
    try:
        return kind(**settings)
    except ConfigError as error:
        # The dataclass knows its own keys, but not which item of a list it is.
        raise ConfigError(f"in {key}: {error}" if key else str(error)) from error


def to_plain(value: Any) -> Any:
    """A deep copy with dataclasses as dicts and tuples as lists: what YAML and checkpoints hold."""
    if hasattr(value, "model_fields"):
        return value.plain()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: to_plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(each) for each in value]
    return value


def _told(value: Any) -> str:
    """A value as errors tell it, not in all its length."""
    told = repr(value)
    return told if len(told) <= 120 else told[:117] + "..."


def differences(first: Any, second: Any, key: str = "") -> Iterator[str]:
    """Where two plain values differ, as `key: first, second` lines."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        pairs: Sequence[Any] = list(dict.fromkeys([*first, *second]))
        for name in pairs:
            yield from differences(first.get(name), second.get(name), f"{key}.{name}" if key else str(name))
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for i, (one, other) in enumerate(zip(first, second)):
            yield from differences(one, other, f"{key}.{i}")
    elif first != second:
        yield f"{key}: {first!r}, {second!r}"
