"""Event → what people and programs read."""

from pyknockd.report.lines import Priority
from pyknockd.report.log import Log
from pyknockd.report.reader import Report
from pyknockd.report.status import Status

__all__ = ["Log", "Priority", "Report", "Status"]
