"""Event → change, and its end: the life of each opening."""

from pyknockd.doors.doors import Doors, closing_of
from pyknockd.doors.families import is_reached, missing_directives
from pyknockd.doors.journal import Journal
from pyknockd.doors.opening import Opening
from pyknockd.doors.rehearsal import Rehearsal
from pyknockd.doors.store import Left, StoreError, read_past

__all__ = [
    "Doors",
    "Journal",
    "Left",
    "Opening",
    "Rehearsal",
    "StoreError",
    "closing_of",
    "is_reached",
    "missing_directives",
    "read_past",
]
