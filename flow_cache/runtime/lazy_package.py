"""Packages whose public names are loaded on first use: what needs one of them loads nothing for others."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any


class _LazyPackage(ModuleType):
    """A package that finds its public names in the modules that its `_HOMES` says."""

    def __getattr__(self, name: str) -> Any:
        homes = self.__dict__["_HOMES"]
        if name not in homes:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        self.__dict__[name] = value
        return value

    def __setattr__(self, name: str, value: object) -> None:
        """The import system puts each submodule here by its name, which may be that of a function too."""
        if not (name in self.__dict__.get("_HOMES", {}) and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *self.__dict__["_HOMES"]})


def load_on_use(package: str) -> None:
    """Make a package lazy: its public names are those that its `__init__` imports for type checkers alone."""
    module = sys.modules[package]
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    module.__dict__["_HOMES"] = {
        alias.name: node.module
        for block in ast.parse(source).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    module.__class__ = _LazyPackage
