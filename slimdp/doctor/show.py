"""A diagnosis for reading: what lies there, what is wrong with it, what is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from flow_cache.runtime.atomic import write_text
from flow_cache.runtime.words import counted, quoted
from slimdp.doctor.annotation_file import FileSummary
from slimdp.doctor.examine import Diagnosis
from slimdp.doctor.findings import Finding, Severity

#: Examples of a kind of finding, and files of a table, that are shown before the rest is only counted.
MOST_EXAMPLES, MOST_FILES = 3, 20
_COLUMNS = ("images", "people", "with points", "points", "videos", "tracks")


def diagnosis_as_text(diagnosis: Diagnosis) -> str:
    """The whole diagnosis as lines."""
    kinds = ", ".join(diagnosis.kinds) or "no data set"
    sections = [f"{diagnosis.folder}: {kinds}"]
    if diagnosis.plan is not None:
        sections[0] += f" (seed {diagnosis.plan.get('seed')}, slimdp {diagnosis.plan.get('version')})"
    if diagnosis.files:
        sections.append(_file_table(diagnosis.files))
    sections += ["\n".join(lines) for lines in (_other_counts(diagnosis), _missing(diagnosis)) if lines]
    for severity in reversed(Severity):  # the worst last, where a terminal shows it
        groups = [group for group in diagnosis.findings.groups().values() if group[0].severity is severity]
        sections += [_group(group) for group in groups]
    return "\n\n".join([*sections, verdict(diagnosis)])


def write_json(path: Path, diagnosis: Diagnosis) -> None:
    """Write the whole diagnosis, every finding of it, to a JSON file: all of it or nothing."""
    write_text(path, json.dumps(diagnosis.as_json(), indent=1) + "\n")


def is_diagnosis(file: Path) -> bool:
    """Whether a file begins as those of `write_json` do."""
    begins = b'{\n "folder": '
    with open(file, "rb") as opened:
        return opened.read(len(begins)) == begins


def verdict(diagnosis: Diagnosis) -> str:
    """The number of findings of each severity, in one line."""
    counts = {severity: diagnosis.findings.count(severity) for severity in Severity}
    words = [counted(count, severity.value) for severity, count in counts.items()]
    looked = " (quick look: run without --quick to decode everything)" if diagnosis.quick else ""
    return f"{', '.join(words)}{looked}"


def _file_table(files: Sequence[FileSummary]) -> str:
    shown = files[:MOST_FILES]
    rows: list[tuple[str, ...]] = [("", *_COLUMNS)]
    for one in shown:
        counts = (len(one.images), one.people, one.dense_people, one.points, one.videos, one.tracks)
        rows.append((one.file, *map(str, counts)))
    first, *others = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  " + row[0].ljust(first) + "".join(cell.rjust(width + 2) for cell, width in zip(row[1:], others))
        for row in rows
    ]
    if len(files) > len(shown):
        lines.append(f"  and {len(files) - len(shown)} more files")
    return "\n".join(lines)


def _other_counts(found: Diagnosis) -> list[str]:
    headers, first = ("headers read of", "first frames of") if found.quick else ("decoded", "decoded")
    counted = (
        (found.pictures, f"pictures: {found.pictures} named, {headers} {found.pictures_opened}"),
        (found.truth_points, f"truth: {found.truth_points} points compared with iuv/"),
        (found.video_files, f"videos: {first} {found.video_files} files"),
        (found.flow_stores, f"flow: {found.flow_stores} stores, {found.flow_fields} finished fields"),
        (found.visible_masks, f"visible: {found.visible_masks} masks"),
        (found.surface_files, f"surface: {found.surface_files} files"),
    )
    return [f"  {line}" for count, line in counted if count]


def _missing(diagnosis: Diagnosis) -> list[str]:
    lines = []
    if not diagnosis.kinds:
        lines += [
            "  To begin at once, render a set, free to use:",
            f"    slimdp synthesize --preset tiny --out {quoted(diagnosis.folder / 'rendered')}",
            "  Or put a real one here, which each user fetches from its authors:",
        ]
    for dataset, downloads in diagnosis.missing.items():
        lines.append(f"  {dataset}" + (", what is not here:" if diagnosis.kinds else ":"))
        for one in downloads:
            size = f", {one.size}" if one.size else ""
            lines += [f"    {one.what}{size} -> {one.put}  [{one.licence}]", f"      {one.address}"]
    return lines


def _group(group: Sequence[Finding]) -> str:
    """Equal findings of one file: the first few, and how many there are."""
    first = group[0]
    times = f", {len(group)} times" if len(group) > 1 else ""
    lines = [f"{first.severity.value.upper()} {first.code} in {first.file}{times}"]
    for finding in group[:MOST_EXAMPLES]:
        lines.append("  " + (f"{finding.place}: " if finding.place else "") + finding.found)
    if len(group) > MOST_EXAMPLES:
        lines.append(f"  and {len(group) - MOST_EXAMPLES} more (--json FILE lists all)")
    lines += [f"  wanted: {first.wanted}", f"  do: {first.remedy}"]
    return "\n".join(lines)
