"""The base of all settings: what it accepts, and what it says of what it does not."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field, ValidationError, model_validator
from typing_extensions import Self

from slimdp import registry
from slimdp.config.base import (
    Chosen,
    ConfigError,
    EachChosen,
    Many,
    Settings,
    Share,
    above,
    below,
    require,
    within,
)


class Item(Settings):
    count: Annotated[int, within(1, 16)] = 3
    share: Share | None = None
    kind: Literal["plain", "fancy"] = "plain"


class Whole(Settings):
    MOVED: ClassVar[Mapping[str, str]] = {"number": "items.0.count"}

    items: Many[Item]
    first: Item = Item()
    scores: Mapping[str, Mapping[str, float]] = {}
    names: Many[str] = ()
    rate: Annotated[float, above(0)] = 1.0
    decay: Annotated[float, below(1)] = 0.0
    flag: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        require(len(self.items) < 3, "items", len(self.items), "less than 3 items")
        return self


def test_yaml_values_become_what_was_meant() -> None:
    read = Whole.parse({"items": [{"share": 1}, {}], "scores": {"a": {"5cm": 1}, "b": {}}, "rate": 2})
    assert read == Whole(items=(Item(share=1.0), Item()), scores={"a": {"5cm": 1.0}, "b": {}}, rate=2.0)
    assert type(read.items[0].share) is float
    assert type(read.rate) is float
    assert Whole.parse(read.plain()) == read
    assert read.plain()["items"] == [
        {"count": 3, "share": 1.0, "kind": "plain"},
        {"count": 3, "share": None, "kind": "plain"},
    ]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "missing key top.items"),
        (3, "top = 3, but keys are wanted: items, first, scores, names, rate, decay, flag"),
        ({"items": [{"count": 17}]}, "top.items.0.count = 17, but it must be in 1..16"),
        ({"items": [{}, {"count": True}]}, "top.items.1.count = True, but a whole number is wanted"),
        ({"items": [{"count": 2.0}]}, "top.items.0.count = 2.0, but a whole number is wanted"),
        ({"items": [{"count": "2"}]}, "top.items.0.count = '2', but a whole number is wanted"),
        ({"items": [{"share": "half"}]}, "top.items.0.share = 'half', but a number is wanted"),
        ({"items": [{"share": True}]}, "top.items.0.share = True, but a number is wanted"),
        ({"items": [{"share": float("nan")}]}, "top.items.0.share = nan, but a finite number is wanted"),
        (
            {"items": [{"kind": "fanciful"}]},
            "top.items.0.kind = 'fanciful', but it must be one of plain, fancy; did you mean fancy?",
        ),
        (
            {"items": [{"cuont": 3}]},
            "unknown key top.items.0.cuont; there are: count, share, kind; did you mean count?",
        ),
        ({"items": [3]}, "top.items.0 = 3, but keys are wanted: count, share, kind"),
        ({"items": "abc"}, "top.items = 'abc', but a list is wanted"),
        ({"items": {"count": 1}}, "top.items = {'count': 1}, but a list is wanted"),
        ({"items": [], "first": None}, "top.first = None, but keys are wanted: count, share, kind"),
        ({"items": [], "names": ["a", 2]}, "top.names.1 = 2, but a text (in quotes) is wanted"),
        ({"items": [], "flag": 1}, "top.flag = 1, but true or false is wanted"),
        ({"items": [], "scores": 3}, "top.scores = 3, but `name: value` lines are wanted"),
        ({"items": [], "scores": {"a": 3}}, "top.scores.a = 3, but `name: value` lines are wanted"),
        ({"items": [], "scores": {"a": {"5cm": "1"}}}, "top.scores.a.5cm = '1', but a number is wanted"),
        ({"items": [], "scores": {1: {}}}, "top.scores = 1, but a text (in quotes) is wanted"),
        ({"items": [], "rate": 0}, "top.rate = 0.0, but it must be more than 0"),
        ({"items": [], "decay": 1}, "top.decay = 1.0, but it must be in 0..1, 1 left out"),
        ({"items": [{}, {}, {}]}, "top.items = 3, but it must be less than 3 items"),
        ({"items": [], "number": 3}, "top.number is now top.items.0.count"),
        (
            {"items": [{"count": 0}, {"share": 2}]},
            "top.items.0.count = 0, but it must be in 1..16; top.items.1.share = 2.0, but it must be in 0..1",
        ),
        ({"items": [], 3: 4}, "unknown key top.3; there are: items, first, scores, names, rate, decay, flag"),
        ({"items": [], "flag": "x" * 500}, f"top.flag = '{'x' * 116}..., but true or false is wanted"),
    ],
)
def test_errors_name_the_whole_key(values: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Whole.parse(values, "top")
    assert str(caught.value) == told


def test_what_an_earlier_version_saved_is_read_by_its_old_keys() -> None:
    class Inner(Settings):
        MOVED: ClassVar[Mapping[str, str]] = {"decay": "ema_decay"}
        ema_decay: float = 0.5

    class Outer(Settings):
        MOVED: ClassVar[Mapping[str, str]] = {"decay": "inner.ema_decay", "rows": "lines"}
        inner: Inner = Inner()
        lines: Many[Inner] = ()

    saved = {"decay": 0.25, "rows": [{"decay": 0.125}], "inner": {}}
    wanted = Outer(inner=Inner(ema_decay=0.25), lines=(Inner(ema_decay=0.125),))
    assert Outer.parse(saved, saved=True) == wanted
    assert saved["inner"] == {}
    with pytest.raises(ConfigError, match=r"^lines\.0\.decay is now lines\.0\.ema_decay$"):
        Outer.parse({"lines": [{"decay": 0.125}]})


def test_settings_made_in_python_are_checked_too() -> None:
    with pytest.raises(ConfigError, match=r"^items\.0\.count = True, but a whole number"):
        Whole(items=({"count": True},))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^the settings = None, but keys are wanted"):
        Whole.parse(None)


def test_a_copy_with_changes_is_checked() -> None:
    item = Item(count=2)
    assert item.replace(share=0.5) == Item(count=2, share=0.5)
    assert item == Item(count=2)
    with pytest.raises(ConfigError, match=r"^share = 2\.0, but it must be in 0\.\.1"):
        item.replace(share=2.0)
    with pytest.raises(ConfigError, match="unknown key shares"):
        item.replace(shares=2.0)


def test_settings_do_not_change_and_travel() -> None:
    item = Item(count=2)
    with pytest.raises(ValidationError):
        item.count = 3  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(item)) == item
    assert len({item, Item(count=2), Item()}) == 2
    two = [Whole(items=(), scores={name: {} for name in names}) for names in ("ab", "ba")]
    assert len({*two}) == 1


class Round(Settings):
    name: Literal["round"] = "round"
    radius: Annotated[float, above(0)] = 1.0


class Square(Settings):
    name: Literal["square"] = "square"
    weight: Annotated[float, above(0)] = 1.0
    at: Literal["corner", "middle"] = "middle"


_SHAPE = Chosen("slimdp.models", "round")


class Picture(Settings):
    shape: Annotated[Settings, _SHAPE] = Field(default_factory=_SHAPE.usual)
    shapes: Annotated[
        Mapping[str, Any], EachChosen("slimdp.models", "weight", {"square_at": "square.at"})
    ] = {}


@pytest.fixture
def _shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("shapes_of_a_test")
    module.SHAPES = {"round": Round, "square": Square}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(registry.REGISTRIES, "slimdp.models", (module.__name__, "SHAPES"))


@pytest.mark.usefixtures("_shapes")
def test_settings_are_chosen_by_their_name() -> None:
    assert Picture().shape == Round()
    assert Picture.parse({"shape": {"radius": 2}}).shape == Round(radius=2)
    picture = Picture.parse({"shape": {"name": "square"}, "shapes": {"square": 3}})
    assert picture == Picture(shape=Square(), shapes={"square": Square(weight=3)})
    assert Picture.parse(picture.plain()) == picture
    assert picture.plain() == {
        "shape": {"name": "square", "weight": 1.0, "at": "middle"},
        "shapes": {"square": {"name": "square", "weight": 3.0, "at": "middle"}},
    }


@pytest.mark.usefixtures("_shapes")
def test_settings_of_another_kind_are_not_taken_for_a_choice() -> None:
    class Flat(Settings):
        shape: Annotated[Round, _SHAPE] = Field(default_factory=_SHAPE.usual)

    assert Flat(shape=Round(radius=2)).shape.radius == 2
    with pytest.raises(ConfigError, match=r"^shape = Square\(.*instance of Round"):
        Flat(shape=Square())  # type: ignore[arg-type]


@pytest.mark.usefixtures("_shapes")
def test_saved_weights_with_keys_beside_them_are_read() -> None:
    saved = {"shapes": {"square": 2, "square_at": "corner"}}
    assert Picture.parse(saved, saved=True).shapes == {"square": Square(weight=2, at="corner")}


@pytest.mark.usefixtures("_shapes")
@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            {"shape": {"name": "rond"}},
            "top.shape.name = 'rond', but it must be one of round, square; did you",
        ),
        ({"shape": {"name": 3}}, "top.shape.name = 3, but a text"),
        ({"shape": "round"}, "top.shape = 'round', but keys are wanted: name, radius"),
        ({"shape": {"radius": 0}}, "top.shape.radius = 0.0, but it must be more than 0"),
        ({"shape": {"at": "x"}}, "unknown key top.shape.at; there are: name, radius"),
        ({"shapes": {"squar": 3}}, "top.shapes.squar = 'squar', but it must be one of round, square"),
        ({"shapes": {"square": -1}}, "top.shapes.square.weight = -1.0, but it must be more than 0"),
        (
            {"shapes": {"square": {"weigth": 1}}},
            "unknown key top.shapes.square.weigth; there are: name, weight",
        ),
        ({"shapes": {"square_at": "x"}}, "top.shapes.square_at is now top.shapes.square.at"),
        ({"shapes": {"square": "x"}}, "top.shapes.square = 'x', but keys are wanted: name, weight, at"),
    ],
)
def test_errors_of_chosen_settings_name_the_whole_key(values: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Picture.parse(values, "top")
    assert str(caught.value).startswith(told)


@pytest.mark.usefixtures("_shapes")
def test_the_schema_has_what_may_be_chosen() -> None:
    properties = Picture.model_json_schema()["properties"]
    assert [each["title"] for each in properties["shape"]["anyOf"]] == ["Round", "Square"]
    number, square = properties["shapes"]["properties"]["square"]["anyOf"]
    assert number == {"type": "number"}
    assert square["properties"]["at"]["enum"] == ["corner", "middle"]


def test_the_conditions_reach_the_schema() -> None:
    properties = Whole.model_json_schema()["properties"]
    assert properties["decay"] | {"title": ""} == {
        "title": "", "type": "number", "minimum": 0, "exclusiveMaximum": 1, "default": 0.0,
    }  # fmt: skip
