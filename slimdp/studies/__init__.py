"""Studies: the many training runs of a table, from one file."""

from flow_cache.runtime.lock import HeldError
from slimdp.studies.launch import sweep
from slimdp.studies.plan import PlannedRun, plan_runs
from slimdp.studies.prepare import check_study, sweep_status
from slimdp.studies.records import RunResult
from slimdp.studies.results import SweepSummary
from slimdp.studies.study import DataOverride, Study, StudyRow, read_study
from slimdp.studies.swept import NoStudyError, SweptStudy, find_studies

__all__ = [
    "DataOverride",
    "HeldError",
    "NoStudyError",
    "PlannedRun",
    "RunResult",
    "Study",
    "StudyRow",
    "SweepSummary",
    "SweptStudy",
    "check_study",
    "find_studies",
    "plan_runs",
    "read_study",
    "sweep",
    "sweep_status",
]
