from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from slimdp import registry
from slimdp.config import ConfigError
from slimdp.registry import import_modules, lookup


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, object]:
    """A registry of its own, in a module of the working directory."""
    (tmp_path / "own_registry.py").write_text("THINGS = {'part': int}\n")
    (tmp_path / "own_extension.py").write_text("from own_registry import THINGS\n\nTHINGS['mine'] = str\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(registry.REGISTRIES, "slimdp.losses", ("own_registry", "THINGS"))
    for name in ("own_registry", "own_extension"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import_modules(["own_registry"])
    return registry.registered("slimdp.losses")


def test_what_is_registered_is_found_by_name(losses: dict[str, object]) -> None:
    assert lookup("slimdp.losses", "part", "loss.part") is int


def test_an_imported_module_adds_to_the_registry(losses: dict[str, object]) -> None:
    import_modules(["own_extension"])
    assert lookup("slimdp.losses", "mine", "loss.mine") is str


def test_an_unknown_name_is_told_with_what_there_is(losses: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"loss\.name = 'parts', but .* one of part; did you mean part\?"):
        lookup("slimdp.losses", "parts", "loss.name")
    with pytest.raises(ConfigError, match=r"one of all, part\. One of your own: --imports its_module"):
        lookup("slimdp.losses", "nothing", "--loss", ["all"])


@pytest.mark.parametrize("broken", ["no_such_module", "own_broken"])
def test_a_module_that_cannot_be_imported_is_named(losses: dict[str, object], broken: str) -> None:
    Path("own_broken.py").write_text("raise RuntimeError('no')\n")
    with pytest.raises(ConfigError, match=rf"imports\.1 = '{broken}' cannot be imported"):
        import_modules(["own_extension", broken])


def test_an_entry_point_is_loaded_when_it_is_asked_for(
    losses: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = [
        EntryPoint("far", "decimal:Decimal", "slimdp.losses"),
        EntryPoint("broken", "no_such_module:Thing", "slimdp.losses"),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: offered if group == "slimdp.losses" else [])
    assert lookup("slimdp.losses", "far", "loss.name").__name__ == "Decimal"
    assert set(losses) == {"part", "far"}
    with pytest.raises(ConfigError, match="no_such_module:Thing cannot be loaded"):
        lookup("slimdp.losses", "broken", "loss.name")
    with pytest.raises(ConfigError, match="one of part, far, broken"):
        lookup("slimdp.losses", "x", "loss.name")
