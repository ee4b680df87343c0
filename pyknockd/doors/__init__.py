"""Event → change, and its end: the life of each opening."""

from pyknockd.doors.doors import Doors
from pyknockd.doors.families import is_reached, missing_directives
from pyknockd.doors.journal import Journal
from pyknockd.doors.rehearsal import Rehearsal
from pyknockd.doors.store import Left

__all__ = ["Doors", "Journal", "Left", "Rehearsal", "is_reached", "missing_directives"]
