"""What the pages name is there: files of the repository, links, and names of the packages."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from slimdp.registry import REGISTRIES

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("*.md")])
ROOMS = "docs|experiments|flow_cache|slimdp|tests|tools"
#: What a command of a page writes, or a word that stands for a name of the user's.
NOT_HERE = re.compile(r"--(?:results|json|out) \S+|\S*NAME\S*")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = NOT_HERE.sub("", page.read_text(encoding="utf-8"))
    # `slimdp/page.html`, but neither bench_*.py nor /path/of/somebody/slimdp/.
    named = set(re.findall(rf"(?<![\w/.])(?:{ROOMS})/[\w/.-]*\w(?![\w/*{{<[])", text))
    assert sorted(name for name in named if not (ROOT / name.rstrip(".")).exists()) == []
    links = {link for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text) if "://" not in link}
    assert sorted(link for link in links if not (page.parent / link).exists()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_heading_finds_it(page: Path) -> None:
    for file, heading in re.findall(r"\]\(([^)#\s:]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        target = page.parent / file if file else page
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        known = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert heading in known, f"{page.name}: {file}#{heading}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_of_a_package_that_a_page_gives_is_there(page: Path) -> None:
    names = set(re.findall(r"`((?:slimdp|flow_cache)(?:\.\w+)+)", page.read_text(encoding="utf-8")))
    missing = []
    for name in sorted(names - set(REGISTRIES)):  # groups of entry points are no modules
        place, found = name, None
        while found is None:
            try:
                found = import_module(place)
            except ModuleNotFoundError:
                place = place.rpartition(".")[0]
        for attribute in name[len(place) + 1 :].split(".") if place != name else ():
            found = getattr(found, attribute, None)
        if found is None:
            missing.append(name)
    assert missing == []


def test_the_ways_through_the_code_name_what_their_files_define() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    steps = re.findall(r"^\| \d+ \| (.+?) \| (.+) \|$", page, re.MULTILINE)
    assert len(steps) > 20
    for files, told in steps:
        named = re.findall(r"`([\w/]+\.py)`", files)
        code = "\n".join((ROOT / name).read_text(encoding="utf-8") for name in named)
        for name in re.findall(r"`([A-Za-z_]\w*)(?:\.\w+)?`", told):
            assert re.search(rf"^(?:class|def) {name}\b", code, re.MULTILINE), f"{name} in {named}"
