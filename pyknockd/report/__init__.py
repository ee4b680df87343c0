"""Event → what people and programs read."""

from pyknockd.report.log import Log
from pyknockd.report.metrics import exposition
from pyknockd.report.reader import Report
from pyknockd.report.state import State
from pyknockd.report.status import Status
from pyknockd.report.textfile import TextFile

__all__ = ["Log", "Report", "State", "Status", "TextFile", "exposition"]
