"""What the commands compute is what they computed before the code was reordered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: The last commit of the old order.
BEFORE = "e9a24ba3d3e55789d260f94e19f598267db5728d"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_results_are_those_of_before(tmp_path: Path) -> None:
    git = ["git", "-C", str(ROOT)]
    known = (ROOT / ".git").exists() and not subprocess.run(
        [*git, "cat-file", "-e", f"{BEFORE}^{{commit}}"], capture_output=True
    ).returncode
    if not known:
        pytest.skip(f"the history of the repository is absent, or does not reach back to {BEFORE[:7]}")
    command = [sys.executable, "tools/compare_with.py", BEFORE, "--keep", str(tmp_path / "kept")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = json.loads(done.stdout.splitlines()[-1])["jobs"]
    assert set(jobs) == {"set", "flow", "labels", "training", "checkpoint", "scores", "sweep"}
    for name, job in jobs.items():
        assert job["figures"] > 100, name
        assert job["largest"] <= 1e-6, name
