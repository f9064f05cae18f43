"""What the doctor finds: records with a severity, a place, and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import Enum

from slimdp.doctor.rules import ERROR, NOTE, RULES, WARNING


class Severity(str, Enum):
    """How bad a finding is: an error stops a reader or spoils results, a note is only worth knowing."""

    ERROR = ERROR
    WARNING = WARNING
    NOTE = NOTE


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    severity: Severity
    code: str  # one of RULES
    file: str  # relative to the folder that is checked
    place: str  # e.g. "annotation 12 of image 3: dp_I"; empty: the file as a whole
    found: str
    wanted: str
    remedy: str

    def as_json(self) -> dict[str, str]:
        """Plain values for json.dumps."""
        return {**asdict(self), "severity": self.severity.value}


class Findings:
    """The findings of one examination, in the order in which they were made."""

    def __init__(self) -> None:
        self._all: list[Finding] = []

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def add(self, code: str, file: str, place: str, found: str, remedy: str | None = None) -> None:
        """Add a finding; severity and what was wanted are the rule's, and so is the remedy unless given."""
        rule = RULES[code]
        self._all.append(
            Finding(Severity(rule.severity), code, file, place, found, rule.wanted, remedy or rule.remedy)
        )

    def count(self, severity: Severity) -> int:
        """How many findings are that bad."""
        return Counter(finding.severity for finding in self._all)[severity]

    def groups(self) -> dict[tuple[str, str], list[Finding]]:
        """Findings by (code, file), errors first, then in order of appearance."""
        groups: dict[tuple[str, str], list[Finding]] = {}
        order = list(Severity)
        for finding in sorted(self._all, key=lambda finding: order.index(finding.severity)):
            groups.setdefault((finding.code, finding.file), []).append(finding)
        return groups
