"""The interfaces that are listened on, as they come, go, and change their addresses."""

from __future__ import annotations

import select
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pyknockd.capture import rtnetlink
from pyknockd.capture.decode import Frame, NoPeers, no_peers_on_wire
from pyknockd.capture.errors import CaptureError
from pyknockd.capture.filter import Filter
from pyknockd.capture.selection import Selection
from pyknockd.capture.sniffer import Sniffer
from pyknockd.model.events import InterfaceChanged, InterfaceState

RETRY_SECONDS = 10.0  # after trouble
_NO_ADDRESSES: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class _Listening:
    """A sniffer, and the index by which the kernel knows its interface."""

    index: int
    sniffer: Sniffer


@dataclass(slots=True)
class _Deaf:
    """Interfaces that are meant and not listened on: those not there, and the trouble with others."""

    missing: list[str] = field(default_factory=list)
    trouble: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Host:
    """What there is, as of the last look: interfaces and their indexes, addresses by index."""

    there: dict[str, int] = field(default_factory=dict)
    addresses: dict[int, frozenset[bytes]] = field(default_factory=dict)
    no_peers: NoPeers = field(default_factory=lambda: no_peers_on_wire(()))


class Interfaces:
    """Listens on the interfaces ``wanted`` (``Selection``); those that are not there are waited for.

    ``fileno`` is readable when ``read`` has work.
    """

    def __init__(self, wanted: Sequence[str]) -> None:
        """Hears nothing before ``listen``. Raises OSError."""
        self._selection = Selection(wanted, rtnetlink.default_route)
        self._filter = Filter(())
        self._host = _Host()
        self._deaf = _Deaf()
        self._sniffers: dict[str, _Listening] = {}
        self._is_started = False
        self._look_at: float | None = None
        self._happened: list[InterfaceChanged] = []
        self._changes = rtnetlink.Changes(routes=self._selection.heeds_routes)
        self._poll = select.epoll()
        self._poll.register(self._changes, select.EPOLLIN)

    def fileno(self) -> int:
        return self._poll.fileno()

    @property
    def names(self) -> tuple[str, ...]:
        """The interfaces that are listened on now."""
        return tuple(self._sniffers)

    def listen(self, wanted: Filter) -> None:
        """Hear what ``wanted`` lets through from now on, without a gap.

        Raises CaptureError for what waiting does not mend, such as a lack of privilege: at the
        start of anything, later if the kernel refuses the filter.
        """
        self._filter = wanted
        for one in self._sniffers.values():
            one.sniffer.listen(wanted)
        if not self._is_started:
            self._start()

    def read(self, now: float) -> Iterator[Frame]:
        """The frames that have come, a batch of each interface that has some.

        Heeds what has changed about the interfaces on the way.
        """
        ready = {descriptor for descriptor, _ in self._poll.poll(0)}
        if self._changes.fileno() in ready and self._changes.drain():
            self._look_again(now)
        for one in list(self._sniffers.values()):
            if one.sniffer.fileno() in ready:
                yield from one.sniffer.read(now)

    def dropped(self) -> int:
        """How many packets the kernel had no room for since the last call."""
        return sum(one.sniffer.dropped() for one in self._sniffers.values())

    def events(self, now: float) -> list[InterfaceChanged]:
        """What has happened since the last call."""
        if self._look_at is not None and now >= self._look_at:
            self._look_again(now)
        happened = [replace(event, time=now) for event in self._happened]
        self._happened.clear()
        return happened

    def next_deadline(self) -> float | None:
        """When ``events`` has something to do, though nothing comes, or None."""
        return 0.0 if self._happened else self._look_at

    def close(self) -> None:
        for name in list(self._sniffers):
            self._close(name)
        self._changes.close()
        self._poll.close()

    def _start(self) -> None:
        try:
            deaf = self._look()
        except OSError as error:
            raise CaptureError(f"the interfaces cannot be listed: {error}") from error
        for text in deaf.trouble.values():
            raise CaptureError(text)
        self._tell(deaf)
        self._is_started = True

    def _look_again(self, now: float) -> None:
        try:
            deaf = self._look()
        except OSError as error:
            deaf = replace(self._deaf, trouble={"": f"the interfaces cannot be listed: {error}"})
        self._tell(deaf)
        self._look_at = now + RETRY_SECONDS if deaf.trouble else None

    def _look(self) -> _Deaf:
        """Look which interfaces there are and which addresses they have. Raises OSError."""
        host = self._host
        host.there, host.addresses = rtnetlink.interfaces(), rtnetlink.addresses()
        no_peers = no_peers_on_wire(_NO_ADDRESSES.union(*host.addresses.values()))
        if no_peers != host.no_peers:
            host.no_peers = no_peers
        names = dict.fromkeys(self._selection.names(host.there))
        for name, one in list(self._sniffers.items()):
            if name not in names or host.there.get(name) != one.index:
                self._close(name)
        deaf = _Deaf()
        for name in names:
            if name not in host.there:
                deaf.missing.append(name)
                continue
            try:
                self._hear(name, host.there[name])
            except CaptureError as error:
                # Unless it has gone meanwhile: then ``read`` is about to see that.
                if rtnetlink.interfaces().get(name) == host.there[name]:
                    deaf.trouble[name] = str(error)
        return deaf

    def _hear(self, name: str, index: int) -> None:
        """Listen on an interface that is there. Raises CaptureError."""
        own = self._host.addresses.get(index, _NO_ADDRESSES)
        known = self._sniffers.get(name)
        if known is not None:
            known.sniffer.refresh(own, self._host.no_peers)
            return
        sniffer = Sniffer(name)
        try:
            sniffer.refresh(own, self._host.no_peers)
            sniffer.listen(self._filter)
        except CaptureError:
            sniffer.close()
            raise
        self._sniffers[name] = _Listening(index, sniffer)
        self._poll.register(sniffer, select.EPOLLIN)
        self._note(name, InterfaceState.COME)

    def _close(self, name: str) -> None:
        one = self._sniffers.pop(name)
        self._poll.unregister(one.sniffer)
        one.sniffer.close()
        if not self._selection.is_named(name):
            self._note(name, InterfaceState.GONE)

    def _tell(self, deaf: _Deaf) -> None:
        """Say what cannot be listened on, as far as that is new."""
        before, self._deaf = self._deaf, deaf
        for name in deaf.missing:
            if name not in before.missing:
                self._note(name, InterfaceState.MISSING, there=tuple(self._host.there))
        for name, text in deaf.trouble.items():
            if text != before.trouble.get(name):
                self._note(name, InterfaceState.TROUBLE, text=text)

    def _note(
        self, name: str, state: InterfaceState, *, there: tuple[str, ...] = (), text: str = ""
    ) -> None:
        """An event, whose time is that of whoever asks for it."""
        first = not self._is_started
        self._happened.append(InterfaceChanged(0.0, name, state, there, text, first))
