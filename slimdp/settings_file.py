"""Settings files: YAML text to plain values and back, over a base, with overrides.

YAML is read strictly: what it would quietly take for something else is an error with the line and the key.
Read are mappings, lists, texts, numbers, true and false, null, aliases and merge keys (`<<`). Refused are a
key twice; other tags (`!!python/...`, `!!binary`); dates and numbers of base 8 or 60 that nobody meant (010,
1:30); numbers beyond 64 bits; a value within itself; aliases that unfold to more than MOST_VALUES; several
documents; nesting beyond MOST_DEPTH. `slimdp.config.base` checks what the values are.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from flow_cache.runtime.json_file import encoding_of
from slimdp.shipped import shipped_like

#: Key of a settings file that names another one, relative to itself, whose settings it changes.
BASE_KEY = "base"
#: A settings file has some hundred values, and a text of some kilobytes.
MOST_VALUES, MOST_DEPTH, MOST_CHARACTERS = 100_000, 64, 1 << 22
_TAG = "tag:yaml.org,2002:"
_SCALARS = {_TAG + name: name for name in ("str", "int", "float", "bool", "null", "timestamp")}
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_KeyPath = tuple[str, ...]
#: Where a number and a mapping may meet: `loss: {equivariance: 1.0}` and `loss: {equivariance: {at: uv}}`.
_LOSS_TERM = re.compile(r"(^|\.)loss\.[^.]+$")


class ConfigError(ValueError):
    """A setting that is unknown, of the wrong type or impossible."""


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
        raise ConfigError(f"{path}: {BASE_KEY} = {shortened(base)}, but the name of a file is wanted")
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
        told = f"line {line}: not a text file in {encoding} (byte {error.start})"
        raise ConfigError(f"{path}: {told}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: wanted `key: value` lines at the top, but found {shortened(values)}")
    return values


def merge(base: Mapping[str, Any], changes: Mapping[str, Any], key: str = "") -> dict[str, Any]:
    """Put changes over a base: mappings key by key, items of lists by their numbers, the rest as a whole.

    Of these plain values `{stages: {1: {steps: 100}}}` changes the second item of the list `stages`, and a
    list takes the place of the whole of it; `key` tells the errors where they stand. Raises ConfigError: a
    number that the list does not have, numbers where there is no list, or a list that is given keys.
    """
    at = f"{key}." if key else ""
    laid = {name: _laid_over(base.get(name), value, f"{at}{name}") for name, value in changes.items()}
    return {**base, **laid}


def _laid_over(base: Any, change: Any, key: str) -> Any:
    if _LOSS_TERM.search(key) and {dict} & {type(base), type(change)}:
        base, change = _spelled_out(base), _spelled_out(change)
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
                told = f"{key} has items 0..{len(items) - 1}, not {name}"
                raise ConfigError(f"{told}; to add one, give the whole list")
            items[name] = _laid_over(items[name], value, f"{key}.{name}")
        return items
    if numbered:
        raise ConfigError(f"{key} = {shortened(base)} is no list: it has no item {numbered[0]} to change")
    return merge(base, change, key) if isinstance(base, Mapping) else change


def _spelled_out(term: Any) -> Any:
    """A loss term with keys; a number stands for its weight."""
    return {"weight": term} if type(term) in (int, float) else term


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set one `key=value` in place, with dots into mappings and numbers into lists: `stages.0.steps=10`."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"{override!r}, but a setting and its value are wanted: key=value")
    try:
        value = parse_yaml(text)
    except ConfigError as error:
        raise ConfigError(f"override {shortened(override)}: {error}") from None
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
            raise ConfigError(f"{where}: {here} = {shortened(node)} holds no {part!r}")
        if depth == len(parts) - 1:
            found = node.get(index) if isinstance(node, dict) else None
            if isinstance(found, dict) and _LOSS_TERM.search(key) and type(value) in (int, float):
                value = {**found, "weight": value}
            node[index] = value
        else:
            if isinstance(node, dict) and _LOSS_TERM.search(".".join(parts[: depth + 1])):
                node[index] = _spelled_out(node.get(index, {}))
            node = node[index] if isinstance(node, list) else node.setdefault(index, {})


def shortened(value: Any) -> str:
    """A value as errors tell it, not in all its length."""
    told = repr(value)
    return told if len(told) <= 120 else told[:117] + "..."


def differences(first: Any, second: Any, key: str = "") -> Iterator[str]:
    """Where two plain values differ, as `key: first, second` lines."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name in dict.fromkeys([*first, *second]):
            yield from differences(first.get(name), second.get(name), f"{key}.{name}" if key else str(name))
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for i, (one, other) in enumerate(zip(first, second)):
            yield from differences(one, other, f"{key}.{i}")
    elif first != second:
        yield f"{key}: {first!r}, {second!r}"


