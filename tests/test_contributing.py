"""What contributors are told: the hooks are the linters of `make lint`, and the change log has its form."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def test_the_hooks_before_a_commit_are_the_linters_of_make_lint() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lint = makefile[makefile.index("\nlint:") : makefile.index("\ninstall:")]
    linters = re.findall(r"\$\(BIN\)/(.+)", lint)
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert local["repo"] == "local"  # no other version than that of the environment
    hooks = [hook["entry"] for hook in local["hooks"]]
    # A hook is given the files of the commit, of which some may be excluded.
    assert [hook.replace(" --force-exclude", "") for hook in hooks] == [
        ".venv/bin/" + linter.removesuffix(" .") for linter in linters
    ]


def test_the_change_log_has_the_form_of_keep_a_changelog() -> None:
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert log.index("## [Unreleased]") < log.index("## [0.1.0] - 20")
    kinds = re.findall(r"^### (.+)$", log, re.MULTILINE)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
