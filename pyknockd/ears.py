"""The interfaces that are listened on, as they come, go, and change their addresses."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pyknockd import interfaces
from pyknockd.capture import Capture, CaptureError
from pyknockd.log import Log
from pyknockd.model import ANY_INTERFACE, AUTO_INTERFACE, Door, Knock
from pyknockd.sieve import Sieve

_FIRST_CHOICE = "eth0"  # knockd's default, where there is one


@dataclass(slots=True)
class _Ear:
    """A capture, and the index by which the kernel knows its interface."""

    index: int
    capture: Capture


@dataclass(slots=True)
class _Said:
    """What was told already, so that it is told once."""

    missing: set[str] = field(default_factory=set)
    trouble: dict[str, str] = field(default_factory=dict)


class Ears:
    """Listens on the interfaces named: by name, ``any``, or ``auto``.

    ``any`` is every interface there is. ``auto`` is eth0, or without one the interface of the default
    route. Those that are not there are waited for. ``fileno`` is readable when ``read`` has work.
    """

    def __init__(self, wanted: Sequence[str], log: Log, *, ipv4_only: bool = False) -> None:
        self._wanted = tuple(wanted)
        self._say = log.say
        self._warn = log.complain
        self._ipv4_only = ipv4_only
        self._doors: Sequence[Door] = ()
        self._ears: dict[str, _Ear] = {}
        self._said = _Said()
        self._started = False
        self._changes = interfaces.Changes()
        self._poll = select.epoll()
        self._poll.register(self._changes, select.EPOLLIN)

    def fileno(self) -> int:
        return self._poll.fileno()

    @property
    def names(self) -> tuple[str, ...]:
        """The interfaces that are listened on now."""
        return tuple(self._ears)

    def listen(self, doors: Sequence[Door]) -> None:
        """Listen for these doors' knocks from now on, without a gap. Raises CaptureError.

        The error is one that waiting does not mend, such as a lack of privilege.
        """
        self._doors = doors
        for ear in self._ears.values():
            ear.capture.listen(doors)
        self.refresh()

    def refresh(self) -> None:
        """Look again which interfaces there are and which addresses they have."""
        there = {name: index for index, name in socket.if_nameindex()}
        names = self._chosen(there)
        for name, ear in list(self._ears.items()):
            if name not in names or there.get(name) != ear.index:
                self._close(name)
        for name in names:
            if name in self._ears:
                self._ears[name].capture.refresh()
            elif name in there:
                self._open(name, there[name])
            else:
                self._miss(name, there)
        self._started = True

    def read(self, sieve: Sieve, now: float) -> Iterator[Knock]:
        """The knocks that have come, one by one, a batch of each interface that has some.

        Heeds what has changed about the interfaces on the way.
        """
        ready = {descriptor for descriptor, _ in self._poll.poll(0)}
        if self._changes.fileno() in ready:
            self._changes.drain()
            self.refresh()
        for ear in list(self._ears.values()):
            if ear.capture.fileno() in ready:
                yield from ear.capture.read(sieve, now)

    def dropped(self) -> int:
        """How many packets the kernel had no room for since the last call."""
        return sum(ear.capture.dropped() for ear in self._ears.values())

    def close(self) -> None:
        for name in list(self._ears):
            self._close(name)
        self._changes.close()
        self._poll.close()

    def _chosen(self, there: dict[str, int]) -> list[str]:
        if ANY_INTERFACE in self._wanted:
            return list(there)
        names = []
        for name in self._wanted:
            if name != AUTO_INTERFACE:
                names.append(name)
            elif _FIRST_CHOICE in there:
                names.append(_FIRST_CHOICE)
            else:
                names.append(interfaces.default_route() or _FIRST_CHOICE)
        return names

    def _open(self, name: str, index: int) -> None:
        try:
            capture = Capture(name, ipv4_only=self._ipv4_only)
            capture.listen(self._doors)
        except CaptureError as error:
            if not self._started:
                raise
            if self._said.trouble.get(name) != str(error):
                self._said.trouble[name] = str(error)
                self._say(str(error))
            return
        self._ears[name] = _Ear(index, capture)
        self._poll.register(capture, select.EPOLLIN)
        self._said.missing.discard(name)
        self._said.trouble.pop(name, None)
        if self._started:
            self._say(f"listening on {name} now")

    def _close(self, name: str) -> None:
        ear = self._ears.pop(name)
        self._poll.unregister(ear.capture)
        ear.capture.close()
        if name not in self._wanted:
            self._say(f"no longer listening on {name}")

    def _miss(self, name: str, there: dict[str, int]) -> None:
        if name in self._said.missing:
            return
        self._said.missing.add(name)
        known = ", ".join(there)
        text = f"there is no interface {name} (there are: {known}): waiting for it"
        self._say(text)
        if not self._started:
            self._warn(text)