class _Reader(yaml.SafeLoader):
    """The parser, and what a word without quotes stands for: 1e-3 is a number too."""


class _Dumper(yaml.SafeDumper):
    """Writes what `parse_yaml` reads back: the text "1e3" in quotes."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """In double quotes, escaped, if PyYAML's other styles would turn a line break in it into a space."""
    style = '"' if re.search("[\n\x85\u2028\u2029]", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
for _side in (_Reader, _Dumper):
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
    )


def dump_yaml(values: Any) -> str:
    """Plain values as a YAML text that `parse_yaml` gives back."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def parse_yaml(text: str) -> Any:
    """The plain value of a YAML text; no two places of it share a list or a mapping.

    Raises ConfigError naming the line and, where there is one, the key.
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"{len(text)} characters, but at most {MOST_CHARACTERS} are read as settings")
    builder = None
    try:
        builder = _Builder(text)
        return builder.document()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"not valid YAML: line {line}: {error.reason} (#x{error.character:04x})") from None
    except yaml.MarkedYAMLError as error:
        problem = f"{error.problem or error.context}"
        hint = "; indent with spaces, not with a tab" if "'\\t'" in problem else ""
        near = f", after {'.'.join(builder.path)}" if builder and builder.path else ""
        raise ConfigError(f"not valid YAML: {_place(error.problem_mark)}{near}: {problem}{hint}") from None


