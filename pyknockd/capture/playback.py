"""Recorded frames → knocks, as the host would have heard them whose addresses are told or found out.

Nearly all packets of a capture go to other ports, and are known by that without being decoded: what the
packet filter is to the daemon. Behind that stands the daemon's own flood control.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from pyknockd.capture.copies import Copies
from pyknockd.capture.decode import (
    NO_PEERS_ON_LOOPBACK,
    Frame,
    Ingress,
    NoPeers,
    knock_of,
    no_peers_on_wire,
    text_of,
)
from pyknockd.capture.flood import Flood
from pyknockd.model import Flags, Knock, Link, Listen, Protocol, Step
from pyknockd.model.events import FirstKnocksLeftOut

MOST_FOUND = 64  # addresses that are taken for the host's
_ETHERNET = Link.ETHERNET
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"
_TRANSPORTS = frozenset(bytes((protocol.value,)) for protocol in Protocol)
_NO_HARDWARE = bytes(12)  # both addresses of a frame on the loopback
_HIGHEST_PORT = 65_535
_MANY_PORTS = 4_096  # who listens to so many listens to the beginning of every connection
_FIRST, _LOOKED_AT = int(Flags.SYN), int(Flags.SYN | Flags.ACK | Flags.RST | Flags.FIN)


@dataclass(frozen=True, slots=True, eq=False)
class Medium:
    """What a recorded packet came in on; one that is equal need not be the same.

    ``name`` is the interface's, empty where the capture does not say. ``number`` tells apart those of
    one capture, 0 where that is not known or there is one only. ``loopback`` is None where only the
    frame shows whether it is that.
    """

    link: Link
    name: str = ""
    number: int = 0
    loopback: bool | None = None


@dataclass(slots=True, eq=False)
class Recorded:
    """A frame that came in at ``time``, in seconds since the epoch."""

    data: bytes
    medium: Medium
    time: float


class Playback:
    """``addresses`` are the host's, ``interfaces`` those that it listens on, none for all.

    Addresses that are not told are found out: they are the targets of what is listened for and, if
    not all of it has one, wherever a connection or a datagram to one of its ports goes.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        interfaces: Sequence[str] = (),
        flood: Flood | None = None,
        *,
        ipv4_only: bool = False,
    ) -> None:
        own = [ip_address(address).packed for address in addresses]
        self._own = {address: text_of(address) for address in own}
        self._is_told = bool(addresses)
        self._interfaces = frozenset(interfaces)
        self._flood = flood
        self.count = 0
        """How many packets to a port that matters there have been."""
        self._ipv4_only = ipv4_only
        self._finds_out = False
        self._steps: frozenset[Step] = frozenset()
        self._ports: frozenset[bytes] = frozenset()
        self._payloads: tuple[Listen, ...] = ()
        # Whether the first segment of a connection matters whatever its port is.
        self._takes_every_first = False
        self._on_wire: NoPeers = no_peers_on_wire(self._own)
        self._ingresses: dict[Medium, Ingress] = {}
        self._on_loopback: dict[Medium, Ingress] = {}
        self._copies = Copies()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those that are taken for the host's by now."""
        return tuple(self._own.values())

    def is_listened_on(self, interface: str) -> bool:
        """Whether the interface of that name is; one without a name is taken to be."""
        return not interface or not self._interfaces or interface in self._interfaces

    def listen(self, listens: Iterable[Listen], around: int) -> None:
        """Give what is for a port of ``listens`` from now on, or for one that is ``around`` it."""
        listens = tuple(listens)
        if self._flood is not None:
            self._flood.listen(listens)
        narrow = [one for one in listens if one.high - one.low < _MANY_PORTS]
        self._takes_every_first = len(narrow) < len(listens)
        self._payloads = tuple(one for one in listens if one.payload > 0)
        self._ingresses.clear()
        self._on_loopback.clear()
        self._steps = frozenset(
            Step(port, one.protocol) for one in narrow for port in range(one.low, one.high + 1)
        )
        near = {step.port + off for step in self._steps for off in range(-around, around + 1)}
        self._ports = frozenset(
            port.to_bytes(2, "big") for port in near if 0 <= port <= _HIGHEST_PORT
        )
        targets = [one.target for one in listens if one.target is not None]
        self._finds_out = not self._is_told and len(targets) < len(listens)
        if not self._is_told:
            for target in targets:
                self._take(target)

    def events(self, now: float) -> list[FirstKnocksLeftOut]:
        """Once a second: how many first knocks were put aside by flood control."""
        return [] if self._flood is None else self._flood.events(now)

    def knocks_of(self, recorded: Recorded) -> tuple[Knock, ...]:
        """The knock in ``recorded``, behind one that was put aside; none to a port that matters: none."""
        data, medium = recorded.data, recorded.medium
        # Where the ports of nearly every packet stand, behind a header without options.
        at = 14 if medium.link is _ETHERNET else 0
        first = data[at] if len(data) > at else 0
        ethertype = data[12:14] if at else (_IPV6 if first >> 4 == 6 else _IPV4)
        if ethertype == _IPV4 and first == 0x45:
            if data[at + 22 : at + 24] not in self._ports and not self._is_first(data, at + 33):
                return ()
        elif ethertype == _IPV6:
            if self._ipv4_only:
                return ()
            following, port = data[at + 6 : at + 7], data[at + 42 : at + 44]
            is_other = following in _TRANSPORTS and port not in self._ports
            if is_other and not self._is_first(data, at + 53):
                return ()
        frame = Frame(data, self._ingress(recorded), recorded.time)
        knock = self._decoded(frame, recorded.medium)
        if knock is None:
            return ()
        self.count += 1
        return self._sift(frame, knock)

    def _is_first(self, data: bytes, at: int) -> bool:
        """Whether the TCP flags at ``at`` are those of a connection's first segment, if that matters."""
        return self._takes_every_first and len(data) > at and data[at] & _LOOKED_AT == _FIRST

    def _sift(self, frame: Frame, knock: Knock) -> tuple[Knock, ...]:
        """What is to be looked at now. Only what the daemon's filter lets through can be put aside."""
        if self._flood is None or not knock.local or not self._begins_at_step(knock):
            return (knock,)
        passed = self._flood.sift(frame)
        if len(passed) < 2:
            return (knock,) if passed else ()
        earlier = knock_of(passed[0])
        return (knock,) if earlier is None else (earlier, knock)

    def _decoded(self, frame: Frame, medium: Medium) -> Knock | None:
        knock = knock_of(frame)
        if knock is None or (self._ipv4_only and ":" in knock.source):
            return None
        if knock.port.to_bytes(2, "big") not in self._ports:
            is_tcp = knock.protocol is Protocol.TCP
            if not (self._takes_every_first and is_tcp and knock.flags & _LOOKED_AT == _FIRST):
                return None
        if not knock.local and self._finds_out and self._shows_an_address(knock):
            self._take(knock.destination)
            knock = replace(knock, local=True)
        if not medium.number or not self.is_listened_on(medium.name):
            return knock
        return None if self._copies.is_copy(knock, str(medium.number), frame.time) else knock

    def _ingress(self, recorded: Recorded) -> Ingress:
        medium = recorded.medium
        loopback = medium.loopback
        if loopback is None:
            loopback = medium.link is _ETHERNET and recorded.data[:12] == _NO_HARDWARE
        known = self._on_loopback if loopback else self._ingresses
        ingress = known.get(medium)
        if ingress is None:
            no_peers = NO_PEERS_ON_LOOPBACK if loopback else self._on_wire
            ingress = Ingress(medium.name, medium.link, self._own, no_peers, self._payloads)
            known[medium] = ingress
        return ingress

    def _shows_an_address(self, knock: Knock) -> bool:
        """Whether its destination can be taken for the host's: it begins something at a step."""
        if not self._begins_at_step(knock):
            return False
        address = ip_address(knock.destination)
        return len(self._own) < MOST_FOUND and not address.is_multicast and not address.is_reserved

    def _begins_at_step(self, knock: Knock) -> bool:
        begins = knock.protocol is Protocol.UDP or knock.flags & _LOOKED_AT == _FIRST
        return begins and Step(knock.port, knock.protocol) in self._steps

    def _take(self, address: str) -> None:
        """``address`` is the host's. A target that is no address is nobody's."""
        try:
            packed = ip_address(address).packed
        except ValueError:
            return
        self._own[packed] = text_of(packed)
        self._on_wire = no_peers_on_wire(self._own)
        self._ingresses.clear()
