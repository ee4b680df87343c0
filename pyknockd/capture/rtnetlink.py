"""The kernel's network interfaces, their addresses and the default route (rtnetlink(7))."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import defaultdict
from collections.abc import Container, Iterator
from struct import Struct

from pyknockd.system.netlink import (
    DONE,
    DUMP,
    ERROR,
    HEADER,
    REQUEST,
    Message,
    attributes,
    messages,
)

_NEWADDR, _GETADDR, _NEWROUTE, _DELROUTE = 20, 22, 24, 25  # RTM_*
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_GROUPS = 0x1 | 0x10 | 0x100  # RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR
_ROUTE_GROUPS = 0x40 | 0x400  # RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE
_ADDRESS = Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = Struct("=BB")  # rtmsg as far as: family, length of the destination's prefix
_BUFFER = 65_536
_PATIENCE_SECONDS = 2.0  # no answer for so long is none
_IPV6_ANY = "0" * 32


def interfaces() -> dict[str, int]:
    """The index of each interface there is, in the kernel's order. Raises OSError."""
    return {name: index for index, name in socket.if_nameindex()}


def addresses() -> dict[int, frozenset[bytes]]:
    """The IPv4 and IPv6 addresses of each interface that has any, by its index. Raises OSError."""
    found: defaultdict[int, set[bytes]] = defaultdict(set)
    for message in _dump(_GETADDR, _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        if message.kind != _NEWADDR:
            continue
        family, _, _, _, index = _ADDRESS.unpack_from(message.body)
        if family not in (socket.AF_INET, socket.AF_INET6):
            continue
        found_here = attributes(message.body[_ADDRESS.size :])
        # On a point-to-point link IFA_ADDRESS is the peer's and IFA_LOCAL ours.
        address = found_here.get(_IFA_LOCAL, found_here.get(_IFA_ADDRESS))
        if address is not None:
            found[index].add(address)
    return {index: frozenset(of_one) for index, of_one in found.items()}


def default_route(there: Container[str]) -> str | None:
    """The interface, of those that are ``there``, of the default route, IPv4's before IPv6's, or None."""
    with contextlib.suppress(OSError), open("/proc/net/route") as routes:
        for fields in map(str.split, routes):
            if fields[1] == fields[7] == "00000000" and fields[0] in there:
                return fields[0]
    with contextlib.suppress(OSError), open("/proc/net/ipv6_route") as routes:
        for fields in map(str.split, routes):
            name = fields[9]
            if fields[0] == _IPV6_ANY and fields[1] == "00" and name != "lo" and name in there:
                return name
    return None


class Changes:
    """Readable (``fileno``) as soon as an interface or an address has come, gone or changed.

    With ``routes`` also when a default route has.
    """

    def __init__(self, *, routes: bool = False) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._socket.bind((0, _GROUPS | _ROUTE_GROUPS if routes else _GROUPS))

    def fileno(self) -> int:
        return self._socket.fileno()

    def drain(self) -> bool:
        """Whether something has changed since the last call: whoever is told looks for himself."""
        changed = False
        while True:
            try:
                data = self._socket.recv(_BUFFER)
            except BlockingIOError:
                return changed
            except OSError:
                changed = True  # ENOBUFS: more has changed than fitted
                continue
            # Other routes come and go by the thousand where a routing daemon runs.
            changed = changed or any(
                message.kind not in (_NEWROUTE, _DELROUTE)
                or not _ROUTE.unpack_from(message.body)[1]
                for message in messages(data)
            )

    def close(self) -> None:
        self._socket.close()


def _dump(request: int, body: bytes) -> Iterator[Message]:
    """The answers to a dump request."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.settimeout(_PATIENCE_SECONDS)
        netlink.send(HEADER.pack(HEADER.size + len(body), request, REQUEST | DUMP, 1, 0) + body)
        while True:
            for message in messages(netlink.recv(_BUFFER)):
                if message.kind == DONE:
                    return
                if message.kind == ERROR:
                    raise OSError(message.error(), os.strerror(message.error()))
                yield message
