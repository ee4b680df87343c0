"""The interfaces that are listened on, as they come, go, and change their addresses."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pyknockd.capture import rtnetlink
from pyknockd.capture.flood import Sieve
from pyknockd.capture.sniffer import CaptureError, Sniffer
from pyknockd.model import ANY_INTERFACE, AUTO_INTERFACE, Door, Knock
from pyknockd.report.log import Log

_FIRST_CHOICE = "eth0"  # knockd's default, where there is one


@dataclass(slots=True)
class _Listening:
    """A sniffer, and the index by which the kernel knows its interface."""

    index: int
    sniffer: Sniffer


@dataclass(slots=True)
class _Said:
    """What was told already, so that it is told once."""

    missing: set[str] = field(default_factory=set)
    trouble: dict[str, str] = field(default_factory=dict)


class Capture:
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
        self._sniffers: dict[str, _Listening] = {}
        self._said = _Said()
        self._started = False
        self._changes = rtnetlink.Changes()
        self._poll = select.epoll()
        self._poll.register(self._changes, select.EPOLLIN)

    def fileno(self) -> int:
        return self._poll.fileno()

    @property
    def names(self) -> tuple[str, ...]:
        """The interfaces that are listened on now."""
        return tuple(self._sniffers)

    def listen(self, doors: Sequence[Door]) -> None:
        """Listen for these doors' knocks from now on, without a gap. Raises CaptureError.

        The error is one that waiting does not mend, such as a lack of privilege.
        """
        self._doors = doors
        for one in self._sniffers.values():
            one.sniffer.listen(doors)
        self.refresh()

    def refresh(self) -> None:
        """Look again which interfaces there are and which addresses they have."""
        there = {name: index for index, name in socket.if_nameindex()}
        names = self._chosen(there)
        for name, one in list(self._sniffers.items()):
            if name not in names or there.get(name) != one.index:
                self._close(name)
        for name in names:
            if name in self._sniffers:
                self._sniffers[name].sniffer.refresh()
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
        for one in list(self._sniffers.values()):
            if one.sniffer.fileno() in ready:
                yield from one.sniffer.read(sieve, now)

    def dropped(self) -> int:
        """How many packets the kernel had no room for since the last call."""
        return sum(one.sniffer.dropped() for one in self._sniffers.values())

    def close(self) -> None:
        for name in list(self._sniffers):
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
                names.append(rtnetlink.default_route() or _FIRST_CHOICE)
        return names

    def _open(self, name: str, index: int) -> None:
        try:
            sniffer = Sniffer(name, ipv4_only=self._ipv4_only)
            sniffer.listen(self._doors)
        except CaptureError as error:
            if not self._started:
                raise
            if self._said.trouble.get(name) != str(error):
                self._said.trouble[name] = str(error)
                self._say(str(error))
            return
        self._sniffers[name] = _Listening(index, sniffer)
        self._poll.register(sniffer, select.EPOLLIN)
        self._said.missing.discard(name)
        self._said.trouble.pop(name, None)
        if self._started:
            self._say(f"listening on {name} now")

    def _close(self, name: str) -> None:
        one = self._sniffers.pop(name)
        self._poll.unregister(one.sniffer)
        one.sniffer.close()
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
