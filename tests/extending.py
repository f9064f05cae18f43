"""The examples of docs/extending.md, by file name: tests that need an extension from outside take them."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"
#: (language, text) of the page's blocks of code.
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
#: The first line of each file gives its name.
FILES = {text.split("\n", 1)[0].removeprefix("# "): text for kind, text in BLOCKS if kind != "sh"}
