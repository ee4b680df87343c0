"""Counts events, and says when it has been too many of them."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pyknockd.model import Alert, Per, When
from pyknockd.model.events import (
    Alerted,
    AttemptEnded,
    CommandEnded,
    CommandHung,
    EndCause,
    Event,
    NotHeard,
    NotHeardCause,
    Opened,
    Refused,
)

MOST_COUNTED = 4_096  # sources or doors of an alert; of more the oldest are forgotten
_NOBODYS_FAULT = frozenset((EndCause.OPENED, EndCause.RELOAD, EndCause.EVICTED))


@dataclass(frozen=True, slots=True)
class _Happened:
    when: When
    source: str
    door: str


@dataclass(slots=True)
class _Count:
    """When it happened, the last times; ``quiet_until``: it has been told."""

    times: deque[float]
    quiet_until: float = 0.0


@dataclass(slots=True)
class _Rule:
    alert: Alert
    counts: OrderedDict[str, _Count] = field(default_factory=OrderedDict)


class Alerts:
    """Reads events for ``alerts``; what is to be told comes out of ``raised``."""

    def __init__(self, alerts: Sequence[Alert]) -> None:
        self._rules = [_Rule(alert) for alert in alerts]
        self._watched = frozenset(alert.when for alert in alerts)
        self._raised: list[Alerted] = []

    def take(self, event: Event) -> None:
        """Heed ``event``."""
        happened = _happened(event) if self._watched else None
        if happened is None or happened.when not in self._watched:
            return
        for rule in self._rules:
            if rule.alert.when is happened.when:
                self._raised += _counted(rule, happened, event.time)

    def raised(self) -> list[Alerted]:
        """What there is to tell since the last call."""
        raised, self._raised = self._raised, []
        return raised


def _counted(rule: _Rule, happened: _Happened, now: float) -> Iterator[Alerted]:
    alert = rule.alert
    keys = {Per.SOURCE: happened.source, Per.DOOR: happened.door, Per.ALL: ""}
    key = keys[alert.per]
    count = rule.counts.get(key)
    if count is None:
        count = rule.counts[key] = _Count(deque(maxlen=alert.count))
        if len(rule.counts) > MOST_COUNTED:
            rule.counts.popitem(last=False)
    rule.counts.move_to_end(key)
    count.times.append(now)
    is_full = len(count.times) == alert.count and now - count.times[0] <= alert.within
    if is_full and now >= count.quiet_until:
        count.quiet_until = now + alert.within
        count.times.clear()
        yield Alerted(now, alert, happened.source, happened.door)


def _happened(event: Event) -> _Happened | None:
    if isinstance(event, AttemptEnded):
        counts = not event.quiet and event.cause not in _NOBODYS_FAULT
        return _Happened(When.FAILED, event.source, event.door.name) if counts else None
    if isinstance(event, Opened):
        return _Happened(When.OPENED, event.source, event.door.name)
    if isinstance(event, Refused):
        return _Happened(When.REFUSED, event.source, event.door.name)
    if isinstance(event, NotHeard):
        denied = event.cause is NotHeardCause.DENIED
        return _Happened(When.DENIED, event.knock.source, event.door.name) if denied else None
    if isinstance(event, CommandEnded):
        failed = event.status != 0
        change = event.change
        return _Happened(When.COMMAND_FAILED, change.source, change.door) if failed else None
    if isinstance(event, CommandHung):
        return _Happened(When.COMMAND_HUNG, event.change.source, event.change.door)
    return None
