"""Doors of knockd.conf and what pyknockd.yaml says of them, put together; and its own doors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pyknockd.config.knockd_conf import DOOR, Draft, FirstSequence
from pyknockd.model import Door, DoorSettings, Remark, Severity
from pyknockd.system.text import excerpt


@dataclass(frozen=True, slots=True)
class Joined:
    """All doors, those of pyknockd.yaml behind the others, and what there is to say of that file."""

    doors: tuple[Door, ...]
    remarks: tuple[Remark, ...]


def joined(
    doors: Sequence[Door], settings: Iterable[DoorSettings], first_sequence: FirstSequence
) -> Joined:
    """``doors`` with their settings. ``first_sequence`` is what ``knockd_conf.parse`` asks for."""
    found, remarks = list(doors), list[Remark]()
    names = {door.name for door in doors}
    for one in settings:
        if one.name in names:
            found = [_with_policy(door, one) for door in found]
            remarks += [_stands_elsewhere(one.name, key.key, key.line) for key in one.directives]
        else:
            draft = _own_door(one, first_sequence)
            found.append(draft.door)
            remarks += draft.remarks
    return Joined(tuple(found), tuple(remarks))


def _with_policy(door: Door, settings: DoorSettings) -> Door:
    if door.name != settings.name:
        return door
    return replace(door, policy=settings.policy, has_policy=True)


def _stands_elsewhere(name: str, key: str, line: int) -> Remark:
    text = f"{key}: the door {excerpt(name)} stands in knockd.conf; write it there"
    return Remark(Severity.MISTAKE, line, text)


def _own_door(settings: DoorSettings, first_sequence: FirstSequence) -> Draft:
    draft = Draft(first_sequence=first_sequence)
    draft.doors.append(Door(settings.name, policy=settings.policy, has_policy=True))
    for directive in settings.directives:
        draft.line = directive.line
        DOOR[directive.key](draft, directive.value)
    if not draft.door.steps and not draft.remarks:
        draft.line = settings.line
        draft.mistake(
            f"no door {excerpt(settings.name)} in knockd.conf, and no sequence here for one of its own"
        )
    return draft
