"""Link-layer frame → ``Knock``. Pure, total and fast: any bytes give a knock or None, never an error.

A packet from an address that no peer can have is no knock, as the kernel would not answer it either:
an unspecified, broadcast or multicast one, one of the host's own, a loopback one, or an IPv4 one
mapped into IPv6.

Sources: RFC 791 (IPv4), RFC 8200 (IPv6 and its extension headers), RFC 9293 (TCP), RFC 768 (UDP),
IEEE 802.1Q and 802.1ad (VLAN tags), RFC 6890 (addresses for special purposes).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, inet_ntop
from struct import Struct

from pyknockd.model import Knock, Link, Listen, Protocol, Step

ETHERTYPES_VLAN = frozenset((0x8100, 0x88A8, 0x9100))  # IEEE 802.1Q, 802.1ad, and its forerunner
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"  # ethertypes as they stand in a frame
_ETHERTYPES_IP = frozenset((_IPV4, _IPV6))
_ETHERTYPES_VLAN = frozenset(number.to_bytes(2, "big") for number in ETHERTYPES_VLAN)
_ETHERNET_HEADER = 14
_IPV4_HEADER, _IPV4_WITHOUT_OPTIONS = 20, 0x45
_IPV6_HEADER = 40
_UDP_HEADER = 8
_FRAGMENT_OFFSET = 0x1F  # its upper bits
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _DESTINATION_OPTIONS, _AUTHENTICATION = 0, 43, 44, 60, 51
# IPv6's next headers that are walked over (RFC 8200).
EXTENSIONS = frozenset((_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION_OPTIONS))

_NOBODY = frozenset((bytes(4), b"\xff" * 4, bytes(16)))  # unspecified, broadcast
_MULTICAST = frozenset((*range(224, 240), 255))  # first bytes of IPv4's and IPv6's
_LOOPBACK_4, _LOOPBACK_6 = 127, bytes(15) + b"\x01"  # 127.0.0.0/8, ::1
_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96

_U16 = Struct("!H")
_PORTS = Struct("!HH")
_TCP_HEADER = Struct("!HHIIBB")
_TCP_WORDS = 5  # of four bytes, in a TCP header without options
# An enum's members are slow to look up.
_TCP, _UDP, _ETHERNET, _IP = Protocol.TCP, Protocol.UDP, Link.ETHERNET, Link.IP
_PROTOCOLS = {protocol.value: protocol for protocol in Protocol}


@dataclass(frozen=True, slots=True)
class NoPeers:
    """Whom no packet comes from: ``addresses``, and every address with one of ``first_bytes``."""

    addresses: frozenset[bytes] = _NOBODY
    first_bytes: frozenset[int] = _MULTICAST


NO_PEERS_ON_LOOPBACK = NoPeers()  # here the host knocks at itself


def no_peers_on_wire(host: Iterable[bytes]) -> NoPeers:
    """Whom no packet comes from on any other interface of a host that has the addresses ``host``."""
    return NoPeers(_NOBODY.union(host, (_LOOPBACK_6,)), _MULTICAST | {_LOOPBACK_4})


@dataclass(frozen=True, slots=True)
class Ingress:
    """The interface that frames come in on, as far as it takes to read them.

    ``own`` holds its addresses: bytes and text. ``payloads`` is what UDP payloads are wanted for.
    """

    name: str
    link: Link
    own: Mapping[bytes, str]
    no_peers: NoPeers = NO_PEERS_ON_LOOPBACK
    payloads: tuple[Listen, ...] = ()


@dataclass(slots=True, eq=False)
class Frame:
    """What came in at ``time``, in seconds of the loop's clock; its end may have been cut off.

    A value all the same: to freeze it costs a flood a quarter of a microsecond a packet.
    """

    data: bytes
    ingress: Ingress
    time: float


def source_of(frame: Frame) -> bytes | None:
    """The 4 or 16 bytes of the address that ``frame`` comes from, or None where that takes a look.

    Far cheaper than ``knock_of``: for packets of which nothing else may ever be wanted.
    """
    data = frame.data
    if frame.ingress.link is _ETHERNET:
        ethertype = data[12:14]
        if ethertype == _IPV4:
            return data[26:30]
        return data[22:38] if ethertype == _IPV6 else None
    version = data[0] >> 4 if data else 0
    if version == 4:
        return data[12:16]
    return data[8:24] if version == 6 else None


def step_of(frame: Frame) -> Step | None:
    """The port that ``frame`` goes to, or None where that takes a look. As cheap as ``source_of``."""
    data, start = frame.data, 0
    if frame.ingress.link is _ETHERNET:
        if data[12:14] not in _ETHERTYPES_IP:
            return None
        start = _ETHERNET_HEADER
    first = data[start] if start < len(data) else 0
    if first == _IPV4_WITHOUT_OPTIONS:
        number_at, offset = start + 9, start + _IPV4_HEADER
    elif first >> 4 == 6:
        number_at, offset = start + 6, start + _IPV6_HEADER
    else:
        return None
    if len(data) < offset + _PORTS.size or data[number_at] not in _PROTOCOLS:
        return None
    return Step(_PORTS.unpack_from(data, offset)[1], _PROTOCOLS[data[number_at]])


def text_of(address: bytes) -> str:
    """The text of an address of 4 or 16 bytes; the empty text for any other number of them."""
    if len(address) == 4:
        return inet_ntop(AF_INET, address)
    return inet_ntop(AF_INET6, address) if len(address) == 16 else ""


def knock_of(frame: Frame) -> Knock | None:
    """The knock in ``frame``.

    None: not IP, a later fragment, neither TCP nor UDP, cut short, from nobody that can be a peer.
    """
    data = frame.data
    start = 0 if frame.ingress.link is _IP else _network_header(data)
    if start >= len(data):
        return None
    version = data[start] >> 4
    if version == 4:
        return _ipv4(frame, start)
    if version == 6:
        return _ipv6(frame, start)
    return None


def _network_header(data: bytes) -> int:
    """Where the IP header begins in an Ethernet frame, behind any number of VLAN tags.

    Where it ends if there is none.
    """
    offset = _ETHERNET_HEADER
    while (ethertype := data[offset - 2 : offset]) not in _ETHERTYPES_IP:
        if ethertype not in _ETHERTYPES_VLAN:
            return len(data)
        offset += 4
    return offset


def _ipv4(frame: Frame, start: int) -> Knock | None:
    data = frame.data
    header = (data[start] & 0x0F) * 4
    if header < _IPV4_HEADER or len(data) < start + header:
        return None
    if data[start + 6] & _FRAGMENT_OFFSET or data[start + 7]:
        return None
    return _transport(frame, start, start + header, data[start + 9])


def _ipv6(frame: Frame, start: int) -> Knock | None:
    data = frame.data
    if len(data) < start + _IPV6_HEADER:
        return None
    following, offset = data[start + 6], start + _IPV6_HEADER
    while following not in _PROTOCOLS:
        if len(data) < offset + 8:
            return None
        if following in (_HOP_BY_HOP, _ROUTING, _DESTINATION_OPTIONS):
            length = (data[offset + 1] + 1) * 8
        elif following == _AUTHENTICATION:
            length = (data[offset + 1] + 2) * 4
        elif following == _FRAGMENT and not _U16.unpack_from(data, offset + 2)[0] & 0xFFF8:
            length = 8
        else:
            return None
        following, offset = data[offset], offset + length
    if data[start + 8 : start + 20] == _MAPPED:
        return None
    return _transport(frame, start, offset, following)


def _transport(frame: Frame, start: int, offset: int, number: int) -> Knock | None:
    """The knock whose IP header is at ``start`` and whose transport header is at ``offset``."""
    data, ingress = frame.data, frame.ingress
    at, size = (start + 12, 4) if data[start] >> 4 == 4 else (start + 8, 16)
    source, destination = data[at : at + size], data[at + size : at + 2 * size]
    if source in ingress.no_peers.addresses or source[0] in ingress.no_peers.first_bytes:
        return None
    sequence_number, flags, payload, words = 0, 0, b"", 0
    protocol = _PROTOCOLS.get(number)
    if protocol is _TCP and len(data) >= offset + _TCP_HEADER.size:
        source_port, port, sequence_number, _, words, flags = _TCP_HEADER.unpack_from(data, offset)
    elif protocol is _UDP and len(data) >= offset + _PORTS.size:
        source_port, port = _PORTS.unpack_from(data, offset)
        if ingress.payloads:
            payload = _payload(frame, start, offset, port)
    else:
        return None
    own = ingress.own.get(destination)
    return Knock(
        text_of(source),
        own or text_of(destination),
        own is not None,
        protocol,
        port,
        source_port,
        flags,
        sequence_number,
        frame.time,
        payload,
        words >> 4 == _TCP_WORDS,
        ingress.name,
    )


def _payload(frame: Frame, start: int, offset: int, port: int) -> bytes:
    """What stands behind the UDP header at ``offset``, as far as it is wanted at ``port``.

    Neither what the UDP header does not count nor what the IP header does not, such as padding.
    """
    data = frame.data
    wanted = max((p.payload for p in frame.ingress.payloads if p.low <= port <= p.high), default=0)
    if not wanted or len(data) < offset + _UDP_HEADER:
        return b""
    length = _U16.unpack_from(data, offset + 4)[0]
    if data[start] >> 4 == 4:
        end = start + _U16.unpack_from(data, start + 2)[0]
    else:
        end = start + _IPV6_HEADER + _U16.unpack_from(data, start + 4)[0]
    return data[offset + _UDP_HEADER : min(offset + length, end, offset + _UDP_HEADER + wanted)]
