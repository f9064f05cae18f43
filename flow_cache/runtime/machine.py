"""What results were made with: the code, by its commit, and the kind of the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def usable_cores() -> int:
    """The cores that this process may use, as far as the system tells."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_machine() -> str:
    """The kind of this machine in a few words, without its name: "2 cores, Intel(R) Xeon(R)"."""
    processor = platform.processor() or platform.machine()
    about = Path("/proc/cpuinfo")
    if about.is_file():
        names = [line for line in about.read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return f"{usable_cores()} cores, {processor}"


def git_state(file: str | Path, untracked: bool = False) -> tuple[str, bool] | None:
    """The commit of a file's checkout, and whether files differ (`untracked`: new ones too); None outside."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(file).resolve().parent), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip()

    try:
        # An installed package may lie in somebody else's checkout, which does not know it.
        git("ls-files", "--error-unmatch", Path(file).name)
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", f"--untracked-files={'normal' if untracked else 'no'}")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit, bool(changed)


def describe_commit(state: tuple[str, bool] | None) -> str:
    """A `git_state` in words: "0123abcd with changes", or "unknown"."""
    return "unknown" if state is None else state[0] + " with changes" * state[1]
