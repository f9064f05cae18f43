"""Put the settings and the documentation into the package: who installs a wheel has no clone beside it.

All other settings of the build are in setup.cfg.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
#: Folders of the repository, and what of them goes to slimdp/ of the wheel under the same name. From a clone
#: they are read where they lie (slimdp.shipped).
SHIPPED = {
    "experiments": ("*.yaml", "*.json", "*.jsonl"),
    "docs": ("*.md", "*.json", "*.jpg", "*.png", "*.html", "*.js"),
}


class BuildWithShippedFiles(build_py):
    """Copies what is `SHIPPED` too; an editable install reads the repository itself."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for folder, patterns in SHIPPED.items():
            for file in sorted(file for pattern in patterns for file in (HERE / folder).rglob(pattern)):
                target = Path(self.build_lib) / "slimdp" / file.relative_to(HERE)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)


setup(cmdclass={"build_py": BuildWithShippedFiles})
