"""Whom and what an event is about."""

from __future__ import annotations

from pyknockd.model import Change, Door
from pyknockd.model.events import Event, NotHeard


def source_of(event: Event) -> str:
    """The address of whoever knocked; the empty text where an event is about nobody."""
    if isinstance(event, NotHeard):
        return event.knock.source
    return _text(getattr(_subject(event), "source", ""))


def door_of(event: Event) -> str:
    """The name of the door; the empty text where an event is about none."""
    door = getattr(_subject(event), "door", "")
    return door.name if isinstance(door, Door) else _text(door)


def _subject(event: Event) -> Change | Event:
    """What is done is the subject of what becomes of it."""
    change = getattr(event, "change", None)
    return change if isinstance(change, Change) else event


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
