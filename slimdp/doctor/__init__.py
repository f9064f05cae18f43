"""Checks of data sets, rendered or real: what is there, what is wrong with it, what to do."""

from __future__ import annotations

from slimdp.doctor.catalogue import everything
from slimdp.doctor.examine import Diagnosis, examine
from slimdp.doctor.findings import RULES, Finding, Findings, Severity
from slimdp.doctor.show import diagnosis_as_text, is_diagnosis, verdict, write_json

__all__ = [
    "RULES", "Diagnosis", "Finding", "Findings", "Severity", "diagnosis_as_text", "everything", "examine",
    "is_diagnosis", "verdict", "write_json",
]  # fmt: skip
