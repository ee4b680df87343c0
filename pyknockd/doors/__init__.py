"""Event → change, and its end: the life of each opening."""

from pyknockd.doors.doors import Doors, closing_of
from pyknockd.doors.journal import Journal
from pyknockd.doors.opening import Opening
from pyknockd.doors.store import Left, StoreError, read_past

__all__ = ["Doors", "Journal", "Left", "Opening", "StoreError", "closing_of", "read_past"]
