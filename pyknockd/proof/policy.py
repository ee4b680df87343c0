"""Whose knocks a door does not hear, and when: its policy, and who has opened it lately."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from pyknockd.model import Door, Knock
from pyknockd.model.events import NotHeardCause

MOST_COOLING = (
    8_192  # sources that have opened a door with a cooldown; of more the oldest may again
)


@dataclass(frozen=True, slots=True)
class _Cooling:
    door: str
    source: str


class Gate:
    """Remembers who has opened which door."""

    def __init__(self) -> None:
        self._until: OrderedDict[_Cooling, float] = OrderedDict()

    def refusal(self, door: Door, knock: Knock) -> NotHeardCause | None:
        """Why ``door`` does not hear ``knock``; None if it does."""
        policy = door.policy
        # A capture need not say which interface it was: then it is taken to be one of these.
        if policy.interfaces and knock.interface not in ("", *policy.interfaces):
            return NotHeardCause.NOT_LISTENED_ON
        if not policy.admits(knock.source):
            return NotHeardCause.DENIED
        if policy.cooldown:
            until = self._until.get(_Cooling(door.name, knock.source))
            if until is not None and knock.time < until:
                return NotHeardCause.COOLDOWN
        return None

    def opened(self, door: Door, source: str, now: float) -> None:
        """``source`` has opened ``door``."""
        if door.policy.cooldown:
            key = _Cooling(door.name, source)
            self._until[key] = now + door.policy.cooldown
            self._until.move_to_end(key)
            if len(self._until) > MOST_COOLING:
                self._until.popitem(last=False)
