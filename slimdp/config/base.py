"""The base of every setting: a frozen pydantic model, strict, whose errors name the whole key.

Unknown keys, wrong types and impossible values raise `ConfigError` before any work starts. A list, as YAML
has them, stands for a tuple, and 1 for 1.0; but true is no number, and neither is "2".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import core_schema
from typing_extensions import Self

from flow_cache.runtime.words import listed
from slimdp.registry import lookup, registered
from slimdp.settings_file import ConfigError, shortened

T = TypeVar("T")
#: Key of the validation's context: whether an earlier version may have written the values.
_SAVED = "saved"
#: Several values: a list in YAML.
Many = Annotated[tuple[T, ...], Field(strict=False)]

#: What is wanted where pydantic finds these kinds of errors.
_KINDS = {
    "int_type": "a whole number is", "float_type": "a number is", "finite_number": "a finite number is",
    "string_type": "a text (in quotes) is", "bool_type": "true or false is", "tuple_type": "a list is",
    "mapping_type": "`name: value` lines are", "dict_type": "`name: value` lines are",
}  # fmt: skip


class Settings(BaseModel):
    """Settings that belong together; a subclass has a field a key.

    `MOVED` tells where keys of earlier versions are now, both as they stand in this class: an error says so.
    """

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )
    MOVED: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigError(_told(error)) from None

    # Pydantic builds settings within settings by its own __init__, so that errors gather at the outermost.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def parse(cls, values: Any, key: str = "", saved: bool = False) -> Self:
        """Read plain values, as YAML gives them; `key` tells the errors where they stand.

        `saved`: an earlier version may have written them, and keys renamed since are read too. Raises
        ConfigError naming all unknown or missing keys, wrong types and impossible values.
        """
        try:
            return cls.model_validate(values, context={_SAVED: saved})
        except ValidationError as error:
            raise ConfigError(_told(error, key)) from None

    def replace(self, **changes: Any) -> Self:
        """A copy with changes; it is checked as a whole."""
        return type(self)(**{**dict(self), **changes})

    def plain(self) -> dict[str, Any]:
        """A deep copy as YAML and checkpoints hold it: mappings, and lists in place of tuples."""
        return self.model_dump(mode="json")

    def __hash__(self) -> int:
        # Not pydantic's: mappings among the values have no hash, and their order does not count.
        return hash(json.dumps(self.plain(), sort_keys=True))

    @model_validator(mode="before")
    @classmethod
    def _check_keys(cls, values: Any, info: ValidationInfo) -> Any:
        if isinstance(values, cls):
            return values
        known = cls.model_fields
        if not isinstance(values, Mapping):
            keys = ", ".join(known)
            raise _Fault(lambda at: f"{at('')} = {shortened(values)}, but keys are wanted: {keys}")
        values = by_new_keys(values, cls.MOVED, info)
        unknown = next((key for key in values if key not in known), None)
        if unknown is not None:
            raise _Fault(lambda at: f"unknown key {at(str(unknown))}; there are: {listed(known, unknown)}")
        return values


class _Fault(ValueError):
    """An error of settings, which do not know at which key they stand: `at("steps")` is "stages.1.steps"."""

    def __init__(self, told: Callable[[Callable[[str], str]], str]) -> None:
        super().__init__(told(lambda key: key or "the settings"))
        self.told = told


def by_new_keys(
    values: Mapping[str, Any], moved: Mapping[str, str], info: ValidationInfo, short: str = ""
) -> Mapping[str, Any]:
    """The same with what earlier versions saved under other keys; raises _Fault where a person wrote these.

    `moved` has new keys by old ones, with a dot where one is within another; `short` is the key of a number
    that stands for {short: number}.
    """
    old = [key for key in values if key in moved]
    if old and not (info.context or {}).get(_SAVED):
        raise _Fault(lambda at: f"{at(old[0])} is now {at(moved[old[0]])}")
    renamed = {key: value for key, value in values.items() if key not in old}
    for key in old:
        outer, dot, inner = moved[key].partition(".")
        above = renamed.get(outer, {})
        above = above if isinstance(above, Mapping) else {short: above}
        renamed[outer] = {**above, inner: values[key]} if dot else values[key]
    return renamed


def require(ok: bool, key: str, value: object, wanted: str) -> None:
    """Refuse a value of a key from within a validator, unless it is `ok`."""
    if not ok:
        raise _Fault(lambda at: f"{at(key)} = {shortened(value)}, but it must be {wanted}")


@dataclass(frozen=True, eq=False)
class Wanted:
    """A condition of a value: `Annotated[str, Wanted("letters", str.isalpha)]`."""

    words: str  # what the value must be
    holds: Callable[[Any], bool]
    schema: Mapping[str, Any] = field(default_factory=dict)  # the same for editors, as far as JSON Schema can

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(schema), **self.schema}

    def _check(self, value: Any) -> Any:
        require(self.holds(value), "", value, self.words)
        return value


def at_least(low: float, words: str = "") -> Wanted:
    return Wanted(words or f"{low} or more", lambda value: value >= low, {"minimum": low})


def above(low: float, words: str = "") -> Wanted:
    return Wanted(words or f"more than {low}", lambda value: value > low, {"exclusiveMinimum": low})


def within(low: float, high: float, more: str = "") -> Wanted:
    """Both ends included; `more` goes on after "in 1..16"."""
    words = f"in {low}..{high}{more}"
    return Wanted(words, lambda value: low <= value <= high, {"minimum": low, "maximum": high})


def below(high: float, words: str = "") -> Wanted:
    """From 0 to an end that is left out."""
    words = words or f"in 0..{high}, {high} left out"
    return Wanted(words, lambda value: 0 <= value < high, {"minimum": 0, "exclusiveMaximum": high})


#: Numbers of the usual ranges.
Positive = Annotated[float, above(0, "positive")]
PositiveInt = Annotated[int, above(0, "positive")]
NotNegative = Annotated[float, at_least(0)]
Count = Annotated[int, at_least(0)]
Share = Annotated[float, within(0, 1)]


@dataclass(frozen=True, eq=False)
class Chosen:
    """Settings whose class a registry has under the name that they give themselves: `{name: hourglass, ...}`.

    `model: Annotated[ModelSettings, MODEL] = Field(default_factory=MODEL.usual)`, MODEL being one of these.
    A class of the registry has the name as a field, `name: Literal["hourglass"] = "hourglass"`.
    """

    group: str  # of slimdp.registry
    usual_name: str  # of settings that do not give one
    key: str = "name"  # at which they give it

    def usual(self) -> Any:
        """The settings that nobody has chosen."""
        return lookup(self.group, self.usual_name, self.key)()

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        parsed = core_schema.is_instance_schema(source)
        return core_schema.with_info_before_validator_function(self._parse, parsed)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [handler(each.__pydantic_core_schema__) for each in registered(self.group).values()]}

    def _parse(self, values: Any, info: ValidationInfo) -> Any:
        if isinstance(values, Settings):
            return values
        name = values.get(self.key, self.usual_name) if isinstance(values, Mapping) else self.usual_name
        if not isinstance(name, str):
            raise _Fault(lambda at: f"{at(self.key)} = {shortened(name)}, but a text (in quotes) is wanted")
        return lookup(self.group, name, self.key).model_validate(values, context=info.context)


@dataclass(frozen=True, eq=False)
class EachChosen:
    """A mapping from names of a registry to settings of the class that it has there.

    `{part: 1.0, equivariance: {weight: 0.1, at: level_3}}`: where `short` is "weight", 1.0 is {weight: 1.0}.
    """

    group: str
    short: str  # the key that a number stands for
    moved: Mapping[str, str] = field(default_factory=dict)  # as MOVED of `Settings`

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        named = core_schema.dict_schema(core_schema.str_schema(strict=True), core_schema.any_schema())
        return core_schema.with_info_after_validator_function(self._parse, named)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        kinds = registered(self.group).items()
        terms = {name: handler(kind.__pydantic_core_schema__) for name, kind in kinds}
        properties = {name: {"anyOf": [{"type": "number"}, term]} for name, term in terms.items()}
        return {"type": "object", "properties": properties, "additionalProperties": False}

    def _parse(self, values: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        renamed = by_new_keys(values, self.moved, info, self.short)
        return {name: self._parse_one(name, value, info) for name, value in renamed.items()}

    def _parse_one(self, name: str, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, Settings):
            return value
        kind = lookup(self.group, name, name)
        values = {self.short: value} if type(value) in (int, float) else value
        try:
            return kind.model_validate(values, context=info.context)
        except ValidationError as error:
            wrong = error
        raise _Fault(lambda at: _told(wrong, at(name)))


def _told(errors: ValidationError, key: str = "") -> str:
    """All that is wrong, each with its whole key."""
    return "; ".join(dict.fromkeys(_told_one(error, key) for error in errors.errors(include_url=False)))


def _told_one(error: Mapping[str, Any], key: str) -> str:
    place = (*([key] if key else ()), *error["loc"])
    if place[-1:] == ("[key]",):  # a name in a mapping of any names
        place = place[:-2]

    def at(name: str) -> str:
        return ".".join(str(part) for part in (*place, *([name] if name else ()))) or "the settings"

    kind, fault = error["type"], error.get("ctx", {}).get("error")
    if isinstance(fault, _Fault):
        return fault.told(at)
    if isinstance(fault, ConfigError):
        return at(str(fault))  # it begins with a key
    if kind == "missing":
        return f"missing key {at('')}"
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", error["ctx"]["expected"])
        wanted = f"it must be one of {listed(choices, error['input'])}"
    elif kind in _KINDS:
        wanted = f"{_KINDS[kind]} wanted"
    else:
        wanted = str(fault or error["msg"])
    return f"{at('')} = {shortened(error['input'])}, but {wanted}"
