"""Frames of a capture file → frames that the decoder reads, whatever link they were recorded on.

Sources: https://www.tcpdump.org/linktypes.html, linux/if_packet.h, linux/if_arp.h.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct

from pyknockd.capture.playback import Medium, Recorded
from pyknockd.model import Link

KNOWN = "Ethernet, raw IP, Linux cooked or BSD loopback"
_NULL, _ETHERNET, _RAW_BSD, _RAW, _LOOP, _COOKED = 0, 1, 12, 101, 108, 113
_IPV4, _IPV6, _COOKED_2 = 228, 229, 276
_FAMILY_FIRST = frozenset((_NULL, _LOOP))
_FAMILY_BYTES = 4
_BARE = _FAMILY_FIRST | {_RAW_BSD, _RAW, _IPV4, _IPV6}
_ALL = _BARE | {_ETHERNET, _COOKED, _COOKED_2}
_OUTGOING = 4  # PACKET_OUTGOING
_LOOPBACK = 772  # ARPHRD_LOOPBACK
_HEADER = Struct("!HH")  # packet type, ARPHRD; the protocol is its 14th and 15th byte
_HEADER_2 = Struct("!2sxxIHB")  # protocol, interface, ARPHRD, packet type
_HEADER_2_BYTES = 20
_NO_HARDWARE = b"\xff" * 12  # in the place of an Ethernet header's addresses


def is_known(link_type: int) -> bool:
    """Whether frames of this type can be read."""
    return link_type in _ALL


@lru_cache(maxsize=1_024)
def medium_of(
    link_type: int, name: str = "", number: int = 0, loopback: bool | None = None
) -> Medium:
    """What packets of this link type come in on; the same one for the same."""
    link = Link.IP if link_type in _BARE else Link.ETHERNET
    return Medium(link, name, number, loopback)


def recorded(link_type: int, medium: Medium, data: bytes, time: float) -> Recorded | None:
    """What came in at ``time``; None if it is the host's own, or cut short."""
    if link_type == _ETHERNET:
        return Recorded(data, medium, time)
    if link_type in _FAMILY_FIRST:
        return Recorded(data[_FAMILY_BYTES:], medium, time)
    if link_type in _BARE:
        return Recorded(data, medium, time)
    if link_type == _COOKED and len(data) >= _HEADER.size:
        kind, hardware = _HEADER.unpack_from(data)
        # From its third byte on the header ends as an Ethernet one does.
        frame, number = data[2:], medium.number
    elif link_type == _COOKED_2 and len(data) >= _HEADER_2_BYTES:
        protocol, number, hardware, kind = _HEADER_2.unpack_from(data)
        frame = _NO_HARDWARE + protocol + data[_HEADER_2_BYTES:]
    else:
        return None
    if kind == _OUTGOING:
        return None
    # An interface of the name "any" is none.
    return Recorded(frame, medium_of(link_type, "", number, hardware == _LOOPBACK), time)
