"""Event → what people and programs read."""

from pyknockd.report.jsonlines import json_line
from pyknockd.report.lines import Priority
from pyknockd.report.log import Log
from pyknockd.report.reader import Report
from pyknockd.report.status import Status
from pyknockd.report.story import Kind, Story, Told
from pyknockd.report.terminal import Bar, Page

__all__ = [
    "Bar",
    "Kind",
    "Log",
    "Page",
    "Priority",
    "Report",
    "Status",
    "Story",
    "Told",
    "json_line",
]
