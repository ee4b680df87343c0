"""What the daemon answers, as values. Times are seconds since 1970; None is never, or not known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface that is to be listened on; ``text`` is the trouble with it, if there is any."""

    name: str
    state: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Door:
    """A door; ``ways`` says of each of its commands which firewall it goes to, and how.

    ``proof`` is what it takes to open it, ``steps`` in ``timeout`` seconds.
    """

    name: str
    proof: str
    steps: int
    timeout: float
    ways: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """How the daemon fares.

    ``text`` is systemd's status line, ``config`` what is to be said of the files.
    """

    version: str
    since: float
    text: str
    interfaces: tuple[Interface, ...]
    doors: tuple[Door, ...]
    open: int
    attempts: int
    packets_dropped: int
    first_knocks_left_out: int
    config_path: str
    config: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who is in: through which door, since when, until when, and what will close it."""

    door: str
    source: str
    since: float
    until: float | None
    cause: str
    closing: str | None
