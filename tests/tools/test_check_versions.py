from __future__ import annotations

from packaging.requirements import Requirement

from tools.check_versions import ROOT, declared, pinned


def test_every_package_to_run_has_a_lowest_version() -> None:
    requirements = declared(ROOT / "setup.cfg")
    names = [requirement.name for requirement in requirements]
    assert {"torch", "numpy", "pytest"} <= set(names)
    assert len(names) == len(set(names))
    for requirement in requirements[: names.index("pytest")]:
        assert [each.operator for each in requirement.specifier] == [">="], requirement


def test_of_what_was_chosen_the_packages_of_setup_cfg_are_told() -> None:
    compiled = "# by uv\nabsl-py==2.5\npyyaml==6.0\n    # via slimdp\ntorch==2.6.0\n"
    told = pinned(compiled, [Requirement("torch>=2.6"), Requirement("PyYAML>=6.0")])
    assert told == ["torch==2.6.0", "pyyaml==6.0"]
