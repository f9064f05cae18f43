"""The page of one or several studies: what their runs show, drawn and told for people."""

from slimdp.studies.page.write import ReportSettings, ReportSummary, write_report

__all__ = ["ReportSettings", "ReportSummary", "write_report"]
