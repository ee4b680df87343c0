"""What an opening is to do: from a door's commands, and the source that may."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from pyknockd.doors.families import missing_directives
from pyknockd.doors.opening import Plan
from pyknockd.firewall.identity import Effect
from pyknockd.model import Change, ChangeKind, expand
from pyknockd.model.events import Opened, RefusalCause
from pyknockd.system.shell import split

MOST_COMMAND_BYTES = 4095  # knockd runs nothing that is longer

EffectOf = Callable[[Sequence[str]], Effect | None]
"""The rule that the words of a command make or take away; None if that cannot be told."""


def refusal_of(event: Opened, inside: Collection[str]) -> RefusalCause | None:
    """Why the commands of a door are not to be run, if they are not. ``inside`` are those who are in."""
    for command, cause in (
        (event.door.opening, RefusalCause.START_COMMAND_TOO_LONG),
        (event.door.closing, RefusalCause.STOP_COMMAND_TOO_LONG),
    ):
        text = expand(command.for_source(event.source), event.source, event.door)
        if len(text.encode("utf-8", "surrogateescape")) > MOST_COMMAND_BYTES:
            return cause
    if missing_directives(event.door, over_ipv6=":" in event.source):
        return RefusalCause.OTHER_FAMILY
    if 0 < event.door.policy.max_open <= len(inside) and event.source not in inside:
        return RefusalCause.TOO_MANY_OPEN
    return None


def plan_of(event: Opened, number: int, effect_of: EffectOf) -> Plan:
    """The opening ``number``, of the door that ``event`` speaks of, for its source."""
    door, source = event.door, event.source
    opening = expand(door.opening.for_source(source), source, door)
    opens = change_of(number, ChangeKind.OPEN, door.name, source, opening)
    closes = None
    if door.closing.is_there(source):
        closing = expand(door.closing.for_source(source), source, door)
        closes = change_of(number, ChangeKind.CLOSE, door.name, source, closing)
    timeout = door.policy.command_timeout
    opens = replace(opens, timeout=timeout)
    closes = None if closes is None else replace(closes, timeout=timeout)
    return plan(opens, closes, door.open_for, effect_of)


def change_of(number: int, kind: ChangeKind, door: str, source: str, command: str) -> Change:
    """A change whose ``command`` has the address filled in."""
    words = split(command)
    return Change(number, kind, door, source, command, None if words is None else tuple(words))


def plan(opens: Change, closes: Change | None, open_for: float, effect_of: EffectOf) -> Plan:
    """What the two changes do to the firewall, as far as that can be told."""
    effect = _effect(opens, effect_of)
    end = _effect(closes, effect_of) if closes is not None else None
    return Plan(
        opens,
        closes,
        open_for,
        makes=effect.rule if effect is not None and effect.makes else None,
        takes=effect.rule if effect is not None and not effect.makes else None,
        closes=end.rule if end is not None and not end.makes else None,
    )


def _effect(change: Change, effect_of: EffectOf) -> Effect | None:
    return effect_of(change.words) if change.words else None
