"""Doors: the sequence that opens each, and what opening and closing it does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pyknockd.model.packets import Flags, Protocol
from pyknockd.model.policy import Policy

PLACEHOLDER = "%IP%"
OTHER_PLACEHOLDERS = ("%NET%", "%DOOR%", "%FAMILY%")  # of doors that pyknockd.yaml speaks of
FEW_SEQUENCES = 5  # one-time sequences: when so many are left it is time for more


@dataclass(frozen=True, slots=True)
class Step:
    """One port of a sequence. ``port`` is 0 to 65535."""

    port: int
    protocol: Protocol


@dataclass(frozen=True, slots=True)
class Command:
    """The text of a command before ``%IP%`` is filled in, for either address family.

    ``None`` means that the directive is absent, the empty text that it is there and says nothing:
    an absent ``v6`` falls back to ``v4``, an empty one does nothing.
    """

    v4: str | None = None
    v6: str | None = None

    def for_source(self, source: str) -> str:
        """The template that serves ``source``; the empty text if there is nothing to run."""
        if ":" in source and self.v6 is not None:
            return self.v6
        return self.v4 or ""

    def is_there(self, source: str) -> bool:
        """Whether a directive says anything for ``source``, be it the empty text."""
        return self.v4 is not None or (":" in source and self.v6 is not None)


@dataclass(frozen=True, slots=True)
class Door:
    """A section of the file: the sequence that opens it and what opening it does.

    ``timeout`` is how many seconds an attempt may take from its first knock, ``open_for`` how many
    seconds pass between the end of the opening command and the closing one. ``target`` is the one
    destination address this door listens to; ``None`` means every address of the interface.
    ``problem`` is why its file of one-time sequences gives it no ``steps``.
    ``has_policy``: pyknockd.yaml speaks of it.
    """

    name: str
    steps: tuple[Step, ...] = ()
    timeout: float = 25.0
    required: Flags = Flags(0)
    forbidden: Flags = Flags(0)
    target: str | None = None
    opening: Command = Command()
    closing: Command = Command()
    open_for: float = 10.0
    one_time_file: str | None = None
    problem: str = ""
    policy: Policy = Policy()
    has_policy: bool = False


@dataclass(frozen=True, slots=True)
class InForce:
    """The one-time sequence in force, none if all are used, and how many there are with it."""

    steps: tuple[Step, ...] = ()
    left: int = 0


def expand(template: str, source: str, door: Door | None = None) -> str:
    """``template`` with the address ``source`` in place of every ``%IP%``.

    With a ``door`` that pyknockd.yaml speaks of also with its name, the network around the source and
    the family, 4 or 6, in place of ``%DOOR%``, ``%NET%`` and ``%FAMILY%``.
    """
    if door is not None and door.has_policy:
        values = (door.policy.network(source), door.name, "6" if ":" in source else "4")
        for placeholder, value in zip(OTHER_PLACEHOLDERS, values, strict=True):
            template = template.replace(placeholder, value)
    return template.replace(PLACEHOLDER, source)


def templates(doors: Iterable[Door]) -> list[str]:
    """Every command of these doors, with ``%IP%`` where an address or its network is filled in."""
    found = []
    for door in doors:
        for command in (door.opening, door.closing):
            found += [_template(text, door) for text in (command.v4, command.v6) if text]
    return found


def _template(text: str, door: Door) -> str:
    if not door.has_policy:
        return text
    values = (PLACEHOLDER, door.name, "4")
    for placeholder, value in zip(OTHER_PLACEHOLDERS, values, strict=True):
        text = text.replace(placeholder, value)
    return text
