"""Event → what people and programs read."""

from pyknockd.report.alarms import Alarms
from pyknockd.report.jsonlines import json_line, json_value
from pyknockd.report.lines import Priority
from pyknockd.report.log import Log
from pyknockd.report.metrics import exposition
from pyknockd.report.reader import Report
from pyknockd.report.state import State
from pyknockd.report.status import Status
from pyknockd.report.story import Bounds, Kind, Story, Told
from pyknockd.report.subjects import source_of
from pyknockd.report.terminal import Bar, Page
from pyknockd.report.textfile import TextFile

__all__ = [
    "Alarms",
    "Bar",
    "Bounds",
    "Kind",
    "Log",
    "Page",
    "Priority",
    "Report",
    "State",
    "Status",
    "Story",
    "TextFile",
    "Told",
    "exposition",
    "json_line",
    "json_value",
    "source_of",
]
