"""Packages that load their names on first use: what type checkers, readers and Python see is the same."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

PACKAGES = [
    "flow_cache",
    "slimdp.data",
    "slimdp.evaluation",
    "slimdp.inference",
    "slimdp.motion",
    "slimdp.report",
    "slimdp.surface",
    "slimdp.training",
]


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_lives_where_type_checkers_find_it(name: str) -> None:
    package = import_module(name)
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    checked = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert checked == package._HOMES
    assert sorted(checked) == sorted(package.__all__)
    for public, home in checked.items():
        assert getattr(package, public) is getattr(import_module(str(home)), public)
    assert set(package.__all__) <= set(dir(package))


def test_a_name_that_is_not_there_is_named() -> None:
    with pytest.raises(AttributeError, match=r"module 'slimdp\.report' has no attribute 'nothing'"):
        _ = import_module("slimdp.report").nothing
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from slimdp.evaluation import nothing")


def test_a_function_of_a_modules_name_stays_a_function() -> None:
    report = import_module("slimdp.report")
    module = import_module("slimdp.report.body")
    assert isinstance(module, ModuleType)
    report.error_image = module  # as the import system does
    assert report.error_image is module.error_image


def test_packages_and_scoring_load_no_library_that_they_do_not_need() -> None:
    code = (
        "import sys; "
        + "; ".join(f"import {name}" for name in PACKAGES)
        + "; print(*{'cv2', 'h5py', 'numpy', 'scipy', 'torch'} & set(sys.modules)); "
        "import slimdp.evaluation.scorer, slimdp.surface.load, slimdp.report.tables; "
        "print(*{'trimesh', 'matplotlib', 'torch', 'av', 'embreex', 'scipy.interpolate'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "\n\n"


def test_the_page_to_label_by_hand_opens_without_torch() -> None:
    code = "import sys, slimdp.annotate.serve, slimdp.annotate.server; print('torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
