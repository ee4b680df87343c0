"""Alerts: what is to be told once it has happened so often."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class When(Enum):
    """What is counted; the values are pyknockd.yaml's words."""

    FAILED = "failed"  # an attempt ended without an opening
    OPENED = "opened"
    REFUSED = "refused"
    DENIED = "denied"
    COMMAND_FAILED = "command-failed"
    COMMAND_HUNG = "command-hung"


class Per(Enum):
    """What is counted together."""

    SOURCE = "source"
    DOOR = "door"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Alert:
    """``count`` times ``within`` so many seconds, counted ``per`` source, door, or all together.

    Then a line is logged, if ``log``, and ``command`` is run, the last one's ``%IP%`` and ``%DOOR%``
    filled in, if there is one; and not again within the same time.
    """

    when: When
    count: int = 1
    within: float = 60.0
    per: Per = Per.SOURCE
    log: bool = True
    command: str = ""
