"""Changes: what is done for a source, once it has shown that it may, and undone later."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ChangeKind(Enum):
    """Whether a change opens a door or closes it."""

    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Change:
    """One command for one source, its address filled in, once.

    ``opening`` is the number of the opening that it belongs to; with ``kind`` it tells changes
    apart. ``words`` are the command's, or None if it takes a shell to tell. ``look_first``: it is to
    be done only if what it undoes is still there, as after a restart somebody may have undone it.
    ``timeout`` is after how many seconds its program is killed, None for never.
    ``by_hand``: somebody wants it now, before its time.
    """

    opening: int
    kind: ChangeKind
    door: str
    source: str
    command: str
    words: tuple[str, ...] | None = None
    look_first: bool = False
    timeout: float | None = None
    by_hand: bool = False
