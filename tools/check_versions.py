"""Run the suite with the lowest versions that setup.cfg declares, or with the newest that there are.

    python tools/check_versions.py lowest --python python3.10
    python tools/check_versions.py newest --python python3.12 -- -n 2 -m "not slow"

Makes an environment in a folder (4 to 6 GB with torch), lets uv choose and install the versions of what
setup.cfg asks for, to run and in its extra `dev`, prints these, and runs pytest in it. What they depend on in
turn is the newest that fits. The exit code is pytest's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from configparser import ConfigParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
#: What uv calls the two choices.
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}


def declared(setup_cfg: Path) -> list[Requirement]:
    """What setup.cfg asks for: to run, and for its tests."""
    config = ConfigParser()
    config.read(setup_cfg, encoding="utf-8")
    lines = config["options"]["install_requires"] + "\n" + config["options.extras_require"]["dev"]
    return [Requirement(line) for line in lines.splitlines() if line.strip() and line.strip()[0] != "#"]


def pinned(compiled: str, requirements: list[Requirement]) -> list[str]:
    """Of the lines "name==version" that uv chose, those that setup.cfg itself names, in its order."""
    chosen = {line.split("==")[0]: line.strip() for line in compiled.splitlines() if "==" in line}
    return [chosen[canonicalize_name(requirement.name)] for requirement in requirements]


def main() -> int:
    """Make the environment, tell its versions, run the tests."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        epilog="What follows -- goes to pytest (default: -n 2 -m 'not slow').",
    )
    parser.add_argument("which", choices=RESOLUTIONS)
    parser.add_argument("--python", default=sys.executable, help="of the environment (default: this one)")
    parser.add_argument("--environment", type=Path, help="its folder, kept (default: a temporary one)")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    options = parser.parse_args(words[:end])
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.environment or Path(temporary) / "environment"
        python, versions = folder / "bin" / "python", Path(temporary) / "versions.txt"
        _step(options.python, "-m", "venv", folder)
        _step(python, "-m", "pip", "install", "--quiet", "uv")
        uv = folder / "bin" / "uv"
        _step(
            uv, "pip", "compile", "--quiet", "--resolution", RESOLUTIONS[options.which], "--python", python,
            "--extra", "dev", "--output-file", versions, ROOT / "setup.cfg",
        )  # fmt: skip
        print("\n".join(pinned(versions.read_text(), declared(ROOT / "setup.cfg"))), flush=True)
        _step(uv, "pip", "install", "--quiet", "--python", python, "--requirements", versions)
        tests = words[end + 1 :] or ["-n", "2", "--dist", "loadfile", "-m", "not slow"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run([python, "-m", "pytest", *tests], cwd=ROOT, env=environment).returncode


def _step(*words: str | Path) -> None:
    print("==", *words, flush=True)
    begun = time.monotonic()
    subprocess.run(words, check=True)
    print(f"== {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
