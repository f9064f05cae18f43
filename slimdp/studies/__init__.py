"""Studies: the many training runs of a table, from one file."""

from flow_cache.runtime.lock import HeldError
from slimdp.studies.own_data import OwnData
from slimdp.studies.plan import PlannedRun, plan_runs
from slimdp.studies.prepare import check_study
from slimdp.studies.records import RunResult
from slimdp.studies.results import SweepSummary
from slimdp.studies.run import sweep
from slimdp.studies.states import sweep_status
from slimdp.studies.study import Study, StudyRow, read_study

__all__ = [
    "HeldError",
    "OwnData",
    "PlannedRun",
    "RunResult",
    "Study",
    "StudyRow",
    "SweepSummary",
    "check_study",
    "plan_runs",
    "read_study",
    "sweep",
    "sweep_status",
]