class _Builder:
    """Turns the parser's events into values, one by one, so that nothing is unfolded before it is counted."""

    def __init__(self, text: str) -> None:
        self.path: _KeyPath = ()  # of the value that is being read
        self._anchors: dict[str, tuple[Any, int]] = {}  # name -> its value, and how many values that is
        self._open: set[str] = set()  # names of what is being read
        self._values = 0
        self._reader = _Reader(text)

    def document(self) -> Any:
        self._reader.get_event()
        if self._reader.check_event(yaml.StreamEndEvent):
            return None
        self._reader.get_event()
        value = self._value((), self._reader.get_event())
        self._reader.get_event()
        if not self._reader.check_event(yaml.StreamEndEvent):
            mark = self._reader.peek_event().start_mark
            raise ConfigError(f"{_place(mark)}: a second document begins; one is wanted in a file")
        return value

    def _value(self, path: _KeyPath, event: Any) -> Any:
        self.path = path
        self._count(1, event)
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event)
        before = self._values
        if event.anchor:
            self._open.add(event.anchor)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        else:
            if len(path) >= MOST_DEPTH:
                self._refuse(event, f"lists and mappings nested more than {MOST_DEPTH} deep")
            is_list = isinstance(event, yaml.SequenceStartEvent)
            if event.tag not in (None, "!", _TAG + ("seq" if is_list else "map")):
                self._refuse_tag(event)
            value = self._list(path) if is_list else self._mapping(path)
        if event.anchor:
            self._open.discard(event.anchor)
            self._anchors[event.anchor] = value, 1 + self._values - before
        return value

    def _count(self, values: int, event: Any) -> None:
        self._values += values
        if self._values > MOST_VALUES:
            self._refuse(event, f"more than {MOST_VALUES} values, aliases unfolded; settings have fewer")

    def _aliased(self, event: Any) -> Any:
        if event.anchor in self._open:
            self._refuse(event, f"*{event.anchor} stands for a value that it is part of")
        if event.anchor not in self._anchors:
            self._refuse(event, f"*{event.anchor} stands for nothing; no &{event.anchor} is above it")
        value, size = self._anchors[event.anchor]
        self._count(size - 1, event)
        return copy.deepcopy(value)

    def _list(self, path: _KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self._reader.get_event(), yaml.SequenceEndEvent):
            items.append(self._value((*path, str(len(items))), event))
        return items

    def _mapping(self, path: _KeyPath) -> dict[Any, Any]:
        own: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        while not isinstance(event := self._reader.get_event(), yaml.MappingEndEvent):
            if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == "<<":
                for source in self._merged((*path, "<<"), self._reader.get_event()):
                    merged = {**source, **merged}
                continue
            key = self._value(path, event)
            if isinstance(key, (list, dict)):
                self._refuse(event, "a list or a mapping as a key; a text is wanted")
            self.path = (*path, str(key))
            if key in own:
                self._refuse(event, f"{key!r:.60} twice; leave one out")
            own[key] = self._value((*path, str(key)), self._reader.get_event())
        return {**merged, **own}

    def _merged(self, path: _KeyPath, event: Any) -> Sequence[dict[Any, Any]]:
        value = self._value(path, event)
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            self.path = path
            self._refuse(event, f"{value!r:.60}, but mappings are wanted to be merged")
        return sources

    def _scalar(self, event: Any) -> Any:
        resolved = event.tag in (None, "!")
        tag = self._reader.resolve(yaml.ScalarNode, event.value, event.implicit) if resolved else event.tag
        if resolved and tag not in _SCALARS:  # "=" and "<<" are words of YAML 1.1 that nobody means
            return event.value
        if tag not in _SCALARS or (not resolved and _SCALARS[tag] == "timestamp"):
            self._refuse_tag(event)
        try:
            return self._of_kind(_SCALARS[tag], event)
        except (ValueError, KeyError, IndexError) as error:
            if isinstance(error, ConfigError):
                raise
            self._refuse(event, f"{event.value!r:.60} is no {_SCALARS[tag]}")

    def _of_kind(self, kind: str, event: Any) -> Any:
        text, node = event.value, yaml.ScalarNode(event.tag or "", event.value)
        if kind == "timestamp":
            self._refuse(event, f'{text} is a date to YAML; write "{text}" in quotes to mean this text')
        if kind in ("int", "float") and ":" in text:
            told = f"{text} is a number of base 60 to YAML"
            self._refuse(event, f"{told}; write it out, or in quotes as a text")
        if kind == "int":
            if _OCTAL.fullmatch(text):
                self._refuse(event, f"{text} is a number of base 8 to YAML; leave the 0 out, or write quotes")
            # Longer ones are not converted: that takes time with the square of their length.
            number = self._reader.construct_yaml_int(node) if len(text) < 80 else 2**63
            if not -(2**63) <= number < 2**63:
                self._refuse(event, f"{text:.40} is a number beyond 64 bits")
            return number
        if kind == "float":
            return self._reader.construct_yaml_float(node)
        if kind == "bool":
            return self._reader.bool_values[text.lower()]
        return None if kind == "null" else text

    def _refuse_tag(self, event: Any) -> NoReturn:
        told = event.tag.replace(_TAG, "!!")
        self._refuse(event, f"the tag {told:.60} is not read; write the value itself")

    def _refuse(self, event: Any, problem: str) -> NoReturn:
        key = ".".join(self.path)
        raise ConfigError(f"{_place(event.start_mark)}: {f'{key:.120}: ' if key else ''}{problem}")


def _place(mark: Any) -> str:
    return "the text" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"
