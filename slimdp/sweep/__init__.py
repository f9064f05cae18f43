"""Studies: the many training runs of a table, from one file."""

from flow_cache.runtime.lock import HeldError
from slimdp.sweep.own_data import OwnData
from slimdp.sweep.plan import PlannedRun, plan_runs
from slimdp.sweep.prepare import check_study
from slimdp.sweep.records import RunResult
from slimdp.sweep.results import SweepSummary
from slimdp.sweep.run import sweep
from slimdp.sweep.states import sweep_status
from slimdp.sweep.study import Study, StudyRow, read_study

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
