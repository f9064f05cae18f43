from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from flow_cache.runtime.machine import describe_commit, describe_machine, git_state, usable_cores


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository of one file."""
    (tmp_path / "code.py").touch()
    for words in (["init", "-q"], ["add", "code.py"], ["commit", "-qm", "first"]):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True)
    return tmp_path


def test_a_checkout_tells_its_commit_and_whether_it_changed(clone: Path) -> None:
    head = subprocess.run(["git", "-C", str(clone), "rev-parse", "HEAD"], capture_output=True, text=True)
    commit = head.stdout.strip()
    assert git_state(clone / "code.py") == git_state(clone / "code.py", untracked=True) == (commit, False)
    assert describe_commit(git_state(clone / "code.py")) == commit
    (clone / "new.py").touch()
    assert git_state(clone / "code.py") == (commit, False)
    assert git_state(clone / "code.py", untracked=True) == (commit, True)
    (clone / "code.py").write_text("changed")
    assert git_state(clone / "code.py") == (commit, True)
    assert describe_commit((commit, True)) == f"{commit} with changes"


def test_what_a_checkout_does_not_know_is_not_of_it(clone: Path) -> None:
    (clone / "installed.py").touch()
    assert git_state(clone / "installed.py") is None
    assert describe_commit(None) == "unknown"


def test_a_machine_is_told_by_its_cores_and_not_by_its_name() -> None:
    cores, _, processor = describe_machine().partition(" cores, ")
    assert int(cores) == usable_cores() >= 1
    assert processor
