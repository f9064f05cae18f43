"""YAML text to plain values and back, strictly: what YAML would quietly take for something else is an error.

Read are mappings, lists, texts, numbers, true and false, null, aliases and merge keys (`<<`). Refused, with
the line and the key: a key twice; other tags (`!!python/...`, `!!binary`); dates and numbers of base 8 or 60
that nobody meant (010, 1:30); numbers beyond 64 bits; a value within itself; aliases that unfold to
more than MOST_VALUES; several documents; nesting beyond MOST_DEPTH.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NoReturn

import yaml

#: A settings file has some hundred values, and a text of some kilobytes.
MOST_VALUES, MOST_DEPTH, MOST_CHARACTERS = 100_000, 64, 1 << 22
_TAG = "tag:yaml.org,2002:"
_SCALARS = {_TAG + name: name for name in ("str", "int", "float", "bool", "null", "timestamp")}
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_KeyPath = tuple[str, ...]


class ConfigError(ValueError):
    """A setting that is unknown, of the wrong type or impossible."""


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
            value = self._list(path, event) if is_list else self._mapping(path, event)
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
        return _copied(value)

    def _list(self, path: _KeyPath, event: Any) -> list[Any]:
        self._check_tag(event, "seq")
        items: list[Any] = []
        while not isinstance(event := self._reader.get_event(), yaml.SequenceEndEvent):
            items.append(self._value((*path, str(len(items))), event))
        return items

    def _mapping(self, path: _KeyPath, event: Any) -> dict[Any, Any]:
        self._check_tag(event, "map")
        own: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        while not isinstance(event := self._reader.get_event(), yaml.MappingEndEvent):
            if self._is_merge(event):
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

    def _is_merge(self, event: Any) -> bool:
        return isinstance(event, yaml.ScalarEvent) and event.implicit[0] and event.value == "<<"

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
        text = event.value
        if kind == "timestamp":
            self._refuse(event, f'{text} is a date to YAML; write "{text}" in quotes to mean this text')
        if kind in ("int", "float") and ":" in text:
            self._refuse(
                event, f"{text} is a number of base 60 to YAML; write it out, or in quotes as a text"
            )
        if kind == "int":
            if _OCTAL.fullmatch(text):
                self._refuse(event, f"{text} is a number of base 8 to YAML; leave the 0 out, or write quotes")
            # Longer ones are not converted: that takes time with the square of their length.
            number = (
                self._reader.construct_yaml_int(yaml.ScalarNode(event.tag or "", text))
                if len(text) < 80
                else None
            )
            if number is None or not -(2**63) <= number < 2**63:
                self._refuse(event, f"{text:.40} is a number beyond 64 bits")
            return number
        if kind == "float":
            return self._reader.construct_yaml_float(yaml.ScalarNode(event.tag or "", text))
        if kind == "bool":
            return self._reader.bool_values[text.lower()]
        return None if kind == "null" else text

    def _check_tag(self, event: Any, kind: str) -> None:
        if event.tag not in (None, "!", _TAG + kind):
            self._refuse_tag(event)

    def _refuse_tag(self, event: Any) -> NoReturn:
        told = event.tag.replace(_TAG, "!!")
        self._refuse(event, f"the tag {told:.60} is not read; write the value itself")

    def _refuse(self, event: Any, problem: str) -> NoReturn:
        key = ".".join(self.path)
        raise ConfigError(f"{_place(event.start_mark)}: {f'{key:.120}: ' if key else ''}{problem}")


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied(each) for each in value]
    return {key: _copied(each) for key, each in value.items()} if isinstance(value, dict) else value


def _place(mark: Any) -> str:
    return "the text" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"
